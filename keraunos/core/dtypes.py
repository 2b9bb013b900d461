"""Dtype names, and the policies that give a layer its compute and variable dtypes."""

import functools
from collections.abc import Iterator, MutableMapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from keraunos.core import config, registry

_PYTHON = {bool: "bool", int: "int32", float: None, "int": "int32", "float": None}


def standardize_dtype(dtype: Any) -> str:
    """The name of `dtype`: "float32" for np.float32, jnp.dtype("float32"), None's floatx, ..."""
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, (str, type)) and dtype in _PYTHON:
        return _PYTHON[dtype] or config.floatx()
    name = getattr(dtype, "name", None)
    if isinstance(name, str):
        dtype = name
    elif str(dtype).startswith("torch."):
        dtype = str(dtype).removeprefix("torch.")
    try:
        return "string" if dtype == "string" else jnp.dtype(dtype).name
    except TypeError:
        raise ValueError(f"Invalid dtype: {dtype!r}.") from None


def is_float_dtype(dtype: Any) -> bool:
    """Whether `dtype` is one of the floats, bfloat16 included."""
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether `dtype` is a signed or unsigned integer."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def result_type(*dtypes: Any) -> str:
    """The dtype of a result of operands of `dtypes`; `floatx()` for none.

    JAX's rules: the types `bool`, `int` and `float` stand for Python numbers, which adapt to the
    dtypes of tensors. Sixty-four bits become thirty-two, as JAX computes.
    """
    numbers = {dtype for dtype in dtypes if dtype in (bool, int, float)}
    names = [standardize_dtype(dtype) for dtype in dtypes if dtype not in (bool, int, float)]
    if "string" in names:
        raise ValueError("Strings have no arithmetic: 'string' cannot be promoted to a dtype.")
    if not names and not numbers:
        return config.floatx()
    result = functools.reduce(jnp.promote_types, names or ["bool"], jnp.dtype("bool"))
    if float in numbers and not jnp.issubdtype(result, jnp.inexact):
        return config.floatx()
    if int in numbers and result.name == "bool":
        return "int32"
    return _THIRTY_TWO.get(result.name, result.name)


_THIRTY_TWO = {
    "int64": "int32",
    "uint64": "uint32",
    "float64": "float32",
    "complex128": "complex64",
}


