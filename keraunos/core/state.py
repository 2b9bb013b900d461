"""Variables, and the scope in which a program that assigns them is a pure function.

A `Variable` is a cell: it holds one array, and layers read and assign it. Outside of
any scope that is all there is. Inside a `StatelessScope` reads and assignments go to
the scope instead, so a function that mutates variables can be traced, differentiated,
scanned and compiled by JAX without a trace of it staying behind:

    step = pure(model, model.variables)
    outputs, (values,) = jax.jit(step)([[v.value for v in model.variables]], x)

`pure` is the only bridge between the two worlds.
"""

import contextlib
import contextvars
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import config, naming, past, placement, untrusted
from keraunos.core.facts import Fact

_scope: contextvars.ContextVar["StatelessScope | None"] = contextvars.ContextVar(
    "scope", default=None
)
_autocast: contextvars.ContextVar[str | None] = contextvars.ContextVar("autocast", default=None)

AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")
SYNCHRONIZATIONS = ("none", "on_read", "on_write", "auto")


class Variable:
    """An array that can be assigned.

    Args:
        initializer: An array, or a callable of `(shape, dtype=)`.
        shape: Needed if `initializer` is a callable.
        dtype: `floatx()` by default; that of the array if `initializer` is one.
        trainable: Whether training changes the value; may be toggled later.
        autocast: Whether layers read a float value in their compute dtype.
        aggregation, synchronization: Said of replicas; kept, one engine needs neither.
        name: The last part of `path`.
        layout: Where the array lives: a `TensorLayout` or a sharding of JAX. What the
            distribution says, if there is one, by default.
    """

    name = Fact[str]()
    path = Fact[str]()
    shape = Fact[tuple[int, ...]]()
    dtype = Fact[str]()
    aggregation = Fact[str]()
    synchronization = Fact[str]()
    overwrite_with_gradient: bool = False  # whether an optimizer assigns the gradient itself

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ):
        self.name = name or naming.auto_name("variable")
        if "/" in self.name:
            raise ValueError(f"The name of a variable cannot contain '/', got {self.name!r}.")
        self.path = naming.path(self.name)
        self._trainable = self.made_trainable = bool(trainable)
        self.autocast = autocast
        self.aggregation = _one_of(AGGREGATIONS, "aggregation", aggregation)
        self.synchronization = _one_of(SYNCHRONIZATIONS, "synchronization", synchronization)
        self.layout, self.overwrite_with_gradient = layout, False
        self.regularizer = kwargs.pop("regularizer", None)
        self.constraint = kwargs.pop("constraint", None)
        if kwargs:
            raise TypeError(f"Variable() got unexpected arguments: {', '.join(kwargs)}.")
        # A real array, even while a graph is being traced; elsewhere, it only compiles more.
        traced = isinstance(jnp.zeros(()), Tracer)
        with jax.ensure_compile_time_eval() if traced else contextlib.nullcontext():
            self._array = self._initial(initializer, shape, dtype)
            self.shape = self._array.shape
            self.dtype = self._array.dtype.name
            self.layout = placement.layout_of(self)
            self._array = placement.put(self._array, self.layout, self.path)

    def _initial(self, initializer, shape, dtype) -> jax.Array:
        if not callable(initializer):
            value = initializer.value if isinstance(initializer, Variable) else initializer
            if dtype is None and not hasattr(value, "dtype"):
                dtype = np.result_type(np.asarray(value)).name
                dtype = config.floatx() if dtype == "float64" else dtype
            return jnp.array(value, dtype)
        if shape is None:
            raise ValueError("A variable with a callable initializer needs a `shape`.")
        if None in (shape := tuple(shape)):
            raise ValueError(f"A variable needs a shape without unknown sizes, got {shape}.")
        dtype = jnp.dtype(dtype or config.floatx())
        untrusted.take(math.prod(shape) * dtype.itemsize, f"The variable {self.path}")
        return jnp.asarray(initializer(shape, dtype=dtype.name), dtype)

    @property
    def value(self) -> jax.Array:
        """The array; in the scope around us if there is one."""
        scope = _scope.get()
        array = self._array if scope is None else scope.get_current_value(self)
        dtype = _autocast.get()
        if dtype and self.autocast and jnp.issubdtype(array.dtype, jnp.floating):
            return array.astype(dtype)
        return array

    @property
    def regularizer(self) -> Callable | None:
        """The penalty on it that layers add to the loss."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, rule: Callable | None) -> None:
        self._regularizer = _callable("regularizer", rule)

    @property
    def constraint(self) -> Callable | None:
        """The rule that optimizers put it under."""
        return self._constraint

    @constraint.setter
    def constraint(self, rule: Callable | None) -> None:
        self._constraint = _callable("constraint", rule)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)

    def assign(self, value: Any) -> "Variable":
        """Replace the array by `value`, cast to this variable's dtype."""
        given = value.value if isinstance(value, Variable) else value
        value = jnp.asarray(given, self.dtype)
        if value.shape != self.shape:
            raise ValueError(
                f"Variable {self.path} has shape {self.shape}, "
                f"it cannot hold a value of shape {value.shape}."
            )
        if scope := _scope.get():
            scope.add_update((self, value))
        elif isinstance(value, Tracer):
            raise RuntimeError(
                f"Variable {self.path} was assigned inside a JAX transformation, where the value "
                "does not exist yet. Use `stateless_call`, `stateless_apply` or "
                "`stateless_update_state`, which return new values instead."
            )
        else:  # a buffer of its own: programs take those of variables over
            value = value.copy() if value is given else value
            self._array = placement.put(value, self.layout)
        return self

    def assign_add(self, value: Any) -> "Variable":
        """Add `value`."""
        return self.assign(self.value + value)

    def assign_sub(self, value: Any) -> "Variable":
        """Subtract `value`."""
        return self.assign(self.value - value)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self._array.size

    def numpy(self) -> np.ndarray:
        """A copy; a view would change when the buffer is used again, and keep it alive."""
        return np.array(placement.gathered(self.value))

    def __jax_array__(self):
        return self.value

    def __array__(self, dtype=None, copy=None):
        return self.numpy().astype(dtype) if dtype else self.numpy()

    def __getitem__(self, index):
        return self.value[index]

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __index__(self) -> int:
        return self.value.__index__()

    if not TYPE_CHECKING:
        __getattr__ = past.member

    def __repr__(self):
        value = "" if _scope.get() else f", value={np.asarray(self._array)}"
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}{value}>"

    def _operate(self, name: str, *others):
        if any(getattr(other, "__array_priority__", 0) == 100 for other in others):
            return NotImplemented  # a symbolic tensor, which knows what to do
        return getattr(self.value, name)(
            *(other.value if isinstance(other, Variable) else other for other in others)
        )

    # fmt: off
    def __add__(self, other): return self._operate("__add__", other)
    def __radd__(self, other): return self._operate("__radd__", other)
    def __sub__(self, other): return self._operate("__sub__", other)
    def __rsub__(self, other): return self._operate("__rsub__", other)
    def __mul__(self, other): return self._operate("__mul__", other)
    def __rmul__(self, other): return self._operate("__rmul__", other)
    def __truediv__(self, other): return self._operate("__truediv__", other)
    def __rtruediv__(self, other): return self._operate("__rtruediv__", other)
    def __floordiv__(self, other): return self._operate("__floordiv__", other)
    def __rfloordiv__(self, other): return self._operate("__rfloordiv__", other)
    def __mod__(self, other): return self._operate("__mod__", other)
    def __rmod__(self, other): return self._operate("__rmod__", other)
    def __pow__(self, other): return self._operate("__pow__", other)
    def __rpow__(self, other): return self._operate("__rpow__", other)
    def __matmul__(self, other): return self._operate("__matmul__", other)
    def __rmatmul__(self, other): return self._operate("__rmatmul__", other)
    def __and__(self, other): return self._operate("__and__", other)
    def __rand__(self, other): return self._operate("__rand__", other)
    def __or__(self, other): return self._operate("__or__", other)
    def __ror__(self, other): return self._operate("__ror__", other)
    def __xor__(self, other): return self._operate("__xor__", other)
    def __rxor__(self, other): return self._operate("__rxor__", other)
    def __lt__(self, other): return self._operate("__lt__", other)
    def __le__(self, other): return self._operate("__le__", other)
    def __gt__(self, other): return self._operate("__gt__", other)
    def __ge__(self, other): return self._operate("__ge__", other)
    def __neg__(self): return self._operate("__neg__")
    def __pos__(self): return self._operate("__pos__")
    def __abs__(self): return self._operate("__abs__")
    def __invert__(self): return self._operate("__invert__")
    def __round__(self, ndigits=None): return self._operate("__round__", ndigits or 0)
    # fmt: on


