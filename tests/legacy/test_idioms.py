"""How code of 2015 to 2021 is written: each row of `idioms` runs as it stands, and asserts.

Rows are divided by lines of two dashes; the first line of a row is its name. All of them know
`np`, `keras`, `K`, a folder `tmp`, data `x` (16, 8), `y` (16, 3) one-hot, `labels` (16,), `images`
(8, 8, 8, 3), `steps` (8, 5, 3), `ids` (8, 5); and `small()`, a compiled model from `x` to `y`.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import keraunos
from keraunos import alias
from keraunos.backend import image_data_format

ROWS = [
    pytest.param(code, id=f"{path.stem}: {code.strip().splitlines()[0].strip('# ')}")
    for path in sorted(Path(__file__).with_name("idioms").glob("*.txt"))
    for code in path.read_text().split("\n--\n")
]


@pytest.fixture(autouse=True)
def historic_modules():
    """`import keraunos.layers.core` works, as it does once the alias is installed."""
    finder = alias._Finder(("oldkeras", *alias._TENSORFLOW))
    sys.meta_path.insert(0, finder)
    yield
    sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if name.split(".")[0] in ("oldkeras", "tensorflow")]:
        del sys.modules[name]


def _ours(code: str) -> str:
    """The code with another name for `keras`, since the tests have the real one too."""
    return re.sub(r"^(\s*(from|import)) keras\b", r"\1 oldkeras", code, flags=re.MULTILINE)


@pytest.mark.parametrize("code", ROWS)
def test_idiom(code, tmp_path, capsys):
    rng = np.random.RandomState(0)
    labels = np.arange(16) % 3

    def small(metrics=("acc",), optimizer="sgd"):
        model = keraunos.models.Sequential()
        model.add(keraunos.layers.Dense(6, input_dim=8, activation="relu"))
        model.add(keraunos.layers.Dense(3, activation="softmax"))
        model.compile(optimizer, "categorical_crossentropy", metrics=list(metrics))
        return model

    names = {
        "np": np,
        "keras": keraunos,
        "K": keraunos.backend,
        "tmp": tmp_path,
        "x": rng.randn(16, 8).astype("float32"),
        "y": np.eye(3, dtype="float32")[labels],
        "labels": labels,
        "images": rng.rand(8, 8, 8, 3).astype("float32"),
        "steps": rng.randn(8, 5, 3).astype("float32"),
        "ids": rng.randint(1, 20, (8, 5)),
        "small": small,
        "__name__": "old_script",
    }
    assert image_data_format() == "channels_last"
    exec(compile(_ours(code), "old_script.py", "exec"), names)
