"""`keras.ops` of segments, Fourier transforms, probability and linear algebra."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import ops
from tests.ops.table import rand, same_numbers, shape_differences
from tests.oracle import close

X, V = rand(2, 3), rand(10)
PAIR = (rand(2, 4), rand(2, 4))
SQUARE = rand(2, 3, 3) + 3 * np.eye(3, dtype="float32")
POSITIVE = np.array([[4.0, 1.0], [1.0, 3.0]], "float32")
TRIANGLE = np.array([[2.0, 0.0], [1.0, 3.0]], "float32")
IDS = np.array([0, 2, 0, -1], "int32")
ROWS = rand(4, 2)
FRAMES = (rand(1, 5, 4), rand(1, 5, 4))

MATH = [
    ("erf", [X]),
    ("erfc", [X]),
    ("erfinv", [X / 3]),
    ("rsqrt", [X + 3]),
    ("logsumexp", [X]),
    ("logsumexp", [X], {"axis": (0, 1), "keepdims": True}),
    ("logsumexp", [np.array([1.0, -np.inf], "float32")]),
    ("top_k", [X, 2]),
    ("in_top_k", [np.array([0, 2], "int32"), X, 2]),
    ("in_top_k", [np.array([1, 1], "int32"), np.ones((2, 3), "float32"), 2]),
    ("cdist", [X, rand(4, 3)]),
    ("cdist", [rand(2, 4, 3), rand(2, 2, 3)]),
    *((f"segment_{name}", [ROWS, IDS, 4]) for name in ("sum", "max", "min")),
    ("segment_sum", [ROWS, np.array([0, 0, 1, 2], "int32"), 3, True]),
    ("extract_sequences", [V, 3, 2]),
    ("extract_sequences", [rand(2, 7), 3, 5]),
    ("fft", [PAIR]),
    ("fft2", [PAIR]),
    ("ifft2", [PAIR]),
    ("rfft", [X]),
    ("rfft", [X, 8]),
    ("rfft", [X, 2]),
    ("irfft", [PAIR]),
    ("irfft", [PAIR, 5]),
    ("stft", [rand(2, 10), 4, 2, 4]),
    ("stft", [V, 4, 2, 6], {"center": False}),
    ("stft", [V, 4, 2, 6], {"window": None}),
    ("stft", [V, 4, 3, 6], {"window": "hamming"}),
    ("stft", [V, 4, 2, 6], {"window": [0.5, 1.0, 1.5, 0.5]}),
    ("istft", [FRAMES, 4, 2, 6]),
    ("istft", [FRAMES, 4, 2, 6], {"length": 9}),
    ("istft", [FRAMES, 4, 2, 6], {"center": False, "window": "hamming"}),
    ("norm", [X]),
    ("norm", [X], {"ord": 2}),
    ("norm", [X], {"ord": "nuc"}),
    ("norm", [X], {"ord": 1, "axis": 1, "keepdims": True}),
    ("norm", [SQUARE], {"axis": (1, 2), "ord": "fro"}),
    ("norm", [SQUARE]),
    ("det", [SQUARE]),
    ("slogdet", [SQUARE]),
    ("logdet", [SQUARE]),
    ("logdet", [-TRIANGLE]),
    ("inv", [SQUARE]),
    ("cholesky", [POSITIVE]),
    ("cholesky", [POSITIVE], {"upper": True}),
    ("cholesky_inverse", [TRIANGLE]),
    ("cholesky_inverse", [TRIANGLE.T.copy()], {"upper": True}),
    ("eigh", [POSITIVE]),
    ("lu_factor", [SQUARE]),
    ("lstsq", [rand(4, 2), rand(4)]),
    ("lstsq", [rand(4, 2), rand(4, 3)]),
    ("pinv", [rand(3, 2)]),
    ("qr", [rand(3, 2)]),
    ("solve", [SQUARE, rand(2, 3, 1)]),
    ("solve", [POSITIVE, rand(2)]),
    ("solve_triangular", [TRIANGLE, rand(2)], {"lower": True}),
    ("solve_triangular", [TRIANGLE, rand(2, 3)]),
    ("svd", [rand(3, 2)], {"full_matrices": False}),
    ("svd", [rand(3, 2)], {"compute_uv": False}),
]
CONSTANT = [
    ("segment_prod", [ROWS, IDS, 4]),
    ("qr", [rand(3, 2)], {"mode": "complete"}),
    ("svd", [rand(3, 2)]),
    ("eig", [SQUARE]),
    ("matrix_rank", [SQUARE]),
    ("matrix_rank", [SQUARE, 100.0]),
    ("top_k", [X, 2], {"sorted": False}),
]


def test_numbers_and_gradients_are_those_of_keras():
    same_numbers(MATH)


def test_numbers_without_gradients():
    same_numbers(CONSTANT, gradients=False)


@pytest.mark.parametrize("unknown", [0, None])
def test_symbolic_shapes_are_those_of_keras(unknown):
    found = shape_differences(MATH + CONSTANT, unknown)
    found = {name: pair for name, pair in found.items() if name not in WRONG_IN_KERAS}
    if unknown is not None:  # sizes of vectors and matrices that must equal others'
        found = {name: pair for name, pair in found.items() if name not in UNKNOWABLE}
    assert found == {}


# A sign for each matrix, complex eigenvalues, integers: what comes out when they run.
WRONG_IN_KERAS = {"slogdet", "eig", "lu_factor"}
UNKNOWABLE = {
    "cholesky", "cholesky_inverse", "det", "eigh", "lstsq", "lu_factor", "pinv", "qr", "solve",
    "solve_triangular", "svd", "norm", "logdet", "slogdet", "matrix_rank",
}  # fmt: skip


def test_segments_of_unknown_number():
    close(ops.segment_sum(ROWS, IDS), ops.segment_sum(ROWS, IDS, 3))
    symbol = keraunos.KerasTensor
    ids = symbol((None,), "int32")
    assert ops.segment_sum(symbol((None, 3)), ids).shape == (None, 3)
    assert ops.segment_max(symbol((None, 3)), ids, num_segments=5).shape == (5, 3)
    with pytest.raises(ValueError, match="needs `num_segments` where values are not known"):
        jax.jit(ops.segment_sum)(ROWS, IDS)


def test_stft_and_back():
    for window in ("hann", None):  # Keras gives a multiple of it without a window
        frames = ops.stft(V, 4, 2, 6, window)
        close(ops.istft(frames, 4, 2, 6, length=10, window=window), V, atol=1e-5)


def test_jvp():
    f = lambda x: x**2
    close(ops.jvp(f, (X,), (X,)), keras.ops.jvp(f, (X,), (X,)))
    f = lambda x: (x**2, x)
    close(ops.jvp(f, (X,), (X,), has_aux=True), keras.ops.jvp(f, (X,), (X,), has_aux=True))
    symbol = keraunos.KerasTensor((None, 3))
    assert [t.shape for t in ops.jvp(jnp.sin, (symbol,), (symbol,))] == [(None, 3)] * 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.det(X), ValueError, r"det\(\) needs square matrices .* got shape \(2, 3\)"),
        (lambda: ops.inv(V), ValueError, r"inv\(\) needs square matrices"),
        (lambda: ops.qr(X, "raw"), ValueError, "'reduced' or 'complete' for `mode`, got 'raw'"),
        (lambda: ops.cholesky(-POSITIVE), ValueError, "positive definite"),
        (lambda: ops.fft(X), ValueError, r"needs a pair of tensors `\(real, imaginary\)`"),
        (lambda: ops.fft((X, V)), ValueError, r"equal shapes, got \(2, 3\) and \(10,\)"),
        (lambda: ops.stft(V, 4, 2, 3), ValueError, "at least `sequence_length`, 4, got 3"),
        (lambda: ops.stft(V, 4, 2, 4, "foo"), ValueError, "'hann' or 'hamming' .* got 'foo'"),
        (lambda: ops.stft(np.arange(9), 4, 2, 4), TypeError, "needs floats, got int32"),
        (lambda: ops.segment_sum(X, X), ValueError, r"`segment_ids`, got shape \(2, 3\)"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
