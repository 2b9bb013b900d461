"""Symbolic tensors, and the graph of operations that connects them.

Calling an operation on a `KerasTensor` computes nothing: `abstract` finds out the shape
and dtype of the result, and a `Node` remembers the call. A `Function` is the part of
the graph between some inputs and some outputs, run again on real arrays.
"""

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import errors, masks, naming, past, tree
from keraunos.core.facts import Fact
from keraunos.core.fields import Configurable
from keraunos.core.state import StatelessScope, Variable, current_scope

F = TypeVar("F", bound=Callable)

Tensor = Annotated[Any, "tensor"]  # one tensor, or anything an array can be made of; or None
Tensors = Annotated[Any, "tensors"]  # a sequence of tensors


class KerasTensor:
    """A tensor without values: a shape, in which None is an unknown size, and a dtype."""

    shape = Fact[tuple[Any, ...]]()
    dtype = Fact[str]()
    sparse: bool = False
    ragged: bool = False
    ragged_rank: int | None = None
    row_splits_dtype: str | None = None
    _keras_mask = None

    def __init__(
        self,
        shape: Iterable[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        self.shape = tuple(shape)
        self.dtype = dtype if dtype == "string" else jnp.dtype(dtype).name
        self.sparse, self.ragged = bool(sparse), bool(ragged)
        for name, value in kwargs.items():
            if name not in ("ragged_rank", "row_splits_dtype"):
                raise TypeError(f"KerasTensor() got an unexpected argument {name!r} ({value!r}).")
            setattr(self, name, value)
        self.name = name or naming.auto_name("keras_tensor")
        self.node: Node | None = None  # the call that produced it; None if a graph starts here

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def _keras_history(self) -> tuple["Operation", int, int] | None:
        """The operation that produced it, which of its calls, and which of the outputs."""
        if self.node is None:
            return None
        operation = self.node.operation
        call = next(i for i, node in enumerate(operation._inbound_nodes) if node is self.node)
        return operation, call, next(i for i, t in enumerate(self.node.outputs) if t is self)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    @errors.door
    def __len__(self) -> int:
        raise TypeError("A KerasTensor has no length; use `keras.ops.shape(x)[0]`.")

    @errors.door
    def __iter__(self):
        raise TypeError("A KerasTensor cannot be iterated over; use `keras.ops.unstack(x)`.")

    @errors.door
    def __bool__(self) -> bool:
        raise TypeError(
            "A KerasTensor has no truth value: it stands for a value that is not known yet. "
            "Use `keras.ops.where` or `keras.ops.cond` instead of a Python `if`."
        )

    @errors.door
    def __array__(self, *args, **kwargs):
        raise ValueError(
            f"{self!r} stands for a value that is not known yet; NumPy and JAX functions cannot "
            "compute with it. Use the function of the same name in `keras.ops`, or put the code "
            "into the `call` of a layer."
        )

    def __jax_array__(self):
        value = known(self)  # within a step, what it is there
        return self.__array__() if value is self else value

    __array_priority__ = 100

    if not TYPE_CHECKING:
        __getattr__ = past.member


class Node:
    """One call of one operation on symbolic tensors."""

    def __init__(self, operation: "Operation", args: tuple, kwargs: dict, outputs: Any):
        self.operation, self.args, self.kwargs = operation, args, kwargs
        self.output_structure = outputs
        self.inputs: list[KerasTensor] = symbolic_in((args, kwargs))
        self.outputs: list[KerasTensor] = symbolic_in(outputs)
        self.made_at = errors.users_line()
        for tensor in self.outputs:
            tensor.node = self
        operation._inbound_nodes.append(self)

    @property
    def input_tensors(self) -> list[KerasTensor]:
        return self.inputs

    @property
    def output_tensors(self) -> list[KerasTensor]:
        return self.outputs

    @property
    def parent_nodes(self) -> list["Node"]:
        nodes = {id(t.node): t.node for t in self.inputs if t.node is not None}
        return list(nodes.values())


class Operation(Configurable):
    """Anything that can be a node: a layer, or a function of `keras.ops` with its arguments."""

    name: str

    def __init__(self, name: str | None = None):
        name = name or naming.auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"A name must be a string without '/', got {name!r}.")
        self.name = name
        self._inbound_nodes: list[Node] = []

    def call(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} must define `call`.")

    def __call__(self, *args, **kwargs):
        if symbolic_in((args, kwargs)):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        """Shapes and dtypes of the outputs, as KerasTensors, found by tracing `call`."""
        return abstract(self.call, *args, **kwargs)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """What `call` computes when weights lie in few bits; layers have it."""
        raise NotImplementedError(f"{type(self).__name__} is not quantized.")

    def symbolic_call(self, *args, **kwargs):
        """Remember the call in the graph; its outputs, as KerasTensors."""
        outputs = self.compute_output_spec(*args, **kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    @property
    def inbound_nodes(self) -> list[Node]:
        return self._inbound_nodes

    @property
    def input(self):
        """The symbolic tensors this operation was called on, if it was called once."""
        return _one_or_many(self._only_node("input").inputs)

    @property
    def output(self):
        """The symbolic tensors this operation returned, if it was called once."""
        return self._only_node("output").output_structure

    def get_input_at(self, node_index: int):
        """What its `node_index`-th symbolic call was given."""
        return _one_or_many(self._inbound_nodes[node_index].inputs)

    def get_output_at(self, node_index: int):
        """What its `node_index`-th symbolic call returned."""
        return self._inbound_nodes[node_index].output_structure

    def _only_node(self, attribute: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                f"`{self.name}` has no `{attribute}`: it was never called on a symbolic tensor."
            )
        if len({tuple(map(id, node.outputs)) for node in self._inbound_nodes}) > 1:
            raise AttributeError(
                f"`{self.name}` was called {len(self._inbound_nodes)} times, so `{attribute}` is "
                f"ambiguous. Use `get_{attribute}_at(node_index)`."
            )
        return self._inbound_nodes[0]


def _one_or_many(tensors: list):
    return tensors[0] if len(tensors) == 1 else tensors


class OpCall(Operation):
    """A call of a function of `keras.ops`, made a node of a graph."""

    def __init__(self, fn: Callable):
        super().__init__(naming.auto_name(fn.__name__))
        self.fn = fn
        self.call = fn


def op(fn: F) -> F:
    """Let `fn` take lists, numpy arrays, variables and symbolic tensors for its tensors.

    Which arguments are tensors is said by their annotations, `Tensor` or `Tensors`.
    """
    parameters = inspect.signature(fn).parameters.values()
    order = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    one = {p.name for p in parameters if p.annotation is Tensor and p is not rest}
    many = {p.name for p in parameters if p.annotation is Tensors and p is not rest}
    cut = next((i for i, p in enumerate(parameters) if p is rest), len(order))
    all_rest = rest is not None and rest.annotation is Tensor

    @errors.door
    @functools.wraps(fn)
    def call(*args, **kwargs):
        named = dict(zip(order, args[:cut]))
        for name, value in {**named, **kwargs}.items():
            if name in one:
                found = isinstance(value, KerasTensor)
            elif name in many:
                found = isinstance(value, KerasTensor) or bool(symbolic_in(value))
            else:
                continue
            if found:
                return OpCall(call).symbolic_call(*args, **kwargs)
        if all_rest and any(isinstance(value, KerasTensor) for value in args[cut:]):
            return OpCall(call).symbolic_call(*args, **kwargs)
        read = lambda name, value: (
            tensor(value)
            if name in one
            else jax.tree.map(tensor, value, is_leaf=_is_variable)
            if name in many
            else value
        )
        positional = [read(name, value) for name, value in named.items()]
        extra = [tensor(value) for value in args[cut:]] if all_rest else args[cut:]
        return fn(*positional, *extra, **{name: read(name, v) for name, v in kwargs.items()})

    call.tensor_arguments = one | many | ({rest.name} if all_rest else set())  # type: ignore
    return call  # type: ignore[return-value]


def _is_variable(value) -> bool:
    return isinstance(value, Variable)


def tensor(value: Any) -> Any:
    """`value` as something `jax.numpy` accepts; Python numbers stay weakly typed."""
    if value is None or isinstance(value, (jax.Array, int, float, complex, np.ndarray, np.generic)):
        return value
    return value.value if isinstance(value, Variable) else jnp.asarray(value)


def is_symbolic(value) -> bool:
    return isinstance(value, KerasTensor)


def symbolic_in(structure) -> list[KerasTensor]:
    """The symbolic tensors in nested tuples, lists and dicts."""
    return [leaf for leaf in jax.tree.leaves(structure) if isinstance(leaf, KerasTensor)]


# Shapes ---------------------------------------------------------------------------------


def abstract(fn: Callable, *args, **kwargs) -> Any:
    """Trace `fn` on symbolic tensors; what it returns, as symbolic tensors.

    Unknown sizes are traced as symbols, about which JAX reasons soundly. Code that needs
    a number, as `range(x.shape[1])` does, is traced with two sets of numbers instead:
    the sizes that come out different are the unknown ones. Last, an unknown size is
    taken to be the known one that it meets on the same axis of another tensor. Masks go in
    with the tensors, and come out with them.
    """
    tensors, rebuild = _split((args, kwargs))
    shapes = [x.shape for x in jax.tree.leaves((args, kwargs)) if hasattr(x, "shape")]
    known = {i - len(s): n for s in shapes for i, n in enumerate(s) if n is not None}
    symbols = _symbols(max((t.ndim for t in tensors), default=0))
    trace = functools.partial(_trace, fn, tensors, rebuild)
    attempts: list[tuple[Callable, ...]] = [(lambda axis, ndim: symbols[axis],)]
    if any(None in t.shape for t in tensors):
        attempts.append(tuple(lambda axis, ndim, n=n: n for n in (48, 72)))
        attempts.append(tuple(lambda axis, ndim, n=n: known.get(axis - ndim, n) for n in (48, 72)))
    first: Exception | None = None
    for sizes in attempts:
        try:
            traced = [trace(size) for size in sizes]
            outputs, found = jax.tree.map(_where_agreed, traced[0], traced[-1])
        except Exception as error:
            first = first or error
            last = error
        else:
            for output, mask in zip(symbolic_in(outputs), found):
                masks.set_mask(output, mask)
            return outputs
    raise last if len(attempts) > 1 and not _speaks(first) else first  # type: ignore[misc]


def draws(fn: Callable) -> bool:
    """Whether a function names one that draws at random."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return any("random" in name or "dropout" in name for name in getattr(code, "co_names", ()))


def rehearse(layer: Any, *args, **kwargs) -> None:
    """Trace a layer whose output shape is known without, so that it makes its seeds now."""
    with contextlib.suppress(Exception):
        abstract(layer, *args, **kwargs)


def _speaks(error: Exception | None) -> bool:
    """Whether an error is about the user's code, not about a symbol that it cannot handle."""
    text = f"{type(error).__module__} {error}"
    return not any(word in text for word in ("symbolic dim", "Inconclusive", "shape_poly"))


def _trace(fn: Callable, tensors: list[KerasTensor], rebuild: Callable, size: Callable):
    """Run `fn` where the unknown size on an axis is `size(axis, number of axes)`."""

    def run(*leaves):
        for symbol, leaf in zip(tensors, leaves):
            if symbol._keras_mask is not None:
                masks.set_mask(leaf, _stand_in(symbol._keras_mask, leaf))
        args, kwargs = rebuild(leaves)
        outputs = jax.tree.map(tensor, fn(*args, **kwargs), is_leaf=_is_variable)
        return outputs, [masks.get_mask(leaf) for leaf in jax.tree.leaves(outputs)]

    specs = [jax.ShapeDtypeStruct(_filled(t.shape, size), t.dtype) for t in tensors]
    with SymbolicScope():
        return jax.eval_shape(run, *specs)


class SymbolicScope(StatelessScope):
    """Within it only the shapes of values matter: nothing is computed."""


def in_symbolic_scope() -> bool:
    """Whether shapes are being traced."""
    scope = current_scope()
    while scope is not None and not isinstance(scope, SymbolicScope):
        scope = scope._outer
    return scope is not None


def _stand_in(mask, leaf):
    """A mask while shapes are traced: all that matters is that there is one."""
    return jnp.ones(leaf.shape[: len(mask.shape)], bool)


def _filled(shape, size: Callable):
    return tuple(size(i, len(shape)) if n is None else n for i, n in enumerate(shape))


def _where_agreed(a, b) -> KerasTensor:
    sizes = zip(a.shape, b.shape, strict=True)
    return KerasTensor([m if isinstance(m, int) and m == n else None for m, n in sizes], a.dtype)


@functools.cache
def _symbols(rank: int):
    """One symbol for each axis; unknown sizes on the same axis are taken to be equal."""
    if not rank:
        return ()
    from jax import export  # takes long to import, and few programs have unknown sizes

    names = ["batch", *(f"axis{i}" for i in range(1, rank))]
    constraints = [f"{name} >= 2" for name in names]  # so that no size is mistaken for a 1
    return export.symbolic_shape(", ".join(names), constraints=constraints)


def _split(structure):
    """The symbolic tensors of a tree, and the function that puts others in their place."""
    leaves, treedef = jax.tree.flatten(structure, is_leaf=lambda x: x is None)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, KerasTensor)]

    def rebuild(values):
        filled = list(leaves)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        return jax.tree.unflatten(treedef, filled)

    return [leaves[i] for i in places], rebuild


