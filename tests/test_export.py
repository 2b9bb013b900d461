"""Programs of models in files: read in another process, the same numbers come out."""

import json
import textwrap
import zipfile

import jax
import numpy as np
import pytest

import keraunos
from keraunos import InputSpec, layers
from keraunos.export import ExportArchive, load
from tests.oracle import close
from tests.run_python import python

X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")


def sequence_model():
    inputs = keraunos.Input((None, 3))
    x = layers.BatchNormalization()(layers.LSTM(4, return_sequences=True)(inputs))
    x = layers.Dropout(0.5)(layers.Conv1D(2, 3, padding="same")(x))
    return keraunos.Model(inputs, {"mean": layers.GlobalAveragePooling1D()(x), "all": [x]})


def test_a_program_runs_in_another_process_without_the_models_code(tmp_path, capsys):
    model = sequence_model()
    model.export(tmp_path / "new" / "model.hlo", format="stablehlo")
    assert "* Endpoint 'serve'\n  float32[batch, axis1, 3]" in capsys.readouterr().out
    np.savez(tmp_path / "data.npz", x=X)
    code = textwrap.dedent(
        f"""
        import sys
        import numpy as np
        from keraunos.export import load

        program = load({str(tmp_path / "new" / "model.hlo")!r})
        x = np.load({str(tmp_path / "data.npz")!r})["x"]
        found = program.serve(x)
        one = program.serve(x[:1, :2].tolist())
        assert one["mean"].shape == (1, 2) and one["all"][0].shape == (1, 2, 2)
        assert "keraunos.models" not in sys.modules
        np.savez({str(tmp_path / "out.npz")!r}, mean=found["mean"], all=found["all"][0])
        """
    )
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    found, wanted = np.load(tmp_path / "out.npz"), model(X)
    close([found["all"], found["mean"]], [wanted["all"][0], wanted["mean"]])


def test_weights_are_variables_beside_the_program(tmp_path):
    model = keraunos.Sequential([keraunos.Input((3,)), layers.Dense(2, name="d")])
    model.export(tmp_path / "m", "stablehlo", verbose=False)
    program = load(tmp_path / "m")
    assert program.endpoints == ["serve"]
    assert [v.path for v in program.variables] == [v.path for v in model.variables]
    close([v.value for v in program.trainable_variables], model.get_weights())
    program.variables[0].assign(np.zeros((3, 2)))
    close(program.serve(X[0]), np.zeros((5, 2), "float32"))
    close(jax.jit(program.serve)(X[0]), np.zeros((5, 2), "float32"))
    assert program.non_trainable_variables == []


def test_an_archive_of_several_endpoints(tmp_path):
    model = keraunos.Sequential([keraunos.Input((3,)), layers.Dropout(0.5, seed=1)])
    archive = ExportArchive("stablehlo", platforms=["cpu"])
    archive.track_and_add_endpoint("serve", model, None)
    train = lambda x: model(x, training=True)
    signature = [InputSpec(shape=(None, 3))]
    assert archive.add_endpoint("fixed", train, signature) is train
    archive.add_endpoint("train", train, signature, is_static=False)
    pair = [{"a": np.ones((2, 3), "float32"), "b": keraunos.Input((3,))}, InputSpec("int32", ())]
    archive.add_endpoint("mix", lambda ab, n: (ab["a"].sum() + ab["b"] * n, None), pair)
    archive.add_variable_collection("seeds", model.variables)
    archive.write_out(tmp_path / "m", verbose=False)
    program = load(tmp_path / "m")
    close(program.serve(X[0]), X[0])
    close(program.fixed(X[0]), program.fixed(X[0]))
    assert np.abs(program.train(X[0]) - program.train(X[0])).max() > 0
    assert int(program.seeds[0][1]) == 2
    mixed, nothing = program.mix({"a": X[0, :2], "b": X[1]}, 3)
    close(mixed, X[0, :2].sum() + X[1] * 3)
    assert nothing is None
    with pytest.raises(TypeError, match=r"serve\(\) takes float32\[batch,3\]"):
        program.serve(X[0], X[0])
    with pytest.raises(AttributeError, match=r"no 'sreve'\. It has .*serve"):
        program.sreve  # noqa: B018


