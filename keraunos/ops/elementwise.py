"""Operations on each element by itself: arithmetic, comparison, logic, bits, curves."""

from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core.dtypes import standardize_dtype
from keraunos.core.graph import Tensor, op
from keraunos.ops.families import binary, bitwise, inexact, quotient, smooth, unary

# One tensor ------------------------------------------------------------------------------

abs = absolute = unary(jnp.abs, "Absolute value of each element.", "absolute")
arccos = smooth(jnp.arccos, "Inverse cosine of each element.")
arccosh = smooth(jnp.arccosh, "Inverse hyperbolic cosine of each element.")
arcsin = smooth(jnp.arcsin, "Inverse sine of each element.")
arcsinh = smooth(jnp.arcsinh, "Inverse hyperbolic sine of each element.")
arctan = smooth(jnp.arctan, "Inverse tangent of each element.")
arctanh = smooth(jnp.arctanh, "Inverse hyperbolic tangent of each element.")
cbrt = smooth(jnp.cbrt, "Cube root of each element.")
ceil = smooth(jnp.ceil, "Smallest integer not below each element, as a float.")
cos = smooth(jnp.cos, "Cosine of each element.")
cosh = smooth(jnp.cosh, "Hyperbolic cosine of each element.")
deg2rad = smooth(jnp.deg2rad, "Each angle in degrees as one in radians.")
exp = smooth(jnp.exp, "e to the power of each element.")
exp2 = smooth(jnp.exp2, "2 to the power of each element.")
expm1 = smooth(jnp.expm1, "`exp(x) - 1`, exact for small `x`.")
fabs = smooth(jnp.fabs, "Absolute value of each element, as a float.")
floor = smooth(jnp.floor, "Largest integer not above each element, as a float.")
i0 = smooth(jnp.i0, "Modified Bessel function of the first kind, order 0, of each element.")
log = smooth(jnp.log, "Natural logarithm of each element.")
log10 = smooth(jnp.log10, "Logarithm to base 10 of each element.")
log1p = smooth(jnp.log1p, "`log(1 + x)`, exact for small `x`.")
log2 = smooth(jnp.log2, "Logarithm to base 2 of each element.")
negative = unary(jnp.negative, "Each element with its sign flipped.")
positive = unary(jnp.positive, "Each element as it is.")
rad2deg = smooth(jnp.rad2deg, "Each angle in radians as one in degrees.")
reciprocal = smooth(jnp.reciprocal, "1 divided by each element.")
sign = unary(jnp.sign, "-1, 0 or 1: the sign of each element.")
sin = smooth(jnp.sin, "Sine of each element.")
sinc = smooth(jnp.sinc, "`sin(pi x) / (pi x)` of each element, 1 at 0.")
sinh = smooth(jnp.sinh, "Hyperbolic sine of each element.")
square = unary(jnp.square, "Each element times itself; integers for bools.")
sqrt = smooth(jnp.sqrt, "Square root of each element.")
tan = smooth(jnp.tan, "Tangent of each element.")
tanh = smooth(jnp.tanh, "Hyperbolic tangent of each element.")
trunc = unary(jnp.trunc, "Each element without its fraction.")

isfinite = unary(jnp.isfinite, "Where the elements are neither infinite nor NaN.")
isinf = unary(jnp.isinf, "Where the elements are infinite.")
isnan = unary(jnp.isnan, "Where the elements are NaN.")
isneginf = unary(jnp.isneginf, "Where the elements are minus infinity.")
isposinf = unary(jnp.isposinf, "Where the elements are plus infinity.")
isreal = unary(jnp.isreal, "Where the elements have no imaginary part.")
signbit = unary(jnp.signbit, "Where the elements carry a minus sign, that of -0.0 included.")

angle = smooth(jnp.angle, "Angle of each complex number in the plane, in radians.")
conj = conjugate = unary(jnp.conjugate, "Each complex number with its imaginary part negated.")
imag = unary(jnp.imag, "Imaginary part of each element.")
real = unary(jnp.real, "Real part of each element.")

bitwise_invert = unary(jnp.bitwise_not, "Each bit flipped.", "bitwise_invert")
bitwise_not = unary(jnp.bitwise_not, "Each bit flipped.", "bitwise_not")
logical_not = unary(jnp.logical_not, "Where the elements are zero or False.")

# Two tensors -----------------------------------------------------------------------------

add = binary(jnp.add, "Sum, element by element.")
subtract = binary(jnp.subtract, "Difference, element by element.")
multiply = binary(jnp.multiply, "Product, element by element.")
divide = quotient(jnp.divide, "Quotient, element by element, as a float.")
true_divide = quotient(jnp.divide, "Quotient, element by element, as a float.", "true_divide")
floor_divide = binary(jnp.floor_divide, "Largest integer not above the quotient.")
mod = binary(jnp.mod, "Remainder of the division, with the sign of `x2`.", "mod")
fmod = binary(jnp.fmod, "Remainder of the division, with the sign of `x1`.")
power = binary(jnp.power, "`x1` to the power `x2`, element by element.")
maximum = binary(jnp.maximum, "The larger, element by element; NaN if one is NaN.")
minimum = binary(jnp.minimum, "The smaller, element by element; NaN if one is NaN.")
fmax = binary(jnp.fmax, "The larger, element by element; the other one if one is NaN.")
fmin = binary(jnp.fmin, "The smaller, element by element; the other one if one is NaN.")
gcd = binary(jnp.gcd, "Greatest common divisor, element by element.")
lcm = binary(jnp.lcm, "Least common multiple, element by element.")

