"""Each example runs, on its real data, and learns."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "digits")
)
def test_the_loss_falls(name):
    history = load(name).main()
    for key in [key for key in history if key.endswith("loss") and not key.startswith("val_")]:
        assert history[key][-1] < history[key][0], key


def test_digits_reach_98_percent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert load("digits").main() >= 0.98
    assert (tmp_path / "digits.keras").stat().st_size > 10_000
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "conv2d" in shown and "Epoch 30/30" in shown and "\x1b" not in shown
