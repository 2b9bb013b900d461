"""Whether a computation does to each row of a batch the same, whatever the other rows are.

Then rows may be added and their results dropped, so that few shapes serve every number of rows.
Told from the program, traced for a number of rows that no other axis can be mistaken for: each
array may have one axis of (a multiple of) that size, the rows'. What is not known to leave rows
apart is taken to mix them.
"""

import math
from typing import Any

from jax.extend.core import Literal, jaxprs_in_params

ROWS = 509  # a prime; no axis of a weight is a multiple of it, or the answer is no

_EACH = set(
    "abs acos acosh add and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type "
    "cbrt ceil clamp convert_element_type copy cos cosh digamma div eq erf erf_inv erfc exp exp2 "
    "expm1 floor ge gt integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg "
    "nextafter not optimization_barrier or pow reduce_precision rem round rsqrt select_n sign sin "
    "sinh sqrt square stop_gradient sub tan tanh transpose xor".split()
)
_REDUCING = set(
    "argmax argmin reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum".split()
)
_RUNNING = {"cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"}
_CONTAINERS = set(
    "jit pjit closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr remat "
    "checkpoint scan while cond".split()
)


def rowwise(jaxpr: Any) -> bool:
    """Whether rows stay apart, and are the first axis of all results."""
    return all(v.aval.shape[:1] == (ROWS,) for v in jaxpr.outvars) and _apart(jaxpr)


def _apart(jaxpr: Any) -> bool:
    variables = [*jaxpr.invars, *jaxpr.constvars]
    return all(len(_axes(v)) < 2 for v in variables) and all(map(_leaves_apart, jaxpr.eqns))


def _axes(variable: Any) -> list[int]:
    shape = getattr(variable.aval, "shape", ())
    return [i for i, n in enumerate(shape) if n and n % ROWS == 0]


def _leaves_apart(eqn: Any) -> bool:
    name, params = eqn.primitive.name, eqn.params
    places = [_axes(v) for v in (*eqn.invars, *eqn.outvars)]
    if any(len(place) > 1 for place in places) or eqn.effects:
        return False
    if name in _CONTAINERS:
        inner = list(jaxprs_in_params(params))
        return bool(inner) and params.get("length", 1) % ROWS > 0 and all(map(_apart, inner))
    ins = [(v, _axes(v)[0]) for v in eqn.invars if _axes(v)]
    (out, *_), to = eqn.outvars, _axes(eqn.outvars[0])
    if name == "iota":
        return params["dimension"] not in to
    if not ins:
        return name in _EACH or name == "broadcast_in_dim" or not to
    if not to:
        return False
    axes = {axis for _, axis in ins}
    if name in _EACH:
        return name == "transpose" or axes == set(to)
    if name == "broadcast_in_dim":
        return params["broadcast_dimensions"][ins[0][1]] == to[0]
    if name in ("reshape", "squeeze", "expand_dims"):
        before = lambda v, axis: math.prod(v.aval.shape[:axis])
        return before(*ins[0]) == before(out, to[0])
    if name in _REDUCING:
        return not axes & set(params["axes"])
    if name in _RUNNING:
        return params["axis"] not in axes
    if name == "sort":
        return params["dimension"] not in axes
    if name == "rev":
        return not axes & set(params["dimensions"])
    if name == "concatenate":
        return params["dimension"] not in axes and axes == set(to)
    if name in ("slice", "dynamic_slice"):  # of as many rows as there are
        return axes == set(to) and ins[0][0].aval.shape[ins[0][1]] == out.aval.shape[to[0]]
    if name == "pad":
        return params["padding_config"][ins[0][1]] == (0, 0, 0)
    if name == "split":
        return params["axis"] not in axes
    if name == "dot_general":
        (of_left, of_right), (left, right) = params["dimension_numbers"]
        if len(ins) == 2:
            return (ins[0][1], ins[1][1]) in set(zip(left, right))
        side = eqn.invars.index(ins[0][0])
        return ins[0][1] not in (of_left, of_right)[side]
    if name == "conv_general_dilated":
        numbers = params["dimension_numbers"]
        alone = params["batch_group_count"] == 1 and ins[0][0] is eqn.invars[0] and len(ins) == 1
        return alone and ins[0][1] == numbers.lhs_spec[0] and to[0] == numbers.out_spec[0]
    if name == "gather":  # rows of a table
        return not _axes(eqn.invars[0]) and not isinstance(eqn.invars[1], Literal)
    if name.startswith("reduce_window"):
        window = params["window_dimensions"], params["window_strides"]
        return all(sizes[ins[0][1]] == 1 for sizes in window)
    return False
