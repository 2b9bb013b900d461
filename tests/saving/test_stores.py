"""Weights in several files and in safetensors; looking into files; full disks and kills."""

import resource
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import safetensors.numpy

import keraunos
from keraunos import cli
from keraunos.saving import FileError, load_model
from keraunos.saving.inspection import inspect


def model(k, dtype=None, units=(8, 4)):
    made = k.Sequential([k.Input((6,)), *(k.layers.Dense(n, dtype=dtype) for n in units)])
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    for i, variable in enumerate([*made.weights, *made.optimizer.variables]):
        variable.assign(np.full(variable.shape, i))
    return made


def same(one, other):
    variables = [[*m.weights, *m.optimizer.variables] for m in (one, other)]
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(*variables, strict=True))


@pytest.mark.parametrize(("writer", "reader"), [(keraunos, keras), (keras, keraunos)])
@pytest.mark.filterwarnings("ignore:.*Saving sharded weights requires")
def test_shards_go_both_ways(writer, reader, tmp_path):
    saved = model(writer)
    saved.save_weights(str(tmp_path / "w.weights.json"), max_shard_size=3e-7)
    assert len(list(tmp_path.glob("w_0000?.weights.h5"))) > 1
    other = reader.models.clone_model(model(reader))
    other.compile("adam", "mse")
    other.optimizer.build(other.trainable_variables)
    other.load_weights(str(tmp_path / "w.weights.json"))
    assert same(saved, other)


def test_shards_are_replaced_and_nothing_else(tmp_path):
    saved, listed = model(keraunos), tmp_path / "w.weights.json"
    for _ in range(3):
        saved.save_weights(tmp_path / "w.weights.h5", max_shard_size=3e-7)
        assert same(saved, _read(listed))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len([name for name in names if name.endswith(".h5")]) == len(names) - 1
    (tmp_path / "mine.weights.h5").write_text("not to be removed")
    listed.write_text('{"weight_map": {"/x/vars": "mine.weights.h5"}}')
    saved.save_weights(tmp_path / "w.weights.h5", max_shard_size=1)
    assert (tmp_path / "mine.weights.h5").exists()


def _read(path):
    other = model(keraunos)
    for variable in [*other.weights, *other.optimizer.variables]:
        variable.assign(np.zeros(variable.shape))
    other.load_weights(path)
    return other


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_shard_size": 0}, "must be a positive number of GB, got 0"),
        ({"max_shard_size": "1GB"}, "must be a positive number of GB, got '1GB'"),
        ({"max_shard_size": 1e-8}, r"layers/dense/vars/0 has 192\.00 B, which is more than"),
    ],
)
def test_sizes_of_shards(given, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        model(keraunos).save_weights(tmp_path / "w.weights.h5", **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "the config is no dict"),
        ("{}", "it has no `weight_map`"),
        (
            '{"weight_map": {"/x": ["../up.h5"]}}',
            r"it names '\.\./up\.h5', which is no file beside",
        ),
        ('{"weight_map": {"/x": "/etc/passwd"}}', "it names '/etc/passwd', which is no file"),
        ('{"weight_map": {"/x": 7}}', "it names 7, which is no file"),
        ('{"weight_map": {"/x": "gone.h5"}}', "it names gone.h5, which is not beside it"),
        ('{"weight_map": {"/x": "link.h5"}}', "it names link.h5, which is a link"),
    ],
)
def test_lists_of_shards_that_are_not_trusted(text, said, tmp_path):
    (tmp_path / "link.h5").symlink_to("/etc/passwd")
    (tmp_path / "w.weights.json").write_text(text)
    with pytest.raises(FileError, match=rf"w\.weights\.json cannot be read: .*{said}"):
        model(keraunos).load_weights(tmp_path / "w.weights.json")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed_float16"])
def test_safetensors(dtype, tmp_path):
    saved, path = model(keraunos, dtype), tmp_path / "w.safetensors"
    saved.save_weights(path)
    other = model(keraunos, dtype)
    other.layers[0].kernel.assign(np.zeros((6, 8)))
    other.load_weights(path)
    assert same(saved, other)
    held = safetensors.numpy.load_file(path)
    assert np.array_equal(held["layers/dense/vars/0"], saved.layers[0].kernel.numpy())
    with pytest.raises(FileError, match="do not fit"):
        model(keraunos, dtype, (8, 5)).load_weights(path)


def test_looking_into_files(tmp_path, capsys):
    saved = model(keraunos)
    saved.add(keraunos.layers.Lambda(lambda x: x))
    saved.save(tmp_path / "m.keras")
    told = inspect(tmp_path / "m.keras")
    assert "Keras 3.15.1" in told and "dense_1: Dense" in told
    assert "layers/dense/0: (6, 8) float32" in told
    assert "Suspicious:\n  __lambda__ holds code" in told
    saved.save(tmp_path / "m.h5")
    assert "as Keras 1 and 2 wrote it" in inspect(tmp_path / "m.h5")
    assert cli.main(["inspect", str(tmp_path / "m.keras")]) == 0
    assert capsys.readouterr().out.strip() == told
    (tmp_path / "torn.keras").write_bytes((tmp_path / "m.keras").read_bytes()[:-9])
    assert cli.main(["inspect", str(tmp_path / "torn.keras")]) == 1
    assert "torn.keras is no `.keras` file, or not all of one" in capsys.readouterr().err
    assert cli.main(["inspect", str(tmp_path / "none")]) == 1


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.safetensors"])
def test_a_full_disk_leaves_the_file_of_before(name, tmp_path):
    saved = model(keraunos)
    write = saved.save if name in ("m.keras", "m.h5") else saved.save_weights
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limit[1]))
        for _ in range(2):
            with pytest.raises((OSError, safetensors.SafetensorError), match=r"(?i)too large"):
                write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


KILLED = """
import sys, keraunos, numpy as np
model = keraunos.Sequential([keraunos.Input((200,)), keraunos.layers.Dense(200)])
model.save(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    model.layers[0].kernel.assign(np.full((200, 200), number))
    model.save(sys.argv[1])
"""


def test_a_kill_leaves_a_whole_file(tmp_path):
    path = tmp_path / "m.keras"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.kill()
    kernel = load_model(path).layers[0].kernel.numpy()
    assert (kernel == kernel[0, 0]).all() or np.abs(kernel).max() < 1  # one save's, or the first's
