"""One way to read whatever `fit`, `evaluate` and `predict` are given."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from keraunos.core import placement, plain
from keraunos.core.listed import as_numpy
from keraunos.data import loaders
from keraunos.data.arrays import Arrays, Rows, standard
from keraunos.data.dataset import INFINITE_CARDINALITY, Cut, Dataset
from keraunos.data.passes import Passes
from keraunos.data.pydataset import Items
from keraunos.data.tables import Names, columns

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
        prepare: Of a batch, before a program sees it.
    """

    keeps_place: bool = False  # whether `place` will be asked for

    def __init__(
        self,
        batches: Any,
        num_batches: int | None = None,
        limited: bool = False,
        most: int = STACK,
        prepare: Callable[[Any], tuple] | None = None,
    ):
        self.by_epoch = hasattr(batches, "epoch")
        ready = self.by_epoch or isinstance(batches, Passes)
        self.batches: Any = batches if ready else Passes(batches, limited)
        self.num_batches, self.limited, self.most = num_batches, limited, most
        self.prepare = prepare or as_parts
        self._ahead: list = []
        self._place: Any = None
        self._skipped = 0  # batches of the epoch that are behind us, and need not be read
        self._midway = False

    def _enter(self, epoch: int, start: int) -> Iterator:
        """The batches of an epoch; by its number, where there is an order for each."""
        if self.by_epoch:
            return self.batches.epoch(epoch, start)
        if self._midway and not self.limited:
            self._ahead.clear()
            self.batches.restart()
        self._midway = True
        batches = itertools.chain(self._drain(), self.batches)
        _exhaust(itertools.islice(batches, start - self._skipped))
        self._skipped = 0
        return batches

    def catch_up(self, epochs: int, batches: int, place: Any = None) -> None:
        """Be as if so many epochs, of so many batches in all, had been read; or where `place` says.

        What cannot be entered anywhere is read again, up to there.
        """
        if self.by_epoch:
            getattr(self.batches, "catch_up", lambda epochs: None)(epochs)
        elif place is not None:
            self._ahead.clear()
            self.batches.enter(place["reader"])
            self._skipped = place["step"]
        elif self.limited:
            _exhaust(itertools.islice(itertools.chain(self._drain(), self.batches), batches))
        else:
            for _ in range(epochs):
                _exhaust(itertools.chain(self._drain(), self.batches))

    def place(self, step: int) -> Any:
        """What `catch_up` needs to be here, `step` steps into the epoch; None if nobody knows."""
        if not step:
            self._note(0)
        return self._place

    def _note(self, step: int) -> None:
        if self.keeps_place and not self.by_epoch and not self._ahead:
            reader = plain.part({"reader": self.batches.state()})
            self._place = {**reader, "step": step} if reader.get("reader") else None

    def _drain(self) -> Iterator:
        while self._ahead:
            yield self._ahead.pop(0)

    def feeds(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, range]]:
        """Pairs `(stack, its batches)`, from batch `start` of an epoch on.

        Stacks have room for as many batches as can be, so that programs see one shape.
        """
        held: list = []
        batches, at = self._enter(epoch, start), start
        if self.limited and self.num_batches is not None:
            batches = itertools.islice(batches, max(self.num_batches - start, 0))
        self._note(at)
        for batch in map(self._prepared, batches):
            if held and _shapes(batch) != _shapes(held[0]):
                yield self._stacked(held)
                at, held = at + len(held), []
            held.append(batch)
            if len(held) >= self._room(batch):
                yield self._stacked(held)
                at, held = at + len(held), []
                self._note(at)
        if held:
            yield self._stacked(held)
        self._midway = False

    def _prepared(self, batch: Any) -> tuple:
        return jax.tree.map(standard, self.prepare(batch))

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
        if self.by_epoch:
            batch = next(self.batches.epoch(0), None)
        else:
            if not self._ahead:
                self._note(0)
                self._ahead += itertools.islice(self.batches, 1)
            batch = self._ahead[0] if self._ahead else None
        if batch is None:
            raise ValueError("The data is empty: it gave no batch.")
        return batch

    def first(self) -> Any:
        """A batch to learn shapes and dtypes from; it is not lost."""
        return self._prepared(self._sample)


def _exhaust(batches: Iterator) -> None:
    for _ in batches:
        pass


def as_tuple(batch: Any) -> tuple:
    """`(x, y, sample_weight)`, as far as they are there."""
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def _shapes(batch) -> list:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]


