"""A run that can be left at any moment and entered again: what it is, kept in a folder.

Steps are pure, the order of the data and all randomness are functions of seeds and of the
place in the run; so its variables, its position, and what callbacks remember are all there is.
"""

import hashlib
import json
import random as python_random
import re
import threading
import time
import warnings
from typing import Any

import jax
import numpy as np

from keraunos import random as random_module
from keraunos.callbacks import BackupAndRestore, Callback, CallbackList
from keraunos.core import config, plain, registry
from keraunos.core.state import Variable
from keraunos.training.run_folder import RunFolder

_SHARE = 0.02  # of the time that saving may take, where it may choose its moments
_SHORTEST = 2.0  # seconds between two states, likewise
_SAMPLE = 2**26  # bytes of an array that its checksum reads


class Position:
    """Where a run is."""

    def __init__(self, epoch: int = 0, step: int = 0):
        self.epoch, self.step = epoch, step
        self.read = 0  # batches of the epochs before this one
        self.validations = self.validated = 0  # passes over the held out data, their batches
        self.reader = self.held_out = None  # where readers of data are, that can say so
        self.logs: dict[str, Any] = {}
        self.finished = self.stopped = False


class Run:
    """What `fit` keeps and finds again.

    Args:
        backup: Where, how often.
    """

    def __init__(self, backup: BackupAndRestore):
        self.backup, self.folder = backup, RunFolder(backup.backup_dir)
        self.position = Position()
        self._found = self.folder.read()
        self._writer: threading.Thread | None = None
        self._told = False
        self._at_first: list[dict[str, str]] = []
        self._saved_at, self._saved_step, self._cost = time.monotonic(), 0, 0.0
        if self._found:
            vars(self.position).update(self._joined("position"))
            self._saved_step = self.position.read + self.position.step
            python_random.setstate(self._joined("random")["python"])
            np.random.set_state(self._joined("random")["numpy"])
        self._random = {"python": python_random.getstate(), "numpy": np.random.get_state()}

    @property
    def found(self) -> bool:
        """Whether there is a state to go on from."""
        return self._found is not None

    def _joined(self, part: str) -> Any:
        record, arrays = self._found  # type: ignore[misc]
        return plain.join(record[part], arrays)

    # Entering ------------------------------------------------------------------------------

    def check(self, program: dict[str, Any]) -> None:
        """Raise if another program wrote the folder; `program` is what tells them apart."""
        self._program = json.loads(json.dumps(program))
        if not self._found:
            return
        before, now = self._found[0]["program"], self._program
        different = [_difference(name, before.get(name), now[name]) for name in now]
        if found := [text for text in different if text]:
            raise ValueError(
                f"{self.folder.path} holds the run of another program: {found[0]}. Start the "
                "program that wrote it, or give this one an empty folder."
            )

    def begin(self, callbacks: CallbackList) -> None:
        """Note what callbacks are told by their makers, which is not the run's to remember."""
        for callback in callbacks.callbacks:
            state = callback.get_run_state()
            try:
                self._at_first.append({name: _print(value) for name, value in state.items()})
            except plain.NotPlain as error:
                raise TypeError(
                    f"{type(callback).__name__}.get_run_state() holds {error}, which cannot be "
                    "kept; numbers, text, arrays, lists and dicts can. It returned "
                    f"{list(state)}."
                ) from None

    def enter(self, model: Any, callbacks: CallbackList) -> None:
        """Give variables and callbacks what they held when the state was saved."""
        if not self._found:
            return
        record, arrays = self._found
        for i, variable in enumerate(_variables(model)):
            variable.assign(plain.join(record["variables"][i], arrays))
        for callback, held in zip(callbacks.callbacks, self._joined("callbacks")):
            callback.set_run_state(held)
        model.stop_training = self.position.stopped

    # Leaving -------------------------------------------------------------------------------

    def due(self, at_end_of_epoch: bool, steps: int) -> bool:
        """Whether to save now, `steps` steps into the run."""
        wanted: Any = self.backup.save_freq
        if wanted == "auto":
            waited = time.monotonic() - self._saved_at
            return waited >= max(_SHORTEST, self._cost / _SHARE)
        if at_end_of_epoch and (wanted == "epoch" or self.backup.double_checkpoint):
            return True
        return wanted != "epoch" and steps - self._saved_step >= wanted

    def most(self, steps: int) -> float:
        """How many more steps may pass before one should ask again."""
        wanted = self.backup.save_freq
        return wanted - (steps - self._saved_step) if isinstance(wanted, int) else float("inf")

    def save(self, model: Any, callbacks: CallbackList, steps: int, wait: bool = False) -> None:
        """Write down what the run is now: copied here, written by a thread."""
        began = time.monotonic()
        self.settle()
        self.position.stopped = bool(model.stop_training)
        arrays: dict[str, np.ndarray] = {}
        record = {
            "program": self._program,
            "position": plain.split(vars(self.position), arrays, "position"),
            "random": plain.split(self._random, arrays, "random"),
            "variables": [plain.split(v.numpy(), arrays, "v") for v in _variables(model)],
            "callbacks": plain.split(self._remembered(callbacks), arrays, "callback"),
        }
        self._writer = threading.Thread(target=self._write, args=(record, arrays))
        self._writer.start()
        if wait:
            self.settle()
        self._saved_at, self._saved_step = time.monotonic(), steps
        self._cost = max(self._cost / 2, self._saved_at - began)

    def _remembered(self, callbacks: CallbackList) -> list[dict[str, Any]]:
        """What each callback knows now and did not when the training began; all that it says, if
        it says so itself."""
        found = []
        for callback, first in zip(callbacks.callbacks, self._at_first):
            state, own = callback.get_run_state(), _speaks_for_itself(callback)
            found.append({k: v for k, v in state.items() if own or first.get(k) != _print(v)})
        return found

    def _write(self, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        began = time.monotonic()
        try:
            self.folder.write(record, arrays)
        except OSError as error:
            if not self._told:
                self._told = True
                warnings.warn(
                    f"The run cannot be kept in {self.folder.path} ({error}); training goes on "
                    "without, and tries again later.",
                    stacklevel=2,
                )
        self._cost = max(self._cost, time.monotonic() - began)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_) -> None:
        self.settle()

    def settle(self) -> None:
        """Wait until what was saved is on the disk."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def finish(self, model: Any, callbacks: CallbackList, steps: int) -> None:
        """The training is done."""
        if self.backup.delete_checkpoint:
            self.settle()
            self.folder.clear()
        else:
            self.position.finished = True
            self.save(model, callbacks, steps, wait=True)


def _speaks_for_itself(callback: Callback) -> bool:
    return type(callback).get_run_state is not Callback.get_run_state


def _print(value: Any) -> str:
    """What tells a plain value from another."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(plain.split(value, arrays, ""))
    return text + "".join(_digest(array.tobytes()) for array in arrays.values())


