"""How a layer is to be quantized: one class for each mode."""

from typing import Annotated, Any, ClassVar

from keraunos.core import registry
from keraunos.core.dtypes import BITS, DTypePolicy, QuantizedDTypePolicy, quantized
from keraunos.core.fields import Configurable, fields, fraction, needs, positive
from keraunos.core.registry import export
from keraunos.quantizers.quantize import AbsMaxQuantizer

MODES = ("int8", "float8", "int4", "gptq", "awq")


def _quantizer(value: Any, name: str, owner: Any) -> Any:
    """The converter for a quantizer of the dtype and range that the mode has."""
    if value is None or value == "default":
        default = name == "activation_quantizer" and value and owner.default_for_activations
        return AbsMaxQuantizer(axis=None) if default else None
    found = registry.find("quantizers", value)
    wanted = {"output_dtype": "int8"}
    if name == "weight_quantizer" and owner.value_range:
        wanted["value_range"] = owner.value_range
    for attribute, expected in wanted.items():
        if getattr(found, attribute, expected) != expected:
            what = f"a quantizer of {attribute}={expected!r}"
            raise ValueError(needs(owner, what, name, f"{attribute}={getattr(found, attribute)!r}"))
    return found


def _block(value: Any, name: str, owner: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or value == 0 or value < -1):
        raise ValueError(needs(owner, "None, -1, or a positive integer", name, value))
    return value


WeightQuantizer = Annotated[Any, _quantizer]
ActivationQuantizer = Annotated[Any, _quantizer]
Block = Annotated[Any, _block]


@export("quantizers.QuantizationConfig")
@fields
class QuantizationConfig(Configurable):
    """Base class: a mode, and the quantizers of weights and inputs; None for none of the latter."""

    weight_quantizer: WeightQuantizer = None
    activation_quantizer: ActivationQuantizer = None

    default_for_activations: ClassVar[bool] = False
    value_range: ClassVar[tuple[int, int] | None] = None

    @property
    def mode(self) -> str:
        """What `quantize` calls it."""
        raise NotImplementedError(
            f"{type(self).__name__} has no `mode`. Use one of the configs that have: "
            "Int8QuantizationConfig, Int4QuantizationConfig, Float8QuantizationConfig, GPTQConfig, "
            "AWQConfig."
        )

    def dtype_policy_string(self) -> str:
        """The mode and its parameters, as the name of a dtype policy starts with them."""
        return self.mode

    def policy(self, source: DTypePolicy) -> QuantizedDTypePolicy:
        """The policy of a layer of policy `source` when it is quantized in this way."""
        return quantized(self.dtype_policy_string(), source)

    @staticmethod
    def weight_quantizer_or_default(config: Any, default: Any) -> Any:
        """The quantizer of weights that `config` names, or `default`."""
        found = None if config is None else config.weight_quantizer
        return default if found is None else found

    @staticmethod
    def activation_quantizer_or_default(config: Any, default: Any) -> Any:
        """The quantizer of inputs that `config` names, which may be None; `default` without one."""
        return default if config is None else config.activation_quantizer


@export("quantizers.Int8QuantizationConfig")
@fields
class Int8QuantizationConfig(QuantizationConfig):
    """Weights as int8, with a scale for each output; inputs too, when they come.

    Args:
        activation_quantizer: None leaves inputs as they are.
    """

    weight_quantizer: WeightQuantizer = None
    activation_quantizer: ActivationQuantizer = "default"

    default_for_activations: ClassVar[bool] = True
    mode = "int8"  # type: ignore[assignment]


@export("quantizers.Int4QuantizationConfig")
@fields
class Int4QuantizationConfig(QuantizationConfig):
    """Weights in four bits, two to a byte; inputs as they are.

    Args:
        block_size: How many weights along the input share a scale and a zero point; -1 or None
            for all of them, which have no zero point.
    """

    weight_quantizer: WeightQuantizer = None
    activation_quantizer: ActivationQuantizer = "default"
    block_size: Block = 128

    value_range: ClassVar[tuple[int, int] | None] = (-8, 7)
    mode = "int4"  # type: ignore[assignment]

    def __post_init__(self):
        grouped = self.block_size not in (None, -1)
        if grouped and (self.weight_quantizer or self.activation_quantizer):
            raise ValueError(
                f"Int4QuantizationConfig has quantizers of its own in blocks of {self.block_size}. "
                "Leave out yours, or set `block_size=-1`."
            )

    def dtype_policy_string(self) -> str:
        return f"int4/{self.block_size or -1}"


