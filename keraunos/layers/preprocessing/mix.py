"""Layers that mix images with each other, or do several things to them, chosen at random."""

import functools
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from keraunos import random
from keraunos.core.fields import DataFormat, Positive, fields, needs
from keraunos.core.registry import export
from keraunos.layers.preprocessing.color import (
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from keraunos.layers.preprocessing.geometry import (
    RandomRotation,
    RandomShear,
    RandomTranslation,
    patches,
)
from keraunos.layers.preprocessing.image import (
    Chance,
    ImageLayer,
    Interpolation,
    Seed,
    ValueRange,
    bounds,
    each,
)

# Two images -------------------------------------------------------------------------------------


class Mix(ImageLayer):
    """Base of layers that mix each image with another one of the batch, and their labels."""

    def transform_labels(self, labels, transformation=None, training=True):
        if not self._works(transformation, training):
            return labels
        return self._mixed(jnp.asarray(labels, self.compute_dtype), transformation)

    def _mixed(self, x, drawn):
        shape = (-1,) + (1,) * (x.ndim - 1)
        weights = jnp.reshape(jnp.asarray(drawn["mix_weight"]), shape).astype(x.dtype)
        return weights * x + (1 - weights) * x[drawn["permutation_order"]]


def _alpha(value, name, owner):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError(needs(owner, "a number above 0", name, value))
    return value


@export("layers.MixUp")
@fields
class MixUp(Mix):
    """`weight * x + (1 - weight) * other`, for images, masks and labels. arXiv:1710.09412

    Bounding boxes are those of both images.

    Args:
        alpha: Of the beta distribution of weights; the smaller, the less is mixed.
    """

    alpha: Annotated[float, _alpha] = 0.2
    data_format: DataFormat = None
    seed: Seed = None

    def _drawn(self, shape, seed):
        order = random.shuffle(jnp.arange(shape[0]), seed=seed)
        weight = random.beta((shape[0],), self.alpha, self.alpha, seed=seed)
        return {"mix_weight": weight, "permutation_order": order}

    def _changed(self, x, drawn):
        return self._mixed(x, drawn)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        if not self._works(transformation, training):
            return bounding_boxes
        order = transformation["permutation_order"]
        with_others = lambda x: jnp.concatenate([x, jnp.asarray(x)[order]], axis=1)
        return jax.tree.map(with_others, bounding_boxes)


@export("layers.CutMix")
@fields
class CutMix(Mix):
    """Images with a rectangle of another one; labels mixed by its area. arXiv:1905.04899

    Args:
        factor: Of the beta distribution of the part that is kept.
    """

    factor: Chance = 1.0
    seed: Seed = None
    data_format: DataFormat = None

    def _drawn(self, shape, seed):
        alpha = random.uniform((), *self.factor, seed=seed)
        weight = random.beta(shape[:1], alpha, alpha, seed=seed)
        side = jnp.sqrt(1 - weight)
        where = patches(shape, side, side, seed)
        order = random.shuffle(jnp.arange(shape[0]), seed=seed)
        return {"batch_masks": where, "mix_weight": each(weight), "permutation_order": order}

    def _changed(self, x, drawn):
        return jnp.where(drawn["batch_masks"], x[drawn["permutation_order"]], x)

    def _masks(self, x, drawn):
        one = {**drawn, "batch_masks": drawn["batch_masks"][..., :1]}
        return self._changed(x, one)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        raise NotImplementedError(
            f"{self._who} cuts images up, and with them what is in bounding boxes. Leave out the "
            "boxes, or use MixUp."
        )


# Several changes --------------------------------------------------------------------------------


Strength = Annotated[Any, bounds(0, 1, strict=True)]


class Several(ImageLayer):
    """Base of layers that do to images what other layers do, chosen at random."""

    factor: tuple
    value_range: tuple
    interpolation: str
    seed: int | None

    def _make(self, names: Iterable[str]) -> None:
        """The layers to choose from, as attributes; they draw numbers as strong as `factor`."""
        factor = self.factor
        same: dict[str, Any] = {"seed": self.seed}
        where: dict[str, Any] = {**same, "interpolation": self.interpolation}
        colored: dict[str, Any] = {"value_range": self.value_range}
        bits = (1, max(1, int(8 * factor[1])))
        makers: dict[str, Callable[[], ImageLayer]] = {
            "random_shear": lambda: RandomShear(factor, factor, **where),
            "random_translation": lambda: RandomTranslation(factor, factor, **where),
            "random_rotation": lambda: RandomRotation(factor, **where),
            "random_brightness": lambda: RandomBrightness(factor, **colored, **same),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor, **colored, **same),
            "random_contrast": lambda: RandomContrast(factor, **colored, **same),
            "random_sharpness": lambda: RandomSharpness(factor, **colored, **same),
            "random_posterization": lambda: RandomPosterization(bits, **colored, **same),
            "solarization": lambda: Solarization(factor, factor, **colored, **same),
            "auto_contrast": lambda: AutoContrast(**colored),
            "equalization": lambda: Equalization(**colored),
        }
        self._names = tuple(names)
        for name in self._names:
            setattr(self, name, makers[name]())

    @property
    def _choices(self) -> list[ImageLayer]:
        return [getattr(self, name) for name in self._names]