def test_models_without_a_graph(tmp_path):
    class Model(keraunos.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, dtype="mixed_bfloat16")

        def call(self, x):
            return self.dense(x)

    model = Model()
    with pytest.raises(ValueError, match="needs an `input_signature`"):
        model.export(tmp_path / "m", "stablehlo")
    model(X[0])
    model.export(tmp_path / "m", "stablehlo", verbose=False)
    close(load(tmp_path / "m").serve(X[0, :1]), model(X[0, :1]), rtol=1e-2)
    model.export(tmp_path / "m", "stablehlo", False, InputSpec(shape=(2, 3)))
    assert load(tmp_path / "m").serve(X[0, :2]).shape == (2, 2)


def test_what_is_in_the_file(tmp_path):
    keraunos.Sequential([keraunos.Input((3,)), layers.Dense(2)]).export(
        tmp_path / "m", "stablehlo", verbose=False
    )
    with zipfile.ZipFile(tmp_path / "m") as file:
        assert file.read("endpoints/serve.mlirbc")[:4] == b"ML\xefR"
        about = json.loads(file.read("archive.json"))
        assert len(file.read("variables/0")) == 3 * 2 * 4
    assert about["endpoints"]["serve"]["inputs"][-1] == ["float32", "batch,3"]
    assert about["endpoints"]["serve"]["platforms"] == ["cpu", "cuda", "tpu"]
    with zipfile.ZipFile(tmp_path / "later", "w") as file:
        file.writestr("archive.json", json.dumps({**about, "format": 2}))
    with pytest.raises(ValueError, match="written by a later one"):
        load(tmp_path / "later")


MODEL = keraunos.Sequential([keraunos.Input((3,)), layers.Dense(2)])


@pytest.mark.parametrize(
    "format, error, message",
    [
        ("tf_saved_model", NotImplementedError, "no TensorFlow. Write `format='stablehlo'`"),
        ("onnx", NotImplementedError, "no ONNX"),
        ("openvino", NotImplementedError, "no OpenVINO"),
        ("litert", NotImplementedError, "no LiteRT"),
        ("torch", NotImplementedError, "no PyTorch"),
        ("stablehol", ValueError, "none of stablehlo, .* Did you mean `stablehlo`?"),
    ],
)
def test_formats_that_are_not_there(format, error, message, tmp_path):
    with pytest.raises(error, match=message):
        MODEL.export(tmp_path / "m", format)
    with pytest.raises(error, match=message):
        ExportArchive(format)


def test_errors(tmp_path):
    archive = ExportArchive("stablehlo")
    for call, message in (
        (lambda: ExportArchive(), "no TensorFlow"),
        (lambda: archive.track(3), "needs a layer or a model, got 3"),
        (lambda: archive.track(layers.Dense(2)), "has not been built"),
        (lambda: archive.write_out(tmp_path / "m"), "no endpoints"),
        (lambda: archive.add_endpoint("a b", MODEL), "needs a name that is new"),
        (lambda: archive.add_endpoint("variables", MODEL), "needs a name that is new"),
        (lambda: archive.add_endpoint("serve", len, [3]), "is made of `keras.InputSpec"),
        (lambda: archive.add_variable_collection("a", [3]), "needs a list of `keras.Variable`"),
    ):
        with pytest.raises((ValueError, NotImplementedError), match=message):
            call()
    with pytest.raises(TypeError, match="Strings never enter a program"):
        archive.add_endpoint("serve", MODEL, [keraunos.Input((1,), dtype="string")])
    count = lambda x: x * len(range(x.shape[0]))
    with pytest.raises(Exception) as caught:
        archive.add_endpoint("serve", count, [InputSpec(shape=(None, 3))])
    assert "give an `input_signature` without None" in caught.value.__notes__[-1]
