"""Learning rates: one for each part of a model, and a way to find a good one."""

import contextlib
import dataclasses
import difflib
import fnmatch
import math
import random as python_random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keraunos import optimizers
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.optimizers import MultiOptimizer, Optimizer
from keraunos.optimizers.schedules import ExponentialDecay
from keraunos.random import global_variables
from keraunos.training import paths


def are_patterns(optimizer: Any) -> bool:
    """Whether it is optimizers by pattern, not the config of one."""
    return isinstance(optimizer, Mapping) and "class_name" not in optimizer


class ByPattern:
    """The optimizer of each variable of a model: that of the first pattern that fits its path.

    Args:
        patterns: `{pattern: optimizer}`, where `*` stands for anything, also a "/". A pattern
            fits a variable if it fits its path, or that of a layer it is in.
    """

    def __init__(self, model: Layer, patterns: Mapping[str, Optimizer]):
        self.model, self.patterns = model, patterns
        self._found: dict[int, str] | None = None

    def __call__(self, variable: Variable) -> Optimizer:
        if self._found is None:
            self._found = self._assigned()
        return self.patterns[self._found[id(variable)]]

    def _assigned(self) -> dict[int, str]:
        """The pattern of each variable, by its `id`.

        Errors: ValueError for a variable without a pattern, and a pattern without variables.
        """
        known = paths.variables(self.model)
        fits: dict[str, list[int]] = {pattern: [] for pattern in self.patterns}
        found = {}
        for key, (variable, names) in known.items():
            matching = [p for p in self.patterns if any(_fits(p, name) for name in names)]
            for pattern in matching:
                fits[pattern].append(key)
            if matching:
                found[key] = matching[0]
            elif variable.made_trainable:
                raise ValueError(
                    f"No pattern of `optimizer` fits the variable {names[0]!r}; there are "
                    f"{_listed(self.patterns)}{_nearest(names[0], self.patterns)}. End with "
                    "'*': the optimizer of all others."
                )
        layers = [path for path, _ in paths.layers(self.model)]
        for pattern, keys in fits.items():
            if not keys:
                raise ValueError(
                    f"The pattern {pattern!r} of `optimizer` fits no layer and no variable of "
                    f"`{self.model.name}`{_nearest(pattern, layers)}. Its layers are "
                    f"{_listed(layers)}."
                )
            if pattern not in [found[key] for key in keys]:
                raise ValueError(
                    f"The pattern {pattern!r} of `optimizer` is never reached: all that it fits "
                    f"goes to {found[keys[0]]!r}, which stands before it. Put it first."
                )
        return found


def by_pattern(model: Layer, given: Mapping[str, Any]) -> tuple[MultiOptimizer, dict]:
    """The optimizer of a model that was told several by pattern; and them, as objects."""
    patterns: Any = {pattern: optimizers.get(each) for pattern, each in given.items()}
    for pattern, each in patterns.items():
        if not isinstance(pattern, str) or not isinstance(each, Optimizer):
            raise ValueError(
                "`optimizer` as a dict needs a pattern of paths for each key and an optimizer for "
                f"each value, got {pattern!r}: {each!r}."
            )
    choose = ByPattern(model, patterns)
    if model.built:
        choose._assigned()  # mistakes are told where they were made
    return MultiOptimizer(choose), patterns


def _fits(pattern: str, path: str) -> bool:
    parts = path.split("/")
    return any(fnmatch.fnmatchcase("/".join(parts[: i + 1]), pattern) for i in range(len(parts)))


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [str(each) for each in known], 1, 0.4)
    return f" (the nearest is {close[0]!r})" if close else ""


def _listed(names: Any) -> str:
    names = [repr(name) for name in names]
    return ", ".join(names[:8]) + (", ..." if names[8:] else "")


@dataclass(frozen=True)
class Rates:
    """What a search for a learning rate saw.

    Attributes:
        rates: Those that were tried, growing.
        losses: Of the batch that each was tried on, before the step.
        suggestion: The rate at which the smoothed loss fell fastest.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float


def growing(optimizer: Any, lowest: float, highest: float, steps: int) -> Optimizer:
    """An optimizer like this one, whose learning rate grows by a factor with each step."""
    if not 0 < lowest < highest:
        raise ValueError(
            f"`lowest` must be positive and less than `highest`, got {lowest!r} and {highest!r}."
        )
    if isinstance(optimizer, optimizers.LossScaleOptimizer):
        inner = growing(optimizer.inner_optimizer, lowest, highest, steps)
        return optimizers.LossScaleOptimizer(inner)
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, MultiOptimizer):
        raise ValueError(f"A search needs one optimizer with one learning rate, got {optimizer!r}.")
    rate = ExponentialDecay(lowest, max(steps - 1, 1), highest / lowest)
    return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": rate})


@contextlib.contextmanager
def trial(model: Any, optimizer: Optimizer | None = None) -> Iterator[None]:
    """Within it, training leaves no trace: not on the model, nor on random numbers."""
    compiled, held = model._compiled, [(v, v.numpy()) for v in _all_variables(model)]
    states = python_random.getstate(), np.random.get_state()
    if optimizer is not None:
        model._compiled = dataclasses.replace(compiled, optimizer=optimizer, programs={})
    try:
        yield
    finally:
        model._compiled = compiled
        for variable, value in held:
            variable.assign(value)
        python_random.setstate(states[0])
        np.random.set_state(states[1])


def _all_variables(model: Any) -> list[Variable]:
    groups = [variable for group in model._groups("train") for variable in group]
    return [*groups, *global_variables()]


def judged(
    lowest: float, highest: float, steps: int, losses: Iterable[float], smoothing: float
) -> Rates:
    """What losses say of rates that grow by a factor; read as long as they say something.

    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    """
    average, seen, smooth = 0.0, [], []
    for loss in losses:
        seen.append(loss)
        average = smoothing * average + (1 - smoothing) * loss
        smooth.append(average / (1 - smoothing ** len(seen)))
        if not math.isfinite(loss) or smooth[-1] > 4 * min(smooth):
            break
    rates = np.geomspace(lowest, highest, steps)[: len(seen)]
    near = max(steps // 20, 1)  # slopes are taken over a tenth of the rates, after as many
    falling = np.array(smooth)[2 * near : int(np.nanargmin(smooth)) + 1]
    slopes = falling[2 * near :] - falling[: -2 * near]
    best = 3 * near + int(np.argmin(slopes)) if slopes.size else int(np.nanargmin(smooth))
    return Rates(rates, np.array(seen), float(rates[best]))
