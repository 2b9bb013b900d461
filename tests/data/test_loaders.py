"""Loaders of other libraries are read as they are; those that know their place are put back there.

grain is the real one. PyTorch, TensorFlow and Hugging Face are too large to be installed for this:
classes named after them stand in, which do what their documentation says of them.
"""

import types

import grain
import jax
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.data import Stream, source
from keraunos.data.passes import Passes

X = np.random.RandomState(0).rand(24, 3).astype("float32")
Y = X.sum(1, keepdims=True)
PAIRS = list(zip(X, Y))


def rows(data, epoch=0, start=0):
    """The first input of each row of an epoch."""
    return [
        row[0].item()
        for feed, steps in data.feeds(epoch, start)
        for step in steps
        for row in np.asarray(jax.tree.leaves(data.pick(feed, step))[0])
    ]


class StandInTensor:
    """A tensor of PyTorch: NumPy gets it only when it is detached and on the CPU."""

    def __init__(self, array, here=False):
        self._array, self._here = np.asarray(array), here
        self.shape, self.dtype = self._array.shape, f"torch.{self._array.dtype}"

    def detach(self):
        return self

    def cpu(self):
        return StandInTensor(self._array, here=True)

    def __array__(self, dtype=None, copy=None):
        if not self._here:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._array


class StandInTorchDataset:
    """A map-style dataset of PyTorch: samples by number, and how many there are."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        assert type(i) is int
        return StandInTensor(X[i]), StandInTensor(Y[i])


class StandInTorchLoader:
    """A DataLoader of PyTorch: batches as lists of tensors."""

    def __init__(self, batch_size):
        self.batch_size = batch_size

    def __len__(self):
        return -(-len(X) // self.batch_size)

    def __iter__(self):
        for i in range(0, len(X), self.batch_size):
            at = slice(i, i + self.batch_size)
            yield [StandInTensor(X[at]), StandInTensor(Y[at])]


class StandInLengthless(StandInTorchLoader):
    """A DataLoader of an IterableDataset without a length."""

    def __len__(self):
        raise TypeError("object of type 'StandInLengthless' has no len()")


class StandInStatefulLoader(StandInTorchLoader):
    """A StatefulDataLoader of torchdata: says how many batches it gave, and goes on from there."""

    given = begin = 0

    def __iter__(self):
        self.given, self.begin = self.begin, 0
        return self._rest(self.given)

    def _rest(self, first):
        for batch in list(super().__iter__())[first:]:
            self.given += 1
            yield batch

    def state_dict(self):
        return {"_num_yielded": self.given}

    def load_state_dict(self, state):
        self.begin = state["_num_yielded"]


class StandInTensorFlow:
    """A dataset of tf.data: NumPy's arrays by `as_numpy_iterator`, its length by `cardinality`."""

    element_spec = (None, None)

    def __init__(self, cardinality):
        self._cardinality = cardinality

    def cardinality(self):
        return np.int64(self._cardinality)

    def __len__(self):
        raise TypeError("The dataset is infinite.")

    def __iter__(self):
        raise AssertionError("tensors of TensorFlow are not wanted")

    def as_numpy_iterator(self):
        for i in range(0, 24, 8):
            yield X[i : i + 8], Y[i : i + 8]


class StandInHuggingFace:
    """A `datasets.Dataset`: rows by a list of numbers, as a dict of columns."""

    def __init__(self, columns, form=None):
        self._columns, self._form = columns, form
        self.column_names, self.features = list(columns), dict.fromkeys(columns)

    def with_format(self, form):
        return type(self)(self._columns, form)

    def __len__(self):
        return 24

    def __iter__(self):
        raise AssertionError("row by row is slow")

    def __getitem__(self, rows):
        assert isinstance(rows, list) and type(rows[0]) is int and self._form == "numpy"
        return {name: np.asarray(column)[rows] for name, column in self._columns.items()}


class StandInHuggingFaceStream:
    """A `datasets.IterableDataset`: batches as dicts of columns, by `iter`."""

    column_names, features = ["label", "x"], {"label": None, "x": None}

    def __iter__(self):
        raise AssertionError("row by row is slow")

    def iter(self, batch_size):
        for i in range(0, 24, batch_size):
            yield {"x": X[i : i + batch_size].tolist(), "label": Y[i : i + batch_size].tolist()}


def mapped():
    return grain.MapDataset.source(PAIRS).batch(8)


def grain_loader():
    sampler = grain.samplers.IndexSampler(24, shuffle=False, num_epochs=1)
    return grain.DataLoader(
        data_source=PAIRS, sampler=sampler, operations=[grain.transforms.Batch(8)]
    )


