"""Linear algebra on the last two axes: factorizations, solutions, norms."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from keraunos.core.graph import Tensor, op
from keraunos.ops.families import inexact, plain_axis
from keraunos.ops.math import jvp


def _matrices(name: str, x: Any, square: bool = False):
    """`x` as floats, if it holds matrices."""
    x = jnp.asarray(inexact(x))
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ValueError(f"{name}() needs {kind} on the last two axes, got shape {x.shape}.")
    return x


@op
def cholesky(x: Tensor, upper: bool = False):
    """The lower triangular `L` with `L @ L.T = x`, or the upper one with `U.T @ U = x`."""
    factor = jnp.linalg.cholesky(_matrices("cholesky", x, square=True), upper=upper)
    if not isinstance(factor, Tracer) and jnp.isnan(factor).any():
        raise ValueError("cholesky() needs symmetric matrices that are positive definite.")
    return factor


@op
def cholesky_inverse(x: Tensor, upper: bool = False):
    """The inverse of the matrix whose Cholesky factor is `x`."""
    x = _matrices("cholesky_inverse", x, square=True)
    unit = jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    inverse = jax.scipy.linalg.solve_triangular(x, unit, lower=not upper)
    flipped = jnp.swapaxes(inverse, -1, -2)
    return inverse @ flipped if upper else flipped @ inverse


@op
def det(x: Tensor):
    """Determinant."""
    return jnp.linalg.det(_matrices("det", x, square=True))


@op
def slogdet(x: Tensor):
    """The sign of the determinant, and the logarithm of its absolute value."""
    return tuple(jnp.linalg.slogdet(_matrices("slogdet", x, square=True)))


@op
def logdet(x: Tensor):
    """Logarithm of the absolute value of the determinant."""
    return jnp.linalg.slogdet(_matrices("logdet", x, square=True))[1]


@op
def eig(x: Tensor):
    """Eigenvalues and eigenvectors, complex; on the CPU only."""
    return tuple(jnp.linalg.eig(_matrices("eig", x, square=True)))


@op
def eigh(x: Tensor):
    """Eigenvalues in rising order, and eigenvectors, of symmetric matrices."""
    return tuple(jnp.linalg.eigh(_matrices("eigh", x, square=True)))


@op
def inv(x: Tensor):
    """Inverse."""
    return jnp.linalg.inv(_matrices("inv", x, square=True))


@op
def pinv(x: Tensor, rcond: Any = None):
    """The pseudo-inverse of Moore and Penrose; singular values below `rcond` count as 0."""
    return jnp.linalg.pinv(_matrices("pinv", x), rcond)


@op
def lu_factor(x: Tensor):
    """The LU factors, in one matrix, and the rows that were exchanged."""
    return tuple(jax.scipy.linalg.lu_factor(_matrices("lu_factor", x)))


@op
def lstsq(a: Tensor, b: Tensor, rcond: Any = None):
    """The `x` for which `a @ x` is nearest to `b`."""
    a, b = jnp.asarray(inexact(a)), jnp.asarray(inexact(b))
    return jnp.linalg.lstsq(a, b, rcond=rcond)[0]


@op
def matrix_rank(x: Tensor, tol: Any = None):
    """How many singular values are larger than `tol`."""
    return jnp.linalg.matrix_rank(_matrices("matrix_rank", x), tol)


@op
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False):
    """Norm of vectors on one axis, or of matrices on two; of all elements if `axis` is None.

    Args:
        ord: 2 by default; for matrices "fro", "nuc", inf, -inf, 1, -1, 2 or -2, for vectors
            any number.
    """
    return jnp.linalg.norm(
        jnp.asarray(inexact(x)), ord=ord, axis=plain_axis(axis), keepdims=keepdims
    )


@op
def qr(x: Tensor, mode: str = "reduced"):
    """Orthonormal `q` and upper triangular `r` with `q @ r = x`.

    Args:
        mode: "complete" for a square `q`, "reduced" for as many columns as there can be in need.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr() needs 'reduced' or 'complete' for `mode`, got {mode!r}.")
    return tuple(jnp.linalg.qr(_matrices("qr", x), mode=mode))


@op
def solve(a: Tensor, b: Tensor):
    """The `x` with `a @ x = b`; `b` is a vector or holds matrices."""
    a, b = _matrices("solve", a, square=True), jnp.asarray(inexact(b))
    return jnp.linalg.solve(a, b)


@op
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False):
    """The `x` with `a @ x = b`, for triangular `a`; the other triangle is not read."""
    a, b = _matrices("solve_triangular", a, square=True), jnp.asarray(inexact(b))
    if b.ndim == a.ndim - 1:
        return jax.scipy.linalg.solve_triangular(a, b[..., None], lower=lower)[..., 0]
    return jax.scipy.linalg.solve_triangular(a, b, lower=lower)


@op
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True):
    """`u`, `s` and `vh` with `u @ diag(s) @ vh = x`; `s` alone without `compute_uv`."""
    result = jnp.linalg.svd(_matrices("svd", x), full_matrices, compute_uv)
    return tuple(result) if compute_uv else result


__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq",
    "lu_factor", "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular",
    "svd",
]  # fmt: skip