def _one_after_the_other(x: Any, steps: Any, branches: Callable) -> Any:
    """`branches(step)[index](x)` for each `index` and `step` in turn; an index below 0 is none.

    In a program, the branches are in it once; outside, only those that are chosen run.
    """
    indices, extras = steps
    if isinstance(indices, Tracer):

        def step(x, at):
            index, extra = at
            whole = lambda branch: lambda x: branch(x).astype(x.dtype)
            choices = [lambda x: x, *map(whole, branches(extra))]
            return jax.lax.switch(index + 1, choices, x), None

        return jax.lax.scan(step, x, (indices, extras))[0]
    for place, index in enumerate(indices):
        if index >= 0:
            x = branches(jax.tree.map(lambda e: e[place], extras))[int(index)](x)
    return x


# In the order that their indices have in Keras.
_OF_RAND_AUGMENT = (
    "random_shear", "random_translation", "random_rotation", "random_brightness",
    "random_color_degeneration", "random_contrast", "random_sharpness", "random_posterization",
    "solarization", "auto_contrast", "equalization",
)  # fmt: skip


@export("layers.RandAugment")
@fields
class RandAugment(Several):
    """`num_ops` changes in turn: of place, color or sharpness. arXiv:1909.13719

    All images of a batch are changed in the same ways, each as much as is drawn for it.

    Args:
        factor: How strong the changes are, from 0 to 1.
    """

    value_range: ValueRange = (0, 255)
    num_ops: Positive = 2
    factor: Strength = 0.5
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def __post_init__(self):
        self._make(_OF_RAND_AUGMENT)

    def _drawn(self, shape, seed):
        count = len(self._names)
        indices = random.randint((self.num_ops,), 0, count, seed=seed)
        drawn = {name: getattr(self, name)._drawn(shape, seed) for name in self._names}
        return {"layer_idxes": indices, "transforms": drawn}

    def _through(self, method: str, x, drawn):
        branches = [
            functools.partial(getattr(getattr(self, name), method), drawn=drawn["transforms"][name])
            for name in self._names
        ]
        return _one_after_the_other(x, (drawn["layer_idxes"], None), lambda _: branches)

    def _changed(self, x, drawn):
        return self._through("_changed", x, drawn)

    def _masks(self, x, drawn):
        return self._through("_masks", x, drawn)

    def _boxes(self, boxes, drawn):
        return self._through("_boxes", boxes, drawn)

    def _size_seen(self, drawn):
        return super()._size_seen(drawn["transforms"]["random_shear"])


_OF_AUG_MIX = (
    "random_shear", "random_translation", "random_rotation", "solarization",
    "random_posterization", "auto_contrast", "equalization",
)  # fmt: skip
_MORE_OF_AUG_MIX = (
    "random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness",
)  # fmt: skip


class _Stream(random.SeedGenerator):
    """Keys split off one key, for what draws several times in a loop of a program."""

    def __init__(self, key: jax.Array):
        self._key = key

    def next(self, ordered: bool = True) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return key


@export("layers.AugMix")
@fields
class AugMix(Several):
    """Images mixed with what several chains of random changes make of them. arXiv:1912.02781

    Boxes and masks stay as they are.

    Args:
        num_chains: How many chains there are.
        chain_depth: How many changes a chain has at most.
        factor: How strong the changes are, from 0 to 1.
        alpha: Of the distributions that weights of chains, and of the image, are drawn from.
        all_ops: Whether brightness, color, contrast and sharpness are among the changes.
    """

    value_range: ValueRange = (0, 255)
    num_chains: Positive = 3
    chain_depth: Positive = 3
    factor: Strength = 0.3
    alpha: Annotated[float, _alpha] = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def __post_init__(self):
        self._make(_OF_AUG_MIX + (_MORE_OF_AUG_MIX if self.all_ops else ()))

    def _drawn(self, shape, seed):
        chains, depth = self.num_chains, self.chain_depth
        weights = random.gamma((chains,), self.alpha, seed=seed)
        kept = random.beta((), self.alpha, self.alpha, seed=seed)
        indices = random.randint((chains, depth), 0, len(self._names), seed=seed)
        depths = random.randint((chains, 1), 1, depth + 1, seed=seed)
        return {
            "chain_mixing_weights": weights / jnp.sum(weights),
            "weight_sample": kept,
            "layers": jnp.where(jnp.arange(depth) < depths, indices, -1),
            "keys": jax.random.split(random.draw_seed(seed), (chains, depth)),
        }

    def _changed(self, x, drawn):
        def branches(key):
            def by(layer):
                return lambda x: layer._changed(x, layer._drawn(x.shape, _Stream(key)))

            return [by(layer) for layer in self._choices]

        chain = lambda steps: _one_after_the_other(x, steps, branches)
        steps = (drawn["layers"], drawn["keys"])
        if isinstance(steps[0], Tracer):
            chains = jax.lax.map(chain, steps)
        else:
            chains = jnp.stack([chain(own) for own in zip(*steps)])
        mixed = jnp.tensordot(drawn["chain_mixing_weights"].astype(x.dtype), chains, axes=1)
        kept = drawn["weight_sample"].astype(x.dtype)
        return kept * x + (1 - kept) * mixed


__all__ = ["AugMix", "CutMix", "MixUp", "RandAugment"]
