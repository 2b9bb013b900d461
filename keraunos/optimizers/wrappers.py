"""Optimizers made of other optimizers."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Annotated, Any, Protocol

import jax
import jax.numpy as jnp

from keraunos.core import registry
from keraunos.core.fields import checked, mapping, needs, optional
from keraunos.core.state import Variable
from keraunos.optimizers.optimizer import Optimizer
from keraunos.optimizers.state import choose

_INNER = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
    "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


@registry.export("mixed_precision.LossScaleOptimizer")
def _an_optimizer(value, name, owner) -> Optimizer:
    try:
        found = registry.find("optimizers", value)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, Optimizer):
        raise TypeError(needs(owner, "an optimizer", name, value))
    return found


@registry.export("optimizers.LossScaleOptimizer")
class LossScaleOptimizer(Optimizer):
    """Scales the loss so that small gradients are not lost in float16.

    `scale_loss` multiplies by the scale, gradients are divided by it again. A step with an
    infinite gradient is left out, and halves the scale; `dynamic_growth_steps` good steps
    in a row double it.

    Args:
        inner_optimizer: What the gradients are given to; its own `loss_scale_factor` has no
            effect.
        initial_scale: Rather too high than too low: it falls fast.
    """

    @checked
    def __init__(
        self,
        inner_optimizer: Annotated[Any, _an_optimizer],
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ):
        for argument in kwargs:
            if argument not in _INNER:
                self._refuse([argument])
            if kwargs[argument] not in (None, False, 0.99):
                raise ValueError(
                    f"LossScaleOptimizer does not take `{argument}`: give it to the inner "
                    "optimizer."
                )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = _an_optimizer(inner_optimizer, "inner_optimizer", self)
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        self._trainable_variables = variables = list(variables)
        self.step_counter = self.add_variable((), dtype="int32", name="step_counter")
        start = jnp.asarray(self.initial_scale, "float32")
        self.dynamic_scale = self.add_variable((), start, name="dynamic_scale")
        self.inner_optimizer.build(variables)
        self.built = True

    @property
    def variables(self) -> list[Variable]:
        return [*super().variables, *self.inner_optimizer.variables]

    @property
    def iterations(self) -> Any:
        """How many updates the inner optimizer made."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        grads = list(grads)
        if trainable_variables is None:
            variables = self._trainable_variables
        else:
            variables = list(trainable_variables)
            self.build(variables)
        pairs = self._paired(grads, variables if self.built else None)
        factor = self.inner_optimizer.loss_scale_factor or 1.0

        def go_on():
            scale = self.dynamic_scale.value / factor
            unscaled = [g if v.overwrite_with_gradient else g / scale for g, v in pairs]
            self.inner_optimizer.apply(unscaled, [variable for _, variable in pairs])
            good = self.step_counter.value + 1
            choose(good == self.dynamic_growth_steps, lambda: rescale(2.0), count, own)

        def count():
            self.step_counter.assign_add(1)

        def rescale(by):
            self.step_counter.assign(0)
            self.dynamic_scale.assign(self.dynamic_scale.value * by)

        own = [self.step_counter, self.dynamic_scale]
        everything = [*self._trainable_variables, *self.variables]
        choose(self.check_finite(grads), go_on, lambda: rescale(0.5), everything)

    def check_finite(self, grads: Iterable[Any]) -> jax.Array:
        """Whether no gradient holds an infinity or a NaN."""
        good = [jnp.all(jnp.isfinite(jnp.asarray(g))) for g in grads if g is not None]
        return jnp.all(jnp.stack(good)) if good else jnp.asarray(True)

    def scale_loss(self, loss: Any) -> Any:
        """`loss`, times the scale."""
        return loss * (self.dynamic_scale.value if self.built else self.initial_scale)

    def exclude_from_weight_decay(self, var_list=None, var_names=None) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": registry.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }


