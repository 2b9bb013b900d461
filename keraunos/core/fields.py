'''Declare a constructor once.

    @fields
    class Dense(Layer):
        """Multiply by a matrix, add a bias."""

        units: Positive
        activation: Activation = None

        kernel: Variable = owned()

From these lines the class gets its signature, its defaults, the conversion and checking of
its arguments, its config, and its round trip through a saved file. The rules:

* an annotated name is a constructor argument, kept in the attribute of that name;
* `Annotated[type, convert]` passes it through `convert(value, name, owner)`; plain `bool`,
  `int`, `float` and `str`, also `| None`, are checked to be such;
* `ClassVar`, and a name set to `owned()`, is no argument;
* arguments of the base class follow one's own, and go to the base's `__init__` first;
  one that is declared again only gets another place or another default;
* the class's `__post_init__`, if it has one, runs when its arguments are set.

A class that writes its own `__init__`, as users' classes do, works as in any Python.
'''

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args, get_origin

import numpy as np

from keraunos.core import config as settings, past, registry
from keraunos.core.errors import did_you_mean as did_you_mean, door

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable)
MISSING: Any = inspect.Parameter.empty
_OWNED: Any = object()
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def owned(*, init: Literal[False] = False) -> Any:
    """Marks an annotated name as something the object makes itself, not an argument."""
    return _OWNED


def option(*, default: Any = None, kw_only: Literal[True] = True) -> Any:
    """Marks a keyword-only argument of a base class, which subclasses take too."""
    return default


class Field(NamedTuple):
    """One argument: its name, its default (`MISSING` if it has none), its conversion.

    It stands in the class where an instance has the value: `Dense.units` is the field.
    """

    name: str
    default: Any = MISSING
    convert: Callable = lambda value, name, owner: value

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        raise AttributeError(f"{type(instance).__name__!r} object has no attribute {self.name!r}")

    def take(self, value: Any, owner: Any) -> Any:
        """The value as it is kept; an error says which argument it is about."""
        try:
            return self.convert(value, self.name, owner)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            if f"`{self.name}`" in str(error):
                raise
            text = f"{type(owner).__name__} cannot take {value!r} for `{self.name}`: {error}"
            raise (TypeError if isinstance(error, TypeError) else ValueError)(text) from None


@typing.dataclass_transform(field_specifiers=(owned, option))
def fields(cls: C) -> C:
    """Write the `__init__` that the annotations of `cls` describe, if it has none."""
    if "__init__" in vars(cls):
        return cls
    return declare(cls, list(_annotated(cls)), cls.__init__)  # type: ignore[misc]


def declare(cls: C, declared: Iterable[Field], base_init: Callable) -> C:
    """Write an `__init__` that takes `declared`, then the arguments of `base_init`.

    What the base takes too is left to the base: declaring it again gives it another
    place in the signature, or another default.
    """
    own = {field.name: field for field in declared}
    base = inspect.signature(base_init).parameters
    signature = _merge(own, base)
    for name, field in own.items():
        if name in vars(cls):
            delattr(cls, name)  # a default value is no class attribute
        if not hasattr(cls, name):
            setattr(cls, name, field)

    @door
    def __init__(self, *args, **kwargs):
        values, extra = _bind(type(self), signature, args, kwargs)
        mine = {name: values.pop(name) for name in own if name not in base}
        base_init(self, **values, **extra)
        for name, value in mine.items():
            setattr(self, name, own[name].take(value, self))
        if "__post_init__" in vars(cls):
            cls.__post_init__(self)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__  # type: ignore[misc]
    inherited = getattr(cls, "__fields__", {})
    rest = {k: f for k, f in inherited.items() if k in signature.parameters and k not in own}
    cls.__fields__ = own | rest  # type: ignore[attr-defined]
    return cls


