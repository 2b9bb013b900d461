"""From a tree of layers to paths in a file, and back.

Keras's rules. An object that holds variables lies under the attribute it is found in; within a
list or dict, under the name of its class, with a number from the second one on. The layers of a
model that no attribute with an earlier name holds are in `layers`. Attributes come in
alphabetical order, private ones last, and an object lies where it is met first.
"""

import contextlib
import functools
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from keraunos.core.fields import did_you_mean
from keraunos.core.naming import snake_case
from keraunos.core.state import Stateful, Variable
from keraunos.core.untrusted import FileError
from keraunos.layers.holder import Holder
from keraunos.saving.stores import Reader, ShardsWriter, TensorsWriter, Writer

# Classes of the house whose properties are views of what is found anyway.
_FRAMES = ("keraunos.core.", "keraunos.layers.layer", "keraunos.layers.holder", "keraunos.models.")
_FRAMES += ("keraunos.training.", "keraunos.optimizers.", "builtins")
_VIEWS = ("layers", "optimizer")
_HIDDEN = frozenset({"_layers", "_own_optimizer"})  # what these hold is in the views
_CONTAINERS = (list, tuple, set, dict)


def is_saved(thing: Any) -> bool:
    """Whether files have a place for `thing`: layers and optimizers, but no metrics."""
    return (
        isinstance(thing, Stateful)
        and hasattr(thing, "save_own_variables")
        and not getattr(thing, "_is_metric", False)
    )


def walk(root: Any) -> Iterator[tuple[str, Any]]:
    """`(path, object)` for `root`, whose path is "", and for all that it holds, each once."""
    yield from _walk(root, "", set())


