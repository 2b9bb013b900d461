"""The calls of hooks that real Keras makes, recorded by running this file.

Each call is `hook index names-in-logs`. `test_calls.py` compares the table with live Keras and
with our trainer.
"""

import json
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("calls.json")
X = np.arange(24, dtype="float32").reshape(8, 3) / 24
Y = (X.sum(1) > 1).astype("float32")
HELD_OUT = {"validation_data": (X, Y), "validation_batch_size": 4}
RUNS = {
    "fit": ("fit", {"batch_size": 4, "epochs": 2, **HELD_OUT}),
    "fit without validation": ("fit", {"batch_size": 4}),
    "fit on an uneven number": ("fit", {"batch_size": 3}),
    "fit with some steps": ("fit", {"batch_size": 2, "steps_per_epoch": 2, "epochs": 2}),
    "fit with initial epoch": ("fit", {"batch_size": 8, "epochs": 4, "initial_epoch": 2}),
    "fit with rare validation": (
        "fit",
        {"batch_size": 8, "epochs": 3, "validation_freq": 2, **HELD_OUT},
    ),
    "fit with split": ("fit", {"batch_size": 4, "validation_split": 0.5}),
    "fit stopped in a batch": (
        "fit",
        {"batch_size": 2, "epochs": 3, "stop": ("on_train_batch_end", 1), **HELD_OUT},
    ),
    "fit stopped after an epoch": (
        "fit",
        {"batch_size": 8, "epochs": 3, "stop": ("on_epoch_end", 1)},
    ),
    "evaluate": ("evaluate", {"batch_size": 4}),
    "evaluate some steps": ("evaluate", {"batch_size": 2, "steps": 2}),
    "predict": ("predict", {"batch_size": 4}),
}


def recorder(library, calls, stop=None):
    """A callback that appends to `calls`, and stops training at the hook and index `stop`."""

    class Recorder(library.callbacks.Callback):
        def set_params(self, params):
            super().set_params(params)
            calls.append(f"set_params {json.dumps(params, sort_keys=True)}")

        def set_model(self, model):
            super().set_model(model)
            calls.append("set_model")

    def hook(name):
        def call(self, *args, logs=None):
            index = [a for a in args if isinstance(a, int)]
            given = logs if logs is not None else next(a for a in args if isinstance(a, dict))
            calls.append(" ".join([name, *map(str, index), ",".join(given)]).strip())
            if stop and (name, *index) == tuple(stop):
                self.model.stop_training = True

        return call

    for name in dir(library.callbacks.Callback):
        if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
            setattr(Recorder, name, hook(name))
    return Recorder()


def record(library) -> dict[str, list[str]]:
    """The calls of each run."""
    inputs = library.Input((3,))
    model = library.Model(inputs, library.layers.Dense(1, activation="sigmoid")(inputs))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    table = {}
    for name, (method, arguments) in RUNS.items():
        arguments = dict(arguments)
        calls = table[name] = []
        callback = recorder(library, calls, arguments.pop("stop", None))
        data = (X,) if method == "predict" else (X, Y)
        getattr(model, method)(*data, verbose=0, callbacks=[callback], **arguments)
    return table


if __name__ == "__main__":
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    TABLE.write_text(json.dumps(record(keras), indent=1) + "\n")
