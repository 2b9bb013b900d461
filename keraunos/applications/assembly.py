"""How the models are put together: arguments, input, body, top, weights."""

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

from keraunos import layers
from keraunos.activations import get as activation_of, softmax
from keraunos.applications import files
from keraunos.core import config
from keraunos.core.graph import KerasTensor, is_symbolic
from keraunos.models import Model
from keraunos.utils.graphs import get_source_inputs

FOLDER = "tensorflow/keras-applications/"
Step = Callable[[KerasTensor], KerasTensor]
P = ParamSpec("P")


@dataclass(frozen=True)
class Parts:
    """What is particular to a model.

    Args:
        body: From images to features.
        file: Where its pretrained weights are, below `files.BASE`; or that by the images' shape.
        no_top: What the file's name ends with, if it is without top.
        size, sizes: The sides of the images it was trained on, and others if there are some.
        least: The shortest sides it takes.
        fixed: Whether it must know the size of the images; only for its top by default.
        last_only: Whether the channels must come last.
        scale: What is done to images first, given `weights`.
        top: From features to scores, given classes and activation.
        pool: What is done instead, given `pooling`.
        name: The model's name by the images' shape, if none was given.
    """

    body: Step
    file: str | Callable[[tuple], str]
    size: int = 224
    least: int = 32
    no_top: str = "_notop"
    sizes: Sequence[int] = ()
    fixed: bool | None = None
    last_only: bool = False
    scale: Callable[[KerasTensor, Any], KerasTensor] | None = None
    top: Callable[[KerasTensor, int, Any], KerasTensor] | None = None
    pool: Callable[[KerasTensor, str | None], KerasTensor] | None = None
    name: Callable[[tuple], str] | None = None


_DOC = """{about}

    Args:
        include_top: Whether the model ends in scores of classes, not in features.
        weights: "imagenet", the path of a file, or None for random ones.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of the images, without batch; as in training by default. Without top most
            models take any size that is not too small, which is the default, None.
        pooling: Without top: "avg" or "max" over space, or None.
        classes: How many; 1000 if pretrained weights with top are loaded.
        classifier_activation: Of the top; None for logits.
"""
_MORE = {
    "alpha": "How wide the model is: the filters are so many times those of the paper.",
    "depth_multiplier": "How many channels a depthwise convolution makes of one.",
    "dropout": "Which share of the features is dropped in training, before the top.",
    "dropout_rate": "Which share of the features is dropped in training, before the top.",
    "minimalistic": "Without weighed channels, 5x5 kernels and hard_silu, for simple devices.",
    "include_preprocessing": "Whether the model scales images of 0 to 255 itself.",
}


def constructor(title: str, about: str) -> Callable[[Callable[P, Parts]], Callable[P, Model]]:
    """Decorator: a function of all arguments of a model that returns its parts, makes it."""

    def decorate(describe: Callable[P, Parts]) -> Callable[P, Model]:
        signature = inspect.signature(describe)

        @functools.wraps(describe)
        def build(*args: P.args, **kwargs: P.kwargs) -> Model:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            return _assemble(title, describe(*given.args, **given.kwargs), given.arguments)

        more = [f"        {k}: {text}\n" for k, text in _MORE.items() if k in signature.parameters]
        build.__name__ = build.__qualname__ = title
        build.__signature__ = signature.replace(return_annotation=Model)  # type: ignore
        build.__doc__ = "".join([_DOC.format(about=about), *more])
        return build

    return decorate


def plain(title: str, model_name: str, about: str, parts: Parts):
    """A constructor with the arguments that all have."""

    @constructor(title, about)
    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str | None = model_name,
    ) -> Parts:
        return parts

    return build


def _assemble(title: str, parts: Parts, given: dict[str, Any]) -> Model:
    if parts.last_only and config.image_data_format() != "channels_last":
        raise ValueError(
            f"{title} needs images with channels last, but the data format is 'channels_first'. "
            "Call `keras.config.set_image_data_format('channels_last')` first."
        )
    weights, with_top, image = given["weights"], given["include_top"], given["input_tensor"]
    _check(title, weights, with_top, given["classes"], given["classifier_activation"])
    fixed = with_top if parts.fixed is None else parts.fixed
    shape = _shape(title, parts, given["input_shape"], fixed, weights == "imagenet")
    if image is None:
        image = layers.Input(shape)
    elif not is_symbolic(image):
        raise ValueError(
            f"{title} needs a symbolic tensor for `input_tensor`, got {type(image)}. Call the "
            "model on data once it is made."
        )
    x = parts.body(parts.scale(image, weights) if parts.scale else image)
    if with_top:
        x = (parts.top or classifier)(x, given["classes"], given["classifier_activation"])
    else:
        x = (parts.pool or named_pooling)(x, given["pooling"])
    inputs = get_source_inputs(image)
    name = given["name"] or (parts.name(shape) if parts.name else None)
    model = Model(inputs if len(inputs) > 1 else inputs[0], x, name=name)
    if weights == "imagenet":
        file = parts.file if isinstance(parts.file, str) else parts.file(shape)
        weights = files.weights(file, with_top, parts.no_top)
    if weights is not None:
        model.load_weights(weights)
    return model


