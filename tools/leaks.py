"""Measure what stays in memory after many calls, and after models that were made and dropped.

    python tools/leaks.py [calls=10000] [models=200] [trained=60]

Prints growth after a warm-up for each kind of call, and what is left of dropped models. Exit
status 1 if anything grew by 20 MB or more, or if programs, files or threads were left.
"""

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

import keraunos
from keraunos import layers

MOST = 20.0  # MB
X = np.random.RandomState(0).rand(32, 4).astype("float32")
Y = X[:, :1]


def made() -> Any:
    model = keraunos.Sequential(
        [
            keraunos.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return model


CALLS: dict[str, Callable[[Any], Any]] = {
    "predict": lambda model: model.predict(X, verbose=0),
    "predict_on_batch": lambda model: model.predict_on_batch(X),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "fit": lambda model: model.fit(X, Y, verbose=0),
    "model(x)": lambda model: model(X),
}


def megabytes() -> float:
    """Memory of this process."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def grown(work: Callable[[], Any], count: int) -> float:
    """Megabytes that `count` times of `work` add, after a tenth of them."""
    for _ in range(count // 10):
        work()
    before = megabytes()
    for _ in range(count):
        work()
    return megabytes() - before


def dropped(count: int, trained: bool) -> tuple[float, int]:
    """Growth by models that are made, maybe trained, and dropped; models and programs left."""
    held: weakref.WeakSet = weakref.WeakSet()

    def work() -> None:
        model = made()
        held.add(model)
        if trained:
            model.fit(X, Y, verbose=0)
            held.update(model._compiled.programs.values())

    for _ in range(3):
        work()
    before = megabytes()
    for _ in range(count):
        work()
    after = megabytes()
    return after - before, len(held)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def main(calls: int = 10_000, models: int = 200, trained: int = 60) -> int:
    bad = []
    model = made()
    for name, call in CALLS.items():
        files, threads = open_files(), threading.active_count()
        growth = grown(lambda model=model, call=call: call(model), calls)
        left = open_files() - files, threading.active_count() - threads
        print(
            f"{name:18} {calls:6} calls: {growth:+7.2f} MB, files {left[0]:+}, threads {left[1]:+}"
        )
        if growth >= MOST or max(left) > 1:
            bad.append(name)
    del model
    for kind, count in (("made", models), ("trained", trained)):
        growth, left = dropped(count, kind == "trained")
        told = f"{growth:+7.2f} MB ({growth * 1024 / count:+.0f} KB each), {left} left"
        print(f"{count:6} models {kind} and dropped: {told}")
        if left or growth >= MOST:
            bad.append(kind)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
