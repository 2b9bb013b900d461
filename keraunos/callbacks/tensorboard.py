"""The callback that writes what TensorBoard shows."""

import json
import math
import os
import time
import warnings
from typing import Any

import jax
import numpy as np

from keraunos.callbacks import events
from keraunos.callbacks.callback import Callback
from keraunos.core import registry
from keraunos.core.config import image_data_format
from keraunos.core.fields import Path, checked, did_you_mean, needs

# Arguments of Keras 1 and 2 that mean nothing here.
_IGNORED = ("batch_size", "write_grads", "embeddings_layer_names", "embeddings_data")


@registry.export("callbacks.TensorBoard")
class TensorBoard(Callback):
    """Write events for TensorBoard: to `log_dir/train`, and `log_dir/validation`.

    Epochs give `epoch_loss` and so on, with the learning rate; evaluations give
    `evaluation_loss_vs_iterations`. TensorFlow is not needed. Extra `tensorboard`.

    Args:
        histogram_freq: Every so many epochs, histograms of all weights are written; 0 for never.
        write_graph: Whether the layers are written for the tab of graphs.
        write_images: Whether weights are drawn where histograms of them are written.
        write_steps_per_second: Whether the speed is written, for epochs and batches.
        update_freq: "epoch", "batch" or a number: every so many batches `batch_loss` and so on are
            written too. Control has to come back after each batch for that.
        profile_batch: A batch, or the first and last of some, counted from 1, that JAX's profiler
            watches; 0 for none.
        embeddings_freq: Every so many epochs, the rows of `Embedding` layers are written for the
            projector, as text; 0 for never.
        embeddings_metadata: The file, within `log_dir`, that names the rows: one for all layers, or
            a dict by the names of layers.
        kwargs: Of Keras 1 and 2: `batch_size`, `write_grads` and others that mean nothing.

    Differs: Keras needs TensorFlow, and on JAX it does not profile. Epochs are written whatever
    `update_freq` is; in Keras only those that end with a batch that is written.
    """

    @checked
    def __init__(
        self,
        log_dir: Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        **kwargs: Any,
    ):
        super().__init__()
        for name in kwargs:
            if name not in _IGNORED:
                hint = did_you_mean(name, ("log_dir", "update_freq", "histogram_freq"))
                raise TypeError(f"TensorBoard() got an unexpected argument {name!r}{hint}")
            warnings.warn(f"TensorBoard: `{name}` of Keras 2 means nothing.", stacklevel=2)
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        for name, value, least in (
            ("histogram_freq", histogram_freq, 0),
            ("embeddings_freq", embeddings_freq, 0),
            ("update_freq", 1 if update_freq == "epoch" else self.update_freq, 1),
        ):
            if not _whole(value, least):
                also = ", 'epoch' or 'batch'" if least else ""
                raise ValueError(needs(self, f"an integer of at least {least}{also}", name, value))
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.embeddings_freq = histogram_freq, embeddings_freq
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.embeddings_metadata = embeddings_metadata
        self.profile_batch = profile_batch
        self._profiled = self._batches_to_profile(profile_batch)
        self._profiling = self._training = False
        self._seen = self._seen_before = self._written = 0  # batches
        self._epoch_began = self._batch_began = 0.0
        events.library()
        self._train_writer = events.Events(os.path.join(self.log_dir, "train"))
        self._val_writer = events.Events(os.path.join(self.log_dir, "validation"))

    def _batches_to_profile(self, given: Any) -> tuple[int, int]:
        pair = (given, given) if _whole(given, 0) else given
        if _whole(given, 0) or (
            isinstance(pair, (tuple, list))
            and len(pair) == 2
            and all(_whole(batch, 1) for batch in pair)
            and pair[0] <= pair[1]
        ):
            return tuple(pair)
        raise ValueError(
            "profile_batch must be a non-negative integer or 2-tuple of positive integers. A pair "
            f"of positive integers signifies a range of batches to profile. Found: {given}"
        )

    @property
    def every(self) -> float:
        """Batches are looked at only where something of them is written."""
        waits = self.update_freq == "epoch" and self._seen >= self._profiled[1]
        return math.inf if waits else 0.0

    @property
    def summary(self) -> events.Events:
        """Writes numbers, histograms, images and text of yours beside those of training."""
        return self._train_writer

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if self.embeddings_freq:
            self._describe_embeddings()

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._training = True
        self._seen = self._seen_before = self._written = 0
        if self.write_graph and getattr(self.model, "_symbolic_outputs", None) is not None:
            self._train_writer.keras_model("keras", self.model.to_json())

    def on_train_end(self, logs: dict | None = None) -> None:
        self._training = False
        self._stop_profiling()
        self._train_writer.close()
        self._val_writer.close()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._seen_before, self._epoch_began = self._seen, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._batch_began = time.perf_counter()
        first, last = self._profiled
        if not self._profiling and first <= self._seen_before + batch + 1 <= last:
            jax.profiler.start_trace(self.log_dir)
            self._profiling = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self._seen = self._seen, self._seen_before + batch + 1
        if self._seen >= self._profiled[1]:
            self._stop_profiling()
        if self.update_freq == "epoch" or self._seen // self.update_freq == self._written:
            return
        self._written = self._seen // self.update_freq
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._batch_began
            speed = (self._seen - before) / max(seconds, 1e-9)
            self._train_writer.scalar("batch_steps_per_second", speed, self._seen)
        _write(self._train_writer, "batch_{}", logs, self._seen)
        self._train_writer.flush()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        rate = getattr(self.model.optimizer, "learning_rate", None)
        if rate is not None:
            train["learning_rate"] = rate
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._epoch_began
            train["steps_per_second"] = (self._seen - self._seen_before) / max(seconds, 1e-9)
        _write(self._train_writer, "epoch_{}", train, epoch)
        held_out = {name[4:]: logs[name] for name in logs if name.startswith("val_")}
        _write(self._val_writer, "epoch_{}", held_out, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        self._train_writer.flush()

    def on_test_end(self, logs: dict | None = None) -> None:
        iterations = getattr(self.model.optimizer, "iterations", None)
        if iterations is not None:
            _write(self._val_writer, "evaluation_{}_vs_iterations", logs, np.asarray(iterations))
            (self._val_writer.flush if self._training else self._val_writer.close)()

    def _stop_profiling(self) -> None:
        if self._profiling:
            self._profiling = False
            jax.profiler.stop_trace()

    def _write_weights(self, epoch: int) -> None:
        for layer in self.model.layers:
            for weight in layer.weights:
                array = np.asarray(weight)
                self._train_writer.histogram(f"{weight.path}/histogram", array, epoch)
                if self.write_images and (images := as_images(array)) is not None:
                    self._train_writer.image(f"{weight.path}/image", images, epoch)

    # Embeddings: text files, and one that tells the projector of them ----------------------------

    def _embeddings(self) -> dict[str, Any]:
        return {layer.name: layer for layer in self.model.layers if hasattr(layer, "embeddings")}

    def _describe_embeddings(self) -> None:
        layers, names = self._embeddings(), self.embeddings_metadata
        named = (
            dict.fromkeys(layers, names) if isinstance(names, (str, os.PathLike)) else names or {}
        )
        if unknown := [name for name in named if name not in layers]:
            raise ValueError(
                "Unrecognized `Embedding` layer names passed to `keras.callbacks.TensorBoard` "
                f"`embeddings_metadata` argument: {unknown}{did_you_mean(unknown[0], layers)}"
            )
        lines = []
        for name in layers:
            entries = {"tensor_name": f"{name}/embeddings", "tensor_path": f"train/{name}.tsv"}
            if name in named:
                entries["metadata_path"] = os.fspath(named[name])
            inner = "".join(f"  {key}: {json.dumps(text)}\n" for key, text in entries.items())
            lines.append(f"embeddings {{\n{inner}}}\n")
        os.makedirs(os.path.join(self.log_dir, "train"), exist_ok=True)
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as file:
            file.writelines(lines)

    def _write_embeddings(self) -> None:
        for name, layer in self._embeddings().items():
            path = os.path.join(self.log_dir, "train", f"{name}.tsv")
            np.savetxt(path, np.asarray(layer.embeddings, "float32"), "%.8g", delimiter="\t")


def as_images(array: np.ndarray) -> np.ndarray | None:
    """A weight as grey images `(count, height, width, 1)`, wider than high; None if it is none.

    Of a stack of matrices there is an image for each channel.
    """
    array = np.squeeze(array)
    if array.ndim == 1:
        return array[None, :, None, None]
    if array.ndim == 2:
        return (array.T if array.shape[0] > array.shape[1] else array)[None, :, :, None]
    if array.ndim == 3:
        last = image_data_format() == "channels_last"
        return (array.transpose(2, 0, 1) if last else array)[..., None]
    return array if array.ndim == 4 and array.shape[-1] in (1, 3, 4) else None


def _write(writer: events.Events, name: str, logs: dict | None, step: Any) -> None:
    for key, value in (logs or {}).items():
        if np.ndim(value) == 0:
            writer.scalar(name.format(key), value, step)


def _whole(value: Any, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(whole and value >= least)
