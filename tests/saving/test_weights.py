"""Paths of variables, and what is said when a file and a model differ."""

import h5py
import jax.numpy as jnp
import keras
import ml_dtypes
import numpy as np
import pytest

import keraunos
from keraunos.saving import FileError, h5, stores, weights
from keraunos.saving.stores import Writer


def net(k, units=2, extra=False):
    """Every place where a layer can be held."""

    class Inner(k.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], units), initializer="zeros", name="k")

        def call(self, x):
            return x @ self.kernel

    class Held(k.layers.Layer):
        def __init__(self):
            super().__init__(name="held")
            self._private = Inner(name="private")
            self.pair = (Inner(name="one"), Inner(name="two"))
            self.mixed = [{"a": Inner(name="a")}, (Inner(name="b"),), 3, None]
            self.named = {"x": [Inner(name="x")], "y": {"z": Inner(name="z")}}
            self.Capital = Inner(name="capital")
            self.again = self.pair[0]
            self.first = self.add_weight(shape=(1,), initializer="zeros", name="first")
            self.fixed = self.add_weight(
                shape=(2,), initializer="zeros", name="fixed", trainable=False
            )
            self.last = self.add_weight(shape=(1, 2), initializer="zeros", name="last")
            if extra:
                self.more = Inner(name="more")

        @property
        def hidden(self):
            return self._hidden

        def build(self, shape):
            self._hidden = Inner(name="hidden")
            values = [*self.pair, self._private, self.mixed[0]["a"], self.mixed[1][0]]
            values += [self.named["x"][0], self.named["y"]["z"], self.Capital, self._hidden]
            for layer in values + ([self.more] if extra else []):
                layer.build(shape)

        def call(self, x):
            return x

    return Held()


def built(k, **options):
    layer = net(k, **options)
    layer.build((None, 3))
    return layer


def listed(path, below=""):
    found = {}
    with h5py.File(path) as file:
        group = file[below] if below else file
        group.visititems(lambda n, o: found.update({n: (getattr(o, "shape", None), dict(o.attrs))}))
    return found


def test_paths_are_those_of_keras(tmp_path):
    weights.write(built(keraunos), Writer(tmp_path / "ours.h5"))
    x = keras.Input((3,))
    keras.Model(x, net(keras)(x)).save_weights(tmp_path / "theirs.weights.h5")
    ours = listed(tmp_path / "ours.h5")
    assert ours == listed(tmp_path / "theirs.weights.h5", "layers/held")
    assert {"again/vars/0", "hidden/vars/0", "_private/vars/0", "mixed/container_1"} <= ours.keys()


