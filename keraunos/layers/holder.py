"""What a layer owns: variables, the layers within it, losses; and how they are got at."""

from typing import Any, ClassVar

import numpy as np

from keraunos import constraints, initializers, regularizers
from keraunos.core import dtypes, errors, past, state
from keraunos.core.graph import is_symbolic
from keraunos.core.state import Stateful, Variable


class Holder(Stateful):
    """Owns variables and other holders, found by walking its attributes."""

    _not_mine: ClassVar[frozenset[str]] = frozenset({"_inbound_nodes", "_given"})
    _within_layers: ClassVar[bool] = True

    built: bool
    variable_dtype: str
    _trainable: bool
    _made: list[Variable]
    _losses: list
    _symbolic_losses: list = []

    @property
    def _who(self) -> str:
        """How messages call it."""
        return f"{type(self).__name__},"

    # Variables ---------------------------------------------------------------------------

    @errors.door
    @past.name_first
    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that belongs to this layer.

        Args:
            initializer: "glorot_uniform" for floats, "zeros" for other dtypes by default.
            dtype: The layer's `variable_dtype` by default.
        """
        dtype = dtypes.standardize_dtype(dtype or self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float_dtype(dtype) else "zeros"
        variable = Variable(
            initializers.get(initializer),
            shape=() if shape is None else ((shape,) if isinstance(shape, int) else tuple(shape)),
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            aggregation=aggregation,
            name=name,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.overwrite_with_gradient = overwrite_with_gradient
        variable.trainable = trainable and self._trainable
        self._made.append(variable)
        return variable

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, *args: Any, **kwargs: Any
    ) -> Variable:
        """The same as `add_weight`."""
        return self.add_weight(shape, initializer, dtype, *args, **kwargs)

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a metric is an attribute now."""
        raise NotImplementedError(
            f"{self._who} cannot `add_metric`: keep the metric as an attribute of the layer and "
            "call its `update_state` in `call`, or name it in `compile(metrics=[...])`."
        )

    def weight(self, name: str, shape, role: str | None = None, **options) -> None:
        """Make the variable `self.<name>`, under the layer's own `<role>_initializer`,
        `<role>_regularizer` and `<role>_constraint`; the role is the name by default."""
        rules = {
            rule: getattr(self, f"{role or name}_{rule}", None)
            for rule in ("initializer", "regularizer", "constraint")
        }
        setattr(self, name, self.add_weight(shape, name=name, **{**rules, **options}))

    def _children(self, kind: type) -> list:
        return [child for child in state.walk(self) if isinstance(child, kind)]

    @property
    def variables(self) -> list[Variable]:
        """All variables of the layer and of those within it, also the states of seeds."""
        return state.gather(self, lambda child: child._within_layers)

    @property
    def weights(self) -> list[Variable]:
        """The variables that a saved model holds: `variables` without the states of seeds."""
        return state.gather(self, lambda child: isinstance(child, Holder))

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        trained = set(map(id, self.trainable_variables))
        return [v for v in self.variables if id(v) not in trained]

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @trainable_weights.setter
    def trainable_weights(self, variables) -> None:
        self._own(variables, True)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        trained = set(map(id, self.trainable_weights))
        return [v for v in self.weights if id(v) not in trained]

    @non_trainable_weights.setter
    def non_trainable_weights(self, variables) -> None:
        self._own(variables, False)

    def _own(self, variables, trainable: bool) -> None:
        """Have variables that were not made by `add_weight`, as layers of Keras 1 do."""
        known = set(map(id, self._made))
        self._made += [v for v in variables if id(v) not in known]
        for variable in variables:
            variable.made_trainable, variable.trainable = trainable, trainable and self._trainable

    @property
    def metrics(self) -> list:
        """The metrics held by the layer and by those within it."""
        from_here = [c for c in state.walk(self) if getattr(c, "_is_metric", False)]
        return from_here + [m for layer in self._children(Holder) for m in layer.metrics]

    @property
    def metrics_variables(self) -> list[Variable]:
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for child in state.walk(self):
            if isinstance(child, Variable):
                child.trainable = bool(value) and child.made_trainable
            elif isinstance(child, Holder):
                child.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """The values of `weights`, as copies."""
        return [variable.numpy() for variable in self.weights]

    @errors.door
    def set_weights(self, weights) -> None:
        """Put arrays, in the order and shapes of `get_weights`, into the variables."""
        weights, variables = list(weights), self.weights
        if len(weights) != len(variables):
            raise ValueError(
                f"{self._who} has {len(variables)} weights, got {len(weights)} arrays. Give one "
                f"for each, as `get_weights` does: {_told(variables)}."
            )
        for variable, value in zip(variables, weights):
            if tuple(np.shape(value)) != variable.shape:
                raise ValueError(
                    f"{self._who[:-1]}: weight {variable.path} has shape {variable.shape}, "
                    f"got an array of shape {tuple(np.shape(value))}."
                )
        for variable, value in zip(variables, weights):
            variable.assign(value)

    @errors.door
    def count_params(self) -> int:
        """How many numbers `weights` hold."""
        if not self.built:
            raise ValueError(
                f"{self._who} is not built yet, so it has no weights to count. Call it on data, "
                "or `build(input_shape)`."
            )
        return sum(variable.size for variable in self.weights)

    def save_own_variables(self, store) -> None:
        """Put the layer's own variables into `store`, a dict of arrays."""
        for i, variable in enumerate(self._own_variables()):
            store[str(i)] = variable

    def load_own_variables(self, store) -> None:
        """Take the layer's own variables from `store`, a dict of arrays."""
        own = self._own_variables()
        if len(store.keys()) != len(own):
            built = "" if self.built or own else " It was not built before its weights were loaded."
            raise ValueError(
                f"{self._who} has {len(own)} variables, the file holds {len(store.keys())} "
                f"for it.{built}"
            )
        for i, variable in enumerate(own):
            variable.assign(np.asarray(store[str(i)]))
        self._loaded()

    def _loaded(self) -> None:
        """Follows when variables were loaded."""

    def _own_variables(self) -> list[Variable]:
        own = [v for v in state.walk(self) if isinstance(v, Variable)]
        return sorted(own, key=lambda variable: not variable.made_trainable)

    # Losses ------------------------------------------------------------------------------

    @past.takes_old_names
    def add_loss(self, loss) -> None:
        """Add a scalar, or a list of them, to what training minimizes."""
        for item in loss if isinstance(loss, (list, tuple)) else [loss]:
            if is_symbolic(item):  # of a graph: what it is in a step depends on the inputs there
                self._symbolic_losses = [*self._symbolic_losses, item]
            elif scope := state.current_scope():
                scope.add_loss(item, owner=self)
            else:
                self._losses.append(item)

    @property
    def losses(self) -> list:
        """What `add_loss` collected in the last call, and the penalties on the weights."""
        layers = self._flatten_layers()
        if scope := state.current_scope():
            owners = set(map(id, layers))
            added = [loss for owner, loss in scope.collected if id(owner) in owners]
        else:
            added = [loss for layer in layers for loss in layer._losses]
        added += [loss for layer in layers for loss in layer._symbolic_losses]
        return added + [v.regularizer(v) for v in self.trainable_weights if v.regularizer]

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._losses.clear()

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list["Holder"]:
        """The layers within this one, each before those it holds."""
        found = {id(self): self} if include_self else {}
        stack = list(reversed(self._children(Holder)))
        while stack:
            layer = stack.pop()
            if id(layer) not in found and layer is not self:
                found[id(layer)] = layer
                stack += reversed(layer._children(Holder)) if recursive else ()
        return list(found.values())


def _told(variables: list[Variable]) -> str:
    """Their names and shapes; of many, the first."""
    found = [f"{variable.path} {variable.shape}" for variable in variables[:6]]
    return ", ".join(found) + ", ..." * (len(variables) > 6)
