"""TensorBoard reads what Keras would write: tags, folders, steps and values.

Keras's callback writes by TensorFlow, which is not here: it gets one that takes notes.
"""

import contextlib
import io
import json
import math
import sys
import types
from unittest import mock

import keras
import numpy as np
import PIL.Image
import pytest
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as PluginAccumulator,
)
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util import tensor_util

import keraunos
from keraunos.callbacks import CallbackList, TensorBoard
from keraunos.callbacks.events import buckets, png
from keraunos.callbacks.tensorboard import as_images

X = np.random.default_rng(0).random((12, 3), "float32")
Y = X.sum(1, keepdims=True)


class Notes(types.ModuleType):
    """Stands for `tensorflow.summary`: `(folder, tag, step)` of all that would be recorded."""

    def __init__(self):
        super().__init__("tensorflow.summary")
        self.found, self._folders, self._conditions = {}, [], []
        self.__path__ = []

    def create_file_writer(self, folder):
        entered = lambda *_: self._on(self._folders, str(folder).rpartition("/")[2])
        return mock.Mock(as_default=entered)

    def record_if(self, condition):
        return self._on(self._conditions, condition)

    @contextlib.contextmanager
    def _on(self, stack, item):
        stack.append(item)
        yield
        stack.pop()

    def scalar(self, tag, value, step):
        recorded = not tag.startswith("batch_") or any(c() for c in self._conditions)
        if recorded:  # see "Differs" of the callback
            self._note(tag, step, value)

    def histogram(self, tag, value, step):
        self._note(tag, step, buckets(value))

    def image(self, tag, value, step):
        self._note(tag, step, value)

    def _note(self, tag, step, value):
        self.found[self._folders[-1], tag, int(step)] = np.asarray(getattr(value, "value", value))


def read(folder):
    """The same of a folder of events."""
    found = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(folder / part), size_guidance={"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            for event in events.Tensors(tag):
                found[part, tag, event.step] = tensor_util.make_ndarray(event.tensor_proto)
    return found


def model(library):
    first, second = library.layers.Dense(4, name="a"), library.layers.Dense(1, name="b")
    model = library.Sequential([library.Input((3,)), first, second], name="m")
    model.compile(library.optimizers.SGD(0.01), "mse", metrics=["mae"])
    shapes = [w.shape for w in model.weights]
    model.set_weights([np.linspace(-1, 1, math.prod(s)).reshape(s) for s in shapes])
    return model


def fit(library, folder, **options):
    callback = library.callbacks.TensorBoard(str(folder), **options)
    trained = model(library)
    trained.fit(
        X,
        Y,
        batch_size=4,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[callback],
    )
    trained.evaluate(X, Y, verbose=0, callbacks=[callback])
    return trained


OPTIONS = [
    {},
    {"update_freq": "batch", "write_steps_per_second": True},
    {"update_freq": 2},
    {"histogram_freq": 1, "write_images": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_same_events_as_keras(options, tmp_path, monkeypatch):
    fit(keraunos, tmp_path, write_graph=False, **options)
    ours, notes = read(tmp_path), Notes()  # reading looks for TensorFlow too
    monkeypatch.setitem(sys.modules, "tensorflow", mock.MagicMock(summary=notes))
    monkeypatch.setitem(sys.modules, "tensorflow.summary", notes)
    fit(keras, tmp_path / "keras", write_graph=False, **options)
    theirs = notes.found
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if "steps_per_second" in key[1]:
            assert ours[key] > 0
        elif key[1].endswith("/image"):
            width, height, *files = ours[key]
            assert (int(height), int(width)) == value.shape[1:3] and len(files) == 1
            expected = np.clip(value[0, :, :, 0] * 255.5, 0, 255)
            pixels = np.asarray(PIL.Image.open(io.BytesIO(files[0])), "float32")
            np.testing.assert_allclose(pixels, np.floor(expected), atol=1)
        elif key[1].endswith("/histogram"):
            np.testing.assert_allclose(ours[key][:, :2], value[:, :2], rtol=1e-4, atol=1e-6)
            assert ours[key][:, 2].sum() == value[:, 2].sum()
        else:
            np.testing.assert_allclose(ours[key], value, rtol=1e-5)


def test_tensorboard_knows_what_it_is_shown(tmp_path):
    trained = fit(keraunos, tmp_path, histogram_freq=1, write_images=True)
    events = PluginAccumulator(str(tmp_path / "train")).Reload()
    kinds = {"scalars": 3, "histograms": 4, "images": 3, "graph_keras_model": 1}
    assert {kind: len(events.PluginTagToContent(kind)) for kind in kinds} == kinds
    (event,) = events.Tensors("keras")
    graph = keras_model_to_graph_def(json.loads(event.tensor_proto.string_val[0]))
    assert [node.name for node in graph.node][1:] == ["m/a", "m/b"]
    assert json.loads(event.tensor_proto.string_val[0]) == json.loads(trained.to_json())


@pytest.mark.parametrize(
    "data", [[0.0, 1, 1, 5], [2.0, 2.0], [], np.linspace(-3, 4, 1000) ** 3], ids=len
)
def test_histograms_are_tensorboards(data):
    expected = tensor_util.make_ndarray(histogram_pb("a", np.array(data)).value[0].tensor)
    np.testing.assert_allclose(buckets(data), expected, rtol=1e-6)


def test_histograms_of_weights_that_blew_up():
    assert buckets([np.nan, 1.0, 3.0, np.inf])[:, 2].sum() == 2


SHAPES = [(3, 4), (4, 3), (5,), (1,), (4, 1), (3, 3, 2), (3, 3, 1, 2), (2, 2, 5, 3), (2, 2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_are_drawn_as_by_keras(shape, monkeypatch):
    """Keras draws what is in a layer; here a stand-in with one weight."""
    weight = np.random.default_rng(0).random(shape, "float32")
    notes = Notes()
    monkeypatch.setitem(sys.modules, "tensorflow", mock.MagicMock(summary=notes))
    monkeypatch.setitem(sys.modules, "tensorflow.summary", notes)
    layer = keras.layers.Layer()
    layer.add_weight(shape=shape, name="w", initializer=lambda *_, **__: weight)
    stand_in = mock.Mock(layers=[layer], optimizer=None, spec_set=["layers", "optimizer"])
    callback = keras.callbacks.TensorBoard("none", 1, write_graph=False, write_images=True)
    callback.set_model(stand_in)
    callback.on_epoch_end(0, {})
    drawn = [value for (_, tag, _), value in notes.found.items() if tag.endswith("/image")]
    ours = as_images(weight)
    assert (ours is not None) == bool(drawn)
    if drawn:
        np.testing.assert_array_equal(ours, drawn[0])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, channels), "uint8")
    read = np.asarray(PIL.Image.open(io.BytesIO(png(pixels)))).reshape(pixels.shape)
    np.testing.assert_array_equal(read, pixels)


def test_it_waits_for_the_end_of_epochs_unless_asked(tmp_path):
    patience = lambda **options: CallbackList([TensorBoard(tmp_path, **options)]).patience
    assert patience() == patience(histogram_freq=1, write_steps_per_second=True) == math.inf
    assert patience(update_freq=10) == patience(profile_batch=(2, 3)) == 0


def test_profiles_some_batches(tmp_path):
    seen = []
    with (
        mock.patch("jax.profiler.start_trace", lambda folder: seen.append(["start", folder])),
        mock.patch("jax.profiler.stop_trace", lambda: seen.append("stop")),
    ):
        callback = TensorBoard(str(tmp_path), profile_batch=(2, 4))
        look = keraunos.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(batch)
        )
        model(keraunos).fit(
            X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[look, callback]
        )  # three batches each
    assert seen == [0, ["start", str(tmp_path)], 1, 2, 0, "stop", 1, 2, 0, 1, 2]
    assert callback.every == math.inf


def test_embeddings_for_the_projector(tmp_path):
    layers = [keraunos.layers.Embedding(5, 2, name=name) for name in ("one", "two")]
    inputs = keraunos.Input((3,), dtype="int32")
    rows = keraunos.Model(inputs, layers[0](inputs) + layers[1](inputs))
    rows.compile("sgd", "mse")
    callback = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"two": "words.tsv"})
    rows.fit(np.ones((4, 3)), np.ones((4, 3, 2)), verbose=0, callbacks=[callback])
    config = ProjectorConfig()
    text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config)
    for layer, entry, metadata in zip(layers, config.embeddings, ["", "words.tsv"]):
        assert entry.metadata_path == metadata
        written = np.loadtxt(tmp_path / entry.tensor_path, delimiter="\t")
        np.testing.assert_allclose(written, layer.embeddings.numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"Unrecognized `Embedding` layer names .*\['on'\].*`one`"):
        TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"on": "x"}).set_model(rows)


