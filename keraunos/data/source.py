"""One way to read whatever `fit`, `evaluate` and `predict` are given."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from keraunos.core import placement
from keraunos.core.listed import as_numpy
from keraunos.data.arrays import Arrays, standard
from keraunos.data.dataset import INFINITE_CARDINALITY, Cut, Dataset
from keraunos.data.pydataset import Items

Source = Any  # has num_batches, feeds(epoch), pick(feed, step), first()

STACK = 32  # batches of a stream that one call of the program takes
STACK_BYTES = 32 * 2**20


class Stream:
    """Batches that come one by one; some are joined to a stack for one call of a program.

    Args:
        batches: An iterable of `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or of x alone; or
            what has `epoch(number)`, such an iterable for each epoch.
        num_batches: How many there are in an epoch, if known.
        limited: Whether an epoch ends after `num_batches`, though more might come.
        restarts: Whether each epoch iterates anew; else one iterator serves all.
    """

    def __init__(
        self,
        batches: Any,
        num_batches: int | None = None,
        restarts: bool = True,
        limited: bool = False,
        most: int = STACK,
    ):
        self.batches, self.num_batches, self.restarts = batches, num_batches, restarts
        self.limited, self.most = limited, most
        self._iterator = None if restarts else iter(batches)
        self._ahead: list = []
        self.prepare: Callable[[Any], tuple] = as_tuple  # of a batch, before a program sees it

    def _fresh(self, epoch: int, start: int = 0) -> Iterator:
        """The batches of an epoch, by its number from those that have an order for each."""
        if hasattr(self.batches, "epoch"):
            return self.batches.epoch(epoch, start)
        return itertools.islice(self.batches, start, None)

    def _epoch(self, epoch: int, start: int) -> Iterator:
        if self._iterator is not None:
            whole = itertools.chain(self._drain(), self._iterator)
            _exhaust(itertools.islice(whole, start))
        else:
            self._ahead.clear()
            whole = self._fresh(epoch, start)
        last = None if self.num_batches is None else max(self.num_batches - start, 0)
        counted = itertools.islice(whole, last) if self.limited else whole
        for batch in counted:
            yield jax.tree.map(standard, self.prepare(batch))

    def catch_up(self, epochs: int, batches: int) -> None:
        """Be as if so many epochs, of so many batches in all, had been read.

        What cannot be entered anywhere is read again, up to there.
        """
        if self._iterator is not None:
            _exhaust(itertools.islice(itertools.chain(self._drain(), self._iterator), batches))
        elif hasattr(self.batches, "catch_up"):
            self.batches.catch_up(epochs)
        elif not hasattr(self.batches, "epoch"):
            for _ in range(epochs):
                _exhaust(iter(self.batches))

    def _drain(self) -> Iterator:
        while self._ahead:
            yield self._ahead.pop(0)

    def feeds(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, range]]:
        """Pairs `(stack, its batches)`, from batch `start` of an epoch on.

        Stacks have room for as many batches as can be, so that programs see one shape.
        """
        held: list = []
        for batch in self._epoch(epoch, start):
            if held and _shapes(batch) != _shapes(held[0]):
                yield self._stacked(held)
                held = []
            held.append(batch)
            if len(held) >= self._room(batch):
                yield self._stacked(held)
                held = []
        if held:
            yield self._stacked(held)

    def _stacked(self, batches: list) -> tuple[Any, range]:
        room = self._room(batches[0])

        def stack(*leaves):
            stacked = np.empty((room, *leaves[0].shape), leaves[0].dtype)
            np.stack(leaves, out=stacked[: len(leaves)])
            return stacked

        return placement.stacked(jax.tree.map(stack, *batches)), range(len(batches))

    def _room(self, batch) -> int:
        weight = sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
        most = min(self.most, self.num_batches or self.most)
        return max(1, min(most, STACK_BYTES // max(weight, 1)))

    @staticmethod
    def pick(feed: Any, step: Any) -> Any:
        """The batch of a step, inside of a program."""
        at = lambda leaf: jax.lax.dynamic_index_in_dim(leaf, step, keepdims=False)
        return placement.batch(jax.tree.map(at, feed))

    @functools.cached_property
    def _sample(self) -> Any:
        if self._iterator is None:
            batch = next(self._fresh(0), None)
        else:
            if not self._ahead:
                self._ahead += itertools.islice(self._iterator, 1)
            batch = self._ahead[0] if self._ahead else None
        if batch is None:
            raise ValueError("The data is empty: it gave no batch.")
        return batch

    def first(self) -> Any:
        """A batch to learn shapes and dtypes from; it is not lost."""
        return jax.tree.map(standard, self.prepare(self._sample))


def _exhaust(batches: Iterator) -> None:
    for _ in batches:
        pass


def as_tuple(batch: Any) -> tuple:
    """`(x, y, sample_weight)`, as far as they are there."""
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def _shapes(batch) -> list:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]


def source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: Any = False,
    steps: int | None = None,
    class_weight: dict | None = None,
    seed: int = 0,
) -> Source:
    """The source for what was passed as `x`: arrays, or anything that gives batches."""
    if isinstance(x, (Arrays, Stream)):
        return x
    if _gives_batches(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None when `x` is a {type(x).__name__}, which gives "
                    f"`(x, y, sample_weight)` itself; got {type(value).__name__}."
                )
        return _stream(x, steps, class_weight, shuffle)
    parts = tuple(as_arrays(part) for part in (x, y, sample_weight))
    if class_weight is not None:
        parts = weighted(parts, class_weight)
    check_lengths(*parts)
    while parts and parts[-1] is None:
        parts = parts[:-1]
    return Arrays(parts, batch_size or 32, shuffle, seed, steps)


def _gives_batches(x) -> bool:
    if hasattr(x, "__getitem__") and hasattr(x, "__len__") and hasattr(x, "on_epoch_end"):
        return True
    arrays = (np.ndarray, jax.Array, list, tuple, dict)
    if isinstance(x, arrays) or hasattr(x, "__array__") or np.isscalar(x) or x is None:
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__")


def _stream(x: Any, steps: int | None, class_weight: dict | None, shuffle: Any) -> Stream:
    if isinstance(x, Dataset):
        if class_weight is not None:
            x = x.map(lambda *parts: weighted((*parts, None, None)[:3], class_weight))
        if steps is not None:
            return Stream(Cut(x, steps), steps)
        if x.cardinality() == INFINITE_CARDINALITY:
            raise ValueError(
                "The dataset never ends: say how many batches to take of it, with "
                "`steps_per_epoch` in `fit`, `steps` elsewhere, or `dataset.take(n)`."
            )
        return Stream(x, x.num_batches)
    count = len(x) if steps is None and hasattr(x, "__len__") else steps
    once = hasattr(x, "__next__")
    if hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end"):
        batches, restarts = Items(x, bool(shuffle)), True
    else:
        restarts = not once and steps is None
        batches = x if once or restarts else _endless(x)
    if class_weight is not None:
        batches = _Weighted(batches, class_weight)
    return Stream(batches, count, restarts, limited=steps is not None)


def _endless(iterable) -> Iterator:
    """Again from the start when it ends; epochs of `steps` batches may cut it anywhere."""
    while True:
        yield from iterable


class _Weighted:
    def __init__(self, batches, class_weight):
        self.batches, self.class_weight = batches, class_weight

    def __iter__(self):
        for batch in self.batches:
            parts = (*as_tuple(batch), None, None)[:3]
            yield weighted(parts, self.class_weight)


def weighted(parts: tuple, class_weight: dict) -> tuple:
    """`(x, y, sample_weight)` with each sample's weight times that of its class in `y`."""
    x, y, sample_weight = parts
    labels = jax.tree.leaves(y)
    if len(labels) != 1:
        raise ValueError(
            f"`class_weight` needs a model with one output, got {len(labels)} targets. Give "
            "`sample_weight` for each output instead."
        )
    label = np.asarray(labels[0])
    if label.ndim > 1 and label.shape[-1] > 1:
        classes = label.argmax(-1)
    else:
        classes = np.round(label.reshape(label.shape[:1] if label.ndim < 3 else label.shape[:-1]))
    factor = np.ones(classes.shape, "float32")
    for name, weight in class_weight.items():
        factor[classes == int(name)] = weight
    if sample_weight is not None:
        given = np.asarray(jax.tree.leaves(sample_weight)[0])
        factor = given.reshape(given.shape + (1,) * (factor.ndim - given.ndim)) * factor
    return x, y, factor


def _is_leaf(value) -> bool:
    """Whether a list is an array spelled out, not a list of arrays."""
    return isinstance(value, list) and bool(value) and not _holds_arrays(value)


def _holds_arrays(values) -> bool:
    return any(hasattr(v, "shape") or isinstance(v, (dict, tuple)) or _nested(v) for v in values)


def _nested(value) -> bool:
    return isinstance(value, list) and any(hasattr(item, "shape") for item in value)


def as_arrays(part: Any) -> Any:
    """Nested arrays, with numbers in lists made arrays too; None stays None."""
    return jax.tree.map(_array, part, is_leaf=_is_leaf)


def _array(value) -> np.ndarray:
    if isinstance(value, jax.Array):
        return value  # type: ignore[return-value]
    array = as_numpy(value)
    return array[:, None] if array.ndim == 0 else array


def check_lengths(x, y=None, sample_weight=None) -> None:
    """Raise if the arrays do not all have one length, saying which has how many."""
    lengths: dict[str, int] = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            lengths[name + jax.tree_util.keystr(path)] = len(leaf) if leaf.ndim else 0
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"All arrays must have the same number of samples, but {told}.")
    if lengths and not next(iter(lengths.values())):
        raise ValueError(f"The data is empty: {', '.join(lengths)} hold no samples.")


def split_off(share: float, *parts: Any) -> tuple[tuple, tuple]:
    """`(all but the last share, the last share)` of the rows of nested arrays."""
    if not 0 < share < 1:
        raise ValueError(f"`validation_split` must lie between 0 and 1, got {share!r}.")
    parts = tuple(as_arrays(part) for part in parts)
    leaves = jax.tree.leaves(parts)
    if not leaves:
        raise ValueError("`validation_split` needs arrays to split.")
    check_lengths(*parts)
    cut = int(len(leaves[0]) * (1 - share))
    if not 0 < cut < len(leaves[0]):
        raise ValueError(
            f"`validation_split={share}` of {len(leaves[0])} samples leaves no data to train or "
            "to validate on."
        )
    take = lambda where: tuple(jax.tree.map(lambda a: a[where], part) for part in parts)
    return take(slice(None, cut)), take(slice(cut, None))