# Running --------------------------------------------------------------------------------


class Function(Operation):
    """The computation from `inputs` to `outputs`, both trees of symbolic tensors."""

    def __init__(self, inputs, outputs, name: str | None = None):
        super().__init__(name)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._inputs, self._outputs = symbolic_in(inputs), symbolic_in(outputs)
        self._nodes = list(_sorted_nodes(self._inputs, self._outputs))

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors it starts from, flat."""
        return self._inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic tensors it ends in, flat."""
        return self._outputs

    def compute_output_shape(self, input_shape):
        """The shapes of the outputs, for shapes of the inputs."""
        inputs = tree.map_shapes(KerasTensor, input_shape)
        return jax.tree.map(lambda t: t.shape, abstract(self.run, inputs))

    @property
    def operations(self) -> list[Operation]:
        """The operations of the graph, each once, in the order they run."""
        return list({id(node.operation): node.operation for node in self._nodes}.values())

    def call(self, inputs):
        return self.run(inputs)

    def run(self, inputs, call: Callable | None = None):
        """Compute the outputs, every node through `call(operation, *args, **kwargs)`."""
        given = jax.tree.leaves(inputs)
        known = {id(t): x for t, x in zip(self._inputs, given, strict=True)}
        return self.run_nodes(self._nodes, known, call)

    def run_nodes(self, nodes: list[Node], known: dict[int, Any], call: Callable | None = None):
        """Compute the outputs by some of the nodes, from the tensors that are known by their id."""
        fill = lambda leaf: known[id(leaf)] if isinstance(leaf, KerasTensor) else leaf
        for node in nodes:
            args, kwargs = jax.tree.map(fill, (node.args, node.kwargs))
            target = node.operation.fn if isinstance(node.operation, OpCall) else node.operation
            result = call(target, *args, **kwargs) if call else target(*args, **kwargs)
            known |= {id(t): x for t, x in zip(node.outputs, jax.tree.leaves(result), strict=True)}
        return jax.tree.map(fill, self._outputs_struct)


