"""Operations on symbolic tensors, what tracing says of shapes, and running a graph."""

import jax.numpy as jnp
import numpy as np
import pytest

from keraunos import KerasTensor, Variable, ops
from keraunos.core import masks
from keraunos.core.graph import Function, Operation, Tensor, Tensors, abstract, op, symbolic_in
from tests.oracle import close


@op
def scaled(x: Tensor, factor=2.0, *, shift: Tensor = None):
    """A test's own operation."""
    y = jnp.asarray(x) * factor
    return y if shift is None else y + shift


@op
def joined(xs: Tensors):
    return jnp.concatenate(xs)


@op
def added(*xs: Tensor):
    return sum(xs)


def test_op_takes_what_an_array_can_be_made_of():
    v = Variable([1.0, 2.0])
    for value in ([1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0], "float32"), v, v.value):
        close(scaled(value), np.array([2.0, 4.0], "float32"))
    close(scaled(v, 1, shift=v), np.array([2.0, 4.0], "float32"))
    close(joined([v, np.ones(1, "float32")]), np.array([1.0, 2.0, 1.0], "float32"))
    close(added(v, [1.0, 1.0], 1.0), np.array([3.0, 4.0], "float32"))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: scaled(x),
        lambda x: scaled(np.ones(3), shift=x),
        lambda x: joined([x, np.ones(1)]),
        lambda x: added(np.ones(3), x),
    ],
)
def test_one_symbolic_tensor_makes_a_node(call):
    x = KerasTensor((3,))
    out = call(x)
    assert isinstance(out, KerasTensor) and out.node.inputs == [x]
    operation, which, index = out._keras_history
    assert operation.inbound_nodes == [out.node] and (which, index) == (0, 0)


def test_an_operation_keeps_its_name_and_docstring():
    assert scaled.__name__ == "scaled" and scaled.__doc__ == "A test's own operation."
    assert scaled(KerasTensor((3,))).node.operation.name == "scaled"
    assert scaled(KerasTensor((3,))).node.operation.name == "scaled_1"


KNOWN = [
    ("sizes that are not known stay so", lambda x: x * 2, [(None, 3)], (None, 3)),
    ("a slice of an unknown axis", lambda x: x[:10], [(None, 3)], (None, 3)),
    ("sums of sizes", lambda x: jnp.concatenate([x, x[:, :1]], 1), [(None, 3)], (None, 4)),
    ("products of sizes", lambda x: x.reshape(x.shape[0], -1), [(None, 3, 4)], (None, 12)),
    ("an unknown product", lambda x: x.reshape(-1, 4), [(None, 3, 4)], (None, 4)),
    ("all unknown", lambda x: x.sum(1), [(None, None, 2)], (None, 2)),
    ("a loop over an axis", lambda x: sum(x[:, i] for i in range(x.shape[1])),
     [(None, None, 3)], (None, 3)),
    ("numpy of a size", lambda x: x + np.arange(x.shape[1]), [(None, None)], (None, None)),
    ("unknown meets unknown", lambda x, y: x + y, [(None, 3), (None, 1)], (None, 3)),
    ("unknown meets known", lambda x, y: x + y, [(None, None), (None, 5)], (None, 5)),
    ("unknown meets known, other rank", lambda x, y: x + y, [(None, None), (5,)], (None, 5)),
    ("known sizes", lambda x, y: x @ y, [(2, 3), (3, 4)], (2, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fn", "shapes", "expected"), KNOWN, ids=[c[0] for c in KNOWN])
def test_shapes_are_what_the_code_does_to_them(what, fn, shapes, expected):
    assert abstract(fn, *map(KerasTensor, shapes)).shape == expected


def test_dtypes_and_structures():
    x = KerasTensor((None, 3), "bfloat16")
    out = abstract(lambda x: {"a": x, "b": [x > 0, jnp.argmax(x, -1)]}, x)
    assert [(t.shape, t.dtype) for t in symbolic_in(out)] == [
        ((None, 3), "bfloat16"), ((None, 3), "bool"), ((None,), "int32")
    ]  # fmt: skip


def test_errors_of_the_code_come_through():
    def wrong(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        abstract(wrong, KerasTensor((None, 3)))
    with pytest.raises(TypeError, match=r"incompatible shapes.*3.*2"):
        abstract(lambda x, y: x + y, KerasTensor((4, 3)), KerasTensor((4, 2)))


def test_tracing_assigns_nothing():
    v = Variable(1.0)
    abstract(lambda x: x + v.assign_add(1.0).value, KerasTensor((None,)))
    assert float(v) == 1.0


def test_masks_go_in_and_come_out():
    x = KerasTensor((None, 4, 3))
    masks.set_mask(x, KerasTensor((None, 4), "bool"))

    def keep(x):
        y = x * 2
        masks.set_mask(y, masks.get_mask(x))
        return y

    assert masks.get_mask(abstract(keep, x)).shape == (None, 4)
    assert masks.get_mask(abstract(lambda x: x * 2, x)) is None


def test_function_runs_the_graph_again():
    x, y = KerasTensor((None, 3)), KerasTensor((None, 3))
    z = ops.add(x, y)
    graph = Function({"x": x, "y": y}, {"sum": z, "twice": [z * 2.0]})
    a, b = np.ones((2, 3), "float32"), np.full((2, 3), 2, "float32")
    out = graph({"x": a, "y": b})
    close(out["sum"], a + b)
    close(out["twice"], [(a + b) * 2])
    assert [o.name for o in graph.operations] == ["add", "multiply"]


def test_function_of_a_part_of_a_graph():
    x = KerasTensor((None, 3))
    middle = ops.exp(x)
    out = ops.square(middle)
    close(Function(middle, out)(np.full((1, 3), 3, "float32")), np.full((1, 3), 9, "float32"))
    assert [o.name for o in Function(x, out).operations] == ["exp", "square"]


def test_function_on_symbolic_tensors():
    x = KerasTensor((None, 3))
    graph = Function(x, ops.sum(x, axis=1, keepdims=True))
    assert graph(KerasTensor((5, 3))).shape == (5, 1)


def test_a_disconnected_graph_is_told():
    x, other = KerasTensor((2,), name="x"), KerasTensor((2,), name="other")
    with pytest.raises(ValueError, match=r"graph is disconnected.*other.*among the inputs \['x'\]"):
        Function(x, ops.add(x, other))


def test_input_and_output_of_an_operation():
    class Twice(Operation):
        def call(self, x):
            return ops.multiply(x, 2.0)

    twice = Twice(name="twice")
    with pytest.raises(AttributeError, match="`twice` has no `input`: it was never called"):
        twice.input  # noqa: B018
    x, y = KerasTensor((2,)), KerasTensor((3,))
    out = twice(x)
    assert twice.input is x and twice.output is out
    second = twice(y)
    with pytest.raises(AttributeError, match="was called 2 times, so `output` is ambiguous"):
        twice.output  # noqa: B018
    assert twice.get_input_at(1) is y and twice.get_output_at(1) is second
    close(twice(np.ones(2, "float32")), np.full(2, 2, "float32"))


@pytest.mark.parametrize("name", ["a/b", 3])
def test_bad_names(name):
    with pytest.raises(ValueError, match="must be a string without '/'"):
        Operation(name)