@export("quantizers.Float8QuantizationConfig")
class Float8QuantizationConfig(QuantizationConfig):
    """Weights, inputs and gradients of outputs rounded to float8 in products; for training."""

    mode = "float8"  # type: ignore[assignment]

    def __init__(self):
        super().__init__()

    def get_config(self) -> dict[str, Any]:
        return {}


class Calibrated(QuantizationConfig):
    """Base class of the modes that look at data before they round.

    Args:
        dataset: Texts, or arrays of tokens, to look at.
        tokenizer: Whose `tokenize(text)` gives tokens; a function does too. None for tokens.
        num_samples, sequence_length: How many pieces of the data, of how many tokens.
        group_size: How many weights along the input share a scale; -1 for all.
        quantization_layer_structure: `{"pre_block_layers": [...], "sequential_blocks": [...]}`;
            `model.get_quantization_layer_structure(mode)` by default.
    """

    dataset: Any
    tokenizer: Any
    weight_bits: int
    num_samples: int
    sequence_length: int
    group_size: int
    quantization_layer_structure: dict | None

    def __init__(self, **given: Any):
        super().__init__()
        self._names = list(given)
        for name, value in given.items():
            if name == "group_size":
                _block(-1 if value is None else value, name, self)
            elif name in ("num_samples", "sequence_length", "num_grid_points"):
                positive(value, name, self)
            setattr(self, name, value)
        if self.weight_bits not in BITS[self.mode]:
            expected = f"one of {BITS[self.mode]}"
            raise ValueError(needs(self, expected, "weight_bits", self.weight_bits))

    def get_config(self) -> dict[str, Any]:
        """Without the data and layers, which do not belong into a file."""
        gone = ("dataset", "tokenizer", "quantization_layer_structure")
        return {name: None if name in gone else getattr(self, name) for name in self._names}

    def dtype_policy_string(self) -> str:
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"


@export("quantizers.GPTQConfig")
class GPTQConfig(Calibrated):
    """Round weights one by one, and let those to come make up for the error (Frantar et al., 2022).

    Args:
        weight_bits: 2, 3, 4 or 8.
        per_channel: Whether each output has a scale of its own.
        hessian_damping: A share of the mean of the Hessian's diagonal, added to it.
        symmetric: Put the zero in the middle of the range.
        activation_order: Begin with the inputs that vary most.
    """

    mode = "gptq"  # type: ignore[assignment]
    per_channel: bool
    hessian_damping: float
    symmetric: bool
    activation_order: bool

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict | None = None,
    ):
        super().__init__(
            dataset=dataset,
            tokenizer=tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            per_channel=per_channel,
            sequence_length=sequence_length,
            hessian_damping=fraction(hessian_damping, "hessian_damping", self),
            group_size=group_size,
            symmetric=symmetric,
            activation_order=activation_order,
            quantization_layer_structure=quantization_layer_structure,
        )


@export("quantizers.AWQConfig")
class AWQConfig(Calibrated):
    """Enlarge the weights of inputs that matter before rounding to four bits (Lin et al., 2023).

    Args:
        num_grid_points: How many powers of the inputs' magnitudes to try as factors.
    """

    mode = "awq"  # type: ignore[assignment]
    num_grid_points: int

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict | None = None,
    ):
        super().__init__(
            dataset=dataset,
            tokenizer=tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            sequence_length=sequence_length,
            group_size=group_size,
            num_grid_points=num_grid_points,
            quantization_layer_structure=quantization_layer_structure,
        )


_DEFAULTS = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
}


def resolved(mode: str | None, config: Any) -> QuantizationConfig:
    """The config that `quantize(mode, config=config)` asks for."""
    if mode is None and config is None:
        raise ValueError("`quantize` needs a `mode`, such as 'int8', or a `config`.")
    if config is not None and not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"`config` must be a `keras.quantizers.QuantizationConfig`, got {config!r}."
        )
    if mode is not None and mode not in MODES:
        raise ValueError(
            f"{mode!r} is not a mode of quantization. Known modes: {', '.join(MODES)}."
        )
    if config is None:
        if mode not in _DEFAULTS:
            raise ValueError(
                f"{mode!r} looks at data: pass `config=keras.quantizers.{str(mode).upper()}Config("
                "dataset, tokenizer)`."
            )
        return _DEFAULTS[mode]()
    if mode not in (None, config.mode):
        raise ValueError(f"`mode` is {mode!r}, but `config` is one for {config.mode!r}.")
    return config