arctan2 = quotient(jnp.arctan2, "Angle of the point `(x2, x1)` in the plane, in radians.")
heaviside = quotient(jnp.heaviside, "0 where `x1` is negative, 1 where positive, else `x2`.")
hypot = quotient(jnp.hypot, "`sqrt(x1**2 + x2**2)` without overflow in between.")
logaddexp = quotient(jnp.logaddexp, "`log(exp(x1) + exp(x2))` without overflow in between.")
logaddexp2 = quotient(jnp.logaddexp2, "`log2(2**x1 + 2**x2)` without overflow in between.")
nextafter = quotient(jnp.nextafter, "The next float after `x1` towards `x2`.")

equal = binary(jnp.equal, "Where the two are equal.")
not_equal = binary(jnp.not_equal, "Where the two differ.")
greater = binary(jnp.greater, "Where `x1` is the larger.")
greater_equal = binary(jnp.greater_equal, "Where `x1` is not the smaller.")
less = binary(jnp.less, "Where `x1` is the smaller.")
less_equal = binary(jnp.less_equal, "Where `x1` is not the larger.")

logical_and = binary(jnp.logical_and, "Where both are true.")
logical_or = binary(jnp.logical_or, "Where one of the two is true, or both are.")
logical_xor = binary(jnp.logical_xor, "Where one of the two is true and the other is not.")

bitwise_and = bitwise(jnp.bitwise_and, "The bits that are set in both.")
bitwise_or = bitwise(jnp.bitwise_or, "The bits that are set in one of the two, or both.")
bitwise_xor = bitwise(jnp.bitwise_xor, "The bits that are set in one of the two only.")
left_shift = bitwise(jnp.left_shift, "Bits moved up by `y` places.")
right_shift = bitwise(jnp.right_shift, "Bits moved down by `y` places.")
bitwise_left_shift = bitwise(jnp.left_shift, "As `left_shift`.", "bitwise_left_shift")
bitwise_right_shift = bitwise(jnp.right_shift, "As `right_shift`.", "bitwise_right_shift")


def _divided(x1, x2):
    zero = jnp.equal(x2, 0)
    return jnp.where(zero, 0, jnp.divide(x1, jnp.where(zero, 1, x2)))


divide_no_nan = quotient(_divided, "`x1 / x2`, and 0 where `x2` is 0.", "divide_no_nan")

# Those with arguments of their own -------------------------------------------------------


@op
def round(x: Tensor, decimals: int = 0):
    """Each element rounded to `decimals` places; halves go to the even neighbour."""
    return jnp.round(x, decimals)


@op
def clip(x: Tensor, x_min: Tensor, x_max: Tensor):
    """Each element, but at least `x_min` and at most `x_max`."""
    x = jnp.asarray(x)
    x = x.astype("int32") if x.dtype == bool else x
    return jnp.clip(x, x_min, x_max)


@op
def ldexp(x1: Tensor, x2: Tensor):
    """`x1 * 2**x2`, for integers `x2`."""
    if not jnp.issubdtype(jnp.result_type(x2), jnp.integer):
        raise TypeError(f"ldexp() needs integers for `x2`, got {jnp.result_type(x2)}.")
    return jnp.ldexp(inexact(x1), x2)


@op
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: Any = None, neginf: Any = None):
    """`x` with NaN and the infinities replaced; infinities by the largest finite numbers."""
    return jnp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@op
def isclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
):
    """Where the two differ by at most `atol + rtol * abs(x2)`."""
    return jnp.isclose(x1, x2, rtol, atol, equal_nan)


@op
def allclose(
    x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
):
    """Whether the two differ by at most `atol + rtol * abs(x2)` everywhere."""
    return jnp.allclose(x1, x2, rtol, atol, equal_nan)


@op
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False):
    """Where the elements of `x1` are found in `x2`; where they are not, if `invert`."""
    return jnp.isin(x1, x2, assume_unique=assume_unique, invert=invert)


@op
def view(x: Tensor, dtype: Any = None):
    """The bits of `x` read as another dtype; the last axis grows or shrinks to fit."""
    x = jnp.asarray(x)
    return x if dtype is None else x.view(standardize_dtype(dtype))


@op
def polar(abs_: Tensor, angle: Tensor):
    """Complex numbers of the given distance from 0 and angle in radians."""
    abs_, angle = jnp.asarray(inexact(abs_)), jnp.asarray(inexact(angle))
    return jax.lax.complex(abs_ * jnp.cos(angle), abs_ * jnp.sin(angle))


@op
def view_as_complex(x: Tensor):
    """Complex numbers of pairs `(real, imaginary)` on the last axis, which goes."""
    x = jnp.asarray(x)
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(f"view_as_complex() needs a last axis of size 2, got shape {x.shape}.")
    return jax.lax.complex(x[..., 0], x[..., 1])


@op
def view_as_real(x: Tensor):
    """The real and the imaginary parts of `x`, on a new last axis."""
    return jnp.stack([jnp.real(x), jnp.imag(x)], axis=-1)


__all__ = [
    "abs", "absolute", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "bitwise_and", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cbrt", "ceil", "clip",
    "conj", "conjugate", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "equal", "exp",
    "exp2", "expm1", "fabs", "floor", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater",
    "greater_equal", "heaviside", "hypot", "i0", "imag", "isclose", "isfinite", "isin",
    "isinf", "isnan", "isneginf", "isposinf", "isreal", "lcm", "ldexp", "left_shift", "less",
    "less_equal", "log", "log1p", "log2", "log10", "logaddexp", "logaddexp2", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply",
    "nan_to_num", "negative", "nextafter", "not_equal", "polar", "positive", "power",
    "rad2deg", "real", "reciprocal", "right_shift", "round", "sign", "signbit", "sin", "sinc",
    "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc", "view",
    "view_as_complex", "view_as_real",
]  # fmt: skip
