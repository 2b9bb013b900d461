"""A file is only a file: what no file may do, each tried with a harmless probe.

The classes of advisories that were published on Keras are named beside the probes.
"""

import base64
import functools
import io
import json
import marshal
import os
import stat
import struct
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest

import keraunos
from keraunos import export, layers
from keraunos.core import config as settings
from keraunos.saving import FileError, configs, load_model, zips


@functools.cache
def good():
    """A `.keras` file's bytes."""
    model = keraunos.Sequential([keraunos.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])
    model.compile("sgd", "mse")
    file = io.BytesIO()
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"good{os.getpid()}.keras")
    model.save(path)
    with open(path, "rb") as source:
        file.write(source.read())
    os.unlink(path)
    return file.getvalue()


def members():
    with zipfile.ZipFile(io.BytesIO(good())) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(path, parts, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return path


def refused(path, said, load=load_model):
    """The error of a file; nothing is changed by it, and it comes at once."""
    before, began = settings.floatx(), time.monotonic()
    with pytest.raises(FileError, match=said) as error:
        load(path)
    assert path.name in str(error.value)
    assert settings.floatx() == before and settings.get("unsafe_deserialization") is False
    assert time.monotonic() - began < 10


# The zip file -------------------------------------------------------------------------------


def lying(**changes):
    """The good file, in whose directory a member says something else."""

    def make():
        data = bytearray(good())
        entry = data.index(b"PK\x01\x02")  # that of `metadata.json`
        for offset, form, value in changes.values():
            struct.pack_into(form, data, entry + offset, value)
        return bytes(data)

    return make


def with_member(name="more.txt", mode=0, data=b"x", method=zipfile.ZIP_STORED):
    def make():
        file = io.BytesIO(good())
        with zipfile.ZipFile(file, "a") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, data)
        return file.getvalue()

    return make