def _annotated(cls: type) -> Iterable[Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in inspect.get_annotations(cls):
        hint, default = hints[name], vars(cls).get(name, MISSING)
        if default is _OWNED:
            delattr(cls, name)
            continue
        if ClassVar in (hint, get_origin(hint)) or any(a is ClassVar for a in get_args(hint)):
            continue
        yield Field(name, default, *converters(hint))


def checked(init: F) -> F:
    """Decorator: check the arguments of a hand-written `__init__` by their annotations."""
    hints = typing.get_type_hints(init, include_extras=True)
    places = {name: i for i, name in enumerate(inspect.signature(init).parameters)}
    checks = {name: found[0] for name in places if (found := converters(hints.get(name)))}

    @door
    @functools.wraps(init)
    def wrapped(self, *args, **kwargs):
        args, kwargs = past.arguments(type(self), places, args, kwargs)
        for name, value in kwargs.items():
            if name in checks:
                checks[name](value, name, self)
        for i, value in enumerate(args, start=1):
            if name := by_place.get(i):
                checks[name](value, name, self)
        init(self, *args, **kwargs)

    by_place = {places[name]: name for name in checks}
    return wrapped  # type: ignore[return-value]


def _merge(own: dict[str, Field], base: Mapping[str, inspect.Parameter]) -> inspect.Signature:
    """`self`, then one's own arguments, then those of the base that are not one's own."""
    me, *rest = base.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    mine = [inspect.Parameter(f.name, kind, default=f.default) for f in own.values()]
    optional = any(p.default is not MISSING for p in mine)
    others = [
        p for p in rest if p.name not in own and p.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    if optional:  # an argument without default cannot follow one with a default
        others = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            if p.default is MISSING and p.kind is kind
            else p
            for p in others
        ]
    return inspect.Signature([me, *mine, *sorted(others, key=lambda p: p.kind)])


def _bind(cls: type, signature: inspect.Signature, args, kwargs) -> tuple[dict, dict]:
    """The arguments of a call of `cls` by name, defaults included, and the unknown ones."""
    args, kwargs = past.arguments(cls, signature.parameters, args, kwargs)
    try:
        given = signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{cls.__name__}() {error}{_meant(signature, kwargs)}") from None
    given.apply_defaults()
    values = dict(list(given.arguments.items())[1:])
    variadic = [p.name for p in signature.parameters.values() if p.kind in _VARIADIC]
    extra = values.pop(variadic[0]) if variadic else {}
    return values, extra


def _meant(signature: inspect.Signature, kwargs: Iterable[str]) -> str:
    for name in kwargs:
        if name not in signature.parameters:
            return did_you_mean(name, signature.parameters)
    return ""


class Configurable:
    """An object that the arguments of its constructor describe completely."""

    __fields__: ClassVar[dict[str, Field]] = {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON types and serialized objects."""
        return {name: registry.serialize(getattr(self, name)) for name in self.__fields__}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        """An object like the one that `get_config` described."""
        if "_path" in vars(cls):  # what another version has too means nothing where it is unset
            known = inspect.signature(cls).parameters
            config = {k: value for k, value in config.items() if value is not None or k in known}
        return cls(**{k: registry.deserialize(v, custom_objects) for k, v in config.items()})

    def __repr__(self) -> str:
        values = {name: getattr(self, name, None) for name in self.__fields__}
        changed = {k: v for k, v in values.items() if v is not self.__fields__[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"


# Kinds of argument that many classes share ------------------------------------------------


def needs(owner: Any, expected: str, name: str, value: Any) -> str:
    """What to say when an argument is not what its owner expected."""
    return f"{type(owner).__name__} needs {expected} for `{name}`, got {value!r}."


def via(get: Callable) -> Callable:
    """The converter that calls `get(value)`."""
    return lambda value, name, owner: get(value)


def optional(convert: Callable) -> Callable:
    """The converter that lets None pass."""
    return lambda value, name, owner: None if value is None else convert(value, name, owner)


def one_of(*choices: str) -> Callable:
    """The converter that accepts `choices`, in any case."""

    def convert(value, name, owner):
        if str(value).lower() not in choices:
            raise ValueError(needs(owner, f"one of {', '.join(choices)}", name, value))
        return str(value).lower()

    return convert


def check(expected: str, test: Callable[[Any], bool]) -> Callable:
    """The converter that takes a value as it is, if it passes the test."""

    def convert(value, name, owner):
        if not test(value):
            raise ValueError(needs(owner, expected, name, value))
        return value

    return convert


# Arrays and variables pass for numbers: their value may not be known yet.
_REAL = (int, float, np.number)
_is_array = lambda value: hasattr(value, "dtype")
_is_whole = lambda value: isinstance(value, _REAL) and float(value).is_integer()
_is_switch = lambda value: np.ndim(value) == 0 and value in (True, False)
_kind = lambda value: np.asarray(value, "object" if isinstance(value, str) else None).dtype.kind
_several = lambda value: value if isinstance(value, (list, tuple)) else [value]

flag = check("True or False", lambda value: value is None or _is_switch(value))
number = check("a number", lambda value: isinstance(value, _REAL) or _is_array(value))
whole = check("an integer", lambda value: _is_whole(value) or _is_array(value))  # 3.0 is one
text = check("a string", lambda value: isinstance(value, str))
listed = check("a list", lambda value: hasattr(value, "__len__") and not isinstance(value, str))
mapping = check("a dict", lambda value: isinstance(value, Mapping))
function = check("a function", callable)
numbers = check(
    "numbers", lambda value: value is None or _is_array(value) or _kind(value) in "biuf"
)
axes = check(
    "an axis or a list of them",
    lambda value: value is None or all(isinstance(n, (int, np.integer)) for n in _several(value)),
)

_PLAIN: dict[Any, Callable] = {
    bool: flag,
    int: whole,
    float: number,
    str: text,
    Callable: function,
}


def converters(hint: Any) -> list[Callable]:
    """The converter in an annotation, or the check of a plain type; or nothing."""
    if own := [extra for extra in getattr(hint, "__metadata__", ()) if callable(extra)]:
        return own[:1]
    if get_origin(hint) in (Sequence, list, tuple):
        return [listed]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not types.NoneType]
    if len(kinds) != 1 or kinds[0] not in _PLAIN:
        return []
    check = _PLAIN[kinds[0]]
    return [check if kinds[0] is hint else optional(check)]


def path(value, name, owner):
    """The converter for places of files."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(needs(owner, "the path of a file", name, value))
    return os.fspath(value)


def _epsilon(value, name, owner):
    return settings.epsilon() if value is None else number(value, name, owner)


def positive(value, name, owner):
    """The converter for sizes and counts: an integer above 0."""
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not integer or value <= 0:
        raise ValueError(needs(owner, "a positive integer", name, value))
    return int(value)


def fraction(value, name, owner):
    """The converter for shares: a number from 0 to 1."""
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not (real or hasattr(value, "dtype")) or not 0 <= value <= 1:
        raise ValueError(needs(owner, "a number from 0 to 1", name, value))
    return value


def per_axis(value, name, owner):
    """The converter for an integer for all spatial axes, or one for each of `owner.rank`."""
    if value is None:
        return None
    try:
        sizes = (int(value),) * owner.rank if not hasattr(value, "__len__") else tuple(value)
        good = len(sizes) == owner.rank and all(int(n) == n and n > 0 for n in sizes)
    except (TypeError, ValueError):
        good = False
    if not good:
        expected = f"a positive integer or {owner.rank} of them"
        raise ValueError(needs(owner, expected, name, value))
    return tuple(int(n) for n in sizes)


Axes = Annotated[Any, axes]
Numbers = Annotated[Any, numbers]
Listed = Annotated[Any, listed]
Path = Annotated[Any, path]
Positive = Annotated[int, positive]
OptionalPositive = Annotated[int | None, optional(positive)]
Epsilon = Annotated[float, _epsilon]  # None, as in Keras 2, for `epsilon()`
Fraction = Annotated[float, fraction]
PerAxis = Annotated[Any, per_axis]
DataFormat = Annotated[str | None, via(settings.standardize_data_format)]
Padding = Annotated[str, one_of("valid", "same")]
