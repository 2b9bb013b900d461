"""Layers that `quantize` knows: which variables hold their weights in each mode."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp

from keraunos.core.fields import needs
from keraunos.core.state import Variable
from keraunos.layers.lora import Adaptable
from keraunos.quantizers.calibrate import Rounded
from keraunos.quantizers.configs import MODES, QuantizationConfig, resolved
from keraunos.quantizers.packed import Float8, Grouped, Packing, PerOutput
from keraunos.quantizers.quantize import AbsMaxQuantizer, abs_max_quantize_grouped_with_zero_point

_CALIBRATED = ("gptq", "awq")
_FLOAT8 = ("inputs", "kernel", "outputs_grad")
# What a layer has in a file besides the weight itself; "{}" is its name.
_EXTRAS = {
    "int8": ("{}_scale",),
    "int4": ("{}_scale", "{}_zero", "g_idx"),
    "float8": tuple(f"{part}_{kind}" for part in _FLOAT8 for kind in ("scale", "amax_history")),
    "gptq": ("{}_scale", "{}_zero", "g_idx"),
    "awq": ("{}_scale", "{}_zero", "awq_scales", "g_idx"),
}


def _config(value: Any, name: str, owner: Any) -> QuantizationConfig | None:
    if value is not None and not isinstance(value, QuantizationConfig):
        raise TypeError(needs(owner, "a `keras.quantizers.QuantizationConfig`", name, value))
    return value


Config = Annotated[Any, _config]


def _on_host(quantizer: Any, value: Any) -> tuple[Any, Any]:
    options = {"to_numpy": True} if isinstance(quantizer, AbsMaxQuantizer) else {}
    return quantizer(value, **options)


class Quantizable(Adaptable):
    """A layer whose weights may be stored in few bits.

    Once quantized, these are not trained, except in float8. `layouts` says what the products do
    with each weight, `packings` how it lies in four bits.
    """

    modes: ClassVar[tuple[str, ...]] = MODES
    packings: ClassVar[Mapping[str, Packing]] = {}
    zero_name: ClassVar[str] = "kernel_zero"  # of the zero points of GPTQ and AWQ
    layouts: Any  # of each weight that can be quantized, the adapted one first: `Layout`s by name
    quantization_config: QuantizationConfig | None

    # Quantizing ---------------------------------------------------------------------------

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Store the weights in another form: "int8", "int4", "float8"; or as `config` says.

        With "gptq" and "awq" this makes the variables; a model fills them by its own `quantize`.

        Args:
            type_check: Whether to refuse subclasses, which may compute something else.
            config: A `QuantizationConfig`; `mode` may then be left out.
        """
        if type_check and "_path" not in vars(type(self)):
            raise NotImplementedError(
                f"{self._who} has a class of its own, which may compute otherwise. "
                "`quantize(..., type_check=False)` trusts that it does not."
            )
        config = resolved(mode, config)
        self._check_mode(config.mode)
        if self.quantization_mode:
            raise ValueError(
                f"{self._who} is already quantized: its policy is {self.dtype_policy.name!r}."
            )
        if not self.built:
            raise ValueError(
                f"{self._who} has no weights to quantize yet: build it first, by a call or "
                "`build(input_shape)`."
            )
        held = {name: self.base(name) for name in self.layouts}
        values = {name: variable.value for name, variable in held.items()}
        if config.mode in ("int8", "int4"):
            self._made = [v for v in self._made if all(v is not old for old in held.values())]
        self._dtype_policy, self.quantization_config = config.policy(self.dtype_policy), config
        with self._own_scope():
            for name, value in values.items():
                self._store(name, value.shape, config.mode)
                if config.mode in ("int8", "int4"):
                    for attribute, part in self._quantized(name, value).items():
                        self._variable(attribute).assign(part)

    def quantized_build(self, kernel_shape: Any, mode: str, config: Any = None) -> None:
        """Make the variables that hold the weight, of `kernel_shape` as floats, in `mode`."""
        self._check_mode(mode)
        self.quantization_config = config or self.quantization_config
        self._store(self.adapted, tuple(kernel_shape), mode)

    def _check_mode(self, mode: str) -> None:
        if mode not in self.modes:
            raise NotImplementedError(
                f"{self._who} cannot be quantized to {mode!r}, but to {', '.join(self.modes)}."
            )

    def _enable_lora(self, rank, alpha, *initializers) -> None:
        if self.quantization_mode in _CALIBRATED:
            raise NotImplementedError(
                f"{self._who} is quantized by {self.quantization_mode.upper()}; a change of low "
                "rank could not be saved with it. Quantize to int8 or int4 for LoRA."
            )
        super()._enable_lora(rank, alpha, *initializers)

    def weight(self, name: str, shape: Any, role: str | None = None, **options: Any) -> None:
        mode = self.quantization_mode
        if mode is not None and name in self.layouts:
            self._check_mode(mode)
            self._store(name, tuple(shape), mode)
            if mode != "float8":
                return
        super().weight(name, shape, role, **options)

    # Variables ----------------------------------------------------------------------------

    def _block_size(self) -> int:
        """How many inputs share a scale; -1 for all."""
        config = self.quantization_config or self.dtype_policy
        return getattr(config, "block_size", None) or getattr(config, "group_size", None) or -1

    def _packing(self, name: str) -> Packing:
        if self.quantization_mode in _CALIBRATED:
            bits = (self.quantization_config or self.dtype_policy).weight_bits  # type: ignore
            return Packing(1 if bits == 4 else None, True, "uint8")
        return self.packings.get(name, Packing(1))

    def _store(self, name: str, shape: tuple[int, ...], mode: str) -> None:
        """Make the variables for the weight `name`."""
        layout, packing = self.layouts[name], self._packing(name)
        self._shapes = {**vars(self).get("_shapes", {}), name: shape}
        if mode == "float8":
            return self._store_float8()
        rows, columns = layout.sizes(shape)
        if mode == "int8":
            self._add(name, shape, "int8")
            alone = [1 if i in layout.contracted else n for i, n in enumerate(shape)]
            scale = jax.eval_shape(lambda: layout.at_output(jnp.ones(alone), layout.kernel))
            return self._add(f"{name}_scale", scale.shape, start="ones")
        block = self._block_size()
        groups = 1 if block == -1 else -(-rows // block)
        grouped = packing.turned([groups, columns])
        if mode in _CALIBRATED:
            self._add(name, packing.shape(rows, columns), "uint8", attribute=f"quantized_{name}")
            self._add(f"{name}_scale", grouped, start="ones")
            self._add(self.zero_name, grouped, "uint8", attribute=f"{name}_zero")
            if mode == "awq":
                self._add("awq_scales", (rows,), start="ones")
            elif "gptq_unpacked_column_size" in self.__fields__:
                self.gptq_unpacked_column_size = columns
        else:
            self._add(name, packing.shape(rows, columns), "int8")
            self._add(f"{name}_scale", (columns,) if block == -1 else grouped, start="ones")
            if block == -1:
                return None
            first = name == self.adapted
            self._add(f"{name}_zero", grouped, "int8" if first else None)
            if not first:
                return None
        group = lambda shape, dtype: jnp.arange(rows) // (rows if block == -1 else block)
        return self._add("g_idx", (rows,), "float32", start=group)

    def _add(
        self, name, shape, dtype=None, start: Any = "zeros", attribute=None, **options
    ) -> None:
        options = {"trainable": False, **options}
        variable = self.add_weight(shape, start, dtype, name=name, **options)
        setattr(self, attribute or name, variable)

    def _store_float8(self) -> None:
        length = getattr(self.dtype_policy, "amax_history_length", 1024)
        rules = {"trainable": True, "autocast": False, "overwrite_with_gradient": True}
        for part in _FLOAT8:
            self._add(f"{part}_scale", (), "float32", start="ones", **rules)
            self._add(f"{part}_amax_history", (length,), "float32", **rules)

    def _quantized(self, name: str, value: jax.Array) -> dict[str, jax.Array]:
        """What the variables for the weight `name` hold when it is `value`."""
        layout, packing, block = self.layouts[name], self._packing(name), self._block_size()
        pick = QuantizationConfig.weight_quantizer_or_default
        if self.quantization_mode == "int8":
            quantizer = pick(self.quantization_config, AbsMaxQuantizer(layout.contracted))
            integers, scale = _on_host(quantizer, value)
            alone = [1 if i in layout.contracted else n for i, n in enumerate(value.shape)]
            if list(scale.shape) != alone:
                raise ValueError(
                    f"{self._who} needs one scale for each output: the `axis` of its "
                    f"`weight_quantizer` must be {layout.contracted}, the axes summed over."
                )
            return {name: integers, f"{name}_scale": layout.at_output(scale, layout.kernel)}
        # Not turned by the layout: Keras takes the axes in the order in which the kernel has them.
        matrix = packing.turned(value.reshape(packing.turned([*layout.sizes(value.shape)])))
        if block == -1:
            axis = int(packing.transposed)
            quantizer = pick(self.quantization_config, AbsMaxQuantizer(axis, (-8, 7)))
            integers, scale = _on_host(quantizer, packing.turned(matrix))
            integers = packing.pack(packing.turned(integers))
            return {name: integers, f"{name}_scale": jnp.squeeze(scale, axis)}
        integers, scale, zero = abs_max_quantize_grouped_with_zero_point(
            matrix, block, to_numpy=True
        )
        return {
            name: packing.pack(integers),
            f"{name}_scale": packing.turned(scale),
            f"{name}_zero": packing.turned(zero),
        }

    def set_calibrated(self, name: str, rounded: Rounded) -> None:
        """Compute with what GPTQ or AWQ made of the weight `name`, and forget the floats."""
        integers = jnp.asarray(rounded.integers.T, "uint8")
        for attribute, value in {
            f"quantized_{name}": self._packing(name).pack(integers),
            f"{name}_scale": rounded.scale,
            f"{name}_zero": rounded.zero,
            "g_idx": rounded.group,
            "awq_scales": rounded.factors,
        }.items():
            if value is not None:
                getattr(self, attribute).assign(value)
        held = vars(self).pop(f"_{name}")
        self._made = [variable for variable in self._made if variable is not held]

    # Computing ----------------------------------------------------------------------------

    def with_bias(self, y: jax.Array) -> jax.Array:
        """`y` plus the bias, which products in float8 take from bfloat16."""
        bias = vars(self).get("bias")
        if bias is None:
            return y
        if self.quantization_mode == "float8":
            return y + bias.value.astype("bfloat16").astype(y.dtype)
        return y + bias

    def _variable(self, attribute: str) -> Any:
        own = vars(self)
        return own.get(f"_{attribute}") if attribute in self.layouts else own.get(attribute)

    def _plain(self, name: str) -> Variable:
        mode, own = self.quantization_mode, vars(self)
        stored = own.get(f"_{name}")
        if mode is None or (mode in _CALIBRATED and stored is not None):
            return stored  # type: ignore[return-value]
        if mode == "float8":
            pairs = ((own[f"{p}_scale"], own[f"{p}_amax_history"]) for p in _FLOAT8)
            return Float8(stored, *pairs)
        about = (self._shapes[name], self.variable_dtype, self.layouts[name])
        packing: Any = None if mode == "int8" else self._packing(name)
        if mode == "int8" or (mode == "int4" and self._block_size() == -1):
            default = AbsMaxQuantizer() if mode == "int8" else None
            quantizer = QuantizationConfig.activation_quantizer_or_default(
                self.quantization_config, default
            )
            return PerOutput(stored, *about, packing, own[f"{name}_scale"], quantizer)
        extras = (own[f"{name}_scale"], own[f"{name}_zero"], own["g_idx"], own.get("awq_scales"))
        return Grouped(own.get(f"quantized_{name}", stored), *about, packing, *extras)

    # Files --------------------------------------------------------------------------------

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """The names of the variables that a file holds in each mode, in order."""
        spec: dict[str | None, list[str]] = {None: [*self.layouts]}
        bias = ["bias"] if "use_bias" in vars(self) or "bias" in vars(self) else []
        spec[None][1:1] = bias
        for mode in self.modes:
            names: list[str] = []
            for name in self.layouts:
                stored = f"quantized_{name}" if mode in _CALIBRATED else name
                extras = [extra.format(name) for extra in _EXTRAS[mode]]
                first = [*bias, stored] if mode in _CALIBRATED else [stored, *bias]
                names += [n for n in ([stored] if names else first) + extras if n not in names]
            spec[mode] = names
        return spec

    def _own_variables(self) -> list[Variable]:
        own, mode = super()._own_variables(), self.quantization_mode
        if mode is None:
            return own
        named = [self._variable(name) for name in self.variable_serialization_spec[mode]]
        found = [v for v in named if v is not None]
        hidden = [*found, self._variable(self.adapted)]
        return found + [v for v in own if all(v is not other for other in hidden)]

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.lora_enabled and self.quantization_mode in ("int8", "int4"):
            parts = self._quantized(self.adapted, self.form(self.adapted).value)
            variables = {id(self._variable(name)): part for name, part in parts.items()}
            for key, variable in enumerate(self._own_variables()):
                if id(variable) in variables:
                    store[str(key)] = variables[id(variable)]
