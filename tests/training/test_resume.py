"""A run that is left at any moment and started again ends as if nothing had happened."""

import functools
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.training.run_folder import RunFolder

RNG = np.random.RandomState(0)
X = RNG.rand(36, 4).astype("float32")
Y = (X.sum(1, keepdims=True) > 2).astype("float32")
BATCHES = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 36, 8)]
EPOCHS, STEPS = 4, 5


class Crash(Exception):
    pass


class CrashAt(keraunos.callbacks.Callback):
    """Ends the process, as far as a test can, after some batches."""

    def __init__(self, count):
        super().__init__()
        self.left = count

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Crash

    def get_run_state(self):
        return {}


class Notes(keraunos.callbacks.Callback):
    """A user's callback that remembers."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs["loss"]))


class Shuffled(keraunos.utils.PyDataset):
    """Its order is changed by a hook, with NumPy's own random numbers."""

    def __init__(self):
        super().__init__()
        self.order = np.arange(STEPS)

    def __len__(self):
        return STEPS

    def __getitem__(self, i):
        return BATCHES[self.order[i]]

    def on_epoch_end(self):
        np.random.shuffle(self.order)


class Rereadable:
    """Batches with noise, in each pass another."""

    def __iter__(self):
        for x, y in BATCHES:
            yield x + np.random.rand(*x.shape).astype("float32"), y


def noisy_for_ever():
    while True:
        yield from Rereadable()


def dataset():
    return keraunos.data.Dataset.from_tensor_slices((X, Y)).shuffle(seed=3).batch(8)


SOURCES = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 8, "validation_split": 0.1},
    "generator": lambda: {"x": noisy_for_ever(), "steps_per_epoch": STEPS},
    "iterable": lambda: {"x": Rereadable()},
    "PyDataset": lambda: {"x": Shuffled()},
    "Dataset": lambda: {"x": dataset(), "validation_data": dataset()},
    "cut Dataset": lambda: {"x": dataset(), "steps_per_epoch": 3},
}


