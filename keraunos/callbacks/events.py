"""Files of events that TensorBoard reads, as TensorFlow 2 writes them: everything is a tensor."""

import itertools
import os
import struct
import time
import zlib
from typing import Any

import numpy as np

_FILES = itertools.count()
_TYPES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "object": "DT_STRING"}
_BUCKETS, _IMAGES = 30, 3  # in a histogram; of one tag and step
_COLOURS = {1: 0, 3: 2, 4: 6}  # PNG's types of colour by channels: grey, RGB, RGBA


def library() -> Any:
    """tensorboardX, which writes the files."""
    try:
        import tensorboardX.event_file_writer
    except ImportError:
        raise ImportError(
            "TensorBoard needs tensorboardX: install it by `pip install keraunos[tensorboard]`."
        ) from None
    return tensorboardX


class Events:
    """A folder with one file of events, made when the first is written."""

    def __init__(self, folder: str):
        self.folder = folder
        self._file: Any = None

    def scalar(self, name: str, data: Any, step: int) -> None:
        """Write a number."""
        self._write(name, "scalars", np.asarray(data, "float32"), step)

    def histogram(self, name: str, data: Any, step: int) -> None:
        """Write how the values of an array are distributed."""
        self._write(name, "histograms", buckets(data), step)

    def image(self, name: str, data: Any, step: int) -> None:
        """Write images of shape `(count, height, width, channels)`: uint8, or from 0 to 1."""
        images = np.asarray(data)
        if images.dtype != np.uint8:
            images = np.clip(images.astype("float32") * 255.5, 0, 255).astype("uint8")
        size = [str(n).encode() for n in (images.shape[2], images.shape[1])]
        parts = [*size, *map(png, images[:_IMAGES])]
        self._write(name, "images", np.asarray(parts, object), step)

    def text(self, name: str, data: str, step: int) -> None:
        """Write Markdown."""
        self._write(name, "text", np.asarray(data.encode(), object), step)

    def keras_model(self, name: str, config: str) -> None:
        """Write a model, given as JSON, for the tab of graphs."""
        self._write(name, "graph_keras_model", np.asarray(config.encode(), object), 0, b"1")

    def _write(self, tag: str, plugin: str, array: np.ndarray, step: Any, content=b"") -> None:
        proto = library().proto
        tensor = proto.tensor_pb2.TensorProto(
            dtype=_TYPES[array.dtype.name],
            tensor_shape={"dim": [{"size": size} for size in array.shape]},
        )
        if array.dtype == object:
            tensor.string_val.extend(array.ravel().tolist())
        else:
            tensor.tensor_content = array.tobytes()
        metadata = {"plugin_data": {"plugin_name": plugin, "content": content}}
        value = proto.summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        event = proto.event_pb2.Event(
            wall_time=time.time(), step=int(step), summary={"value": [value]}
        )
        if self._file is None:
            library().record_writer.directory_check(self.folder)
            start, end = os.path.join(self.folder, "events"), f".{os.getpid()}.{next(_FILES)}.v2"
            self._file = library().event_file_writer.EventsWriter(start, end)
        self._file.write_event(event)

    def flush(self) -> None:
        """Let readers see what was written."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """End the file; the next event begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None


def buckets(data: Any) -> np.ndarray:
    """Rows `(from, to, count)` over the range of the finite values."""
    values = np.asarray(data, "float64").ravel()
    values = values[np.isfinite(values)]
    if values.size and values.min() < values.max():
        counts, edges = np.histogram(values, _BUCKETS)
        return np.stack([edges[:-1], edges[1:], counts], axis=1)
    found = np.zeros((_BUCKETS, 3))
    if values.size:
        found[:, :2], found[-1, 2] = values[0], values.size
    return found


def png(pixels: np.ndarray) -> bytes:
    """An array `(height, width, channels)` of uint8 as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
