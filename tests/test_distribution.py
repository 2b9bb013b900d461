"""Distribution: the answers of Keras, and the numbers of one device on eight."""

import json
import pickle
import re
from pathlib import Path

import jax
import keras
import numpy as np
import pytest

import keraunos
from keraunos import distribution as d
from tests.run_python import python


@pytest.fixture(scope="module")
def eight():
    """What eight devices said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
        patch.setenv("KERAS_BACKEND", "jax")
        done = python(str(Path(__file__).with_name("distributed.py")))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ["data", "model"])
def test_numbers_of_eight_devices_are_those_of_one(eight, way):
    """Fit, evaluate and predict; batches that divide and that do not; averages over the batch."""
    same(eight[way], eight["plain"])


def test_streams_eager_steps_and_models_made_before(eight):
    same(eight["data_stream"], eight["plain_stream"])
    same(eight["data_eager"], eight["plain"][1])
    same(eight["data_old"], eight["plain"][0])
    assert eight["data_whole"] and eight["data_old_whole"]


def test_rows_are_spread_over_devices(eight):
    assert eight["batches"] == [
        *[[["batch"], [1, 4]]] * 2,
        *[[[], [4, 4]]] * 2,  # four rows for eight devices: whole where they come from
        *[[["batch"], [2, 4]]] * 2,
    ]


def test_variables_and_slots_lie_as_in_keras(eight):
    assert eight["model_made"] == eight["model_theirs"] == eight["model_after"]
    axes, shapes = eight["model_made"]
    assert axes[0] == [None, "model"] and shapes[0] == [4, 2]


def test_a_model_that_is_cut_is_saved_and_loaded_whole_or_cut(eight):
    lies, says = eight["model_loaded"]
    assert lies == eight["model_made"] and eight["alone"][0] == 1
    same(says, eight["model_said"])
    same(eight["alone"][1], eight["model_said"])


def test_tensors(eight):
    assert eight["tensors"] == [["batch", None]] * 2


def test_errors_name_the_variable_and_the_mesh(eight):
    mesh = "cannot be laid out as (None, 'model') on a mesh of {'batch': 2, 'model': 4}"
    rule = (
        "a layout has one entry for each axis, and the mesh must divide its size. Use None for an "
        "axis that stays whole."
    )
    assert eight["errors"] == [
        f"odd/kernel of shape (4, 6) {mesh}: {rule}",
        f"flat/bias of shape (8,) {mesh}: {rule}",
        "DeviceMesh of `shape` (3,) needs 3 devices, got 8. Give as many in `devices`.",
    ]


# One device ----------------------------------------------------------------------------------


def mesh(k):
    return k.distribution.DeviceMesh((1, 1), ["batch", "model"], ["cpu:0"])


def layouts(k):
    found = k.distribution.LayoutMap(mesh(k))
    found["dense.*kernel"] = (None, "model")
    found["de.*"] = k.distribution.TensorLayout([None])
    found["own"] = k.distribution.TensorLayout(["a"], k.distribution.DeviceMesh((1,), ["a"]))
    return found


def shown(k, thing):
    """What a distribution is and says."""
    answers = [thing, thing.device_mesh, thing.batch_dim_name, thing.auto_shard_dataset]
    answers += [thing.num_processes, thing.num_model_replicas, thing.data_shard_id]
    answers += [thing.get_data_layout((8, 4, 3)), thing.get_data_layout((None, 3))]
    answers += [thing.get_tensor_layout(path) for path in ("dense/kernel_1", "dens", "no")]
    answers += [thing.get_variable_layout(k.Variable(np.zeros((2, 2)), name="de"))]
    answers += [thing.distribute_dataset([1, 2]), thing.get_data_layout((3,)).backend_layout]
    return list(map(repr, answers))


CASES = {
    "devices": lambda k: (
        [k.distribution.list_devices(kind) for kind in (None, "cpu", "CPU")],
        k.distribution.get_device_count(),
    ),
    "mesh": lambda k: [
        (repr(m), m.shape, m.axis_names, m.devices.tolist(), repr(m.backend_mesh))
        for m in (mesh(k), k.distribution.DeviceMesh([1], ("x",)))
    ],
    "layout": lambda k: [
        (repr(t), t.axes)
        for axes in ([], ["batch", None], (None, "model"))
        for t in (
            k.distribution.TensorLayout(axes),
            k.distribution.TensorLayout(axes, mesh(k)),
        )
    ],
    "sharding": lambda k: repr(
        k.distribution.TensorLayout(("batch", None), mesh(k)).backend_layout
    ),
    "map": lambda k: [
        [repr(layouts(k)[key]) for key in ("dense.*kernel", "dense/kernel_x", "my/dense", "own")],
        [repr(layouts(k).get(key, 5)) for key in ("dense.*kernel", "no")],
        [len(layouts(k)), list(layouts(k)), list(layouts(k).keys()), "no" in layouts(k)],
        [repr(layouts(k).pop("de.*")), repr(layouts(k).popitem())],
        repr(layouts(k).setdefault("new", ("model",))),
        repr(k.distribution.LayoutMap(None).device_mesh),
    ],
    "data": lambda k: shown(k, k.distribution.DataParallel()),
    "data, of devices": lambda k: shown(k, k.distribution.DataParallel(devices=["cpu:0"])),
    "data, of a mesh": lambda k: shown(
        k, k.distribution.DataParallel(k.distribution.DeviceMesh((1,), ["rows"]), None, False)
    ),
    "model": lambda k: shown(k, k.distribution.ModelParallel(layout_map=layouts(k))),
    "model, by name": lambda k: shown(
        k,
        k.distribution.ModelParallel(
            device_mesh=mesh(k), layout_map=layouts(k), batch_dim_name="model"
        ),
    ),
    "tensors": lambda k: [
        repr(k.distribution.distribute_tensor(np.ones(2), lie).sharding.spec)
        for lie in (
            k.distribution.TensorLayout(["model"], mesh(k)),
            k.distribution.TensorLayout(["batch"], mesh(k)).backend_layout,
        )
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_answers_are_those_of_keras(case):
    assert CASES[case](keraunos) == CASES[case](keras)


@pytest.mark.parametrize("k", [keraunos, keras], ids=["ours", "theirs"])
def test_what_is_set(k):
    outer, inner = k.distribution.DataParallel(), k.distribution.DataParallel()
    assert k.distribution.distribution() is None
    with outer.scope():
        with inner.scope():
            assert k.distribution.distribution() is inner
        assert k.distribution.distribution() is outer
    assert k.distribution.distribution() is None
    k.distribution.set_distribution(inner)
    assert k.distribution.distribution() is inner
    k.utils.clear_session()
    assert k.distribution.distribution() is None


@pytest.mark.parametrize("k", [keraunos, keras], ids=["ours", "theirs"])
def test_initialize(k, monkeypatch):
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **told: calls.append(told))
    initialize = k.distribution.initialize
    initialize()
    initialize("a:1,b:2", 2, 1)
    monkeypatch.setenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", "h:1,g:2")
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    monkeypatch.setenv("KERAS_DISTRIBUTION_PROCESS_ID", "1")
    initialize()
    initialize(process_id=0)
    assert [tuple(told.values()) for told in calls] == [
        (None, None, None),
        ("a:1", 2, 1),
        ("h:1", 2, 1),
        ("h:1", 2, 0),
    ]
    with pytest.raises(ValueError):
        initialize("a:1,b:2", 3, 0)


def test_a_variable_has_the_layout_that_it_is_given():
    layout = d.TensorLayout(("model", None), mesh(keraunos))
    variable = keraunos.Variable(np.zeros((2, 2), "float32"), layout=layout)
    variable.assign(np.ones((2, 2)))
    assert variable.layout is layout and variable.value.sharding == layout.backend_layout
    with d.DataParallel().scope():
        other = keraunos.Variable(np.zeros((2, 2)), layout=layout)
        slot = keraunos.optimizers.SGD().add_variable_from_reference(other)
    assert other.layout is slot.layout is layout


def test_layouts_can_be_pickled():
    layout = pickle.loads(pickle.dumps(d.TensorLayout(("model", None), mesh(keraunos))))
    assert layout.backend_layout.spec == jax.sharding.PartitionSpec("model", None)


def test_data_for_several_processes(monkeypatch):
    """Rows of each batch for this one; several processes may read the same."""
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "process_index", lambda: 3)
    by_rows = d.DataParallel()
    monkeypatch.setattr(type(by_rows), "num_model_replicas", 2)
    data = keraunos.data.Dataset.from_tensor_slices((np.arange(12), np.arange(12))).batch(4)
    parts = [(x.tolist(), y.tolist()) for x, y in by_rows.distribute_dataset(data)]
    assert by_rows.data_shard_id == 1 and parts[0] == ([2, 3], [2, 3]) and len(parts) == 3
    with pytest.raises(ValueError, match="needs a dataset with `map`, got list"):
        by_rows.distribute_dataset([1])
    by_rows.auto_shard_dataset = False
    assert by_rows.distribute_dataset([1]) == [1]
    model = keraunos.Sequential([keraunos.layers.Dense(1)])
    with by_rows.scope(), pytest.raises(ValueError, match="must get it in batches"):
        model.predict(np.ones((2, 2)), verbose=0)


def test_a_mesh_of_several_axes_warns():
    with pytest.warns(UserWarning, match="over one axis, 'batch'"):
        assert d.DataParallel(mesh(keraunos)).batch_dim_name == "batch"


ERRORS = [
    (lambda: d.DeviceMesh((1, 1), ["a"]), "for each axis, got (1, 1) and ['a']."),
    (lambda: d.DeviceMesh(1, ["a"]), "for each axis, got 1 and ['a']."),
    (lambda: d.DeviceMesh((1, 1), ["a", "a"]), "needs different names for `axis_names`"),
    (lambda: d.DeviceMesh((1,), ["a"], ["cpu:0", "cpu:1"]), "needs 1 devices, got 2."),
    (
        lambda: d.DeviceMesh((1,), ["a"], ["cpu:77"]).backend_mesh,
        "DeviceMesh has a device 'cpu:77', there are cpu:0.",
    ),
    (
        lambda: d.TensorLayout(["modle"], mesh(keraunos)),
        "TensorLayout has an axis 'modle', the mesh has ['batch', 'model']. Did you mean `model`?",
    ),
    (lambda: d.TensorLayout([None]).backend_layout, "needs a `device_mesh` before tensors can"),
    (
        lambda: setattr(d.TensorLayout([None], mesh(keraunos)), "device_mesh", mesh(keraunos)),
        "A TensorLayout keeps its `device_mesh`",
    ),
    (
        lambda: d.TensorLayout([None], 3),
        "TensorLayout needs a DeviceMesh for `device_mesh`, got 3.",
    ),
    (lambda: d.LayoutMap(3), "LayoutMap needs a DeviceMesh for `device_mesh`, got 3."),
    (lambda: layouts(keraunos)["dense/kernel"], "match 'dense/kernel': ['dense.*kernel', 'de.*']."),
    (lambda: layouts(keraunos).update({"de.*": [None]}), "has the key 'de.*' already"),
    (lambda: layouts(keraunos).update({"(": [None]}), "needs regular expressions as keys: missing"),
    (lambda: layouts(keraunos).update({"x": 3}), "a TensorLayout or its axes for `x`, got 3."),
    (lambda: d.DataParallel(3), "DataParallel needs a DeviceMesh for `device_mesh`, got 3."),
    (lambda: d.ModelParallel(), "needs a LayoutMap with a mesh for `layout_map`, got None."),
    (
        lambda: d.ModelParallel(layout_map=layouts(keraunos), batch_dim_name="rows"),
        "ModelParallel needs one of ['batch', 'model'] for `batch_dim_name`, got 'rows'.",
    ),
    (lambda: d.set_distribution(3), "set_distribution() needs a distribution or None, got 3."),
    (lambda: d.distribute_tensor([1.0], "x"), "needs a TensorLayout as `layout`, got 'x'."),
]


@pytest.mark.parametrize(("make", "said"), ERRORS, ids=range(len(ERRORS)))
def test_errors(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


def test_an_unknown_argument():
    with pytest.raises(TypeError, match="unexpected argument 'layouts'"):
        d.ModelParallel(layouts=3)