_fed: contextvars.ContextVar[Callable | None] = contextvars.ContextVar("fed", default=None)


@contextlib.contextmanager
def feeding(inputs: Callable) -> Iterator[None]:
    """Within it, `known` computes symbolic tensors from what `inputs()` says: symbols, values."""
    token = _fed.set(inputs)
    try:
        yield
    finally:
        _fed.reset(token)


def known(value: Any) -> Any:
    """`value`; if it is symbolic, what it is for the inputs of the step that runs."""
    fed = _fed.get()
    if fed is None or not isinstance(value, KerasTensor):
        return value
    symbols, values = fed()
    return Function(symbols, value).run(values)


def _sorted_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> Iterator[Node]:
    """The nodes between inputs and outputs, each after those it depends on."""
    done = {id(t) for t in inputs}
    stack = [(t, False) for t in reversed(outputs)]
    while stack:
        symbol, ready = stack.pop()
        if id(symbol) in done:
            continue
        if symbol.node is None or not symbol.node.inputs:
            raise ValueError(
                f"The graph is disconnected: an output depends on {symbol}, which is not among "
                f"the inputs {[t.name for t in inputs]}. Add it to `inputs`, or build the outputs "
                "from the inputs only."
            )
        if ready:
            done |= {id(t) for t in symbol.node.outputs}
            yield symbol.node
        else:
            stack.append((symbol, True))
            stack += [(t, False) for t in reversed(symbol.node.inputs)]