def train(source, folder=None, crash=0, units=4, **options):
    """A process from its start to its end, or to a crash; what is left of it."""
    keraunos.utils.set_random_seed(7)
    keraunos.utils.clear_session()
    model = keraunos.Sequential(
        [
            keraunos.Input((4,)),
            layers.Dense(units, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    rate = keraunos.optimizers.schedules.ExponentialDecay(0.05, 7, 0.9)
    model.compile(keraunos.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    notes = Notes()
    callbacks = [
        keraunos.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
        notes,
        CrashAt(crash),
        *options.pop("callbacks", ()),
    ]
    backup = {"save_freq": 2, "delete_checkpoint": False} | options.pop("backup", {})
    if folder is not None:
        callbacks.append(keraunos.callbacks.BackupAndRestore(folder, **backup))
    given = {"epochs": EPOCHS, "verbose": 0, **SOURCES[source](), **options}
    history = model.fit(**given, callbacks=callbacks).history
    values = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    return values, history, (notes.batches, notes.epochs)


@functools.cache
def undisturbed(source):
    return train(source)


def same(one, other):
    assert len(one[0]) == len(other[0])
    assert all(np.array_equal(a, b) for a, b in zip(one[0], other[0]))
    assert one[1:] == other[1:]


@pytest.mark.parametrize("source", SOURCES)
def test_crashes_anywhere(source, tmp_path):
    for crash in (4, 8):  # each counted from where that process began
        with pytest.raises(Crash):
            train(source, tmp_path / "run", crash)
    same(train(source, tmp_path / "run"), undisturbed(source))
    same(train(source, tmp_path / "run"), undisturbed(source))  # it is done: nothing runs again


@pytest.mark.parametrize("freq", ["epoch", "auto", 3])
def test_how_often(freq, tmp_path):
    with pytest.raises(Crash):
        train("arrays", tmp_path / "run", 8, backup={"save_freq": freq})
    record, _ = RunFolder(tmp_path / "run").read()
    position = dict(record["position"]["dict"])
    expected = {"epoch": (1, 0), "auto": (0, 0), 3: (1, 2)}[freq]
    assert (position["epoch"], position["step"]) == expected
    same(train("arrays", tmp_path / "run", backup={"save_freq": freq}), undisturbed("arrays"))


def test_the_folder_is_emptied(tmp_path):
    train("arrays", tmp_path / "run", backup={"delete_checkpoint": True})
    assert not (tmp_path / "run").exists()


def test_more_epochs(tmp_path):
    run = tmp_path / "run"
    train("arrays", run)
    longer = train("arrays", run, epochs=EPOCHS + 1)
    assert longer[1]["loss"][:EPOCHS] == undisturbed("arrays")[1]["loss"]
    assert len(longer[1]["loss"]) == EPOCHS + 1


def test_resume_is_an_argument_of_fit(tmp_path):
    folder = tmp_path / "run"
    first = train("arrays", resume=folder)
    same(train("arrays", resume=folder), first)
    assert len(RunFolder(folder).files()) == 2


def test_csv_and_best_model(tmp_path):
    def once(name, crash=0, folder=None):
        callbacks = [
            keraunos.callbacks.CSVLogger(tmp_path / f"{name}.csv"),
            keraunos.callbacks.ModelCheckpoint(
                tmp_path / f"{name}.keras", monitor="loss", save_best_only=True
            ),
        ]
        return train("arrays", folder, crash, callbacks=callbacks)

    once("undisturbed")
    for crash in (7, 6):
        with pytest.raises(Crash):
            once("left", crash, tmp_path / "run")
    once("left", 0, tmp_path / "run")
    texts = [(tmp_path / f"{name}.csv").read_text() for name in ("undisturbed", "left")]
    assert texts[0] == texts[1] and texts[0].count("\n") == EPOCHS + 1
    models = [
        keraunos.models.load_model(tmp_path / f"{name}.keras") for name in ("undisturbed", "left")
    ]
    for a, b in zip(models[0].get_weights(), models[1].get_weights()):
        assert np.array_equal(a, b)


def test_a_csv_that_is_appended_to(tmp_path):
    def once(name, crash=0, folder=None):
        log = keraunos.callbacks.CSVLogger(tmp_path / name, append=True)
        backup = {"save_freq": "epoch"}
        return train("arrays", folder, crash, callbacks=[log], backup=backup)

    header = "epoch,accuracy,loss,val_accuracy,val_loss\n"
    for name in ("undisturbed", "left"):
        (tmp_path / name).write_text(header)
    once("undisturbed")
    with pytest.raises(Crash):
        once("left", 4, tmp_path / "run")  # the state is still that of the start
    with open(tmp_path / "left", "a") as file:
        file.write("9,a row that no state knows\n")
    once("left", 0, tmp_path / "run")
    assert (tmp_path / "left").read_text() == (tmp_path / "undisturbed").read_text()


def test_a_run_made_longer_is_left_too(tmp_path):
    run = tmp_path / "run"
    train("arrays", run)
    with pytest.raises(Crash):
        train("arrays", run, 4, epochs=EPOCHS + 1)
    position = dict(RunFolder(run).read()[0]["position"]["dict"])
    assert (position["epoch"], position["finished"]) == (EPOCHS, False)
    assert len(train("arrays", run, epochs=EPOCHS + 1)[1]["loss"]) == EPOCHS + 1


def test_a_state_that_cannot_be_kept(tmp_path):
    class Holds(keraunos.callbacks.Callback):
        def get_run_state(self):
            return {"lock": object()}

    with pytest.raises(TypeError, match=r"Holds.get_run_state\(\) holds object, which cannot be"):
        train("arrays", tmp_path / "run", callbacks=[Holds()])


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def _altered(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated": _truncated,
    "one bit": _altered,
    "empty": lambda path: path.write_bytes(b""),
    "other": lambda path: path.write_bytes(b"something else"),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize(
    "damage, all_of_them", [("truncated", False), ("deleted", False), ("one bit", True)]
)
def test_damaged_files(damage, all_of_them, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Crash):
        train("arrays", run, 8)
    for path in RunFolder(run).files()[: None if all_of_them else 1]:
        DAMAGE[damage](path)
    if damage == "deleted":
        result = train("arrays", run)
    else:
        with pytest.warns(UserWarning, match="cut short or altered. The run goes on from") as told:
            result = train("arrays", run)
        goes_on = "its beginning" if all_of_them else "state-3"
        assert goes_on in str(told[-1].message) and len(told) == 1 + all_of_them
    same(result, undisturbed("arrays"))


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_generation_before(damage, tmp_path):
    folder = RunFolder(tmp_path)
    for number in range(4):
        folder.write({"number": number}, {"a": np.arange(number + 1)})
    newest, before = folder.files()
    assert folder.read()[0] == {"number": 3} and before.is_file()
    DAMAGE[damage](newest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        record, arrays = folder.read()
    assert record == {"number": 2} and arrays["a"].tolist() == [0, 1, 2]
    folder.write({"number": 4}, {})
    assert folder.read()[0] == {"number": 4}


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="cannot be kept in .*No space left") as told:
        result = train("arrays", tmp_path / "run")
    assert len(told) == 1
    same(result, undisturbed("arrays"))
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    "changed, said",
    [
        (
            {"units": 5},
            r"its variable sequential/dense/kernel was \(4, 4\) float32, and is \(4, 5\)",
        ),
        ({"source": "generator"}, "its data, .* was "),
        ({"batch_size": 12}, "its data, batches was 5, and is 3 now"),
        ({"y": 1 - Y}, r"its data, array 1\[2\] was"),
        ({"class_weight": {0: 1.0, 1: 2.0}}, "its data, array 2 was null"),
    ],
)
def test_another_program(changed, said, tmp_path):
    given = {"source": "arrays", "validation_split": 0.0} | changed
    with pytest.raises(Crash):
        train("arrays", tmp_path / "run", 4, validation_split=0.0)
    with pytest.raises(ValueError, match=f"holds the run of another program: {said}.*empty folder"):
        train(given.pop("source"), tmp_path / "run", **given)


def test_another_computation(tmp_path):
    def once(scale, loss="mse"):
        keraunos.utils.set_random_seed(1)
        model = keraunos.Sequential(
            [keraunos.Input((4,)), layers.Dense(1), layers.Lambda(lambda x: x * scale)]
        )
        model.compile("sgd", loss)
        model.fit(X, Y, verbose=0, resume=tmp_path / "run")

    once(1.0)
    once(1.0)
    with pytest.raises(ValueError, match="its training step computes something else"):
        once(2.0)
    with pytest.raises(ValueError, match='its loss was "mse", and is "mae" now'):
        once(1.0, "mae")


@pytest.mark.parametrize("freq", [0, -1, 1.5, "batch", True])
def test_a_wrong_frequency(freq):
    with pytest.raises(ValueError, match="'epoch', 'auto' or a positive number of batches"):
        keraunos.callbacks.BackupAndRestore("run", save_freq=freq)


def test_no_folder():
    with pytest.raises(ValueError, match="Empty `backup_dir`"):
        keraunos.callbacks.BackupAndRestore("")


PROGRAM = """
import os, signal, sys
import numpy as np
import keraunos as keras

folder, how, at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
keras.utils.set_random_seed(1)
x = np.random.rand(64, 3).astype("float32")


class Signal(keras.callbacks.Callback):
    seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == at:
            os.kill(os.getpid(), how)

    def get_run_state(self):
        return {}


model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
model.compile("adam", "mse")
try:
    model.fit(x, x[:, :1], batch_size=8, epochs=3, verbose=0, resume=folder, callbacks=[Signal()])
except KeyboardInterrupt:
    print("interrupted", len(model.history.epoch), np.isfinite(model.predict(x, verbose=0)).all())
    sys.exit(3)
print([v.numpy().tobytes().hex() for v in model.variables])
"""


def _process(folder, how, at):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(int(how)), str(at)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "random"},
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_signals(tmp_path):
    """Of a process: kill -9, SIGTERM, Ctrl-C, each saved or survived."""
    folder = tmp_path / "run"
    at_end = (0, 99)
    code, undisturbed, _ = _process(tmp_path / "other", *at_end)
    assert code == 0
    assert _process(folder, signal.SIGKILL, 5)[0] == -signal.SIGKILL
    assert _process(folder, signal.SIGTERM, 10)[0] == -signal.SIGTERM
    position = dict(RunFolder(folder).read()[0]["position"]["dict"])
    assert (position["epoch"], position["step"]) == (1, 2)  # saved before it left
    code, out, _ = _process(folder, signal.SIGINT, 8)
    assert code == 3 and out == "interrupted 2 True\n"
    code, out, errors = _process(folder, *at_end)
    assert (code, out) == (0, undisturbed), errors


def test_the_protocol_with_few_kills():
    tool = Path(__file__).parents[2] / "tools" / "survive.py"
    done = subprocess.run(
        [sys.executable, tool, "--kills", "2", "--seed", "1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills in 1 runs, 0 of which ended differently" in done.stdout