def flipped(inside):
    def make():
        data = bytearray(good())
        data[data.index(inside) + 4] ^= 1
        return bytes(data)

    return make


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "make, said",
    {
        "empty": (lambda: b"", "it is empty"),
        "text": (lambda: b"Dear reader", "not a zip archive"),
        "cut short": (lambda: good()[:-50], "or not all of one"),
        "cut in the middle": (lambda: good()[: len(good()) // 2], "or not all of one"),
        "encrypted": (lying(flags=(8, "<H", 1)), "'metadata.json' is encrypted"),
        "unknown method": (lying(method=(10, "<H", 93)), "by a method .number 93."),
        "larger than it is": (lying(size=(24, "<I", 2**31)), r"would take 2\.00 GB.*unpack it"),
        "overlapping": (lying(place=(42, "<I", 200)), "overlaps another one"),
        "outside": (lying(place=(42, "<I", 2**30)), "it ends within its member"),
        "two of one name": (with_member("config.json"), "two members of one name"),
        "a path up": (with_member("../evil.txt"), "'../evil.txt' is named like a place outside"),
        "an absolute path": (with_member("/tmp/evil.txt"), "named like a place outside"),
        "a path of Windows": (with_member("C:\\evil.txt"), "named like a place outside"),
        "a link": (with_member("assets/x", stat.S_IFLNK | 0o777), "'assets/x' is a link"),
        "damaged weights": (flipped(b"\x89HDF"), "damaged: the checksum"),
        "damaged config": (flipped(b'{"module"'), "damaged: the checksum"),
    }.values(),
)
def test_zip_files(make, said, tmp_path):
    path = tmp_path / "probe.keras"
    path.write_bytes(make())
    refused(path, said)


def test_many_members(tmp_path):
    parts = members() | {f"assets/{i}": b"" for i in range(zips.MOST_MEMBERS)}
    refused(written(tmp_path / "probe.keras", parts), "10,003 members; 10,000 are allowed")


def test_a_member_that_inflates_beyond_what_it_says(tmp_path):
    path = written(tmp_path / "probe.keras", members(), zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(magic) + offset, 10)
    path.write_bytes(data)
    load_model(path)  # the metadata are not needed
    refused(path, "Bad CRC-32", lambda p: keraunos.saving.KerasFileEditor(p))


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_missing_members(name, tmp_path):
    parts = members()
    del parts[name]
    refused(written(tmp_path / "probe.keras", parts), f"it holds no {name}")


def test_a_link_in_a_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    for name, data in members().items():
        (path / name).write_bytes(data)
    load_model(path)
    (path / "assets").symlink_to("/etc")
    refused(path, "its member assets is a link")


# HDF5 ---------------------------------------------------------------------------------------


def _external(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _soft(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense_1/vars/0")


def _elsewhere(file):
    del file["layers/dense/vars/1"]
    space = [("/etc/passwd", 0, 12)]
    file["layers/dense/vars"].create_dataset("1", (3,), "float32", external=space)


def _virtual(file):
    del file["layers/dense/vars/1"]
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (3,))
    file["layers/dense/vars"].create_virtual_dataset("1", layout)


def _references(file):
    del file["layers/dense/vars/1"]
    file["layers/dense/vars"].create_dataset("1", (3,), h5py.ref_dtype)


def _unallocated(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", (2**17, 2**16), "float32")


def _inflated(file):
    del file["layers/dense/vars/0"]
    how = {"chunks": (2**10, 2**10), "compression": "gzip", "fillvalue": 0}
    file["layers/dense/vars"].create_dataset("0", (2**16, 2**16), "float32", **how)[
        :1024, :1024
    ] = 1


def _cycle(file):
    file["layers/dense/again"] = file["layers"]


def _twice(file):
    file["layers/dense/vars/2"] = file["layers/dense/vars/1"]


def _plugin(file):
    del file["layers/dense/vars/1"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((3,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)  # zstd, by a plug-in
    space = h5py.h5s.create_simple((3,))
    h5py.h5d.create(file["layers/dense/vars"].id, b"1", h5py.h5t.IEEE_F32LE, space, plan)


@pytest.mark.parametrize(
    "change, said",
    [
        (_external, "'layers/dense/vars/0' is a link to another place"),  # CVE-2026-1669
        (_soft, "'layers/dense/vars/0' is a link to another place"),
        (_elsewhere, "has its data in another file"),
        (_virtual, "has its data in another file"),
        (_references, "has the dtype object, which no weight has"),
        (_unallocated, r"has shape \(131072, 65536\), 32\.00 GB, but the file holds 0\.00 B"),
        (_inflated, r"has shape \(65536, 65536\), 16\.00 GB, but the file holds"),
        (_cycle, "'layers/dense/again' is held in two places"),
        (_twice, "is held in two places"),
        (_plugin, r"needs the filters \{32015\}"),
    ],
)
@pytest.mark.parametrize("kind", ["keras", "weights", "editor", "old"])
def test_hdf5_files(change, said, kind, tmp_path):
    weights = io.BytesIO(members()["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        change(file)
        if kind == "old":
            file.attrs["model_config"] = "{}"
    load, path = load_model, tmp_path / "probe.weights.h5"
    if kind == "weights":
        load = load_model(good_path(tmp_path)).load_weights
    if kind == "editor":
        load = keraunos.saving.KerasFileEditor
    if kind == "keras":
        parts = members() | {"model.weights.h5": weights.getvalue()}
        path = written(tmp_path / "probe.keras", parts)
    else:
        path.write_bytes(weights.getvalue())
    refused(path, said, load)


def good_path(folder):
    path = folder / "good.keras"
    path.write_bytes(good())
    return path


@pytest.mark.parametrize("cut", [0, 100, 3000, -8])
def test_torn_weights(cut, tmp_path):
    model = load_model(good_path(tmp_path))
    before = model.get_weights()
    path = tmp_path / "probe.weights.h5"
    path.write_bytes(members()["model.weights.h5"][:cut])
    refused(path, "neither HDF5|no HDF5 file, or not all of one", model.load_weights)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before))


# The config ---------------------------------------------------------------------------------


def config_of(*made):
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "probe", "layers": [INPUT, *made]},
    }


def layer(class_name, module="keras.layers", /, **config):
    return {"module": module, "class_name": class_name, "config": config}


INPUT = layer("InputLayer", batch_shape=[None, 4], name="x")
_HISTORY = {"shape": [None, 4], "dtype": "float32", "keras_history": ["x", 0, 0]}
TENSOR = {"class_name": "__keras_tensor__", "config": _HISTORY}
CODE = base64.b64encode(marshal.dumps(compile("1", "", "eval"))).decode()


def graph_of(module, class_name, *args, config=None, **kwargs):
    node = layer(class_name, module, **(config or {}))
    node |= {"name": "node", "inbound_nodes": [{"args": list(args), "kwargs": kwargs}]}
    inner = {
        "name": "probe",
        "layers": [INPUT | {"name": "x", "inbound_nodes": []}, node],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["node", 0, 0]],
    }
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": inner}


def cycle():
    config = graph_of("keras.layers", "Identity", TENSOR)
    history = {**_HISTORY, "keras_history": ["node", 0, 0]}
    [node] = config["config"]["layers"][1]["inbound_nodes"]
    node["args"] = [{"class_name": "__keras_tensor__", "config": history}]
    return config


def deep(count):
    return '{"a":' * count + "1" + "}" * count


@pytest.mark.parametrize(
    "config, said",
    {
        # CVE-2025-1550: any function of any module
        "a module": (layer("system", "os", command="true"), "'system', which is not known"),
        "builtins": (layer("function", "builtins") | {"config": "eval"}, "'eval', which is not"),
        "an activation": (config_of(layer("Activation", activation="os.system")), "os.system"),
        # CVE-2024-3660, CVE-2025-9905: lambdas
        "a lambda": (
            config_of(layer("Lambda", function=layer("__lambda__", "builtins", code=CODE))),
            "holds a Python lambda.*pass `safe_mode=False`",
        ),
        "a lambda that switches it off": (
            config_of(layer("Lambda", function=layer("__lambda__", code=CODE), safe_mode=False)),
            "lambda|safe_mode",
        ),
        # CVE-2025-8747, CVE-2025-9906: public functions that do something
        "a download": (
            graph_of("keras.utils", "get_file", "x", "http://127.0.0.1:9/x"),
            "'get_file', which is",
        ),
        "a dataset": (graph_of("keras.datasets.mnist", "load_data", "x"), "'load_data', which is"),
        "a switch": (
            graph_of("keras.config", "enable_unsafe_deserialization"),
            "'enable_unsafe_deserialization', which is",
        ),
        "a setter": (graph_of("keras.config", "set_floatx", "float16"), "'set_floatx', which is"),
        "a setter among ops": (graph_of("keras.src.ops.core", "SetFloatx", "x"), "no operation"),
        "seeds": (graph_of("keras.utils", "set_random_seed", 1), "'set_random_seed', which is"),
        "a save": (graph_of("keras.saving", "save_model", TENSOR, "/x"), "'save_model', which is"),
        "a callback": (layer("OrbaxCheckpoint", "keras.callbacks", directory="/x"), "not known"),
        "an operation without tensors": (
            graph_of("keras.src.ops.numpy", "Tile", [1.0], config={"repeats": 1 << 40}),
            "given no tensor",
        ),
        # CVE-2025-12058: other files
        "a vocabulary": (
            config_of(layer("StringLookup", vocabulary="/etc/passwd")),
            "names the file '/etc/passwd'",
        ),
        "a vocabulary of texts": (
            config_of(layer("TextVectorization", vocabulary="http://127.0.0.1:9/x")),
            "names the file 'http",
        ),
        # CVE-2025-49655, CVE-2026-1462: modules and programs of other engines
        "a torch module": (
            config_of(layer("TorchModuleWrapper", module={"value": "gASVAAAA"})),
            "TorchModuleWrapper needs an engine that is not here",
        ),
        "a SavedModel": (
            config_of(layer("TFSMLayer", filepath="/tmp/x")),
            "TFSMLayer needs an engine that is not here",
        ),
        # CVE-2026-0897 and its kind: sizes
        "a huge layer": (config_of(layer("Dense", units=1 << 33)), r"would take 128\.00 GB"),
        "a huge table": (
            config_of(layer("Embedding", input_dim=1 << 31, output_dim=64)),
            r"would take 512\.00 GB",
        ),
        "a huge metric": (
            config_of(layer("Dense", units=2))
            | {
                "compile_config": {
                    "optimizer": "sgd",
                    "loss": "mse",
                    "metrics": [layer("AUC", "keras.metrics", num_thresholds=1 << 40)],
                }
            },
            "would take",
        ),
        "a huge filter bank": (
            config_of(layer("MelSpectrogram", num_mel_bins=1 << 20, fft_length=1 << 30)),
            "would take",
        ),
        "a huge string": (
            config_of(
                layer("Rescaling", scale=layer("__numpy__", value=[["a"] * 99] * 99, dtype="S9e8"))
            ),
            "cannot be read",
        ),
        "a number beyond all": (config_of(layer("Dense", units=1 << 80)), "cannot be read"),
        "a name with a path": (
            config_of(layer("Dense", units=2, name="../../evil")),
            r"'/'.*'\.\./\.\./evil'|evil",
        ),
        "a cycle": (cycle(), "depend on its own result"),
        "no model": (layer("Zeros", "keras.initializers"), "that of no model, but Zeros"),
        "another model": (layer("Dense", units=2), "do not fit Dense 'dense'"),
        "a list": ([1], "the config is no dict"),
        "nothing": ("null", "the config is no dict"),
        "torn JSON": ('{"module": ', "the config is not JSON"),
        "deep JSON": (deep(100_000), "nested thousands deep"),
        "a deep model": (deep(600), "cannot be read"),
        "many values": ("[" + "[]," * 3_000_000 + "[]]", "6,000,0.. values; 2,000,000 are allowed"),
    }.values(),
)
def test_configs(config, said, tmp_path):
    text = config if isinstance(config, str) else json.dumps(config)
    parts = members() | {"config.json": text}
    modules = set(sys.modules)
    refused(written(tmp_path / "probe.keras", parts, zipfile.ZIP_DEFLATED), said)
    assert not any(name.startswith(("tensorflow", "torch")) for name in set(sys.modules) - modules)


def test_lambdas_that_are_trusted(tmp_path):
    """`safe_mode=False` counts for one call."""
    made = config_of(layer("Lambda", function=layer("__lambda__", "builtins", code=CODE)))
    made["config"]["layers"][1]["config"]["function"]["config"]["code"] = base64.b64encode(
        marshal.dumps((lambda x: x * 2).__code__)
    ).decode()
    with h5py.File(tmp_path / "old.h5", "w") as file:  # CVE-2025-9905: also in old files
        file.attrs["model_config"] = json.dumps(made)
        file.create_group("model_weights").attrs["layer_names"] = []
    refused(tmp_path / "old.h5", "holds a Python lambda")
    model = load_model(tmp_path / "old.h5", safe_mode=False)
    assert np.array_equal(model.predict(np.ones((1, 4)), verbose=0), [[2, 2, 2, 2]])
    refused(tmp_path / "old.h5", "holds a Python lambda")
    with pytest.raises(ValueError, match="holds a Python lambda"):
        keraunos.models.model_from_json(json.dumps(made))
    with pytest.raises(ValueError, match="holds a Python lambda"):  # fail-open in other versions
        layers.Lambda.from_config(made["config"]["layers"][1]["config"])


@pytest.mark.parametrize("name", ["__class__", "variables", "serve it", "_endpoint"])
def test_names_in_exported_programs(name, tmp_path):
    about = {"format": 1, "variables": [], "collections": {name: []}, "endpoints": {}}
    path = written(tmp_path / "probe.zip", {"archive.json": json.dumps(about)})
    refused(path, f"it calls something '{name}', which is no name for that", export.load)


def test_exported_programs_that_are_none(tmp_path):
    refused(good_path(tmp_path), "it holds no archive.json", export.load)
    (tmp_path / "text").write_text("text")
    refused(tmp_path / "text", "not a zip file", export.load)


# Honest files -------------------------------------------------------------------------------


def test_an_unknown_member_and_weights_that_are_packed_well(tmp_path):
    model = keraunos.Sequential([keraunos.Input((1000,)), layers.Dense(2000, name="zeros")])
    model.layers[0].kernel.assign(np.zeros((1000, 2000)))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()} | {"notes/x.txt": b"hello"}
    path = written(tmp_path / "packed.keras", parts, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000  # of 8 MB
    assert not load_model(path).layers[0].kernel.numpy().any()


def test_large_graphs_are_read_in_linear_time(tmp_path):
    def seconds(count):
        chain = [INPUT | {"name": "x", "inbound_nodes": []}]
        for i in range(count):
            history = {**_HISTORY, "keras_history": [f"n{i - 1}" if i else "x", 0, 0]}
            tensor = {"class_name": "__keras_tensor__", "config": history}
            node = layer("Identity", name=f"n{i}") | {"name": f"n{i}"}
            chain.append(node | {"inbound_nodes": [{"args": [tensor], "kwargs": {}}]})
        ends = {"input_layers": [["x", 0, 0]], "output_layers": [[f"n{count - 1}", 0, 0]]}
        config = {"name": "chain", "layers": chain, **ends}
        began = time.process_time()
        model = keraunos.Model.from_config(config)
        assert len(model.layers) == count + 1
        return time.process_time() - began

    seconds(20)
    assert seconds(1000) < 40 * seconds(100)  # quadratic growth would be 100 times


def test_many_layers(tmp_path):
    model = keraunos.Sequential([keraunos.Input((1,)), *(layers.Identity() for _ in range(500))])
    model.save(tmp_path / "model.keras")
    assert len(load_model(tmp_path / "model.keras").layers) == 500


def test_bounds_are_stated():
    assert configs.MOST_BYTES == 64 * 2**20 and configs.MOST_VALUES == 2_000_000
    assert zips.INFLATED == 2**30 and zips.TIMES == 100
