"""How far a training is: a bar that is drawn again and again, or a line for each epoch."""

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from keraunos.callbacks.callback import Callback
from keraunos.core import console, registry
from keraunos.core.fields import checked

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """A progress bar: steps, time, averages of values.

    Where lines cannot be drawn again (in a pipe, in a file) one line is written at the end,
    without control characters. Differs: Keras writes control characters there too.

    Args:
        target: The number of steps; None if not known.
        width: Of the bar, in characters.
        verbose: 0 for nothing, 1 for a bar, 2 for one line at the end.
        interval: Least seconds between two drawings.
        stateful_metrics: Names of values shown as they are; the others are averaged over
            the steps.
        stateless_metrics: Names of values that are averaged; the others are shown as they
            are. Only one of the two may be given.
        unit_name: What a step is called.
    """

    @checked
    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Give `stateful_metrics` or `stateless_metrics`, not both.")
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._values: dict[str, tuple[Any, int]] = {}  # a sum, and over how many steps
        self._seen = 0
        self._first: tuple[int, float] | None = None  # the first update: it includes compiling
        self._drawn_at = -math.inf
        self._drawn_width = 0
        self._start = time.perf_counter()

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Show that `current` steps are done.

        Args:
            values: Pairs `(name, value)`.
            finalize: Whether this is the end, where values are shown as they are; by
                default, whether `current` has reached the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            if finalize or not self._is_averaged(name):
                self._values[name] = value, 1
            else:
                total, count = self._values.get(name, (0, 0))
                self._values[name] = total + value * steps, count + steps
        self._seen = current

        now = time.perf_counter()
        if self._first is None and current > 0:
            self._first = current, now
        redraws = self.verbose == 1 and console.can_redraw()
        if redraws and (finalize or now - self._drawn_at >= self.interval):
            self._draw(current, now, finalize)
            self._drawn_at = now
        elif finalize and self.verbose in (1, 2) and not redraws:
            spent = f" - {now - self._start:.0f}s -{self._pace(current, now)}"
            console.say(self._count(current) + spent + self._shown_values())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in self.stateful_metrics

    def _draw(self, current: int, now: float, finalize: bool) -> None:
        count, bar, coloured = self._count(current), "", ""
        if self.target:
            done = int(self.width * current / self.target)
            left = max(self.width - done, 0)
            bar = "━" * (done + left) + " "
            green = f"{_GREEN}{'━' * done}{_PLAIN}" if done > 0 else ""
            coloured = f"{_BOLD}{count}{_PLAIN} {green}{_WHITE}{'━' * left}{_PLAIN} "
            count = f"{count} "
        else:
            count = coloured = f"{count} "
        if self.target and not finalize:
            seconds = _clock(self._seconds_per_step(current, now) * (self.target - current))
        else:
            seconds = f"{now - self._start:.0f}s"
        rest = self._pace(current, now) + self._shown_values()
        width = len(count) + len(bar) + len(seconds) + len(rest)
        padding = " " * (self._drawn_width - width)
        console.say(
            "\b" * self._drawn_width
            + f"\r{coloured}{_BOLD}{seconds}{_PLAIN}{rest}{padding}"
            + ("\n" if finalize else ""),
            end="",
        )
        self._drawn_width = width

    def _count(self, current: int) -> str:
        if not self.target:
            return f"{current:7d}/Unknown"
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _seconds_per_step(self, current: int, now: float) -> float:
        """Without the first update, if there was another."""
        if current <= 0:
            return 0.0
        if self._first is not None and current > self._first[0]:
            return (now - self._first[1]) / (current - self._first[0])
        return (now - self._start) / current

    def _pace(self, current: int, now: float) -> str:
        seconds = self._seconds_per_step(current, now)
        if seconds >= 1 or seconds == 0:
            amount = f"{seconds:.0f}s"
        elif seconds >= 1e-3:
            amount = f"{seconds * 1e3:.0f}ms"
        else:
            amount = f"{seconds * 1e6:.0f}us"
        return f" {amount}/{self.unit_name}"

    def _shown_values(self) -> str:
        return "".join(
            f" - {name}: {_shown(total, count)}" for name, (total, count) in self._values.items()
        )


def _shown(total: Any, count: int) -> str:
    mean = float(np.mean(np.asarray(total, "float64"))) / max(1, count)
    return f"{mean:.4f}" if abs(mean) > 1e-3 else f"{mean:.4e}"


def _clock(seconds: float) -> str:
    """`12s`, `4:04`, `3:05:00`."""
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"


@registry.export("callbacks.ProgbarLogger")
class ProgbarLogger(Callback):
    """Shows how far `fit`, `evaluate` or `predict` is; `verbose` puts it into place."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose: int = 1
        self.epochs: int = 1
        self._called_in_fit = False

    @property
    def every(self) -> float:
        """Drawn five times a second, or only at the end."""
        return 0.2 if self.verbose == 1 and console.can_redraw() else math.inf

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params["verbose"]
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs, self.target = params["epochs"], params["steps"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._called_in_fit = True

    def on_train_end(self, logs: dict | None = None) -> None:
        self._called_in_fit = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.verbose and self.epochs > 1:
            console.say(f"Epoch {epoch + 1}/{self.epochs}")
        self._start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: dict | None = None) -> None:
        if not self._called_in_fit:
            self._start()

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not self._called_in_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: dict | None = None) -> None:
        if not self._called_in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: dict | None = None) -> None:
        self._start()

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._update(batch, None)  # the outputs of the model are no numbers to be shown

    def on_predict_end(self, logs: dict | None = None) -> None:
        self._finish(None)

    def _start(self) -> None:
        self.seen, self.progbar = 0, None
        if self.verbose:
            self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def _update(self, batch: int, logs: dict | None) -> None:
        self.seen = batch + 1
        if self.progbar is not None and self.verbose == 1:
            self.progbar.update(self.seen, _in_order(logs), finalize=False)

    def _finish(self, logs: dict | None) -> None:
        if self.target is None:
            self.target = self.seen  # so the next epoch knows
        if self.progbar is not None:
            self.progbar.target = self.target
            self.progbar.update(self.target, _in_order(logs), finalize=True)
            self.progbar = None


def _in_order(logs: dict | None) -> list[tuple[str, Any]]:
    """Without values that are no single numbers."""
    return [(name, value) for name, value in (logs or {}).items() if np.ndim(value) == 0]