@registry.export("optimizers.OptimizerMap")
class OptimizerMap(MutableMapping):
    """Optimizers by the path of a variable, for `MultiOptimizer`.

    A key is a path, or a regular expression that matches all of one.

    Args:
        default_optimizer: For paths that no key matches.
        optimizer_map: Where to start from: `{key: optimizer}`.
    """

    @checked
    def __init__(
        self,
        default_optimizer: Optimizer,
        optimizer_map: Annotated[Any, optional(mapping)] = None,
    ):
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(needs(self, "an optimizer", "default_optimizer", default_optimizer))
        self._default_optimizer = default_optimizer
        self._optimizer_map: dict[str, Optimizer] = {}
        self.update(optimizer_map or {})

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of paths that no key matches."""
        return self._default_optimizer

    def __call__(self, variable: Variable) -> Optimizer:
        """The optimizer of `variable`."""
        return self[variable.path]

    def __getitem__(self, path: str) -> Optimizer:
        if path in self._optimizer_map:
            return self._optimizer_map[path]
        matches = [key for key in self._optimizer_map if re.fullmatch(key, path)]
        if len(matches) > 1:
            raise ValueError(f"The path {path!r} matches several keys of the map: {matches}.")
        return self._optimizer_map[matches[0]] if matches else self._default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ValueError(f"OptimizerMap needs a string for each key, got {key!r}.")
        if key in self._optimizer_map:
            raise ValueError(f"OptimizerMap already has an optimizer for {key!r}; delete it first.")
        if not isinstance(optimizer, Optimizer):
            raise ValueError(needs(self, "an optimizer", key, optimizer))
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __contains__(self, key: object) -> bool:
        return key in self._optimizer_map

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def get_config(self) -> dict[str, Any]:
        return {
            "default_optimizer": registry.serialize(self._default_optimizer),
            "optimizer_map": registry.serialize(self._optimizer_map),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "OptimizerMap":
        return cls(**{k: registry.deserialize(v, custom_objects) for k, v in config.items()})


@registry.export("optimizers.MultiOptimizer")
class MultiOptimizer(Optimizer):
    """Trains different variables by different optimizers, which stand in `optimizers`.

    Args:
        optimizer_map: An `OptimizerMap`, or a callable that gives each variable's optimizer.
        loss_scale_factor: Put in the place of that of each of them.
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ):
        if not callable(optimizer_map):
            expected = "an OptimizerMap, or a callable from a variable to its optimizer,"
            raise TypeError(needs(self, expected, "optimizer_map", optimizer_map))
        self._optimizers: list[Optimizer] = []
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            listed = [*optimizer_map.values(), optimizer_map.default_optimizer]
            self._optimizers = list({id(o): o for o in listed}.values())
            self.loss_scale_factor = loss_scale_factor

    @property
    def optimizers(self) -> list[Optimizer]:
        """Those of the map, its default last; those a callable gave, once it is built."""
        return self._optimizers

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        self._trainable_variables = list(variables)
        chosen = [self._optimizer_map(v) for v in self._trainable_variables]
        distinct = {id(o): o for o in [*self._optimizers, *chosen]}
        self._optimizers = list(distinct.values())
        places = {key: i for i, key in enumerate(distinct)}
        self._places = [places[id(o)] for o in chosen]
        for i, optimizer in enumerate(self._optimizers):
            mine = [v for v, place in zip(self._trainable_variables, self._places) if place == i]
            optimizer.build(mine)
        self.loss_scale_factor = self.loss_scale_factor  # now that all are known
        self.built = True

    @property
    def variables(self) -> list[Variable]:
        return [*super().variables, *(v for o in self._optimizers for v in o.variables)]

    @property
    def loss_scale_factor(self) -> float | None:
        """What the loss is multiplied by; the same for all optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self._optimizers:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        raise AttributeError(self._many("learning rates"))

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(self._many("learning rates"))

    def _many(self, what: str) -> str:
        return (
            f"{self.name} has as many {what} as it has optimizers. Go through "
            "`optimizer.optimizers` to read or set them."
        )

    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        pairs = self._paired(list(grads), trainable_variables)
        for i, optimizer in enumerate(self._optimizers):
            mine = [(g, v) for g, v in pairs if self._places[self._get_variable_index(v)] == i]
            if mine:
                optimizer.apply_gradients(mine)
        if pairs:
            self._iterations.assign_add(1)

    def exclude_from_weight_decay(self, var_list=None, var_names=None) -> None:
        for optimizer in self._optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        variables = list(var_list)
        for i, optimizer in enumerate(self._optimizers):
            optimizer.finalize_variable_values(
                [v for v in variables if self._places[self._get_variable_index(v)] == i]
            )

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": registry.serialize(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }


class GradientTransformation(Protocol):
    """What optax makes: a pair of pure functions."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


@registry.export("optimizers.OptaxOptimizer")
class OptaxOptimizer(Optimizer):
    """An optimizer made of an optax transformation, which sees the variables as a list.

    Args:
        transformation: Its `init` makes the state, its `update` gives what is added to the
            variables.
        learning_rate: What that is multiplied by; 1 leaves the transformation's own.
        **kwargs: Further arguments of `Optimizer`.
    """

    @checked
    def __init__(
        self,
        transformation: GradientTransformation,
        learning_rate: Any = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.transformation = transformation

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        values = [v._array for v in self._trainable_variables]
        with jax.ensure_compile_time_eval():
            state, self._structure = jax.tree.flatten(self.transformation.init(values))
        self._state = [
            self.add_variable(x.shape, x, x.dtype, name=f"state_{i}")
            for i, x in enumerate(jnp.asarray(leaf) for leaf in state)
        ]

    def update_all(self, grads, variables, learning_rate) -> None:
        given = {id(v): g for g, v in zip(grads, variables)}
        trained = self._trainable_variables
        values = [v.value for v in trained]
        full = [given.get(id(v), jnp.zeros_like(x)) for v, x in zip(trained, values)]
        state = jax.tree.unflatten(self._structure, [v.value for v in self._state])
        updates, state = self.transformation.update(full, state, values)
        for variable, update in zip(trained, updates):
            if id(variable) in given:
                variable.assign(variable.value + learning_rate * update)
        for held, value in zip(self._state, jax.tree.leaves(state), strict=True):
            held.assign(value)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"transformation": None}

    @classmethod
    def from_config(cls, config, custom_objects=None) -> "OptaxOptimizer":
        raise ValueError(
            "The file was written with an optax transformation as optimizer, which is code and "
            "not in the file. Load with `compile=False`, then `compile` with the transformation."
        )
