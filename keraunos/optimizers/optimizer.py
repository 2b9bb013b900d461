"""What all optimizers share: their variables, and everything around one step."""

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from keraunos.core import errors, naming, past, registry
from keraunos.core.config import floatx
from keraunos.core.fields import Configurable, checked, did_you_mean, fields, needs, option
from keraunos.core.state import StatelessScope, Variable
from keraunos.optimizers.schedules import LearningRateSchedule
from keraunos.optimizers.state import Keeper, choose

# Arguments that TF-Keras wrote into its files and that mean nothing here.
_IGNORED = frozenset({"is_legacy_optimizer", "jit_compile"})


if TYPE_CHECKING:

    @fields
    class Options:
        weight_decay: float | None = option(default=None)
        clipnorm: float | None = option(default=None)
        clipvalue: float | None = option(default=None)
        global_clipnorm: float | None = option(default=None)
        use_ema: bool = option(default=False)
        ema_momentum: float = option(default=0.99)
        ema_overwrite_frequency: int | None = option(default=None)
        loss_scale_factor: float | None = option(default=None)
        gradient_accumulation_steps: int | None = option(default=None)
        name: Any = option(default=None)

else:

    class Options:
        """The arguments that all optimizers take, as editors and type checkers see them."""


@registry.export("Optimizer")
@registry.export("optimizers.Optimizer")
class Optimizer(Options, Configurable, Keeper):
    """Changes variables by their gradients.

    A subclass names its `slots`, the arrays it keeps for every variable, and defines

        step(gradient, learning_rate, t, **slots) -> (what to subtract, new slots)

    where `t` counts from 1. Or, in Keras's manner, it makes variables in `build` by
    `add_variable_from_reference` and assigns them, and the variable, in `update_step`.

    Args:
        learning_rate: A number, a `LearningRateSchedule`, or a callable: of no argument, or
            of the number of steps done.
        weight_decay: This share of the variable, times the learning rate, is taken off it
            before each update.
        clipnorm: The largest norm of each gradient.
        clipvalue: The largest absolute value within a gradient.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether a running mean of each variable is kept, with `ema_momentum`. The
            variables are replaced by it after every `ema_overwrite_frequency` updates, and
            by `finalize_variable_values`, which `fit` calls at its end.
        loss_scale_factor: `scale_loss` multiplies by it, and gradients are divided by it, so
            that small ones are not lost in half precision.
        gradient_accumulation_steps: Update only every that many steps, by the mean of the
            gradients since the last time. Schedules count steps, not updates.
        decay: As in Keras 2: the learning rate is divided by `1 + decay * steps done`.

    Differs: half-precision variables are computed in float32 and rounded when stored. In
    bfloat16 itself 0.999 is 1, and Keras's Adam does not move.
    """

    slots: ClassVar[Any] = ()  # names; those in an inner tuple are made variable by variable
    reads_value: ClassVar[bool] = False  # whether `step` also takes the variable's `value`

    @checked
    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        learning_rate = kwargs.pop("lr", learning_rate)
        self._decay = kwargs.pop("decay", None) or 0.0
        self._refuse(kwargs.keys() - _IGNORED)
        self._variables: list[Variable] = []
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self._check()
        self.built = False
        self._trainable_variables: list[Variable] = []
        self._index: dict[int, int] = {}
        self._excluded: tuple[list[Variable], list[str]] = [], []
        self._iterations = self.add_variable((), dtype="int32", name="iteration")
        self._learning_rate = self._rate(learning_rate)

    def _refuse(self, unknown: Iterable[str]) -> None:
        known = inspect.signature(type(self).__init__).parameters
        for name in sorted(unknown):
            raise ValueError(
                f"{type(self).__name__} has no argument `{name}`{did_you_mean(name, known)}."
            )

    def _check(self) -> None:
        if not isinstance(self.name, str) or "/" in self.name:
            raise ValueError(needs(self, "a string without '/'", "name", self.name))
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        given = {name: value for name in clips if (value := getattr(self, name)) is not None}
        if len(given) > 1:
            raise ValueError(
                f"{type(self).__name__} takes only one of `clipnorm`, `clipvalue` and "
                f"`global_clipnorm`, got {', '.join(f'{k}={v}' for k, v in given.items())}."
            )
        if self.use_ema:
            if not 0 <= self.ema_momentum <= 1:
                raise ValueError(
                    needs(self, "a number from 0 to 1", "ema_momentum", self.ema_momentum)
                )
            self._count("ema_overwrite_frequency", 1)
        self._count("gradient_accumulation_steps", 2)

    def _count(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value and (not isinstance(value, (int, np.integer)) or value < least):
            raise ValueError(needs(self, f"an integer of at least {least}", name, value))

    # Variables ----------------------------------------------------------------------------

    def build(self, variables: Iterable[Variable]) -> None:
        """Make what is kept for each of `variables`, the ones this optimizer will train."""
        if self.built:
            return
        self._trainable_variables = list(variables)
        if self.use_ema:
            self._averages = self.add_optimizer_variables(self._trainable_variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulators = [
                self.add_variable_from_reference(v, "gradient_accumulator")
                for v in self._trainable_variables
            ]
        self._slots: list[dict[str, Variable]] = [{} for _ in self._trainable_variables]
        for names in self.slots:
            names = (names,) if isinstance(names, str) else names
            for variable, held in zip(self._trainable_variables, self._slots):
                if not variable.overwrite_with_gradient:
                    for name in names:
                        start = self.start(name, variable)
                        held[name] = self.add_variable_from_reference(variable, name, start)
        self.built = True

    def start(self, slot: str, variable: Variable) -> Any:
        """How `slot` of `variable` starts: an initializer, or an array."""
        return "zeros"

    # Learning rate --------------------------------------------------------------------------

    def _rate(self, value: Any) -> Any:
        """`value` as it is kept: a variable, if it is a number."""
        if callable(value):
            return value
        if isinstance(value, dict):
            return registry.deserialize(value)
        array = np.asarray(value)
        if isinstance(value, bool) or array.dtype.kind not in "fiu" or array.ndim:
            expected = "a number, a LearningRateSchedule or a callable"
            raise ValueError(needs(self, expected, "learning_rate", value))
        if not isinstance(value, Tracer) and array < 0:
            errors.warn(
                f"{type(self).__name__} has the `learning_rate` {value}: steps would go uphill, "
                "the loss would grow. It should be positive; to climb on purpose, minimize `-loss`."
            )
        return self.add_variable((), jnp.asarray(value, floatx()), name="learning_rate")

    @property
    def iterations(self) -> Any:
        """How many updates there were; a variable, unless gradients are accumulated."""
        if self.gradient_accumulation_steps:
            return self._iterations.value // self.gradient_accumulation_steps
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The variable that holds it; or what the schedule or callable now says."""
        rate = self._learning_rate
        return rate if isinstance(rate, Variable) else self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, Variable):
            if callable(value):
                rate = self._learning_rate
                self._variables = [v for v in self._variables if v is not rate]
                self._learning_rate = value
            else:
                self._learning_rate.assign(value)
        elif callable(value):
            self._learning_rate = value
        else:
            raise TypeError(
                f"The learning rate of {self.name} follows {self._learning_rate!r}, so it cannot "
                "be set to a number. Make the optimizer with a number as its `learning_rate`, or "
                "set another schedule."
            )

    @property
    def lr(self) -> Any:
        """The learning rate, by its old name."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def _get_current_learning_rate(self) -> jax.Array:
        rate, steps = self._learning_rate, self._iterations.value
        if isinstance(rate, Variable):
            rate = rate.value
        else:
            rate = rate(steps) if _takes_step(rate) else rate()
            rate = jnp.asarray(rate.value if isinstance(rate, Variable) else rate)
        if self._decay:
            rate = rate / (1 + self._decay * steps.astype(rate.dtype))
        return rate

    # One step -------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """Update variables, given pairs of a gradient and its variable."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        """Update the variables by their gradients.

        Args:
            grads: Arrays, one for each variable; None for one that has no part in the loss.
            trainable_variables: What they are the gradients of; by default, what the
                optimizer was built with. The first call builds it, if nothing else did.
        """
        pairs = self._paired(list(grads), trainable_variables)
        if not pairs:
            return
        if self.loss_scale_factor:
            pairs = [
                (g if v.overwrite_with_gradient else g / self.loss_scale_factor, v)
                for g, v in pairs
            ]
        if self.gradient_accumulation_steps:
            self._accumulate(pairs)
        else:
            self._update(pairs)
        if self.use_ema:
            self._average([variable for _, variable in pairs])
        for _, variable in pairs:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._iterations.assign_add(1)

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """`apply` as a pure function: `(new trainable values, new optimizer values)`.

        Args:
            optimizer_variables: The values of `variables`.
            grads: One for each variable the optimizer was built with.
            trainable_variables: The values of those.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__}.stateless_apply needs a built optimizer. Call "
                "`optimizer.build(trainable_variables)` first."
            )
        mine, trained = self.variables, self._trainable_variables
        self._match("trainable_variables", trainable_variables, trained)
        self._match("optimizer_variables", optimizer_variables, mine)
        pairs = zip([*trained, *mine], [*trainable_variables, *optimizer_variables])
        with StatelessScope(pairs) as scope:
            self.apply(grads)
            new = scope.get_current_value
            return [new(v) for v in trained], [new(v) for v in mine]

    def _paired(self, grads: list[Any], variables: Any) -> list[tuple[Any, Variable]]:
        """Gradients that are there, with their variables, known and of their shapes."""
        if not grads:
            return []
        if variables is not None:
            variables = list(variables)
            if not self.built:
                self.build(variables)
        elif self.built:
            variables = self._trainable_variables
        else:
            raise ValueError(
                f"{self.name} does not know whose gradients these are. Pass the variables too, "
                "or call `optimizer.build(trainable_variables)` first."
            )
        if len(grads) != len(variables):
            raise ValueError(
                f"{self.name} needs one gradient for each of {len(variables)} variables, got "
                f"{len(grads)}."
            )
        for variable in variables:
            self._get_variable_index(variable)
        missing = [v.path for g, v in zip(grads, variables) if g is None]
        if len(missing) == len(grads):
            raise ValueError(
                f"{self.name} got no gradients: the loss does not depend on any of "
                f"{', '.join(missing)}."
            )
        if missing:
            warnings.warn(
                f"The loss does not depend on {', '.join(missing)}: no gradients, no update. If "
                "you use `model.compile()`, is a `loss` missing?",
                stacklevel=3,
            )
        pairs = [(_array(g), v) for g, v in zip(grads, variables) if g is not None]
        for gradient, variable in pairs:
            if gradient.shape != variable.shape:
                raise ValueError(
                    f"{self.name} needs a gradient of shape {variable.shape} for "
                    f"{variable.path}, got one of shape {gradient.shape}."
                )
        return pairs

    def _update(self, pairs: list[tuple[Any, Variable]]) -> None:
        """Clip, decay, step; or assign the gradient, where that is what it is for."""
        own = [(g, v) for g, v in pairs if not v.overwrite_with_gradient]
        for gradient, variable in pairs:
            if variable.overwrite_with_gradient:
                variable.assign(gradient)
        if not own:
            return
        variables = [variable for _, variable in own]
        grads = self._clip([gradient for gradient, _ in own])
        self._apply_weight_decay(variables)
        self.update_all(grads, variables, self._get_current_learning_rate())

    def update_all(
        self, grads: list[jax.Array], variables: list[Variable], learning_rate: jax.Array
    ) -> None:
        """Step for every variable; to be overridden if they are not independent."""
        counts = type(self).update_step is Optimizer.update_step
        shared = {"t": self._updates_so_far() + 1} if counts else {}
        for gradient, variable in zip(grads, variables):
            self.update_step(gradient, variable, learning_rate, **shared)

    def update_step(
        self, gradient: jax.Array, variable: Variable, learning_rate: Any, t: Any = None
    ) -> None:
        """Assign `variable`, and what is kept for it, by its `gradient`."""
        dtype = jnp.promote_types(variable.dtype, "float32")
        wide = lambda x: x if x.dtype == dtype else x.astype(dtype)
        slots = self._slots[self._get_variable_index(variable)]
        held = {name: wide(slot.value) for name, slot in slots.items()}
        if self.reads_value:
            held["value"] = wide(variable.value)
        t = self._updates_so_far() + 1 if t is None else t
        rate = wide(_array(learning_rate))
        update, new = self.step(wide(gradient), rate, wide(t), **held)
        variable.assign(variable.value - update)
        for name, value in new.items():
            slots[name].assign(value)

    def _updates_so_far(self) -> jax.Array:
        return jnp.asarray(self.iterations, "float32")

    def step(
        self, gradient: jax.Array, learning_rate: jax.Array, t: jax.Array, **slots: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """What to subtract from a variable, and the new values of its slots."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `update_step(gradient, variable, learning_rate)` "
            "or `step(gradient, learning_rate, t, **slots)`."
        )

    def _clip(self, grads: list[jax.Array]) -> list[jax.Array]:
        if self.clipnorm and self.clipnorm > 0:
            return [_shrink(g, _norm([g]), self.clipnorm) for g in grads]
        if self.global_clipnorm and self.global_clipnorm > 0:
            norm = _norm(grads)
            return [_shrink(g, norm, self.global_clipnorm) for g in grads]
        if self.clipvalue and self.clipvalue > 0:
            return [jnp.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    # Weight decay, accumulation, averages ---------------------------------------------------

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Spare some variables: those in `var_list`, and those whose name has a match for one
        of the regular expressions `var_names`."""
        self._excluded = list(var_list or ()), list(var_names or ())

    def _use_weight_decay(self, variable: Variable) -> bool:
        variables, patterns = self._excluded
        return not (
            any(v is variable for v in variables)
            or any(re.search(pattern, variable.name) for pattern in patterns)
        )

    def _apply_weight_decay(self, variables: list[Variable]) -> None:
        if self.weight_decay is None:
            return
        rate = self._get_current_learning_rate()
        for variable in filter(self._use_weight_decay, variables):
            self.shrink(variable, self.weight_decay, rate)

    def shrink(self, variable: Variable, weight_decay: float, learning_rate: Any) -> None:
        """Take the share `weight_decay * learning_rate` off `variable`."""
        value = variable.value.astype(jnp.promote_types(variable.dtype, "float32"))
        variable.assign(value - value * weight_decay * learning_rate)

    def _accumulate(self, pairs: list[tuple[Any, Variable]]) -> None:
        steps = cast(int, self.gradient_accumulation_steps)
        sums = [self._accumulators[self._get_variable_index(v)] for _, v in pairs]
        totals = [
            # What overwrites is no gradient but a statistic, e.g. the largest value seen.
            jnp.maximum(s.value, g) if v.overwrite_with_gradient else s.value + g
            for s, (g, v) in zip(sums, pairs)
        ]

        def wait():
            for held, total in zip(sums, totals):
                held.assign(total)

        def update():
            mean = [
                (total if v.overwrite_with_gradient else total / steps, v)
                for total, (_, v) in zip(totals, pairs)
            ]
            self._update(mean)
            for held in self._accumulators:
                held.assign(jnp.zeros(held.shape, held.dtype))

        full = (self._iterations.value + 1) % steps == 0
        choose(full, update, wait, [*self._trainable_variables, *self.variables])

    def _average(self, variables: list[Variable]) -> None:
        pairs = [
            (average, v)
            for v in variables
            if (average := self._averages[self._get_variable_index(v)]) is not None
        ]
        updates = self._updates_so_far()
        momentum = jnp.where(updates == 0, 0.0, self.ema_momentum)
        for average, variable in pairs:
            average.assign(momentum * average.value + (1 - momentum) * variable.value)
        if self.ema_overwrite_frequency:

            def overwrite():
                for average, variable in pairs:
                    variable.assign(average.value)

            due = (updates + 1) % self.ema_overwrite_frequency == 0
            choose(due, overwrite, lambda: None, [variable for _, variable in pairs])

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Put the averages into the variables of `var_list`, if they are kept (`use_ema`)."""
        if self.use_ema and self.built:
            for variable in var_list:
                average = self._averages[self._get_variable_index(variable)]
                if average is not None:
                    variable.assign(average.value)

    def scale_loss(self, loss: Any) -> Any:
        """`loss`, times `loss_scale_factor`."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # Files ------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        rate = self._learning_rate
        config = {
            "name": self.name,
            "learning_rate": float(rate)
            if isinstance(rate, Variable)
            else registry.serialize(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
        if self._decay:
            config["decay"] = self._decay
        own = [name for name in self.__fields__ if name not in config]
        return config | {name: registry.serialize(getattr(self, name)) for name in own}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    if not TYPE_CHECKING:
        __getattr__ = past.member

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Optimizer":
        return cls(**{k: registry.deserialize(v, custom_objects) for k, v in config.items()})


def _takes_step(rate: Callable) -> bool:
    if isinstance(rate, LearningRateSchedule):
        return True
    try:
        parameters = inspect.signature(rate).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )


def _array(value: Any) -> jax.Array:
    value = value.value if isinstance(value, Variable) else value
    return value if isinstance(value, jax.Array) else jnp.asarray(value)


def _norm(grads: list[jax.Array]) -> jax.Array:
    """The root of the sum of all squares, in float32 at least."""
    wide = lambda g: g.astype(jnp.promote_types(g.dtype, "float32"))
    return jnp.sqrt(sum((jnp.sum(jnp.square(wide(g))) for g in grads), start=jnp.zeros(())))


def _shrink(gradient: jax.Array, norm: jax.Array, limit: float) -> jax.Array:
    return (gradient * (limit / jnp.maximum(norm, limit))).astype(gradient.dtype)
