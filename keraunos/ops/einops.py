"""Rearranging axes by a pattern of names, as in "b h w c -> b (h w) c"."""

import re
from typing import Any

import jax.numpy as jnp

from keraunos.core.graph import Tensor, op


@op
def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Any:
    """`tensor` with its axes reordered, split and merged by a `pattern`.

    In "b (h w) c -> b h w c" each side names all axes; those in brackets are one axis, whose
    parts need a size each but for one: `rearrange(x, pattern, h=4)`.
    """
    x = jnp.asarray(tensor)
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange() needs one '->' in its pattern, got {pattern!r}.")
    before, after = (_groups(side, pattern) for side in sides)
    before = _spelled(before, x.ndim, pattern)
    after = _expanded(after, before)
    names = [name for group in before for name in group]
    wanted = [name for group in after for name in group]
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise ValueError(f"rearrange() needs the same names on both sides, got {pattern!r}.")
    sizes = dict(axes_lengths)
    for group, size in zip(before, x.shape):
        _fill(group, size, sizes, pattern)
    x = x.reshape([sizes[name] for name in names])
    x = x.transpose([names.index(name) for name in wanted])
    shape = []
    for group in after:
        length: Any = 1
        for name in group:
            length = length * sizes[name]
        shape.append(length)
    return x.reshape(shape)


def _groups(side: str, pattern: str) -> list[tuple[str, ...]]:
    """The axes of one side, each as the names of its parts."""
    found = re.findall(r"\(([^()]*)\)|(\.\.\.|\w+)|(\S)", side)
    if any(stray for _, _, stray in found):
        raise ValueError(f"rearrange() cannot read the pattern {pattern!r}.")
    parts = [tuple(inside.split()) if not name else (name,) for inside, name, _ in found]
    return [tuple(name for name in group if name != "1") for group in parts]


def _spelled(groups, rank: int, pattern: str):
    """The groups of the left side, with names made up for the axes that `...` stands for."""
    if ("...",) not in groups:
        if len(groups) != rank:
            raise ValueError(
                f"rearrange() got a tensor of {rank} axes for the {len(groups)} of {pattern!r}."
            )
        return groups
    place = groups.index(("...",))
    count = rank - len(groups) + 1
    return [*groups[:place], *((f"...{i}",) for i in range(count)), *groups[place + 1 :]]


def _expanded(groups, before):
    made = tuple(name for group in before for name in group if name.startswith("..."))
    result = []
    for group in groups:
        if group == ("...",):
            result += [(name,) for name in made]
        else:
            result.append(tuple(n for name in group for n in (made if name == "..." else (name,))))
    return result


def _fill(group, size, sizes: dict[str, Any], pattern: str) -> None:
    """Find the one part of an axis whose size was not given."""
    unknown = [name for name in group if name not in sizes]
    if len(unknown) > 1:
        raise ValueError(f"rearrange() needs a size for one of {unknown} in {pattern!r}.")
    known = 1
    for name in group:
        known *= sizes.get(name, 1)
    if unknown:
        sizes[unknown[0]] = size // known
        known = known * sizes[unknown[0]]
    if known != size:
        raise ValueError(
            f"rearrange() cannot make an axis of size {size} of {'(' + ' '.join(group) + ')'} "
            f"with sizes { {name: sizes[name] for name in group} } in {pattern!r}."
        )


__all__ = [
    "rearrange",
]  # fmt: skip