def is_float(value: Any) -> bool:
    """Whether `value` is a tensor of floats."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and (dtype == jnp.bfloat16 or np.dtype(dtype).kind == "f")


@registry.export("dtype_policies.DTypePolicy")
@registry.export("DTypePolicy")
class DTypePolicy:
    """The dtypes a layer computes with and stores its variables in.

    Args:
        name: A dtype for both, or "mixed_float16" or "mixed_bfloat16": compute in half
            precision, store in float32. `dtype_policy()` by default.
    """

    def __init__(self, name: str | None = None, source_name: str | None = None):
        self._name = name if name is not None else dtype_policy().name
        if not isinstance(self._name, str):
            raise TypeError(f"DTypePolicy needs a string for `name`, got {self._name!r}.")
        mixed = self._name.removeprefix("mixed_")
        try:
            compute = standardize_dtype(mixed)
        except ValueError:
            compute = None
        if compute is None or (mixed != self._name and mixed not in ("float16", "bfloat16")):
            raise ValueError(
                f"{self._name!r} is not a dtype policy. Give the name of a dtype, such as "
                "'float32', or 'mixed_float16' or 'mixed_bfloat16'."
            )
        self._compute_dtype = compute
        self._variable_dtype = "float32" if mixed != self._name else compute

    @property
    def name(self) -> str:
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype of what layers compute."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of what layers store."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """`x` as `dtype`, if it is a tensor of floats and `autocast` holds."""
        return jnp.asarray(x, dtype) if autocast and is_float(x) else x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DTypePolicy":
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


registry.export("dtype_policies.FloatDTypePolicy")(DTypePolicy)
FloatDTypePolicy = DTypePolicy


@registry.export("dtype_policies.QuantizedDTypePolicy")
class QuantizedDTypePolicy(DTypePolicy):
    """What a quantized layer computes with: a mode, and the policy of the layer before.

    Its name is "int8_from_float32" or "int4/128_from_mixed_bfloat16": what follows a slash are
    the parameters of the mode.

    Args:
        mode: "int8" or "int4", and for the subclasses "float8", "int4/<block_size>",
            "gptq/<weight_bits>/<group_size>", "awq/4/<group_size>".
        source_name: The name of the policy before; that of `dtype_policy()` by default.
    """

    _modes: tuple[str, ...] = ("int8", "int4", "float8")
    _parameters: tuple[str, ...] = ()  # of the mode, by name

    def __init__(self, mode: str, source_name: str | None = None):
        super().__init__(source_name)
        kind, *given = str(mode).split("/")
        if kind not in self._modes or len(given) != len(self._parameters):
            form = "/".join([" or ".join(self._modes), *(f"<{p}>" for p in self._parameters)])
            raise ValueError(f"{type(self).__name__} needs a mode {form!r}, got {mode!r}.")
        for name, value in zip(self._parameters, given):
            setattr(self, name, self._parameter(name, value, mode))
        if kind == "int8" and self.compute_dtype == "float16":
            raise ValueError("float16 overflows in int8: quantize from 'mixed_bfloat16' instead.")
        self.mode, self._full_mode, self._source_name = kind, mode, self._name
        self._name = f"{mode}_from_{self._source_name}"

    def _parameter(self, name: str, value: str, mode: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"`{name}` in {mode!r} must be an integer, not {value!r}.") from None
        if name == "weight_bits" and number not in BITS[self._modes[0]]:
            raise ValueError(f"`{name}` in {mode!r} must be one of {BITS[self._modes[0]]}.")
        if name != "weight_bits" and number != -1 and number < 1:
            raise ValueError(f"`{name}` in {mode!r} must be -1 (all) or positive, not {number}.")
        return number

    @property
    def quantization_mode(self) -> str | None:
        return self.mode

    def get_config(self) -> dict[str, Any]:
        return {"mode": self._full_mode, "source_name": self._source_name}

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


BITS = {"gptq": (2, 3, 4, 8), "awq": (4,)}  # of the weights, by mode


@registry.export("dtype_policies.QuantizedFloat8DTypePolicy")
class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """For products in float8: `amax_history_length` steps decide the scale."""

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024):
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(
                "QuantizedFloat8DTypePolicy needs an integer for `amax_history_length`, "
                f"got {amax_history_length!r}."
            )
        self._amax_history_length = amax_history_length

    @property
    def amax_history_length(self) -> int:
        return self._amax_history_length

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"amax_history_length": self.amax_history_length}


@registry.export("dtype_policies.Int4DTypePolicy")
class Int4DTypePolicy(QuantizedDTypePolicy):
    """For weights in four bits, with a scale for each `block_size` of them (-1: for all)."""

    _modes, _parameters = ("int4",), ("block_size",)
    block_size: int


@registry.export("dtype_policies.GPTQDTypePolicy")
class GPTQDTypePolicy(QuantizedDTypePolicy):
    """For weights that GPTQ rounded."""

    _modes, _parameters = ("gptq",), ("weight_bits", "group_size")
    weight_bits: int
    group_size: int


@registry.export("dtype_policies.AWQDTypePolicy")
class AWQDTypePolicy(QuantizedDTypePolicy):
    """For weights that AWQ scaled and rounded."""

    _modes, _parameters = ("awq",), ("weight_bits", "group_size")
    weight_bits: int
    group_size: int


_QUANTIZED = {
    "int8": QuantizedDTypePolicy,
    "int4": QuantizedDTypePolicy,
    "int4/": Int4DTypePolicy,
    "float8": QuantizedFloat8DTypePolicy,
    "gptq": GPTQDTypePolicy,
    "gptq/": GPTQDTypePolicy,
    "awq": AWQDTypePolicy,
    "awq/": AWQDTypePolicy,
}


def quantized(mode: str, source: DTypePolicy) -> QuantizedDTypePolicy:
    """The policy of a layer of policy `source` when it is quantized; `mode` as in its name."""
    kind, slash, _ = mode.partition("/")
    return _QUANTIZED[kind + slash](mode, source.name)


@registry.export("dtype_policies.DTypePolicyMap")
class DTypePolicyMap(DTypePolicy, MutableMapping):
    """Policies by the path of a layer; `default_policy` for the rest.

    A key matches a path exactly, or is searched in it as a regular expression.
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None):
        self._default_policy_arg = default_policy
        self._default_policy = get(default_policy)
        self._policy_map = {path: get(policy) for path, policy in (policy_map or {}).items()}

    @property
    def name(self) -> str:
        return f"map_{self.default_policy.name}"

    @property
    def default_policy(self) -> DTypePolicy:
        return self._default_policy

    @property
    def compute_dtype(self) -> str:
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self.default_policy.variable_dtype

    def __getitem__(self, path: str) -> DTypePolicy:
        import re

        if path in self._policy_map:
            return self._policy_map[path]
        matches = [key for key in self._policy_map if re.search(key, path)]
        if len(matches) > 1:
            raise ValueError(f"The path {path!r} matches several keys of the map: {matches}.")
        return self._policy_map[matches[0]] if matches else self.default_policy

    def __setitem__(self, path: str, policy: Any) -> None:
        if path in self._policy_map:
            raise ValueError(f"The map already has a policy for {path!r}.")
        self._policy_map[path] = get(policy)

    def __delitem__(self, path: str) -> None:
        del self._policy_map[path]

    def __len__(self) -> int:
        return len(self._policy_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policy_map)

    def __contains__(self, path: object) -> bool:
        return path in self._policy_map

    def get_config(self) -> dict[str, Any]:
        policies = {path: registry.serialize(p) for path, p in self._policy_map.items()}
        return {
            "default_policy": registry.serialize(self._default_policy_arg),
            "policy_map": policies,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DTypePolicyMap":
        return cls(**{name: registry.deserialize(value) for name, value in config.items()})

    __hash__ = DTypePolicy.__hash__


def get(identifier: Any) -> DTypePolicy:
    """The policy that a policy, a name, a dtype, a config or None stands for."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return registry.deserialize(identifier, kind="dtype_policies")
    if isinstance(identifier, str):
        mode, found, source = identifier.partition("_from_")
        if found and mode.partition("/")[0] in _QUANTIZED:
            return quantized(mode, DTypePolicy(source))
        if mode in ("int8", "int4"):
            raise ValueError(
                f"No layer computes in {mode!r} alone; it is quantized from floats. Call "
                f"`quantize({mode!r})` on the layer, or name the policy '{mode}_from_float32'."
            )
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(standardize_dtype(identifier))
    except (ValueError, TypeError):
        raise ValueError(f"{identifier!r} cannot be read as a dtype policy.") from None


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are not given one; `floatx()` unless it was set."""
    return _global[-1] or DTypePolicy(config.floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set what `dtype_policy()` returns; None means `floatx()` again."""
    _global[-1] = None if policy is None else get(policy)


_global: list[DTypePolicy | None] = [None]