def _variables(model: Any) -> list[Variable]:
    """All that a step may change, and the seed that functions draw from."""
    groups = [variable for group in model._groups("train") for variable in group]
    return list({id(v): v for v in [*groups, *random_module.global_variables()]}.values())


# Which program it is --------------------------------------------------------------------------


def described(model: Any, data: Any, held_out: Any, callbacks: CallbackList, step: Any) -> dict:
    """What tells one program from another, in words where words will be needed."""
    return {
        "variables": [[v.path, f"{v.shape} {v.dtype}"] for v in _variables(model)],
        "optimizer": _config(model.optimizer),
        "loss": _config(model.loss),
        "data": _data(data),
        "validation data": None if held_out is None else _data(held_out),
        "callbacks": [type(callback).__name__ for callback in callbacks.callbacks],
        "step": _digest(re.sub(r" at 0x[0-9a-f]+|0x[0-9a-f]{6,}", "", str(step)).encode()),
        "precision": config.floatx(),
    }


def _config(thing: Any) -> Any:
    try:
        made_of = registry.serialize(thing)
    except (TypeError, ValueError, NotImplementedError):  # the user's; the step tells it apart
        return type(thing).__name__
    if isinstance(made_of, dict) and "config" in made_of:  # its name may count, as in notebooks
        return {**made_of, "config": {**made_of["config"], "name": None}}
    return made_of


def _data(data: Any) -> dict[str, Any]:
    about = {"batches": data.num_batches, "kind": type(data).__name__}
    if hasattr(data, "batch_size"):
        about["batch size"] = data.batch_size
    for i, leaf in enumerate(jax.tree.leaves(getattr(data, "data", ()))):
        about[f"array {i}"] = [list(leaf.shape), str(leaf.dtype), _checksum(leaf)]
    return about


def _checksum(array: np.ndarray) -> str:
    """Of the values; of rows spread over the array if it is large."""
    every = max(1, array.nbytes // _SAMPLE)
    part = array[::every]
    if part.dtype.kind == "O":
        return _digest(repr(part.tolist()).encode())
    return _digest(np.ascontiguousarray(part).tobytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _difference(name: str, before: Any, now: Any) -> str:
    """Where two descriptions differ first; empty if they do not."""
    if before == now:
        return ""
    if name == "variables":  # their paths may have other numbers, as in a notebook's cell run again
        if len(before) != len(now):
            return f"its model had {len(before)} variables, and has {len(now)} now"
        different = [
            f"its variable {path} was {was}, and is {is_now} now"
            for (_, was), (path, is_now) in zip(before, now)
            if was != is_now
        ]
        return next(iter(different), "")
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if text := _difference(f"{name}, {key}", before.get(key), now.get(key)):
                return text
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        texts = (_difference(f"{name}[{i}]", *pair) for i, pair in enumerate(zip(before, now)))
        return next(text for text in texts if text)
    if name == "step":
        return "its training step computes something else (a layer, the loss, or their arguments)"
    return f"its {name} was {_short(before)}, and is {_short(now)} now"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."
