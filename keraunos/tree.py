"""Public `keras.tree`: nested tuples, lists and dicts, in which None is a leaf.

Leaves are counted in order, those of a dict by sorted key and those of an OrderedDict as they
stand; what is rebuilt keeps the order of its keys.
"""

import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from keraunos.core.tree import is_shape


class MAP_TO_NONE:
    """What the function of `traverse` returns to put None in a place."""


class _Opened(NamedTuple):
    """A tuple, list or dict: what it is called, its keys and values, how to make such another."""

    kind: str
    keys: list
    values: list
    rebuild: Callable[[list], Any]


def _open(structure: Any) -> _Opened | None:
    """The inside of a structure; None for a leaf."""
    if isinstance(structure, dict):
        ordered = isinstance(structure, collections.OrderedDict)
        keys = list(structure) if ordered else _sorted(structure)
        return _Opened("dict", keys, [structure[key] for key in keys], _dict_like(structure, keys))
    if isinstance(structure, (list, tuple, collections.deque)):
        cls = type(structure)
        named = hasattr(structure, "_fields")
        rebuild = (lambda values: cls(*values)) if named else cls
        kind = cls.__name__ if named else _kind(structure)
        return _Opened(kind, list(range(len(structure))), list(structure), rebuild)
    return None


def _kind(structure: Any) -> str:
    return next(c.__name__ for c in (list, tuple, collections.deque) if isinstance(structure, c))


def _sorted(mapping: dict) -> list:
    try:
        return sorted(mapping)
    except TypeError:  # keys of several types
        return sorted(mapping, key=lambda key: (type(key).__name__, str(key)))


def _dict_like(original: dict, keys: list) -> Callable[[list], Any]:
    def rebuild(values: list) -> Any:
        new = dict(zip(keys, values))
        in_order = {key: new[key] for key in original}
        if isinstance(original, collections.defaultdict):
            return type(original)(original.default_factory, in_order)
        return type(original)(in_order)

    return rebuild


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a tuple, list or dict, be it empty."""
    return _open(structure) is not None


def _walk(structure: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    opened = _open(structure)
    if opened is None:
        yield path, structure
    else:
        for key, value in zip(opened.keys, opened.values):
            yield from _walk(value, (*path, key))


def flatten(structure: Any) -> list:
    """The leaves, None included, in order."""
    return [leaf for _, leaf in _walk(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple, Any]]:
    """Pairs `(path, leaf)`; a path is the keys and indices that lead to the leaf."""
    return list(_walk(structure))


def _matching(opened: _Opened, other: Any) -> list:
    """The values of `other` that belong to the keys of `opened`."""
    found = _open(other)
    if found is None or found.kind != opened.kind:
        raise ValueError(f"Expected an instance of {opened.kind}, got {other!r}.")
    if len(found.keys) != len(opened.keys) and opened.kind != "dict":
        raise ValueError(
            f"Expected a {opened.kind} of {len(opened.keys)} items, got {len(found.keys)}: "
            f"{other!r}."
        )
    if opened.kind == "dict" and set(found.keys) != set(opened.keys):
        raise ValueError(f"Expected a dict with the keys {opened.keys}, got {found.keys}.")
    by_key = dict(zip(found.keys, found.values))
    return [by_key[key] for key in opened.keys]


def _mapped(func: Callable, first: Any, others: Sequence, strict: bool, none_is_leaf: bool) -> Any:
    opened = _open(first)
    if opened is None:
        if strict and any(is_nested(other) for other in others):
            raise ValueError(
                f"The structures differ: the leaf {first!r} stands beside "
                f"{next(other for other in others if is_nested(other))!r}."
            )
        return None if first is None and not none_is_leaf else func(first, *others)
    columns = [_matching(opened, other) for other in others]
    return opened.rebuild(
        [
            _mapped(func, value, rest, strict, none_is_leaf)
            for value, *rest in zip(opened.values, *columns)
        ]
    )


def map_structure(func: Callable, *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure of the first, with each leaf replaced by `func(leaf, ...)`.

    Args:
        none_is_leaf: Whether `func` is asked about None; else it stays.
    """
    if not callable(func):
        raise TypeError(f"map_structure() needs a callable for `func`, got {func!r}.")
    if not structures:
        raise ValueError("map_structure() needs at least one structure.")
    return _mapped(func, structures[0], structures[1:], True, none_is_leaf)


def map_structure_up_to(shallow_structure: Any, func: Callable, *structures: Any) -> Any:
    """`func` of what `structures` have where `shallow_structure` has leaves, in its structure."""
    if not structures:
        raise ValueError("map_structure_up_to() needs at least one structure.")
    return _mapped(lambda _, *parts: func(*parts), shallow_structure, structures, False, True)


def map_shape_structure(func: Callable, structure: Any) -> Any:
    """`structure` with each shape, a tuple or list of sizes, replaced by `func(shape)`."""
    opened = _open(structure)
    if opened is None or is_shape(structure):
        return func(structure)
    return opened.rebuild([map_shape_structure(func, value) for value in opened.values])


def traverse(func: Callable, structure: Any, top_down: bool = True) -> Any:
    """`structure` with every part, itself included, replaced by what `func` makes of it.

    Where `func` returns None a part stays as it is, but its own parts are looked at; where it
    returns `MAP_TO_NONE` there comes None.

    Args:
        top_down: Whether a part is asked about before its own parts; what replaces it is then
            not looked into.
    """
    if not callable(func):
        raise TypeError(f"traverse() needs a callable for `func`, got {func!r}.")
    if top_down and (new := func(structure)) is not None:
        return None if new is MAP_TO_NONE else new
    if opened := _open(structure):
        structure = opened.rebuild([traverse(func, value, top_down) for value in opened.values])
    if not top_down and (new := func(structure)) is not None:
        return None if new is MAP_TO_NONE else new
    return structure


def lists_to_tuples(structure: Any) -> Any:
    """`structure` with its lists as tuples."""
    return traverse(
        lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False
    )


def pack_sequence_as(structure: Any, flat_sequence: Sequence) -> Any:
    """The leaves `flat_sequence` in the places of the leaves of `structure`."""
    leaves, places = list(flat_sequence), flatten(structure)
    if len(leaves) != len(places):
        raise ValueError(
            f"pack_sequence_as() needs {len(places)} leaves for this structure, got {len(leaves)}."
        )
    rest = iter(leaves)
    return map_structure(lambda _: next(rest), structure)


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise a ValueError if `a` and `b` are not nested alike; `check_types` is ignored."""
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise a ValueError if leaves of `a` and `b` are found by different paths.

    Lists and tuples of the same length are alike.
    """
    mine, yours = ({path for path, _ in _walk(structure)} for structure in (a, b))
    if mine != yours:
        raise ValueError(
            f"The structures have different paths: {sorted(mine - yours, key=str)} are in `a` "
            f"only, {sorted(yours - mine, key=str)} in `b` only."
        )
