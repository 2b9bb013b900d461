"""Old spellings are told once, in one line; a setting silences that."""

import logging

import pytest

import keraunos
from keraunos import legacy
from keraunos.core import config
from keraunos.legacy import note
from tests.run_python import python

_SCRIPT = """
from keras.layers.core import Dense
from keras.models import Sequential
model = Sequential([Dense(output_dim=2, input_dim=3), Dense(1, init="normal")])
print(model.count_params())
"""


def test_a_script_is_told_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    told = python("-m", "keraunos", "run", str(script))
    assert told.stdout == "11\n", told.stderr
    (line,) = told.stderr.splitlines()
    assert line == (
        f"keraunos: `Dense(output_dim=...)` ({script}:4) is a spelling of an older Keras; such "
        "code runs as it did. `keras.legacy.quiet()` silences this note."
    )


def test_a_setting_silences_it(monkeypatch, caplog):
    monkeypatch.setattr(note, "_said", [])
    monkeypatch.setitem(config._settings, "note_old_names", True)
    with caplog.at_level(logging.WARNING, "keraunos"):
        legacy.quiet()
        keraunos.layers.Dropout(p=0.5)
        assert not caplog.records
        config.put("note_old_names", True)
        keraunos.layers.Dropout(p=0.5)
        keraunos.layers.Dropout(p=0.5)
    (record,) = caplog.records
    assert record.getMessage().startswith("keraunos: `Dropout(p=...)` (")


def test_what_is_unknown_stays_an_error():
    with pytest.raises(TypeError, match="Dense"):
        keraunos.layers.Dense(3, border_mode="same")
    with pytest.raises(TypeError, match="epoch"):
        keraunos.Sequential([keraunos.layers.Dense(1)]).fit([1.0], nb_epochs=1)
    with pytest.raises(AttributeError, match="no attribute 'fit_generators'"):
        _ = keraunos.Sequential().fit_generators
    with pytest.raises(ValueError, match=r"computed from symbolic tensors.*Use `jax\.grad`"):
        keraunos.backend.gradients(keraunos.backend.variable(1.0) * 2.0, [])
    with pytest.raises(ValueError, match="merge needs one of sum, mul, ave, max, concat, dot, cos"):
        keraunos.layers.merge([keraunos.Input((2,))] * 2, mode="join")