def test_events_of_ones_own(tmp_path):
    callback = TensorBoard(tmp_path)
    callback.summary.scalar("mine", 3, step=7)
    callback.summary.text("words", "*so*", step=7)
    callback.on_train_end()
    found = read_train(tmp_path)
    assert found == {("mine", 7): 3.0, ("words", 7): b"*so*"}


def read_train(folder):
    events = EventAccumulator(str(folder / "train")).Reload()
    return {
        (tag, event.step): tensor_util.make_ndarray(event.tensor_proto).item()
        for tag in events.Tags()["tensors"]
        for event in events.Tensors(tag)
    }


BAD = [
    ({"update_freq": "x"}, ValueError, "'epoch' or 'batch' for `update_freq`, got 'x'"),
    ({"update_freq": 0}, ValueError, "`update_freq`"),
    ({"histogram_freq": -1}, ValueError, "`histogram_freq`.*-1"),
    ({"embeddings_freq": 0.5}, ValueError, "`embeddings_freq`.*0.5"),
    ({"profile_batch": (3, 2)}, ValueError, r"2-tuple of positive integers.* Found: \(3, 2\)"),
    ({"profile_batch": -1}, ValueError, "Found: -1"),
    ({"update_frequency": 1}, TypeError, "unexpected argument 'update_frequency'.*update_freq"),
]


@pytest.mark.parametrize("options, error, told", BAD, ids=str)
def test_arguments(options, error, told, tmp_path):
    with pytest.raises(error, match=told):
        TensorBoard(tmp_path, **options)


def test_arguments_of_the_past_and_what_is_missing(tmp_path, monkeypatch):
    with pytest.warns(UserWarning, match="`write_grads` of Keras 2 means nothing"):
        TensorBoard(tmp_path, write_grads=True)
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    with pytest.raises(ImportError, match=r"pip install keraunos\[tensorboard\]"):
        TensorBoard(tmp_path)
