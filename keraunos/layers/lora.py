"""Layers whose weights may be stored or changed in other forms: LoRA, and quantization.

The layer computes with `self.kernel`, a variable or a `Form` that stands for it; the variables
themselves are attributes beside it, under Keras's names.
"""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import jax

from keraunos.core import naming
from keraunos.core.fields import fields, option, positive
from keraunos.core.state import Variable
from keraunos.layers.holder import Holder
from keraunos.layers.layer import Layer
from keraunos.quantizers.packed import Form, Product, contract


class LowRank(Form):
    """A weight that stays as it is, plus `scale * a @ b`, which is trained (Hu et al., 2021)."""

    def __init__(self, base: Variable, a: Variable, b: Variable, scale: float):
        stored = base.stored if isinstance(base, Form) else base
        super().__init__(stored, base.shape, a.dtype)
        self.base, self.a, self.b, self.scale = base, a, b, scale

    @property
    def value(self) -> jax.Array:
        return self.base.value + self.scale * (self.a.value @ self.b.value)

    def contract(self, product: Product, x: Any, ends_alike: bool = True) -> Any:
        a, b = self.a.value, self.b.value
        change = product(x, a) @ b if ends_alike else product(x, a @ b)
        return contract(product, x, self.base, ends_alike) + self.scale * change


def _rank(value: Any, name: str, owner: Any) -> int | None:
    return positive(value, name, owner) if value else None  # files may have 0 for none


Rank = Annotated[Any, _rank]


class Adapted:
    """A weight of an `Adaptable` layer: its variable, or what stands for it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if not (layer.built or layer._building):
            raise AttributeError(
                f"{layer._who} has no `{self.name}` before it is built: call it on data, or "
                "`build(input_shape)`."
            )
        return layer.form(self.name)

    def __set__(self, layer: Any, value: Variable) -> None:
        setattr(layer, f"_{self.name}", value)


class Adaptable(Layer):
    """A layer whose first weight LoRA can change. `adapted` is its name."""

    adapted: ClassVar[str]
    lora_enabled = False
    lora_rank: Any
    lora_alpha: Any

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """From now on train only the change `lora_alpha / rank * a @ b` of the weight, and biases.

        Args:
            rank: The size that `a` and `b` share.
            lora_alpha: `rank` by default.
        """
        name = self.adapted
        if getattr(self, f"{name}_constraint", None) is not None:
            raise ValueError(
                f"{self._who} has a `{name}_constraint`, which a change of low rank cannot keep: "
                "remove one of them."
            )
        if self.lora_enabled:
            raise ValueError(f"LoRA is already enabled for {self._who} which can be done once.")
        self._check_built_for("enable_lora")
        with self._own_scope():
            self._enable_lora(rank, lora_alpha, a_initializer, b_initializer)

    def _enable_lora(self, rank, alpha, a_initializer="he_uniform", b_initializer="zeros") -> None:
        rank, name = positive(rank, "lora_rank", self), self.adapted
        shape = self.form(name).shape
        for letter, its, initializer in (
            ("a", (*shape[:-1], rank), a_initializer),
            ("b", (rank, shape[-1]), b_initializer),
        ):
            regularizer = getattr(self, f"{name}_regularizer", None)
            full = f"lora_{name}_{letter}"
            variable = self.add_weight(its, initializer, name=full, regularizer=regularizer)
            setattr(self, full, variable)
        self.lora_enabled, self.lora_rank = True, rank
        self.lora_alpha = rank if alpha is None else alpha
        self._freeze()

    def _freeze(self) -> None:
        if self.lora_enabled and (variable := vars(self).get(f"_{self.adapted}")) is not None:
            variable.trainable = False

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        Holder.trainable.fset(self, value)  # type: ignore[attr-defined]
        self._freeze()

    @contextlib.contextmanager
    def _own_scope(self) -> Iterator[None]:
        """Within it, variables are called as in `build`."""
        with naming.name_scope(self.path) if self.path else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _being_built(self, shapes: dict[str, Any]) -> Iterator[None]:
        inner = self._building
        with super()._being_built(shapes):
            yield
            if not inner and self.lora_rank and not self.lora_enabled:
                self._enable_lora(self.lora_rank, self.lora_alpha)

    def base(self, name: str) -> Variable:
        """The variable that holds the weight `name`."""
        return vars(self)[f"_{name}"]

    _plain = base  # what the layer computes with, the change left aside

    def form(self, name: str) -> Variable:
        """What the layer computes with for its weight `name`."""
        base = self._plain(name)
        if not (self.lora_enabled and name == self.adapted):
            return base
        a, b = (getattr(self, f"lora_{name}_{letter}") for letter in "ab")
        return LowRank(base, a, b, self.lora_alpha / self.lora_rank)  # type: ignore[operator]

    # Files: the change is added to the weight, and is zero again when that is loaded ----------

    def _own_variables(self) -> list[Variable]:
        return [v for v in super()._own_variables() if not v.name.startswith("lora_")]

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.lora_enabled:
            for key, variable in enumerate(self._own_variables()):
                if variable is self.base(self.adapted):
                    store[str(key)] = self.form(self.adapted).value

    def _loaded(self) -> None:
        if self.lora_enabled:
            b = getattr(self, f"lora_{self.adapted}_b")
            b.assign(jax.numpy.zeros(b.shape))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.lora_rank:
            return config | {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return {k: v for k, v in config.items() if not k.startswith("lora_")}


@fields
class AdaptableByOption(Adaptable):
    """One that takes the arguments by keyword only."""

    lora_rank: Rank = option(default=None)
    lora_alpha: float | None = option(default=None)
