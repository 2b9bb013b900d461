"""Kill a training at random moments, start it again, and compare how it ends.

    python tools/survive.py --kills 200 --source arrays

A model with dropout, batch normalization, Adam under a schedule, shuffling, early stopping, a
learning rate that is reduced, the best model and a CSV kept in files. A run is killed (`kill -9`)
up to ten times, at moments spread evenly over its length, and must end with the weights, optimizer
state, history, CSV and best model of the undisturbed run, bit for bit; exit status 1 if not.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 10  # kills in one run


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--source", choices=sorted(SOURCES), default="arrays")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--child", help="train, keeping the run in this folder")
    given = options.parse_args()
    if given.child:
        train(Path(given.child), given.source)
        return 0
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        expected = until_done(Path(folder) / "undisturbed", given.source, [])
        print(f"{given.source}: undisturbed in {time.monotonic() - start:.1f} s: {expected}")
        done = different = number = 0
        while done < given.kills:
            kills = min(ROUNDS, given.kills - done)
            moments = [chance.random() for _ in range(kills)]
            result = until_done(Path(folder) / f"run-{number}", given.source, moments)
            different += result != expected
            done, number = done + kills, number + 1
            if result != expected:
                print(f"after kills at {moments}: {result}")
        print(f"{done} kills in {number} runs, {different} of which ended differently")
    return different > 0


def until_done(folder: Path, source: str, moments: list[float]) -> str:
    """Run to the end, killed meanwhile once for each of the moments; what it printed last.

    A moment is a share of the time that the training of the last batches would take.
    """
    folder.mkdir()
    for moment in moments:
        process = start(folder, source)
        if process.stdout is not None and process.stdout.readline() == "training\n":
            time.sleep(moment * LENGTH)
            process.send_signal(signal.SIGKILL)
        process.communicate()
    output, _ = start(folder, source).communicate()
    return output.splitlines()[-1] if output else "nothing"


def start(folder: Path, source: str) -> subprocess.Popen:
    command = [sys.executable, __file__, "--child", str(folder), "--source", source]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


# The program that is killed ---------------------------------------------------------------------

LENGTH = 1.0  # seconds that an undisturbed training takes, about
ROWS, BATCH = 480, 16


def train(folder: Path, source: str) -> None:
    import numpy as np

    import keraunos as keras

    keras.utils.set_random_seed(3)
    numbers = np.random.RandomState(0)
    x = numbers.rand(ROWS, 8).astype("float32")
    y = (x.sum(1, keepdims=True) > 4).astype("float32")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    rate = (
        1e-2 if source == "arrays" else keras.optimizers.schedules.ExponentialDecay(0.01, 50, 0.9)
    )
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    best, log = folder / "best.keras", folder / "log.csv"
    callbacks = [
        keras.callbacks.EarlyStopping("loss", patience=4, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(best, monitor="loss", save_best_only=True),
        keras.callbacks.CSVLogger(log),
        keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: print("training", flush=True),
            on_train_batch_end=lambda batch, logs: time.sleep(0.004),
        ),
        keras.callbacks.BackupAndRestore(folder / "run", save_freq=7, delete_checkpoint=False),
    ]
    if source == "arrays":
        callbacks.insert(0, keras.callbacks.ReduceLROnPlateau("loss", patience=1))
    history = model.fit(
        **SOURCES[source](keras, x, y), validation_data=(x, y), epochs=8, verbose=0,
        callbacks=callbacks,
    ).history  # fmt: skip
    values = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    values += keras.models.load_model(best).get_weights()
    whole = b"".join(np.ascontiguousarray(value).tobytes() for value in values)
    whole += repr(history).encode() + log.read_bytes()
    print(hashlib.sha256(whole).hexdigest()[:16], len(history["loss"]), "epochs")


def _arrays(keras, x, y):
    return {"x": x, "y": y, "batch_size": BATCH}


def _generator(keras, x, y):
    import numpy as np

    def batches():
        while True:
            rows = np.random.permutation(ROWS)[:BATCH]
            yield x[rows], y[rows]

    return {"x": batches(), "steps_per_epoch": ROWS // BATCH}


def _sequence(keras, x, y):
    import numpy as np

    class Rows(keras.utils.PyDataset):
        order = np.arange(ROWS)

        def __len__(self):
            return ROWS // BATCH

        def __getitem__(self, i):
            rows = self.order[i * BATCH : (i + 1) * BATCH]
            return x[rows], y[rows]

        def on_epoch_end(self):
            self.order = np.random.permutation(ROWS)

    return {"x": Rows()}


def _dataset(keras, x, y):
    return {"x": keras.data.Dataset.from_tensor_slices((x, y)).shuffle(100).batch(BATCH)}


SOURCES = {
    "arrays": _arrays,
    "generator": _generator,
    "PyDataset": _sequence,
    "Dataset": _dataset,
}

if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
