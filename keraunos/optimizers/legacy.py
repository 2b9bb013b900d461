"""Names of Keras 2's first optimizers: today's, with their arguments, `lr` and `decay` included."""

from typing import Any

from keraunos.optimizers import adam, adaptive, descent, optimizer

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]


def _of_the_past(now: Any, *bases: type) -> Any:
    """A class that code can tell from `now`; files cannot."""

    def __init__(self, *args: Any, **kwargs: Any):
        now.__init__(self, *args, **kwargs)

    return type(now.__name__, (now, *bases), {"__init__": __init__, "_path": now._path})


Optimizer = _of_the_past(optimizer.Optimizer)
SGD = _of_the_past(descent.SGD, Optimizer)
Adagrad = _of_the_past(adaptive.Adagrad, Optimizer)
Adam = _of_the_past(adam.Adam, Optimizer)
Ftrl = _of_the_past(adaptive.Ftrl, Optimizer)
RMSprop = _of_the_past(adaptive.RMSprop, Optimizer)
