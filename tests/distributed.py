"""A script for eight devices: what models say and where their arrays are, printed as JSON."""

import json
import sys
import tempfile
import warnings

import jax
import keras
import numpy as np

import keraunos
from keraunos.data import source

warnings.simplefilter("error")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 20, 4)).astype("float32")
SPLIT = {
    ".*one/kernel": (None, "model"),
    ".*one/bias": ("model",),
    ".*two/kernel": ("model", None),
}


def model(library):
    library.utils.set_random_seed(0)
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((4,)),
            layers.Dense(8, activation="relu", name="one"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5),
            layers.Dense(4, name="two"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def parallel(library):
    """By rows over two devices, by model over four."""
    d = library.distribution
    layouts = d.LayoutMap(d.DeviceMesh((2, 4), ["batch", "model"]))
    layouts.update(SPLIT)
    return d.ModelParallel(layout_map=layouts)


def said(model):
    """All numbers of a short life; batches of 8, of 4, of 10 and of 3 rows."""
    fitted = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    scores = model.evaluate(x, y, batch_size=10, verbose=0, return_dict=True)
    few = model.predict(x[:3], verbose=0).tolist()
    return [fitted, scores, few, [v.numpy().tolist() for v in model.variables]]


def streamed(model):
    batches = ((x[i : i + 8], y[i : i + 8]) for i in range(0, 20, 8))
    return model.fit(batches, verbose=0).history


def places(model):
    """The layouts of a model's variables and of its optimizer's, by their last names."""
    variables = model.variables + model.optimizer.variables
    found = [list(v.value.sharding.spec) for v in variables]
    return [found, [list(v.value.addressable_shards[0].data.shape) for v in variables]]


def batches():
    """How batches of 8, 4 and 16 rows lie, of arrays and of a stream."""
    found = []
    for size in (8, 4, 16):
        for given in (source(x, y, batch_size=size), source(iter([(x[:size], y[:size])]))):
            feed, _ = next(given.feeds(0))
            lie = jax.jit(given.pick)(feed, 0)[0]
            found.append([list(lie.sharding.spec), list(lie.addressable_shards[0].data.shape)])
    return found


out = {}
plain = model(keraunos)
out["plain"], out["plain_stream"] = said(plain), streamed(model(keraunos))

d = keraunos.distribution
old = model(keraunos)
with d.DataParallel().scope():
    out["data_old"] = old.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    out["data_old_whole"] = all(len(v.value.devices()) == 8 for v in old.variables)
    new = model(keraunos)
    out["data"], out["data_stream"] = said(new), streamed(model(keraunos))
    out["data_whole"] = all(
        v.value.sharding.is_fully_replicated and len(v.value.devices()) == 8
        for v in new.variables + new.optimizer.variables + new.metrics_variables
    )
    out["batches"] = batches()
    new.run_eagerly = True
    out["data_eager"] = new.evaluate(x, y, batch_size=10, verbose=0, return_dict=True)

with tempfile.TemporaryDirectory() as folder:
    with parallel(keraunos).scope():
        made = model(keraunos)
        made.optimizer.build(made.trainable_variables)
        out["model_made"] = places(made)
        out["model"], out["model_after"] = said(made), places(made)
        made.save(f"{folder}/model.keras")
        loaded = keraunos.saving.load_model(f"{folder}/model.keras")
        out["model_loaded"] = [places(loaded), loaded.predict(x, verbose=0).tolist()]
    alone = keraunos.saving.load_model(f"{folder}/model.keras")
    out["alone"] = [len(alone.weights[0].value.devices()), alone.predict(x, verbose=0).tolist()]
    out["model_said"] = made.predict(x, verbose=0).tolist()

mesh = d.DeviceMesh((2, 4), ["batch", "model"])
layout = d.TensorLayout(("batch", None), mesh)
eager = d.distribute_tensor(np.ones((4, 4), "float32"), layout)
traced = jax.jit(lambda a: d.distribute_tensor(2 * a, layout))(eager)
out["tensors"] = [list(a.sharding.spec) for a in (eager, traced)]

layouts = d.LayoutMap(mesh)
layouts[".*odd/kernel"], layouts[".*flat/bias"] = (None, "model"), (None, "model")
out["errors"] = []
with d.ModelParallel(layout_map=layouts).scope():
    for make in (
        lambda: keraunos.layers.Dense(6, name="odd").build((None, 4)),
        lambda: keraunos.layers.Dense(8, name="flat").build((None, 4)),
        lambda: d.DeviceMesh((3,), ["batch"]),
    ):
        try:
            make()
            out["errors"].append(None)
        except ValueError as error:
            out["errors"].append(str(error))

warnings.simplefilter("default")
with parallel(keras).scope():
    theirs = model(keras)
    theirs.optimizer.build(theirs.trainable_variables)
    out["model_theirs"] = places(theirs)
json.dump(out, sys.stdout)