LOADERS = {
    "grain MapDataset": (mapped, 3),
    "grain IterDataset": (lambda: mapped().to_iter_dataset(), None),
    "grain DataLoader": (grain_loader, None),
    "torch DataLoader": (lambda: StandInTorchLoader(8), 3),
    "torch DataLoader without length": (lambda: StandInLengthless(8), None),
    "torch Dataset": (StandInTorchDataset, 3),
    "torchdata StatefulDataLoader": (lambda: StandInStatefulLoader(8), 3),
    "tf.data": (lambda: StandInTensorFlow(3), 3),
    "tf.data without length": (lambda: StandInTensorFlow(-2), None),
    "Hugging Face": (lambda: StandInHuggingFace({"x": X, "label": Y}), 3),
    "Hugging Face stream": (StandInHuggingFaceStream, None),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_every_row_once_in_every_epoch(kind):
    make, count = LOADERS[kind]
    data = source(make(), batch_size=8)
    assert isinstance(data, Stream) and data.num_batches == count
    x, y = data.first()
    assert (x.shape, y.shape) == ((8, 3), (8, 1)) and x.dtype == y.dtype == "float32"
    for epoch in range(2):
        assert rows(data, epoch) == X[:, 0].tolist()


@pytest.mark.parametrize("kind", LOADERS)
def test_epochs_of_some_steps_go_on_where_the_last_one_ended(kind):
    data = source(LOADERS[kind][0](), batch_size=8, steps=2)
    twice = [*X[:, 0].tolist(), *X[:, 0].tolist()]
    assert [rows(data, epoch) for epoch in range(3)] == [twice[i : i + 16] for i in (0, 16, 32)]


@pytest.mark.parametrize("endless", [mapped().repeat(), StandInTensorFlow(-1)], ids=type)
def test_what_never_ends_needs_steps(endless):
    with pytest.raises(ValueError, match="never ends: say how many batches"):
        source(endless)
    assert len(rows(source(endless, steps=2))) == 16


def test_training_on_a_loader():
    losses = []
    for kind in LOADERS:
        model = keraunos.Sequential(
            [keraunos.Input((3,)), layers.Dense(1, kernel_initializer="ones")]
        )
        model.compile("sgd", "mse")
        data = LOADERS[kind][0]()
        fit = model.fit(data, epochs=2, batch_size=8, shuffle=False, verbose=0)
        losses.append((*fit.history["loss"], model.evaluate(data, batch_size=8, verbose=0)))
        assert model.predict(data, batch_size=8, verbose=0).shape == (24, 1)
    assert len(set(losses)) == 1


def test_columns_of_a_dataset_find_their_place():
    columns = {"a": X, "b": Y, "label": np.arange(24), "price": Y}
    data = StandInHuggingFace(columns)
    x, y = source(data).first()
    assert (sorted(x), y.shape) == (["a", "b", "price"], (24,))
    x, y = source(data, "price", inputs=["a", "b"]).first()
    assert (sorted(x), y.shape) == (["a", "b"], (24, 1))
    x, y = source(data, inputs=["a"], outputs=["b", "price"]).first()
    assert (sorted(x), sorted(y)) == (["a"], ["b", "price"])
    (x,) = source(StandInHuggingFace({"a": X})).first()
    assert x.shape == (24, 3)
    with pytest.raises(ValueError, match="the column 'prize', but the table has a, b, label, pri"):
        source(data, "prize")
    with pytest.raises(ValueError, match="`y` must be None when `x` is a StandInTorchDataset"):
        source(StandInTorchDataset(), Y)


def test_samples_are_shuffled_by_seed_and_epoch():
    orders = [rows(source(StandInTorchDataset(), shuffle=True, seed=s), epoch)
              for s, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]  # fmt: skip
    assert orders[0] == orders[3] and len(set(map(tuple, orders))) == 3
    assert sorted(orders[0]) == sorted(X[:, 0].tolist())


@pytest.mark.parametrize(
    "kind", ["grain MapDataset", "grain DataLoader", "torchdata StatefulDataLoader"]
)
@pytest.mark.parametrize("steps, done", [(None, 2), (2, 1), (None, 0)])
def test_a_reader_is_put_back_where_it_was(kind, steps, done, monkeypatch):
    """`done` steps into the second epoch."""

    def begin():
        data = source(LOADERS[kind][0](), batch_size=8, steps=steps)
        data.most, data.keeps_place = 1, True
        data.first()
        return data

    data = begin()
    rows(data, 0)
    feeds = data.feeds(1)
    for _ in range(done):
        next(feeds)
    place = data.place(done)
    rest = rows(data, 1) if not done else [
        row[0].item() for feed, _ in feeds for row in np.asarray(feed[0])[0]
    ]  # fmt: skip
    again, read = begin(), []
    following = Passes.__next__
    with monkeypatch.context() as patch:
        patch.setattr(Passes, "__next__", lambda self: read.append(1) or following(self))
        again.catch_up(1, data.num_batches or 3, place)
        assert rows(again, 1, done) == rest
    assert len(read) <= len(rest) // 8 + 2  # one stack again, and the end


@pytest.mark.parametrize("place", ["kept", "unknown"])
def test_a_run_goes_on_with_a_reader(tmp_path, place):
    class Counted(StandInStatefulLoader):
        read = 0

        def _rest(self, first):
            for batch in super()._rest(first):
                Counted.read += 1
                yield batch

        def state_dict(self):
            state = super().state_dict()
            return state if place == "kept" else {**state, "sampler": types.SimpleNamespace()}

    class Stop(keraunos.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == 7:
                raise OSError("the process dies")

        def get_run_state(self):
            return {}

    def train(folder, *callbacks):
        keraunos.utils.set_random_seed(1)
        model = keraunos.Sequential([keraunos.Input((3,)), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("adam", "mse")
        backup = keraunos.callbacks.BackupAndRestore(folder, save_freq=1)
        Counted.read = 0
        history = model.fit(Counted(8), epochs=4, verbose=0, callbacks=[backup, *callbacks])
        return history.history["loss"], [w.tolist() for w in model.get_weights()], Counted.read

    quiet = keraunos.callbacks.Callback()
    *expected, whole = train(tmp_path / "whole", quiet)
    with pytest.raises(OSError, match="dies"):
        train(tmp_path / "run", Stop())

    class Stop(keraunos.callbacks.Callback):  # the same program, on a machine that lives
        pass

    *found, read = train(tmp_path / "run", Stop())
    assert found == expected and whole == 12
    # six are left, three are the stack that the state lies in, one tells shapes
    assert read == (10 if place == "kept" else 12)
