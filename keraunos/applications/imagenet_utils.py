"""Public `keras.applications.imagenet_utils`: numbers in, names of things out."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from keraunos.applications import files
from keraunos.core import config
from keraunos.core.dtypes import is_float_dtype
from keraunos.core.graph import KerasTensor
from keraunos.ops.core import cast

_MEAN = {"caffe": (103.939, 116.779, 123.68), "torch": (0.485, 0.456, 0.406)}
_DEVIATION = {"caffe": (1.0, 1.0, 1.0), "torch": (0.229, 0.224, 0.225)}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images of numbers from 0 to 255 as a model was trained on them.

    Shapes: unchanged; three axes, or four with a batch. Integers become floats. An array of
    numpy stays one, and is not changed itself.

    Args:
        data_format: Where the channels are; None for `image_data_format()`.
        mode: "tf": from -1 to 1. "torch": from 0 to 1, then mean 0 and deviation 1 over
            ImageNet. "caffe": blue, green, red in this order, with mean 0 over ImageNet.
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(
            f"preprocess_input: `mode` must be 'caffe', 'tf' or 'torch', got {mode!r}."
        )
    first = config.standardize_data_format(data_format) == "channels_first"
    x = _floats(x)
    if mode == "tf":
        return x / 127.5 - 1.0
    x = x / 255.0 if mode == "torch" else x[..., ::-1, :, :] if first else x[..., ::-1]
    shape = (3, 1, 1) if first else (3,)
    mean, deviation = (np.array(of[mode], x.dtype).reshape(shape) for of in (_MEAN, _DEVIATION))
    return (x - mean) / deviation


def _floats(x: Any) -> Any:
    x = x if isinstance(x, (jax.Array, KerasTensor)) else np.asarray(x)
    if is_float_dtype(x.dtype):
        return x
    return cast(x, config.floatx()) if isinstance(x, KerasTensor) else x.astype(config.floatx())


def preprocessing(mode: str | None) -> Callable[..., Any]:
    """The `preprocess_input` of a model trained with `mode`; None if it does so itself."""

    def preprocess_input(x: Any, data_format: str | None = None) -> Any:
        return x if mode is None else _preprocess(x, data_format, mode)

    preprocess_input.__doc__ = (
        "`x`: the model scales its input itself."
        if mode is None
        else f'`imagenet_utils.preprocess_input` with `mode="{mode}"`, which this model needs.'
    )
    return preprocess_input


_preprocess = preprocess_input


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """For each row of `preds`, the `top` likeliest `(WordNet id, name, score)`, best first.

    Args:
        preds: What a model with the 1000 classes of ImageNet returns, `(batch, 1000)`.
    """
    scores = np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "decode_predictions() needs the scores of the 1000 classes of ImageNet in an array of "
            f"shape (batch, 1000), got one of shape {scores.shape}."
        )
    names = _class_index(files.class_index())
    best = np.argsort(scores)[:, : -top - 1 : -1]
    return [[(*names[i], row[i]) for i in order] for row, order in zip(scores, best)]


@functools.cache
def _class_index(path: str) -> list[tuple[str, str]]:
    index = json.loads(Path(path).read_text())
    return [tuple(index[str(i)]) for i in range(len(index))]