def as_parts(batch: Any, inputs: Names = (), outputs: Names = ()) -> tuple:
    """A batch as `(x, y, sample_weight)`, as far as they are there, nested arrays."""
    parts = as_tuple(batch)
    if len(parts) <= 3:
        x, y, sample_weight = (*parts, None, None)[:3]
        parts = columns(x, y, sample_weight, inputs, outputs)[: len(parts)]
    return tuple(as_arrays(part) for part in parts)


def source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: Any = False,
    steps: int | None = None,
    class_weight: dict | None = None,
    seed: int = 0,
    inputs: Names = (),
    outputs: Names = (),
) -> Source:
    """The source for what was passed as `x`: arrays, tables, or anything that gives batches.

    Args:
        inputs, outputs: The names of a model's, which columns may bear.
    """
    if isinstance(x, (Arrays, Stream)):
        return x
    x, y, sample_weight = columns(x, y, sample_weight, inputs, outputs)
    order = batch_size or 32, shuffle, seed, steps
    prepare = functools.partial(_weighted_parts, class_weight, inputs, outputs)
    indexed = _indexed(x)
    take = None if indexed else loaders.samples(x, y, inputs, outputs)
    if take is not None or _gives_batches(x):
        named = y is None or loaders.takes_names(x)
        for name, value in (("y", None if named else y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None when `x` is a {type(x).__name__}, which gives "
                    f"`(x, y, sample_weight)` itself; got {type(value).__name__}."
                )
    if take is not None:
        rows = Rows(take, len(x), *order)
        return Stream(rows, rows.num_batches, prepare=prepare)
    if indexed:
        items, count = Items(x, bool(shuffle)), len(x) if steps is None else steps
        return Stream(items, count, steps is not None, prepare=prepare)
    if isinstance(x, Dataset) and steps is not None:
        return Stream(Cut(x, steps), steps, prepare=prepare)
    if _gives_batches(x):
        known = loaders.length(x) if steps is None else steps
        if known == INFINITE_CARDINALITY:
            raise ValueError(
                "The dataset never ends: say how many batches to take of it, with "
                "`steps_per_epoch` in `fit`, `steps` elsewhere, or `dataset.take(n)`."
            )
        if not isinstance(x, Dataset):
            x = loaders.passes(x, y, inputs, outputs, batch_size or 32, steps is not None)
        return Stream(x, known, steps is not None, prepare=prepare)
    parts = tuple(as_arrays(part) for part in (x, y, sample_weight))
    if class_weight is not None:
        parts = weighted(parts, class_weight)
    check_lengths(*parts)
    while parts and parts[-1] is None:
        parts = parts[:-1]
    leaves = jax.tree.leaves(parts)
    if any(map(_is_sparse, leaves)):
        rows = Rows(lambda rows: jax.tree.map(lambda a: _dense(a[rows]), parts),
                    leaves[0].shape[0], *order)  # fmt: skip
        return Stream(rows, rows.num_batches)
    return Arrays(parts, *order)


def _indexed(x: Any) -> bool:
    """Whether it is a `PyDataset`, or looks like one."""
    return all(hasattr(x, name) for name in ("__getitem__", "__len__", "on_epoch_end"))


def _gives_batches(x: Any) -> bool:
    arrays = (np.ndarray, jax.Array, list, tuple, dict)
    if isinstance(x, arrays) or hasattr(x, "__array__") or np.isscalar(x) or x is None:
        return False
    if _is_sparse(x):
        return False
    return _indexed(x) or hasattr(x, "__iter__") or hasattr(x, "__next__")


def _is_sparse(x: Any) -> bool:
    """Whether it is a matrix of scipy that stores only some of its values."""
    return hasattr(x, "tocsr") and hasattr(x, "toarray")


def _dense(rows: Any) -> Any:
    return rows.toarray() if _is_sparse(rows) else rows


def _weighted_parts(class_weight: Any, inputs: Names, outputs: Names, batch: Any) -> tuple:
    parts = as_parts(batch, inputs, outputs)
    if class_weight is None:
        return parts
    return weighted((*parts, None, None)[:3], class_weight)


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
    if _is_sparse(value):
        return value.tocsr()
    return as_numpy(value)


def check_lengths(x, y=None, sample_weight=None) -> None:
    """Raise if the arrays do not all have one length, saying which has how many."""
    lengths: dict[str, int] = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(part):
            lengths[name + jax.tree_util.keystr(path)] = leaf.shape[0] if leaf.ndim else 0
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
    size = leaves[0].shape[0]
    cut = int(size * (1 - share))
    if not 0 < cut < size:
        raise ValueError(
            f"`validation_split={share}` of {size} samples leaves no data to train or "
            "to validate on."
        )
    take = lambda where: tuple(jax.tree.map(lambda a: a[where], part) for part in parts)
    return take(slice(None, cut)), take(slice(cut, None))
