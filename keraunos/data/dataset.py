"""A lazy row of elements, made from others step by step; its elements are NumPy arrays."""

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from keraunos.data.elements import (
    TensorSpec,
    as_element,
    cast,
    described,
    dtype_name,
    dtype_of,
    padded,
    sizes_of,
    stacked,
)
from keraunos.data.threads import ahead, in_order
from keraunos.random import make_default_seed

AUTOTUNE = -1
INFINITE_CARDINALITY, UNKNOWN_CARDINALITY = -1, -2

Pass = tuple[int, ...]  # which pass over the data: its number, then those of `repeat`s within it
Run = Callable[[Pass, int], Iterator]


class Dataset:
    """A lazy row of elements: nested tuples and dicts of NumPy arrays.

    Made by `from_tensor_slices`, `from_generator` and their like; each method gives a new dataset.
    `fit`, `evaluate` and `predict` take one whose elements are batches.

    The order of an epoch is a function of the seed and the number of the epoch alone, and
    `epoch(number, start)` enters an epoch at any element: what can be skipped unread is skipped.
    A loop over a dataset is the epoch after that of the loop before.

    Differs: text is `str`, in arrays of objects, where TensorFlow has bytes. Functions given to
    `map` and `filter` get NumPy arrays and run as Python.
    """

    def __init__(
        self,
        run: Run,
        size: float | None = None,
        spec: Callable[[], Any] | None = None,
        batch_size: int | None = None,
        item: Callable[[int], Any] | None = None,
    ):
        self._run, self._size, self._spec = run, size, spec
        self._item = item  # an element by number, where that costs no more than by turn
        self.batch_size = batch_size
        self._passes = 0
        self.class_names: list[str] | None = None
        self.file_paths: list[str] | None = None

    # Where elements come from.

    @staticmethod
    def from_tensor_slices(tensors: Any) -> "Dataset":
        """The rows of arrays that are as long as one another, nested in tuples and dicts."""
        arrays = jax.tree.map(np.asarray, as_element(tensors))
        leaves = jax.tree.leaves(arrays)
        lengths = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
        if len(lengths) != 1 or not all(leaf.ndim for leaf in leaves):
            raise ValueError(
                "`from_tensor_slices` needs arrays with the same number of rows, got shapes "
                f"{[leaf.shape for leaf in leaves]}. Use `from_tensors` for a single element."
            )
        (size,) = lengths
        row = lambda i: jax.tree.map(lambda array: array[i], arrays)
        spec = jax.tree.map(lambda a: TensorSpec(a.shape[1:], dtype_of(a)), arrays)
        return Dataset(lambda _, start: map(row, range(start, size)), size, lambda: spec, item=row)

    @staticmethod
    def from_tensors(tensors: Any) -> "Dataset":
        """One element."""
        element = as_element(tensors)
        return Dataset(lambda _, start: iter([element][start:]), 1)

    @staticmethod
    def range(*args: int) -> "Dataset":
        """Integers, int64, as Python's `range` counts."""
        return Dataset.from_tensor_slices(np.arange(*args, dtype="int64"))

    @staticmethod
    def from_generator(
        generator: Callable,
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
    ) -> "Dataset":
        """What `generator(*args)` yields; it is called anew for each pass.

        Args:
            output_types: Dtypes, nested as the elements are.
            output_shapes: Not needed: accepted, since TensorFlow wants them.
            output_signature: Instead of both: nested things with a shape and a dtype.
        """
        if not callable(generator):
            raise TypeError(
                "`generator` must be a function that returns an iterator, got "
                f"{type(generator).__name__}. Wrap it: `lambda: ...`."
            )
        wanted = output_signature
        if wanted is None and output_types is not None:
            wanted = jax.tree.map(lambda dtype: TensorSpec(None, dtype_name(dtype)), output_types)
        elements = lambda: map(as_element, generator(*(args or ())))
        if wanted is not None:
            plain = lambda spec: TensorSpec(sizes_of(spec.shape), dtype_name(spec.dtype))
            wanted = jax.tree.map(plain, wanted)
            fitted = lambda element: jax.tree.map(cast, wanted, element)
            elements = lambda: map(fitted, generator(*(args or ())))
        spec = None if output_signature is None else lambda: wanted
        return Dataset(lambda _, start: itertools.islice(elements(), start, None), None, spec)

    @staticmethod
    def zip(*datasets: Any, **named: Any) -> "Dataset":
        """Elements that hold one of each dataset: tuples, or nested as one argument is."""
        datasets = named.get("datasets", datasets[0] if len(datasets) == 1 else datasets)
        parts, structure = jax.tree.flatten(datasets)
        sizes = [part._size for part in parts]
        spec = lambda: structure.unflatten([part.element_spec for part in parts])
        run = lambda epoch, start: map(
            structure.unflatten, zip(*(part._run(epoch, start) for part in parts))
        )
        return Dataset(run, None if None in sizes else min(sizes), spec)

    # What is done with them.

    def map(
        self, map_func: Callable, num_parallel_calls: int | None = None, deterministic: Any = None
    ) -> "Dataset":
        """`map_func(element)` for each; a tuple comes as several arguments.

        Args:
            num_parallel_calls: Threads; -1 for as many as there are cores. The order stays.
            deterministic: Accepted; it always is.
        """
        applied = lambda element: as_element(_call(map_func, element))
        workers = _cores() if num_parallel_calls == AUTOTUNE else num_parallel_calls or 1

        def run(epoch: Pass, start: int) -> Iterator:
            elements = self._run(epoch, start)
            if workers == 1:
                return map(applied, elements)
            return in_order(applied, elements, workers, 2 * workers)

        def spec() -> Any:
            before = self._first()
            after = applied(before)
            free = {
                len(leaf)
                for leaf, was in zip(jax.tree.leaves(before), jax.tree.leaves(self.element_spec))
                if was.shape and was.shape[0] is None
            }  # as long as a batch that may be of another size
            return jax.tree.map(lambda leaf: described(leaf, free), after)

        return Dataset(run, self._size, spec, self.batch_size)

    def filter(self, predicate: Callable) -> "Dataset":
        """The elements for which `predicate(element)` is true."""
        run = lambda epoch, start: itertools.islice(
            filter(functools.partial(_call, predicate), self._run(epoch, 0)), start, None
        )
        return self._kept(run, None)

    def enumerate(self, start: int = 0) -> "Dataset":
        """Pairs `(number, element)`, numbers from `start` on, int64."""
        run = lambda epoch, at: (
            (np.int64(number), element)
            for number, element in enumerate(self._run(epoch, at), start + at)
        )
        return Dataset(run, self._size, lambda: (TensorSpec((), "int64"), self.element_spec))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: Any = None,
    ) -> "Dataset":
        """`batch_size` elements stacked to one; the last one may have fewer.

        Args:
            drop_remainder: Whether it is left out then.
        """
        return self._batched(batch_size, drop_remainder, stacked, lambda: self.element_spec)

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
    ) -> "Dataset":
        """As `batch`, of arrays made as large as the largest of them.

        Args:
            padded_shapes: How large instead, nested as elements are; None for the largest.
            padding_values: Put at their ends; one for all, or nested; 0 or "" by default.
        """

        def join(elements: list) -> Any:
            leaves, structure = jax.tree.flatten(elements[0])
            shapes, fills = (
                structure.flatten_up_to(given) if nested else [given] * len(leaves)
                for given, nested in (
                    (padded_shapes, padded_shapes is not None),
                    (padding_values, isinstance(padding_values, (tuple, dict))),
                )
            )
            columns = zip(*(structure.flatten_up_to(element) for element in elements))
            return structure.unflatten(map(padded, columns, shapes, fills))

        def largest(spec: TensorSpec, shape: Any = None) -> TensorSpec:
            return TensorSpec(sizes_of(shape) or (None,) * len(spec.shape or ()), spec.dtype)

        given = () if padded_shapes is None else (padded_shapes,)
        spec = lambda: jax.tree.map(largest, self.element_spec, *given)
        return self._batched(batch_size, drop_remainder, join, spec)

    def _batched(
        self, size: int, drop_remainder: bool, join: Callable, spec: Callable
    ) -> "Dataset":
        size = _positive("batch_size", size)
        count = None if self._size is None else self._size / size
        if count is not None and math.isfinite(count):
            count = math.floor(count) if drop_remainder else math.ceil(count)

        def run(epoch: Pass, start: int) -> Iterator:
            elements = self._run(epoch, start * size)
            while held := list(itertools.islice(elements, size)):
                if len(held) == size or not drop_remainder:
                    yield join(held)

        rows = size if drop_remainder else None
        batch = lambda one: TensorSpec(None if one.shape is None else (rows, *one.shape), one.dtype)
        return Dataset(run, count, lambda: jax.tree.map(batch, spec()), size)

    def unbatch(self) -> "Dataset":
        """The rows of the elements, one by one."""

        def rows(epoch: Pass) -> Iterator:
            for element in self._run(epoch, 0):
                for i in range(len(jax.tree.leaves(element)[0])):
                    yield jax.tree.map(lambda leaf: leaf[i], element)

        row = lambda one: TensorSpec(one.shape and one.shape[1:], one.dtype)
        spec = lambda: jax.tree.map(row, self.element_spec)
        return Dataset(lambda epoch, start: itertools.islice(rows(epoch), start, None), None, spec)

    # In which order, how many, how often.

    def shuffle(
        self,
        buffer_size: int | None = None,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> "Dataset":
        """The elements in another order.

        Args:
            buffer_size: How many elements the next one is drawn from; by default, or if there
                are no more, all of them, and then arrays are not copied.
            seed: Of the order; drawn from Python's `random` by default.
            reshuffle_each_iteration: Whether each epoch has an order of its own.
        """
        if buffer_size is not None and buffer_size != UNKNOWN_CARDINALITY:
            buffer_size = _positive("buffer_size", buffer_size)
        else:
            buffer_size = None
        seed = make_default_seed() if seed is None else int(seed)
        whole = buffer_size is None or (self._size is not None and self._size <= buffer_size)

        def run(epoch: Pass, start: int) -> Iterator:
            chance = np.random.default_rng([seed, *(epoch if reshuffle_each_iteration else ())])
            if whole and self._item is not None:
                return map(self._item, chance.permutation(int(self._size or 0))[start:])
            return itertools.islice(_mixed(self._run(epoch, 0), buffer_size, chance), start, None)

        return self._kept(run, self._size)

    def take(self, count: int) -> "Dataset":
        """The first `count` elements; all if -1."""
        most = math.inf if count < 0 else count
        run = lambda epoch, start: (
            self._run(epoch, start)
            if count < 0
            else itertools.islice(self._run(epoch, start), max(count - start, 0))
        )
        return self._kept(run, None if self._size is None else min(self._size, most))

    def skip(self, count: int) -> "Dataset":
        """All but the first `count` elements; none if -1."""
        if count < 0:
            return self.take(0)
        run = lambda epoch, start: self._run(epoch, start + count)
        return self._kept(run, None if self._size is None else max(self._size - count, 0))

    def repeat(self, count: int | None = None) -> "Dataset":
        """One pass after the other, `count` of them; for ever if None or -1."""
        passes = math.inf if count is None or count < 0 else count

        def run(epoch: Pass, start: int) -> Iterator:
            if self._size and math.isfinite(self._size):
                return rest(epoch, *divmod(start, int(self._size)))
            return itertools.islice(rest(epoch, 0, 0), start, None)

        def rest(epoch: Pass, number: int, start: int) -> Iterator:
            while number < passes:
                elements = self._run((*epoch, number), start)
                first = next(elements, _NOTHING)
                if first is _NOTHING:
                    return  # an endless row of nothing would never return
                yield first
                yield from elements
                number, start = number + 1, 0

        size = (
            0 if 0 in (passes, self._size) else None if self._size is None else self._size * passes
        )
        return self._kept(run, size)

    def concatenate(self, dataset: "Dataset") -> "Dataset":
        """The elements of this dataset, then those of another."""
        mine, size = self._size, None
        if mine is not None and dataset._size is not None:
            size = mine + dataset._size

        def run(epoch: Pass, start: int) -> Iterator:
            if mine is not None and start >= mine:
                return dataset._run(epoch, start - int(mine))
            if mine is None:
                both = itertools.chain(self._run(epoch, 0), dataset._run(epoch, 0))
                return itertools.islice(both, start, None)
            return itertools.chain(self._run(epoch, start), dataset._run(epoch, 0))

        return self._kept(run, size)

    # When they are made.

    def prefetch(self, buffer_size: int = AUTOTUNE) -> "Dataset":
        """A thread reads up to `buffer_size` elements ahead; -1 stands for 2."""
        most = 2 if buffer_size == AUTOTUNE else _positive("buffer_size", buffer_size)
        return self._kept(lambda epoch, start: ahead(self._run(epoch, start), most), self._size)

    def cache(self, filename: str = "") -> "Dataset":
        """Elements are kept in memory once a pass was complete; each epoch is then the first."""
        if filename:
            raise ValueError(
                f"`cache` keeps elements in memory, got filename={filename!r}. Save them with "
                "`np.savez` if they must outlive the process."
            )
        kept: list[list] = []

        def run(epoch: Pass, start: int) -> Iterator:
            return itertools.islice(kept[0] if kept else filling(), start, None)

        def filling() -> Iterator:
            held = []
            for element in self._run((0,), 0):
                held.append(element)
                yield element
            kept[:] = [held]

        return self._kept(run, self._size)

    def _kept(self, run: Run, size: float | None) -> "Dataset":
        """A dataset of the same kind of elements."""
        return Dataset(run, size, lambda: self.element_spec, self.batch_size)

    # What is known of it.

    def epoch(self, number: int, start: int = 0) -> Iterator:
        """The elements of an epoch from number `start` on."""
        return self._run((number,), start)

    def __iter__(self) -> Iterator:
        self._passes += 1
        return self.epoch(self._passes - 1)

    def as_numpy_iterator(self) -> Iterator:
        """The elements, which are NumPy arrays anyway."""
        return iter(self)

    @functools.cached_property
    def element_spec(self) -> Any:
        """Shapes and dtypes, nested as the elements are; may take a first element to know."""
        if self._spec is not None:
            return self._spec()
        return jax.tree.map(described, self._first())

    def _first(self) -> Any:
        first = next(self.epoch(0), _NOTHING)
        if first is _NOTHING:
            raise ValueError("The dataset is empty: it has no element to tell a shape from.")
        return first

    @property
    def num_batches(self) -> int | None:
        """The number of elements; None if it is not known or there is no end."""
        return None if self._size in (None, math.inf) else int(self._size)

    def cardinality(self) -> int:
        """The number of elements; -1 if there is no end, -2 if it is not known."""
        if self._size is None:
            return UNKNOWN_CARDINALITY
        return INFINITE_CARDINALITY if self._size == math.inf else int(self._size)

    def __len__(self) -> int:
        if self.num_batches is None:
            why = "is infinite" if self._size else "has a length that only a pass would tell"
            raise TypeError(f"The dataset {why}. See `cardinality()`; `take(n)` gives it an end.")
        return self.num_batches

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Dataset cardinality={self.cardinality()} batch_size={self.batch_size}>"


class Cut:
    """An endless row of a dataset's passes, cut into epochs of `steps` elements."""

    def __init__(self, dataset: Dataset, steps: int):
        self.dataset, self.steps = dataset.repeat(), steps
        self._next: int | None = None
        self._rest: Iterator = iter(())

    def epoch(self, number: int, start: int = 0) -> Iterator:
        """The elements of an epoch; if it follows the one before, from where that ended."""
        if number != self._next or start:
            self._rest = self.dataset.epoch(0, number * self.steps + start)
        self._next = None  # where it stands is known only at the end
        yield from itertools.islice(self._rest, self.steps - start)
        self._next = number + 1


_NOTHING = object()


def _mixed(elements: Iterator, size: int | None, chance: np.random.Generator) -> Iterator:
    """Each drawn from `size` held ones, whose place is filled by the next; all if None."""
    held = list(itertools.islice(elements, size))
    for element in elements:
        place = chance.integers(len(held))
        drawn, held[place] = held[place], element
        yield drawn
    for place in chance.permutation(len(held)):
        yield held[place]


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1, got {value!r}.")
    return int(value)


def _cores() -> int:
    return min(os.cpu_count() or 1, 16)


def _call(function: Callable, element: Any) -> Any:
    return function(*element) if isinstance(element, tuple) else function(element)
