"""What an optimizer keeps: a variable or more for each variable it trains."""

import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from keraunos import initializers
from keraunos.core import naming, placement
from keraunos.core.state import Stateful, Variable, pure, walk


class Keeper(Stateful):
    """Makes variables, finds them, and writes them into files."""

    _not_mine = frozenset({"_trainable_variables", "_excluded", "_slots"})
    _variables: list[Variable]
    _trainable_variables: list[Variable]
    _index: dict[int, int]
    name: str

    @property
    def variables(self) -> list[Variable]:
        """The step counter, the learning rate if it is a number, then the slots."""
        found = {id(v): v for v in walk(self) if isinstance(v, Variable)}
        return list(found.values())

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable of the optimizer, e.g. a counter."""
        if isinstance(initializer, (str, dict)) or callable(initializer):
            initializer = initializers.get(initializer)
        with naming.name_scope(self.name):
            variable = Variable(
                initializer,
                shape,
                dtype,
                trainable=False,
                aggregation=aggregation,
                name=name,
                layout=layout,
            )
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new variable like `reference_variable`: its shape, its dtype, its place on devices."""
        held, layout = reference_variable._array, placement.layout_of(reference_variable)
        return self.add_variable(
            reference_variable.shape,
            initializer,
            reference_variable.dtype,
            reference_variable.aggregation,
            layout=layout or (held.sharding if held.committed else None),
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )

    def add_optimizer_variables(
        self,
        trainable_variables: Iterable[Variable],
        name: str | Sequence[str],
        initializer: Any = "zeros",
    ) -> Any:
        """A list of variables like `trainable_variables`; for several names, a tuple of lists.

        None stands in it for variables that are overwritten by their gradients.
        """
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        starts = list(initializer) if several else [initializer] * len(names)
        if len(starts) != len(names):
            raise ValueError(
                f"add_optimizer_variables needs one initializer for each name, got "
                f"{len(starts)} for {len(names)}."
            )
        made = [
            [
                None
                if variable.overwrite_with_gradient
                else self.add_variable_from_reference(variable, slot, start)
                for slot, start in zip(names, starts)
            ]
            for variable in trainable_variables
        ]
        lists = tuple([row[i] for row in made] for i in range(len(names)))
        return lists[0] if isinstance(name, str) else lists

    def _get_variable_index(self, variable: Variable) -> int:
        """The place of `variable` among those the optimizer was built with."""
        trained = self._trainable_variables
        for _ in range(2):
            i = self._index.get(id(variable))
            if i is not None and i < len(trained) and trained[i] is variable:
                return i
            # Identities change when the optimizer is copied or pickled.
            self._index = {id(v): i for i, v in enumerate(trained)}
        raise ValueError(
            f"{self.name} does not know the variable {variable.path}: it was built for "
            f"{len(trained)} others. An optimizer serves the variables it was built with; make "
            "a new one for new variables."
        )

    def assign(self, variable: Variable, value: Any) -> None:
        """Replace the value of `variable`."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add `value` to `variable`."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract `value` from `variable`."""
        variable.assign_sub(value)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Give all `variables` new values."""
        self._match("weights", weights, self.variables)
        for variable, value in zip(self.variables, weights):
            variable.assign(np.asarray(value))

    def get_weights(self) -> list[np.ndarray]:
        """The values of all `variables`."""
        return [variable.numpy() for variable in self.variables]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write all `variables` into `store`, by their number."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Read what `save_own_variables` wrote."""
        if len(store) != len(self.variables):
            warnings.warn(
                f"{self.name} has {len(self.variables)} variables and the file {len(store)}, so "
                "they are not read: it starts afresh.",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(self.variables):
            variable.assign(np.asarray(store[str(i)]))

    def _match(self, name: str, values: Sequence[Any], variables: list[Variable]) -> None:
        if len(values) != len(variables):
            raise ValueError(
                f"{self.name} needs one value for each of its {len(variables)} variables in "
                f"`{name}`, got {len(values)}."
            )


def choose(
    condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any], variables: list[Variable]
) -> None:
    """Call one of two functions that assign `variables`, also where the condition is traced."""
    if not isinstance(condition, Tracer):
        (then if condition else otherwise)()
        return
    branches = [
        lambda values, fn=fn: pure(fn, variables)((values,))[1][0] for fn in (then, otherwise)
    ]
    values = jax.lax.cond(condition, *branches, [variable.value for variable in variables])
    for variable, value in zip(variables, values):
        variable.assign(value)