def _walk(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield path, thing
    for name, value in _attributes(thing):
        inner = f"{path}/{name}".lstrip("/")
        if is_saved(value):
            yield from _walk(value, inner, seen)
        elif isinstance(value, _CONTAINERS):
            yield from _walk_items(value, inner, seen)


def _walk_items(items: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(items, dict):
        items = items.values()
    elif isinstance(items, set):  # their own order is another one in every process
        items = sorted(items, key=lambda item: str(getattr(item, "name", "")))
    used: Counter[str] = Counter()
    for item in items:
        if is_saved(item):
            stem, walked = snake_case(type(item).__name__), _walk
        elif isinstance(item, _CONTAINERS):
            stem, walked = "container", _walk_items
        else:
            continue
        name = f"{stem}_{used[stem]}" if used[stem] else stem
        used[stem] += 1
        yield from walked(item, f"{path}/{name}", seen)


def _attributes(thing: Any) -> list[tuple[str, Any]]:
    hidden = thing._not_mine | _HIDDEN
    names = {name for name in vars(thing) if name not in hidden} | _properties(type(thing))
    found = []
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        with contextlib.suppress(Exception):  # a property that is not ready holds nothing yet
            found.append((name, getattr(thing, name)))
    return found


@functools.cache
def _properties(cls: type) -> frozenset[str]:
    """The names of a class's properties that may hold what is saved."""
    return frozenset(
        name
        for parent in cls.__mro__
        for name, value in vars(parent).items()
        if isinstance(value, property)
        and (name in _VIEWS or not parent.__module__.startswith(_FRAMES))
    )


def own_variables(thing: Any) -> dict[str, Any]:
    """What `thing` itself wants to have in a file."""
    store: dict[str, Any] = {}
    thing.save_own_variables(store)
    return store


# Writing ------------------------------------------------------------------------------------


def write(root: Any, writer: Writer | ShardsWriter | TensorsWriter, without_optimizer=False):
    """Write the variables of `root` and of all it holds."""
    with writer:
        for path, thing in walk(root):
            if not (without_optimizer and _of_optimizer(path)):
                writer.write(path, own_variables(thing), getattr(thing, "name", None))


def _of_optimizer(path: str) -> bool:
    return path == "optimizer" or path.startswith("optimizer/")


# Reading ------------------------------------------------------------------------------------


def read(root: Any, reader: Reader, skip_mismatch: bool = False, source: Any = None) -> None:
    """Read the variables of `root` and of all it holds.

    The file is compared with `root` first, and only read if all fits.

    Args:
        skip_mismatch: Read what fits, and warn of the rest.
        source: What an error calls the file.
    """
    held = dict(walk(root))
    differences = Differences(held, reader)
    if differences and not skip_mismatch:
        raise FileError(differences.told(root, source))
    if differences:
        warnings.warn(differences.told(root, source, skipped=True), stacklevel=5)
    if aside := differences.optimizer:
        warnings.warn(aside, stacklevel=5)
    _assign(held, reader, differences.bad)


def _assign(held: dict[str, Any], reader: Reader, skipped: set[str]) -> None:
    """Let every object take its arrays; if one fails, all variables are as they were."""
    before = [(v, v._array) for thing in held.values() for v in _variables(thing)]
    try:
        for path, thing in held.items():
            arrays = reader.read(path)
            if path not in skipped and (arrays or _loads_itself(thing)):
                try:
                    thing.load_own_variables(arrays)
                except Exception as error:
                    raise FileError(
                        f"`{path}` cannot be loaded into {thing!r}, so nothing was: {error}"
                    ) from error
    except Exception:
        for variable, array in before:
            variable._array = array
        raise


def _variables(thing: Any) -> list[Variable]:
    held = thing._own_variables() if isinstance(thing, Holder) else []
    return held + [v for v in own_variables(thing).values() if isinstance(v, Variable)]


def _loads_itself(thing: Any) -> bool:
    """Whether the class of `thing` has its own way of reading, which may know other forms."""
    return isinstance(thing, Holder) and (
        type(thing).load_own_variables is not Holder.load_own_variables
    )


class Differences:
    """Where a tree of objects and a file do not agree. True if they differ.

    Attributes:
        bad: The paths of objects that cannot take what the file has for them.
        optimizer: What to say of the optimizer, whose state may be left out; or None.
    """

    def __init__(self, held: dict[str, Any], reader: Reader):
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.shapes: list[str] = []
        self.unbuilt: list[str] = []
        self.bad: set[str] = set()
        self.optimizer: str | None = None
        for path, thing in held.items():
            self._compare(path, thing, reader.shapes(path))
        for path in reader:
            if path not in held and not _may_be_left(path):
                self.unexpected += [_line(path, key, s) for key, s in reader.shapes(path).items()]
        self._others = [path for path in reader if path not in held]

    def _compare(self, path: str, thing: Any, have: Mapping[str, tuple]) -> None:
        want = own_variables(thing)
        if _of_optimizer(path):
            shapes = {key: _shape(value) for key, value in want.items()}
            if shapes != dict(have):
                self.bad.add(path)
                if have:
                    self.optimizer = (
                        f"The state of the optimizer {thing.name!r} was not loaded: it has "
                        f"{len(want)} variables, the file {len(have)}. Training starts with a "
                        "fresh one. (An optimizer has all its variables after the first step, or "
                        "after `model.optimizer.build(model.trainable_variables)`.)"
                    )
            return
        if _loads_itself(thing):
            if want and not have:
                self.bad.add(path)
                self.missing += [_line(path, key, _shape(v), thing) for key, v in want.items()]
            return
        absent, extra = want.keys() - have.keys(), have.keys() - want.keys()
        others = {k for k in want.keys() & have.keys() if _shape(want[k]) != tuple(have[k])}
        if absent or extra or others:
            self.bad.add(path)
        if extra and not want and not getattr(thing, "built", True):
            self.unbuilt.append(f"{path} ({type(thing).__name__} {thing.name!r})")
            return
        self.missing += [_line(path, k, _shape(want[k]), thing, want[k]) for k in sorted(absent)]
        self.unexpected += [_line(path, key, have[key], thing) for key in sorted(extra)]
        for key in sorted(others):
            line = _line(path, key, have[key])
            self.shapes.append(f"{line}; {_called(thing, want[key])} has {_shape(want[key])}")

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes or self.unbuilt)

    def told(self, root: Any, source: Any, skipped: bool = False) -> str:
        """The differences, path by path."""
        parts = [f"The weights in {source} do not fit {type(root).__name__} {root.name!r}."]
        for title, lines in (
            ("Of another shape:", self.shapes),
            ("Missing from the file:", self.missing),
            ("Only in the file:", self.unexpected),
            ("Not built yet, so without variables:", self.unbuilt),
        ):
            if lines:
                more = [f"... and {len(lines) - 10} more"] if len(lines) > 10 else []
                shown = map(self._hinted, lines[:10]) if lines is self.missing else lines[:10]
                parts.append("\n  ".join([title, *shown, *more]))
        if skipped:
            parts.append("These were left as they are.")
        elif self.unbuilt:
            parts.append("Call the model on data, or `build` it, before its weights are loaded.")
        else:
            parts.append("Nothing was loaded. `skip_mismatch=True` loads what fits.")
        return "\n".join(parts)

    def _hinted(self, line: str) -> str:
        return line + did_you_mean(line.partition("/vars/")[0], self._others)


def _may_be_left(path: str) -> bool:
    """Whether a model may do without what a file has there.

    An optimizer, if it is not compiled; the metrics and seeds that older versions wrote.
    """
    parts = path.split("/")
    return parts[0] in ("optimizer", "metrics") or parts[-1] in ("seed_generator",)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _line(path: str, key: str, shape: tuple, thing: Any = None, value: Any = None) -> str:
    whose = f" ({_called(thing, value)})" if thing is not None else ""
    return f"{path}/vars/{key}".lstrip("/") + f" of shape {tuple(shape)}{whose}"


def _called(thing: Any, value: Any) -> str:
    name = getattr(value, "name", None)
    whose = f"{type(thing).__name__} {thing.name!r}"
    return f"{name} of {whose}" if name else whose
