"""`keras.ops.numpy` against Keras: numbers, gradients, dtypes, symbolic shapes."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import ops
from tests.ops.table import ints, rand, same_numbers, shape_differences
from tests.oracle import close

X, Y, P = rand(2, 3), rand(2, 3), rand(2, 3, low=0.1, high=0.9)
BIG = rand(2, 3, low=1.1, high=3.0)
V, W = rand(4), rand(3)
CUBE = rand(2, 3, 4)
K, J = ints(2, 3), ints(2, 3, low=1, high=5)
B = np.array([[True, False, True], [False, False, True]])
NAN = np.array([[1.0, np.nan, 3.0], [np.inf, 2.0, -1.0]], "float32")
HOLES = np.array([[1.0, np.nan, 3.0], [0.5, 2.0, -1.0]], "float32")
SQUARE = rand(3, 3)

UNARY = [
    "abs", "absolute", "arctan", "arcsinh", "cbrt", "ceil", "cos", "cosh", "deg2rad", "exp",
    "exp2", "expm1", "fabs", "floor", "i0", "negative", "rad2deg", "reciprocal", "sign", "sin",
    "sinc", "sinh", "square", "tan", "tanh", "trunc", "isfinite", "isinf", "isnan", "isneginf",
    "isposinf", "isreal", "signbit", "conj", "conjugate", "real", "logical_not", "round",
]  # fmt: skip
UNIT = [
    "arccos", "arcsin", "arctanh", "log", "log10", "log1p", "log2", "sqrt",
]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "divide", "true_divide", "mod", "fmod", "maximum", "minimum",
    "fmax", "fmin", "arctan2", "hypot", "logaddexp", "logaddexp2", "heaviside", "equal",
    "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or",
    "logical_xor", "floor_divide", "divide_no_nan",
]  # fmt: skip
BITS = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
    "left_shift", "right_shift",
]  # fmt: skip
REDUCTIONS = [
    "all", "any", "amax", "amin", "max", "min", "ptp", "sum", "mean", "median", "std", "var",
    "prod", "argmax", "argmin",
]  # fmt: skip
NANS = [
    "nanmax", "nanmin", "nanprod", "nansum", "nanmean", "nanmedian", "nanstd", "nanvar",
    "nanargmax", "nanargmin",
]  # fmt: skip

ELEMENTWISE = [
    *((name, [X]) for name in UNARY),
    *((name, [P]) for name in UNIT),
    ("arccosh", [BIG]),
    *((name, [X, Y]) for name in BINARY),
    *((name, [X, W]) for name in ("add", "divide", "maximum")),
    *((name, [K, J]) for name in (*BITS, "gcd", "lcm", "floor_divide", "mod", "power")),
    *((name, [K]) for name in ("bitwise_not", "bitwise_invert", "sin", "floor", "square", "abs")),
    ("power", [P, Y]),
    ("round", [X, 1]),
    ("clip", [X, -1.0, 1.0]),
    ("clip", [X, W - 3, W]),
    ("divide_no_nan", [X, np.array([0.0, 1.0, 2.0], "float32")]),
    ("ldexp", [X, K]),
    ("nan_to_num", [NAN]),
    ("nan_to_num", [NAN, 5.0, 6.0, 7.0]),
    ("isclose", [X, X + 1e-9]),
    ("allclose", [X, X + 1e-9]),
    ("allclose", [X, Y]),
    ("isin", [K, J]),
    ("isin", [K, J], {"invert": True}),
    ("view", [K, "float32"]),
    ("view", [K, "int8"]),
    ("polar", [P, Y]),
    ("angle", [X]),
    ("view_as_complex", [rand(3, 2)]),
    ("view_as_real", [X]),
    ("imag", [X]),
]

REDUCING = [
    *((name, [X]) for name in REDUCTIONS),
    *((name, [X], {"axis": 1}) for name in REDUCTIONS),
    *((name, [X], {"axis": 0, "keepdims": True}) for name in REDUCTIONS),
    *((name, [CUBE], {"axis": (0, 2)}) for name in ("sum", "mean", "max", "var", "median")),
    *((name, [HOLES], {"axis": 0}) for name in NANS),
    *((name, [HOLES]) for name in NANS),
    ("max", [X], {"axis": 1, "initial": 0.5}),
    ("min", [X], {"axis": 1, "initial": 0.5}),
    ("prod", [K], {"dtype": "float32"}),
    *((name, [X], {"axis": 1}) for name in ("cumsum", "cumprod", "nancumsum", "nancumprod")),
    ("cumsum", [X]),
    ("cumsum", [K], {"axis": 0, "dtype": "float32"}),
    ("average", [X], {"axis": 1}),
    ("average", [X], {"axis": 1, "weights": W}),
    ("average", [X], {"weights": P}),
    ("count_nonzero", [K], {"axis": 1}),
    ("quantile", [X, 0.3]),
    ("quantile", [X, [0.3, 0.9]], {"axis": 1}),
    ("quantile", [X, 0.3], {"axis": 1, "method": "nearest", "keepdims": True}),
    ("percentile", [X, [30.0, 50.0]], {"axis": 0}),
    ("nanquantile", [HOLES, 0.4], {"axis": 0}),
    ("nanpercentile", [HOLES, [40.0, 60.0]]),
    ("corrcoef", [CUBE[0]]),
    ("correlate", [V, W], {"mode": "full"}),
    ("correlate", [V, W]),
    ("diff", [X]),
    ("diff", [CUBE], {"n": 2, "axis": 1}),
    ("trapezoid", [X], {"dx": 0.5}),
    ("trapezoid", [X, np.array([0.0, 1.0, 3.0], "float32")]),
    ("sort", [X]),
    ("sort", [X], {"axis": 0}),
    ("argsort", [X]),
    ("argpartition", [X, 1]),
    ("searchsorted", [np.arange(4, dtype="float32"), X]),
    ("searchsorted", [np.arange(4, dtype="float32"), J.astype("float32")], {"side": "right"}),
    ("digitize", [X, np.array([-1.0, 0.0, 1.0], "float32")]),
    ("histogram", [V]),
    ("histogram", [V], {"bins": 3, "range": (-1.0, 1.0)}),
    ("matmul", [X, X.T.copy()]),
    ("matmul", [CUBE, rand(4, 2)]),
    ("matmul", [X, W]),
    ("dot", [X, X.T.copy()]),
    ("dot", [X, 2.0]),
    ("inner", [X, Y]),
    ("outer", [X, V]),
    ("vdot", [X, Y]),
    ("kron", [X, Y]),
    ("tensordot", [X, CUBE], {"axes": ([1], [1])}),
    ("tensordot", [X, Y]),
    ("cross", [X, Y]),
    ("einsum", ["ij,kj->ik", X, Y]),
    ("einsum", ["ij,ij->i", X, Y]),
    ("einsum", ["...ij->...ji", CUBE]),
]

SHAPING = [
    ("zeros_like", [X]),
    ("ones_like", [X, "int32"]),
    ("empty_like", [X]),
    ("full_like", [X, 3]),
    ("array", [X, "float16"]),
    ("copy", [X]),
    ("vander", [V]),
    ("vander", [V, 3, True]),
    ("meshgrid", [V, W]),
    ("meshgrid", [V, W], {"indexing": "ij"}),
    ("concatenate", [[X, Y]]),
    ("concatenate", [[X, K]], {"axis": 1}),
    ("stack", [[X, Y]], {"axis": -1}),
    ("hstack", [[X, Y]]),
    ("vstack", [[X, Y]]),
    ("dstack", [[X, Y]]),
    ("append", [X, Y]),
    ("append", [X, Y, 1]),
    ("split", [X, 3, 1]),
    ("split", [CUBE, [1, 3], 2]),
    ("split", [CUBE, 2]),
    ("array_split", [CUBE, 3, 2]),
    ("hsplit", [X, 3]),
    ("vsplit", [X, 2]),
    ("dsplit", [CUBE, 2]),
    ("repeat", [X, 2]),
    ("repeat", [X, np.array([1, 2, 0]), 1]),
    ("tile", [X, (2, 1, 2)]),
    ("tile", [X, 2]),
    ("pad", [X, 1]),
    ("pad", [X, ((0, 0), (1, 2))], {"mode": "reflect"}),
    ("pad", [X, ((0, 0), (1, 2))], {"constant_values": 3.0}),
    ("reshape", [CUBE, (2, 12)]),
    ("reshape", [CUBE, (-1, 4)]),
    ("reshape", [CUBE, -1]),
    ("ravel", [X]),
    ("transpose", [CUBE]),
    ("transpose", [CUBE, (0, 2, 1)]),
    ("swapaxes", [CUBE, 0, 2]),
    ("moveaxis", [CUBE, 0, -1]),
    ("moveaxis", [CUBE, (0, 1), (-1, 0)]),
    ("expand_dims", [X, 1]),
    ("expand_dims", [X, (0, -1)]),
    ("squeeze", [CUBE[:, :1]]),
    ("squeeze", [CUBE[:, :1], 1]),
    ("broadcast_to", [W, (2, 3)]),
    ("flip", [X]),
    ("flip", [X, 1]),
    ("fliplr", [X]),
    ("flipud", [X]),
    ("rot90", [CUBE]),
    ("rot90", [CUBE, 3, (1, 2)]),
    ("roll", [X, 1]),
    ("roll", [X, 2, 1]),
    ("diag", [V, 1]),
    ("diag", [SQUARE]),
    ("diagflat", [W, -1]),
    ("diagonal", [CUBE, 1, 1, 2]),
    ("trace", [CUBE]),
    ("tril", [CUBE]),
    ("triu", [X, 1]),
    ("where", [B, X, Y]),
    ("where", [B, X, 0.0]),
    ("take", [X, np.array([0, 2, -1, -9, 7])]),
    ("take", [X, np.array([[0, 2], [1, -1]]), 1]),
    ("take", [X, 1, 1]),
    ("take_along_axis", [X, np.array([[0, 2], [1, -1]]), 1]),
    ("take_along_axis", [X, np.array([0, 5])]),
    ("get_item", [CUBE, 1]),
    ("get_item", [CUBE, (slice(None), None, -1, ..., slice(1, 3))]),
    ("select", [[B, ~B], [X, Y], 5.0]),
    ("unravel_index", [np.array([3, 5]), (2, 3)]),
]
TABLES = {"elementwise": ELEMENTWISE, "reducing": REDUCING, "shaping": SHAPING}


@pytest.mark.parametrize("table", TABLES)
def test_numbers_and_gradients_are_those_of_keras(table):
    same_numbers(TABLES[table])


# Where Keras says other than what comes out when the operation runs.
WRONG_IN_KERAS = {
    "corrcoef": "a row and a column for each row",
    "polar": "complex numbers",
    "searchsorted": "int32, as the values are",
    "unravel_index": "int32, as the values are",
}
# Where a size that is not known meets one that is, on another axis.
NOT_FOUND_OUT = {"dot", "matmul", "diag"}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("unknown", [0, None])
def test_symbolic_shapes_are_those_of_keras(table, unknown):
    found = shape_differences(TABLES[table], unknown)
    allowed = WRONG_IN_KERAS.keys() | (NOT_FOUND_OUT if unknown is not None else set())
    assert {name: pair for name, pair in found.items() if name not in allowed} == {}


def test_nextafter():
    close(ops.nextafter(X, Y), keras.ops.nextafter(X, Y))


def test_making():
    calls = [
        ("zeros", [(2, 3)]), ("ones", [3]), ("ones", [(2,), "int8"]), ("empty", [(0,)]),
        ("full", [(2,), 3]), ("full", [(2,), 3.5, "int32"]), ("eye", [2, 3, 1]),
        ("identity", [2, "int32"]), ("tri", [3, 2, -1]), ("arange", [3]), ("arange", [0, 1, 0.25]),
        ("arange", [3.0]), ("arange", [1, 7, 2, "float32"]), ("linspace", [0, 1, 3]),
        ("linspace", [0, 10, 3], {"dtype": "int32"}), ("linspace", [0, 1, 3, False, True]),
        ("linspace", [W, 1, 3], {"axis": 1}), ("logspace", [0, 1, 3]), ("geomspace", [1, 8, 4]),
        ("bartlett", [4]), ("blackman", [4]), ("hamming", [4]), ("hanning", [4]),
        ("kaiser", [4, 14.0]), ("array", [[1, 2]]), ("array", [[1.5]]),
    ]  # fmt: skip
    for path, args, *kwargs in calls:
        named = kwargs[0] if kwargs else {}
        close(getattr(ops, path)(*args, **named), getattr(keras.ops, path)(*args, **named))


def test_what_depends_on_values():
    calls = [
        ("nonzero", [K]), ("where", [B]), ("unique", [J]), ("unique", [J], {"axis": 1}),
        ("unique", [J], {"return_index": True, "return_inverse": True, "return_counts": True}),
        ("unique", [J], {"size": 7, "fill_value": 9}), ("bincount", [J[0]]),
        ("bincount", [J[0]], {"weights": X[0], "minlength": 8}),
        ("bincount", [J], {"minlength": 8}),
        ("bincount", [J], {"weights": X, "minlength": 8}), ("size", [X]), ("ndim", [X]),
    ]  # fmt: skip
    for path, args, *kwargs in calls:
        named = kwargs[0] if kwargs else {}
        close(getattr(ops, path)(*args, **named), getattr(keras.ops, path)(*args, **named))


DTYPES = ["float32", "bfloat16", "int32", "int8", "uint8", "bool"]


def dtype_of(library, name, dtypes, shape=(2, 2)):
    """The dtypes of what `name` returns for dtypes and Python numbers; None if it raises."""
    given = [jax.ShapeDtypeStruct(shape, d) if isinstance(d, str) else d for d in dtypes]
    numbers = {i: d for i, d in enumerate(given) if not hasattr(d, "shape")}

    def run(*arrays):
        arrays = iter(arrays)
        return getattr(library.ops, name)(
            *(numbers[i] if i in numbers else next(arrays) for i in range(len(given)))
        )

    try:
        out = jax.eval_shape(run, *(d for d in given if hasattr(d, "shape")))
    except Exception:
        return None
    return [str(leaf.dtype) for leaf in jax.tree.leaves(out)]


OF_ONE = [
    *UNARY, *UNIT, *REDUCTIONS, *NANS, "arccosh", "cumsum", "cumprod", "nancumsum", "average",
    "count_nonzero", "sort", "argsort", "trace", "diff", "trapezoid", "nan_to_num", "isreal",
    "angle", "imag", "zeros_like", "transpose", "corrcoef", "bitwise_not",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE)
def test_dtype_of_results(name):
    for dtype in DTYPES:
        theirs = dtype_of(keras, name, [dtype])
        if theirs is not None:
            assert dtype_of(keraunos, name, [dtype]) == theirs, dtype


OF_TWO = [*BINARY, *BITS, "gcd", "lcm", "power", "matmul", "dot", "inner", "outer", "tensordot",
          "kron", "vdot", "append", "isclose", "ldexp", "isin"]  # fmt: skip


@pytest.mark.parametrize("name", OF_TWO)
def test_promotion(name):
    for first in DTYPES:
        for second in [*DTYPES, 2, 2.5, True]:
            theirs = dtype_of(keras, name, [first, second])
            if first == "bfloat16" and second == 2.5 and name in QUIRKS:
                continue
            if theirs is not None:
                assert dtype_of(keraunos, name, [first, second]) == theirs, (first, second)


# Keras gives float32 for a bfloat16 tensor and a Python float here, bfloat16 everywhere else.
QUIRKS = {"arctan2", "logaddexp", "logaddexp2"}


@pytest.mark.parametrize("floatx", ["float16", "bfloat16"])
def test_integers_become_floatx(floatx):
    keraunos.config.set_floatx(floatx)
    try:
        x = jnp.ones(2, "int32")
        for name in ("sin", "mean", "floor", "std", "sqrt"):
            assert getattr(ops, name)(x).dtype == floatx
        assert ops.divide(x, 2).dtype == ops.add(x, 1.5).dtype == floatx
        assert ops.zeros(2).dtype == ops.linspace(0, 1, 3).dtype == floatx
    finally:
        keraunos.config.set_floatx("float32")


def test_lists_variables_and_numpy_are_tensors():
    v = keraunos.Variable([1.0, 2.0])
    close(ops.add([1, 2], v), np.array([2.0, 4.0], "float32"))
    close(ops.concatenate([v, [3.0], np.ones(1)]), np.array([1.0, 2.0, 3.0, 1.0], "float32"))
    close(ops.stack([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], "int32"))
    close(ops.get_item(np.arange(4), [0, 2]), np.array([0, 2], "int32"))


def test_unknown_sizes_that_values_decide():
    symbol = keraunos.KerasTensor
    assert ops.reshape(symbol((None, 2)), (-1, 7)).shape == (None, 7)
    assert ops.reshape(symbol((None, 2)), (None, 2, 1)).shape == (None, 2, 1)
    assert ops.reshape(symbol((None, None, 4)), (-1, None, 2, 2)).shape == (None, None, 2, 2)
    assert [t.shape for t in ops.nonzero(symbol((None, 2)))] == [(None,), (None,)]
    assert ops.unique(symbol((None, 2)), size=3).shape == (3,)
    assert ops.unique(symbol((None, 2))).shape == (None,)
    assert ops.bincount(symbol((3, None), "int32")).shape == (3, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.where(B, X), "needs both of `x1` and `x2`"),
        (lambda: ops.pad(V, 1, "reflect", 2), "`constant_values` in mode 'constant' only"),
        (lambda: ops.searchsorted(X, V), r"needs a vector .* got shape \(2, 3\)"),
        (lambda: ops.vander(X), r"needs a vector, got shape \(2, 3\)"),
        (lambda: ops.histogram(X), r"needs a vector, got shape \(2, 3\)"),
        (lambda: ops.rot90(V), r"needs at least 2 axes, got shape \(4,\)"),
        (lambda: ops.meshgrid(V, indexing="x"), "'xy' or 'ij' for `indexing`, got 'x'"),
        (lambda: ops.vectorize(3), "needs a callable, got 3"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_signatures_are_those_of_keras():
    for space in ("numpy", "linalg", "image", "nn"):
        theirs = getattr(keras.ops, space)
        for name in [n for n in dir(theirs) if not n.startswith("_")]:
            mine = inspect.signature(getattr(getattr(ops, space), name))
            yours = inspect.signature(getattr(theirs, name))
            assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
                (p.name, p.kind, p.default) for p in yours.parameters.values()
            ], name


def test_vectorize():
    add = ops.vectorize(lambda a, b: a + b)
    close(add(X, W), X + W)
    inner = ops.vectorize(lambda a, b: ops.sum(a * b), signature="(n),(n)->()")
    close(inner(X, W), (X * W).sum(1))
