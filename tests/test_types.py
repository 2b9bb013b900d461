"""What an editor knows of the public face: signatures of declared constructors, packages."""

import json
import subprocess
import sys
from pathlib import Path

GOOD = """
import keraunos as keras
from keraunos.layers import LSTM, Conv2D, Dense

model = keras.Sequential([
    keras.Input((4,)),
    Dense(3, activation="relu", kernel_regularizer="l2", name="a", dtype="float32"),
    keras.layers.Dropout(0.5, seed=1),
    Dense(units=1, input_shape=(3,)),
])
model.compile("adam", loss="mse", metrics=["mae"])
Conv2D(8, 3, strides=(1, 1), padding="same", data_format="channels_last")
keras.optimizers.Adam(1e-3, beta_1=0.8, clipnorm=1.0)
keras.callbacks.EarlyStopping(patience=3)
keras.losses.SparseCategoricalCrossentropy(from_logits=True)
keras.ops.mean([1.0, 2.0], axis=0)
Dense(3, "relu", False)
keras.layers.Embedding(3, 4)
keras.layers.EinsumDense("ab,bc->ac", 4)
keras.layers.MultiHeadAttention(2, 3)
keras.layers.TextVectorization(100, output_sequence_length=4)
keras.layers.RandomFlip("horizontal")
keras.callbacks.BackupAndRestore("run", save_freq=3)
keras.applications.ResNet50(weights=None)
keras.datasets.mnist.load_data()
model.fit([1.0], [1.0], resume="run")
"""
BAD = """
from keraunos.layers import Dense

Dense()
Dense(3, activaton="relu")
"""


def errors(folder: Path, code: str) -> list[str]:
    (folder / "user.py").write_text(code)
    config = {"include": ["user.py"], "typeCheckingMode": "basic"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [item["message"] for item in found if item["severity"] == "error"]


def test_good_code_has_no_errors_and_bad_code_has(tmp_path):
    assert errors(tmp_path, GOOD) == []
    missing, unknown = errors(tmp_path, BAD)
    assert "units" in missing and "activaton" in unknown
