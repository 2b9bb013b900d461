"""Good files, changed at random: what comes out is a model, or a `FileError`, at once.

For longer: `HYPOTHESIS_PROFILE=fuzz pytest -n0 tests/saving/test_fuzz.py`.
"""

import copy
import functools
import json
import os
import resource
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import keraunos
from keraunos import layers
from keraunos.saving import FileError, KerasFileEditor, load_model
from keraunos.saving.inspection import inspect

MOST_MEMORY, SECONDS = 300 * 2**20, 10
fuzzed = settings(
    deadline=SECONDS * 1000,
    suppress_health_check=list(HealthCheck),
    max_examples=6 * settings().max_examples,
    derandomize="HYPOTHESIS_PROFILE" not in os.environ,
)
pytestmark = pytest.mark.filterwarnings("ignore")


def _model():
    x = keraunos.Input((4,), name="x")
    y = layers.Dense(3, "relu", kernel_regularizer="l2")(x)
    y = layers.BatchNormalization()(y) * 2.0
    y = keraunos.Sequential([layers.Reshape((3, 1)), layers.LSTM(2), layers.Dropout(0.1)])(y)
    y = keraunos.ops.concatenate([y, x], axis=-1)
    model = keraunos.Model(x, layers.Dense(2, name="out")(y))
    model.compile(keraunos.optimizers.Adam(0.01), "mse", metrics=["mae", keraunos.metrics.AUC()])
    return model


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of good files, and the model that is in them."""
    folder, model = tmp_path_factory.mktemp("good"), _model()
    model.optimizer.build(model.trainable_variables)
    for name in ("model.keras", "old.h5"):
        model.save(folder / name)
    for name in ("some.weights.h5", "some.safetensors"):
        model.save_weights(folder / name)
    model.save_weights(folder / "shards.weights.h5", max_shard_size=1e-6)
    with zipfile.ZipFile(folder / "model.keras") as file:
        for member in file.namelist():
            (folder / member).write_bytes(file.read(member))
    return folder, model


def survives(load, path, most=MOST_MEMORY):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load(path)
    except FileError as error:
        assert path.name in str(error)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert taken < most


# Bytes --------------------------------------------------------------------------------------


@st.composite
def byte_changes(draw):
    """What happens to a file: bytes that are others, and where it ends."""
    places = st.tuples(st.floats(0, 1), st.integers(0, 255))
    return draw(st.lists(places, min_size=1, max_size=8)), draw(st.floats(0.01, 1) | st.just(1.0))


def changed(data, changes):
    places, end = changes
    data = bytearray(data[: int(end * len(data))])
    for place, value in places:
        data[min(int(place * len(data)), len(data) - 1)] = value
    return bytes(data)


def loads(home):
    model = home[1]
    return {
        "model.keras": [load_model, inspect, KerasFileEditor],
        "old.h5": [load_model, inspect],
        "some.weights.h5": [model.load_weights, inspect, KerasFileEditor],
        "some.safetensors": [model.load_weights, inspect],
        "shards.weights.json": [model.load_weights, inspect],
    }


@pytest.mark.parametrize(
    "name",
    ["model.keras", "old.h5", "some.weights.h5", "some.safetensors", "shards.weights.json"],
)
def test_bytes(name, home):
    good = (home[0] / name).read_bytes()
    path = home[0] / f"fuzz-{name}"
    # HDF5 itself takes as much as the damaged length of a text says, 4 GB at most, before it looks.
    most = 5 << 30 if name == "old.h5" else MOST_MEMORY

    @fuzzed
    @given(byte_changes(), st.integers(0, 10))
    def run(changes, which):
        path.write_bytes(changed(good, changes))
        ways = loads(home)[name]
        survives(ways[which % len(ways)], path, most)

    run()


def packed(home, path, **parts):
    with zipfile.ZipFile(path, "w") as file:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            file.writestr(name, parts.get(name.partition(".")[0]) or (home[0] / name).read_bytes())


def test_weights_whose_checksum_is_right(home):
    good, path = (home[0] / "model.weights.h5").read_bytes(), home[0] / "fuzz-weights.keras"

    @fuzzed
    @given(byte_changes())
    def run(changes):
        packed(home, path, model=changed(good, changes))
        survives(load_model, path)

    run()


# Configs ------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 3, 1 << 20, 1 << 31, 1 << 63, 10**30, 1e308, -0.5])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Dense", "keras.layers", "function", "get_file", "../x", "float64", "x"])
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(config):
    """All `(container, key)` in nested dicts and lists."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        yield config, key
        if isinstance(value, (dict, list)):
            yield from places(value)


@functools.cache
def _parsed(text):
    return json.loads(text)


def test_configs(home):
    text, path = (home[0] / "config.json").read_text(), home[0] / "fuzz-config.keras"

    @fuzzed
    @given(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), JUNK | st.floats(0, 1)), max_size=3)
    )
    def run(changes):
        config = copy.deepcopy(_parsed(text))
        for place, value in changes:
            known = list(places(config))
            holder, key = known[int(place * len(known))]
            if isinstance(value, float) and 0 <= value < 1:  # another part of the config
                other, its = known[int(value * len(known))]
                value = copy.deepcopy(other[its])
            holder[key] = value
        packed(home, path, config=json.dumps(config))
        survives(load_model, path)
        survives(inspect, path)

    run()


def test_nothing_stays_open_and_the_file_is_not_needed_any_more(home):
    path = home[0] / "gone.keras"
    path.write_bytes((home[0] / "model.keras").read_bytes())
    model = load_model(path)
    path.unlink()
    assert model.count_params() == home[1].count_params()