@pytest.mark.parametrize(
    ("make", "options"),
    [
        ("MultiHeadAttention", {"num_heads": 1, "key_dim": 2}),
        ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}),
        ("SeparableConv1D", {"filters": 2, "kernel_size": 1}),
        ("ConvLSTM1D", {"filters": 1, "kernel_size": 1}),
        ("Bidirectional", lambda k: {"layer": k.layers.LSTM(1)}),
        ("SpectralNormalization", lambda k: {"layer": k.layers.Dense(1)}),
        ("TimeDistributed", lambda k: {"layer": k.layers.Dense(1)}),
        ("RNN", lambda k: {"cell": [k.layers.GRUCell(1), k.layers.SimpleRNNCell(1)]}),
        ("StackedRNNCells", lambda k: {"cells": [k.layers.LSTMCell(1)]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_within_layers_lie_where_keras_has_them(make, options, tmp_path):
    arrays = []
    for k in (keraunos, keras):
        given = options(k) if callable(options) else options
        layer = getattr(k.layers, make)(**given)
        shape = {"ConvLSTM1D": (2, 3, 2, 2), "StackedRNNCells": (2, 3)}.get(make, (2, 3, 4))
        shape = (2, 4) if make == "SpectralNormalization" else shape
        both = make in ("MultiHeadAttention", "GroupQueryAttention")
        layer.build(shape, shape) if both else layer.build(shape)
        path = tmp_path / f"{k.__name__}.weights.h5"
        if k is keraunos:
            weights.write(layer, Writer(path))
            found = listed(path)
        else:
            holder = keras.Sequential([layer])
            holder.built = True
            holder.save_weights(path)
            (name,) = [n for n in listed(path) if n.startswith("layers/") and n.count("/") == 1]
            found = listed(path, name)
        arrays.append({name: shape for name, (shape, _) in found.items() if shape is not None})
    assert arrays[0] == arrays[1] and arrays[0]


def test_what_was_written_is_read(tmp_path):
    ours, other = built(keraunos), built(keraunos)
    rng = np.random.default_rng(0)
    for variable in ours.variables:
        variable.assign(rng.normal(size=variable.shape))
    weights.write(ours, Writer(tmp_path / "w.h5"))
    with stores.opened(tmp_path / "w.h5") as reader:
        weights.read(other, reader)
    for a, b in zip(ours.variables, other.variables, strict=True):
        assert np.array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn", "int8"])
def test_dtypes_survive(dtype, tmp_path):
    array = np.array([0.5, -2, 3]).astype(jnp.dtype(dtype))
    with Writer(tmp_path / "a.h5") as writer:
        writer.write("a/b", {"0": array}, "name")
    with stores.opened(tmp_path / "a.h5") as reader:
        back = reader.read("a/b")["0"]
        assert reader.shapes("a/b") == {"0": (3,)} and list(reader) == ["a/b"]
    assert back.dtype == array.dtype and np.array_equal(back, array)
    assert ml_dtypes.bfloat16 is not None


# Differences --------------------------------------------------------------------------------


def dense(*units, inputs=2, compiled=False):
    start = {"kernel_initializer": "zeros"}
    layers = [keraunos.layers.Dense(n, name=f"d{i}", **start) for i, n in enumerate(units)]
    model = keraunos.Sequential([keraunos.layers.Input((inputs,)), *layers], name="net")
    if compiled:
        model.compile(compiled, "mse")
        model.optimizer.build(model.trainable_variables)
    return model


DIFFERENCES = {
    "shape": (
        (5, 3),
        "Of another shape:\n"
        "  layers/dense/vars/0 of shape (2, 4); kernel of Dense 'd0' has (2, 5)\n"
        "  layers/dense/vars/1 of shape (4,); bias of Dense 'd0' has (5,)\n"
        "  layers/dense_1/vars/0 of shape (4, 3); kernel of Dense 'd1' has (5, 3)\n",
    ),
    "missing": (
        (4, 3, 1),
        "Missing from the file:\n"
        "  layers/dense_2/vars/0 of shape (3, 1) (kernel of Dense 'd2')\n"
        "  layers/dense_2/vars/1 of shape (1,) (bias of Dense 'd2')\n",
    ),
    "unexpected": (
        (4,),
        "Only in the file:\n"
        "  layers/dense_1/vars/0 of shape (4, 3)\n"
        "  layers/dense_1/vars/1 of shape (3,)\n",
    ),
}


@pytest.mark.parametrize(("units", "told"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_differences_are_told_and_nothing_is_loaded(units, told, tmp_path):
    saved, path = dense(4, 3), tmp_path / "w.weights.h5"
    for variable in saved.variables:
        variable.assign(variable.value + 1)
    saved.save_weights(path)
    model = dense(*units)
    with pytest.raises(ValueError) as error:
        model.load_weights(path)
    assert told in str(error.value)
    assert str(error.value).endswith("Nothing was loaded. `skip_mismatch=True` loads what fits.")
    assert not any(v.numpy().any() for v in model.variables)
    with pytest.warns(UserWarning, match="These were left as they are"):
        model.load_weights(path, skip_mismatch=True)
    fits = model.layers[0].variables if units[0] == 4 else []
    assert all((v.numpy() == 1).all() for v in fits)


def test_a_model_without_variables_is_told_to_be_built(tmp_path):
    dense(4, 3).save_weights(tmp_path / "w.weights.h5")
    model = keraunos.Sequential([keraunos.layers.Dense(4), keraunos.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"Not built yet.*\n.*layers/dense \(Dense.*\n(.*\n)*Call"):
        model.load_weights(tmp_path / "w.weights.h5")


def test_a_layer_that_fails_leaves_all_as_it_was(tmp_path, monkeypatch):
    model, path = dense(4, 3), tmp_path / "w.weights.h5"
    model.save_weights(path)
    for variable in model.variables:
        variable.assign(variable.value + 1)
    monkeypatch.setattr(model.layers[1], "load_own_variables", lambda store: 1 / 0, False)
    said = r"w\.weights\.h5 cannot be read: `layers/dense_1` cannot be loaded into <Dense "
    with pytest.raises(FileError, match=said):
        model.load_weights(path)
    assert all((v.numpy() == 1).all() for v in model.variables)


def test_what_is_missing_may_have_another_name(tmp_path):
    saved, path = dense(4, 3), tmp_path / "w.weights.h5"
    saved.save_weights(path)
    editor = keraunos.saving.KerasFileEditor(path)
    editor.rename_object("dense_1", "dense_l")
    editor.save(path)
    said = r"layers/dense_1/vars/0 of shape .*Did you mean `layers/dense_l`\?"
    with pytest.raises(FileError, match=said):
        dense(4, 3).load_weights(path)


def test_optimizers_that_differ(tmp_path):
    path = tmp_path / "w.weights.h5"
    adam = dense(4, compiled="adam")
    adam.optimizer.variables[0].assign(5)
    adam.save_weights(path)
    dense(4).load_weights(path)  # not compiled: nothing to say
    again = dense(4, compiled="adam")
    again.load_weights(path)
    assert int(again.optimizer.variables[0].value) == 5
    other = dense(4, compiled="sgd")
    with pytest.warns(
        UserWarning, match=r"state of the optimizer 'sgd.*' was not loaded: it has 2"
    ):
        other.load_weights(path)
    assert int(other.optimizer.variables[0].value) == 0
    dense(4).save_weights(path)
    again.load_weights(path)  # no optimizer in the file: it stays as it is
    assert int(again.optimizer.variables[0].value) == 5


def test_files_of_keras_2(tmp_path):
    saved = dense(4, 3)
    for variable in saved.variables:
        variable.assign(variable.value + 1)
    for name in ("w.h5", "w.hdf5", "w"):
        saved.save_weights(tmp_path / name)
        model = dense(4, 3)
        model.load_weights(tmp_path / name)
        assert all((v.numpy() == 1).all() for v in model.variables)
    path = tmp_path / "w.h5"
    with pytest.raises(ValueError, match=r"weights of 2 layers \(d0, d1\), but 'net' has 1 layers"):
        dense(4).load_weights(path)
    model = dense(4, 5)
    with pytest.raises(ValueError, match=r"'d1' has weights of shapes \[\(4, 5\), \(5,\)\]"):
        model.load_weights(path)
    with pytest.warns(UserWarning, match="'d1' was left as it is"):
        model.load_weights(path, by_name=True, skip_mismatch=True)
    assert (model.layers[0].variables[0].numpy() == 1).all()
    with pytest.raises(ValueError, match=r"`by_name` is for files of Keras 1 and 2"):
        saved.save_weights(tmp_path / "w.weights.h5")
        model.load_weights(tmp_path / "w.weights.h5", by_name=True)


def test_long_lists_of_names_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(h5, "_NAMES_PER_CHUNK", 1)
    saved, path = dense(4, 3), tmp_path / "w.h5"
    saved.save_weights(path)
    with h5py.File(path) as file:
        assert list(file.attrs["layer_names1"]) == ["d1"] and "layer_names" not in file.attrs
    dense(4, 3).load_weights(path)


def test_names_of_files(tmp_path):
    model = dense(4)
    with pytest.raises(
        ValueError, match=r"must end in `\.weights\.h5`, or in `\.safetensors`, got '.*w\.npz'"
    ):
        model.save_weights(tmp_path / "w.npz")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*w\.weights\.h5"):
        model.load_weights(tmp_path / "w.weights.h5")
    (tmp_path / "w.weights.h5").write_text("text")
    with pytest.raises(ValueError, match=r"neither HDF5 nor safetensors nor a `.keras` file"):
        model.load_weights(tmp_path / "w.weights.h5")
    model.save(tmp_path / "m.keras")
    dense(4).load_weights(tmp_path / "m.keras")
