"""Images read at other places: at coordinates, moved, turned, seen from an angle, crumpled.

Where a place lies outside, `fill_mode` says what is there, for pixels `a b c d`:

* "constant": `k k k | a b c d | k k k`, with `fill_value` for k;
* "nearest": `a a a | a b c d | d d d`;
* "reflect": `c b a | a b c d | d c b`;
* "mirror": `d c b | a b c d | c b a`;
* "wrap": `b c d | a b c d | a b c`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from keraunos import random
from keraunos.core.config import standardize_data_format
from keraunos.core.graph import Tensor, op
from keraunos.ops.families import inexact

_FILL_MODES = ("constant", "nearest", "reflect", "mirror", "wrap")
_ORDERS = {"nearest": 0, "bilinear": 1}
_METHODS = [
    "linear",
    "bilinear",
    "trilinear",
    "cubic",
    "bicubic",
    "tricubic",
    "lanczos3",
    "lanczos5",
]


def _one_of(name: str, argument: str, value: Any, choices: Any) -> Any:
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{name}() needs one of {listed} for `{argument}`, got {value!r}.")
    return value


@op
def map_coordinates(
    inputs: Tensor,
    coordinates: Tensor,
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
):
    """The values of `inputs` at `coordinates` that may lie between its elements.

    Shapes: `inputs` of `n` axes and `coordinates` of `(n, ...)` to `(...)`.

    Args:
        order: 1 to interpolate between the nearest elements, 0 to take the nearest one.
    """
    inputs, coordinates = jnp.asarray(inputs), jnp.asarray(coordinates)
    _one_of("map_coordinates", "order", order, (0, 1))
    _one_of("map_coordinates", "fill_mode", fill_mode, _FILL_MODES)
    if coordinates.ndim < 1 or coordinates.shape[0] != inputs.ndim:
        raise ValueError(
            f"map_coordinates() needs coordinates of {inputs.ndim} axes for inputs of shape "
            f"{inputs.shape}, got {coordinates.shape}."
        )
    return _read(inputs, list(coordinates), order, fill_mode, fill_value)


def _read(image, coordinates: list, order: int, fill_mode: str, fill_value: Any):
    return jax.scipy.ndimage.map_coordinates(image, coordinates, order, fill_mode, fill_value)


def _warped(name, images, data_format, interpolation, fill_mode, fill_value, places, *of_each):
    """Each image read at `places(columns, rows, *of this image)`, for all channels alike."""
    order = _ORDERS[_one_of(name, "interpolation", interpolation, _ORDERS)]
    _one_of(name, "fill_mode", fill_mode, _FILL_MODES)
    images = jnp.asarray(images)
    if images.ndim not in (3, 4):
        raise ValueError(f"{name}() needs images of 3 axes, or 4 with a batch, got {images.shape}.")
    first = standardize_data_format(data_format) == "channels_first"
    batch = images if images.ndim == 4 else images[None]
    batch = batch if first else jnp.moveaxis(batch, -1, 1)
    rows, columns = jnp.meshgrid(*map(jnp.arange, batch.shape[2:]), indexing="ij")
    count = batch.shape[0]
    of_each = [jnp.broadcast_to(x, (count, *x.shape[1 - ndim :])) for x, ndim in of_each]

    def one(image, *own):
        x, y = places(columns, rows, *own)
        read = lambda channel: _read(channel, [y, x], order, fill_mode, fill_value)
        return jax.vmap(read)(image)

    result = jax.vmap(one)(batch, *of_each)
    result = result if first else jnp.moveaxis(result, 1, -1)
    return result if images.ndim == 4 else result[0]


@op
def affine_transform(
    images: Tensor,
    transform: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
):
    """Images read at `(a0 x + a1 y + a2, b0 x + b1 y + b2)` for each place `(x, y)`.

    Args:
        transform: `(a0, a1, a2, b0, b1, b2, 0, 0)`, one for all images or one for each.
    """
    transform = jnp.asarray(inexact(transform))
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ValueError(
            f"affine_transform() needs 8 numbers for each transform, got shape {transform.shape}."
        )

    def places(x, y, t):
        return t[0] * x + t[1] * y + t[2], t[3] * x + t[4] * y + t[5]

    return _warped(
        "affine_transform", images, data_format, interpolation, fill_mode, fill_value, places,
        (transform, 2),
    )  # fmt: skip


@op
def perspective_transform(
    images: Tensor,
    start_points: Tensor,
    end_points: Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
):
    """Images seen from another point, so that four points of them come to lie elsewhere.

    Args:
        start_points: Four points `(x, y)` of the image, for all images or for each.
        end_points: Where they come to lie.
    """
    points = []
    for name, value in (("start_points", start_points), ("end_points", end_points)):
        value = jnp.asarray(inexact(value))
        if value.ndim not in (2, 3) or value.shape[-2:] != (4, 2):
            raise ValueError(
                f"perspective_transform() needs `{name}` of shape (4, 2) or (batch, 4, 2), "
                f"got {value.shape}."
            )
        points.append((value, 3))

    def places(x, y, start, end):
        t = projection(end, start)
        depth = t[6] * x + t[7] * y + 1
        return (t[0] * x + t[1] * y + t[2]) / depth, (t[3] * x + t[4] * y + t[5]) / depth

    return _warped(
        "perspective_transform", images, data_format, interpolation, "constant", fill_value,
        places, *points,
    )  # fmt: skip


def projection(of, to):
    """The eight numbers of the projection that takes four points `of` the plane `to` others."""
    x, y, u, v = of[:, 0], of[:, 1], to[:, 0], to[:, 1]
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    across = jnp.stack([x, y, one, zero, zero, zero, -x * u, -y * u], axis=-1)
    down = jnp.stack([zero, zero, zero, x, y, one, -x * v, -y * v], axis=-1)
    return jnp.linalg.solve(jnp.concatenate([across, down]), jnp.concatenate([u, v]))


@op
def elastic_transform(
    images: Tensor,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
):
    """Images crumpled: each place is read a little off, by a smooth random amount.

    As far to the right as down, as in Keras. Simard et al., "Best practices for convolutional
    neural networks", 2003.

    Args:
        alpha: How far.
        sigma: How smooth: the width of the Gaussian that the noise is blurred by.
    """
    return crumpled(
        images, alpha, sigma, sigma, interpolation, fill_mode, fill_value, seed, data_format
    )


def crumpled(images, alpha, sigma, widest, interpolation, fill_mode, fill_value, seed, data_format):
    """`elastic_transform` where `alpha` and `sigma` may be drawn; `sigma` is `widest` at most."""
    shape = jnp.shape(images)
    first = standardize_data_format(data_format) == "channels_first"
    batch = shape[:-3] or (1,)
    plane = shape[-2:] if first else shape[-3:-1]
    reach = int(6 * widest) | 1
    places = jnp.arange(reach) - reach // 2
    bell = jnp.exp(-jnp.square(places) / (2 * jnp.square(jnp.maximum(sigma, 1e-6))))
    weights = jnp.where(jnp.abs(places) <= 3 * sigma, bell, 0)
    weights = weights / jnp.sum(weights)
    kernel = jnp.outer(weights, weights)
    noise = sigma * jax.random.normal(random.draw_seed(seed), (*batch, *plane))
    off = alpha * jax.vmap(lambda x: jax.scipy.signal.convolve(x, kernel, "same"))(noise)
    return _warped(
        "elastic_transform", images, data_format, interpolation, fill_mode, fill_value,
        lambda x, y, off: (x + off, y + off), (off, 3),
    )  # fmt: skip


@op
def scale_and_translate(
    images: Tensor,
    output_shape: Sequence[int],
    scale: Tensor,
    translation: Tensor,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
):
    """Images made larger by `scale` and moved by `translation`, along the axes `spatial_dims`.

    Args:
        method: "linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3"
            or "lanczos5".
        antialias: Whether to smooth when making smaller.
    """
    _one_of("scale_and_translate", "method", method, _METHODS)
    return jax.image.scale_and_translate(
        jnp.asarray(inexact(images)), tuple(output_shape), tuple(spatial_dims),
        jnp.asarray(scale), jnp.asarray(translation), method, antialias=antialias,
    )  # fmt: skip