def _check(title: str, weights: Any, with_top: bool, classes: int, activation: Any) -> None:
    if weights not in ("imagenet", None) and not os.path.exists(weights):
        raise ValueError(
            f"{title} needs None (random), 'imagenet' or the path of a file for `weights`, got "
            f"{weights!r}; there is no such file."
        )
    if weights != "imagenet" or not with_top:
        return
    if classes != 1000:
        raise ValueError(
            f"{title}: the pretrained top has 1000 classes, got classes={classes}. Pass "
            "`weights=None`, or `include_top=False` and add a top of your own."
        )
    if activation is not None and activation_of(activation) is not softmax:
        raise ValueError(
            f"{title}: the pretrained top needs 'softmax' or None for `classifier_activation`, "
            f"got {activation!r}."
        )


def _shape(title: str, parts: Parts, given: Any, fixed: bool, pretrained: bool) -> tuple:
    """The shape of the images: the given one, if it will do."""
    last = config.image_data_format() == "channels_last"
    shaped = lambda side: (side, side, 3) if last else (3, side, side)
    if given is None:
        return shaped(parts.size if fixed else None)
    shape = tuple(given)
    if len(shape) != 3:
        raise ValueError(f"{title} needs three sizes for `input_shape`, got {given!r}.")
    if pretrained and fixed and shape not in map(shaped, (parts.size, *parts.sizes)):
        raise ValueError(
            f"{title}: pretrained weights that depend on the size of images need `input_shape` "
            f"{shaped(parts.size)}, got {shape}. Without top, most models take other sizes."
        )
    channels = shape[2] if last else shape[0]
    if pretrained and channels != 3:
        raise ValueError(f"{title}: pretrained weights need 3 channels, got `input_shape` {shape}.")
    if channels not in (1, 3):
        warnings.warn(
            f"{title} was made for 1 or 3 channels, got {channels}: `input_shape` is {shape}.",
            stacklevel=4,
        )
    if any(side is not None and side < parts.least for side in sides(shape)):
        raise ValueError(
            f"{title} needs images of at least {parts.least}x{parts.least}, got `input_shape` "
            f"{shape}."
        )
    if fixed and None in shape:
        raise ValueError(
            f"{title} needs to know the size of the images, got `input_shape` {shape}. Without "
            "top, most models do not."
        )
    return shape


# Tops -----------------------------------------------------------------------------------


def classifier(
    x: KerasTensor,
    classes: int,
    activation: Any,
    pool: str | None = "avg_pool",
    dropout: float = 0.0,
    **dense: Any,
) -> KerasTensor:
    """The mean over space, then scores."""
    x = layers.GlobalAveragePooling2D(name=pool)(x)
    x = layers.Dropout(dropout, name="top_dropout")(x) if dropout else x
    return layers.Dense(classes, activation=activation, name="predictions", **dense)(x)


unnamed_classifier = functools.partial(classifier, pool=None)


def pooled(
    x: KerasTensor, pooling: str | None, mean: str | None = None, largest: str | None = None
) -> KerasTensor:
    """The mean or the maximum over space, or all of it."""
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name=mean)(x)
    return layers.GlobalMaxPooling2D(name=largest)(x) if pooling == "max" else x


def named_pooling(x: KerasTensor, pooling: str | None) -> KerasTensor:
    return pooled(x, pooling, "avg_pool", "max_pool")


# Parts of bodies ------------------------------------------------------------------------


def channels(last: int = -1) -> int:
    """The axis of the channels, which is called `last` if it is the last one."""
    return last if config.image_data_format() == "channels_last" else 1


def normalized(x: KerasTensor, name: str | None = None, axis: int = -1, **kwargs: Any):
    """Batch normalization; `axis` is what the last axis is called."""
    return layers.BatchNormalization(axis=channels(axis), name=name, **kwargs)(x)


def depth(x: KerasTensor) -> Any:
    """The number of channels, which is known."""
    return x.shape[channels()]


def sides(shape: tuple) -> tuple:
    """Height and width of images of `shape`, without batch."""
    return shape[:2] if config.image_data_format() == "channels_last" else shape[1:]


def around(x: KerasTensor, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The zeros that let windows at every second place end at the edge of the image."""
    half, (rows, columns) = kernel // 2, sides(x.shape[1:])
    even = (1, 1) if rows is None else (1 - rows % 2, 1 - columns % 2)
    return (half - even[0], half), (half - even[1], half)


def rounded(filters: float, divisor: int = 8, tolerant: bool = False) -> int:
    """The nearest multiple of `divisor`; unless `tolerant`, not below nine tenths."""
    near = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return near if tolerant or near >= 0.9 * filters else near + divisor