def _callable(name: str, rule: Any) -> Callable | None:
    if rule is not None and not callable(rule):
        raise ValueError(f"A variable needs a callable or None for `{name}`, got {rule!r}.")
    return rule


def _one_of(choices: tuple[str, ...], name: str, value: str | None) -> str:
    if value is not None and value not in choices:
        raise ValueError(f"A variable needs one of {choices} or None for `{name}`, got {value!r}.")
    return value or "none"


class StatelessScope(contextlib.AbstractContextManager):
    """Within it, variables are read from and assigned to this scope.

    Args:
        state_mapping: Pairs `(variable, value)` to start from.
        collect_losses: Whether `losses` is wanted; kept for the signature, they always are.
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ):
        self.values = {id(variable): value for variable, value in state_mapping or ()}
        self.collected: list[tuple[Any, Any]] = []  # (layer, loss) of `add_loss` meanwhile

    @property
    def losses(self) -> list:
        return [loss for _, loss in self.collected]

    def get_current_value(self, variable: Variable):
        value = self.values.get(id(variable))
        if value is not None:
            return value
        return self._outer.get_current_value(variable) if self._outer else variable._array

    def add_update(self, update: tuple[Variable, Any]) -> None:
        variable, value = update
        self.values[id(variable)] = value

    def add_loss(self, loss, owner=None) -> None:
        self.collected.append((owner, loss))

    def __enter__(self) -> "StatelessScope":
        self._outer = _scope.get()
        self._token = _scope.set(self)
        return self

    def __exit__(self, *_):
        _scope.reset(self._token)


def current_scope() -> StatelessScope | None:
    """The scope we are in, if any."""
    return _scope.get()


def pure(fn: Callable, *groups: list[Variable]) -> Callable:
    """The function `g(values, *args) -> (fn(*args), new_values)` that has no side effects.

    `values` and `new_values` hold one list of arrays for each group of variables.
    """

    def call(values, *args, **kwargs):
        pairs = (
            (v, a)
            for group, arrays in zip(groups, values, strict=True)
            for v, a in zip(group, arrays, strict=True)
        )
        with StatelessScope(pairs) as scope:
            outputs = fn(*args, **kwargs)
            return outputs, tuple([scope.get_current_value(v) for v in group] for group in groups)

    return call


lending = threading.RLock()  # held by whoever takes arrays out of variables and puts others in


def lend(*groups: list[Variable]) -> tuple[list[jax.Array], ...]:
    """The arrays of some groups of variables, to be given to a program that keeps them."""
    return tuple([v._array for v in group] for group in groups)


def give_back(groups, values) -> None:
    """Put the arrays that a program returned into the variables they belong to."""
    for group, arrays in zip(groups, values, strict=True):
        for variable, array in zip(group, arrays, strict=True):
            variable._array = array


def keep_what_others_hold(variables: Iterable[Variable]) -> None:
    """Give a buffer of its own to each variable whose array somebody else holds too.

    A program takes the buffers over, which would leave the other holder with a deleted array.
    """
    for variable in variables:
        if sys.getrefcount(variable._array) > 2:  # the variable, and the argument of the call
            variable._array = variable._array.copy()


@contextlib.contextmanager
def autocast(dtype: str | None) -> Iterator[None]:
    """Within it, float variables are read as `dtype`."""
    token = _autocast.set(dtype)
    try:
        yield
    finally:
        _autocast.reset(token)


def walk(owner) -> Iterator:
    """Every variable and state-owning object that `owner` holds, in the order of its attributes.

    Lists, tuples, sets and dicts are looked into; other objects are not.
    """
    seen = {id(owner)}
    for name, value in vars(owner).items():
        if name not in owner._not_mine:
            yield from _found(value, seen)


def _found(value, seen: set[int]) -> Iterator:
    if isinstance(value, (Variable, Stateful)):
        if id(value) not in seen:
            seen.add(id(value))
            yield value
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _found(item, seen)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _found(item, seen)


class Stateful:
    """Owns variables, directly or through other stateful objects held in its attributes.

    Class attributes: `_not_mine`, names of attributes that are not looked into;
    `_within_layers`, whether a layer that holds such an object counts its variables.
    """

    _not_mine: ClassVar[frozenset[str]] = frozenset()
    _within_layers: ClassVar[bool] = False

    @property
    def variables(self) -> list[Variable]:
        """All variables, each once: one's own, trainable first, then the children's."""
        return gather(self, lambda child: True)


def gather(owner: Stateful, counts: Callable[[Any], bool]) -> list[Variable]:
    """The variables of `owner` and of the children that count, each once, depth first."""
    found: dict[int, Variable] = {}
    visited: set[int] = set()
    stack = [owner]
    while stack:
        if id(holder := stack.pop()) in visited:
            continue
        visited.add(id(holder))
        held = list(walk(holder))
        own = [item for item in held if isinstance(item, Variable)]
        own.sort(key=lambda variable: not variable.made_trainable)
        found.update((id(v), v) for v in own if id(v) not in found)
        stack += [c for c in reversed(held) if not isinstance(c, Variable) and counts(c)]
    return list(found.values())
