"""What importing loads: the face of the library is lazy."""

import json

import pytest

from tests.run_python import python

_HEAVY = ("jax", "numpy", "h5py", "rich", "narwhals", "PIL", "matplotlib", "pandas", "tensorflow")
_PROGRAM = """
import json, sys
{code}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r}))
print(json.dumps(loaded))
"""


def _loaded_by(code: str) -> list[str]:
    result = python("-c", _PROGRAM.format(code=code, heavy=_HEAVY))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_importing_loads_nothing():
    loaded = _loaded_by("import keraunos, keraunos.alias, keraunos.cli; dir(keraunos)")
    assert loaded == []


def test_the_alias_loads_nothing_either():
    loaded = _loaded_by("import keraunos.as_keras\nimport keras\nimport tensorflow as tf")
    assert loaded == ["tensorflow"]


@pytest.mark.parametrize("code", ["from keraunos import layers, models, losses, saving"])
def test_what_is_used_seldom_is_loaded_late(code):
    loaded = _loaded_by(code)
    assert loaded == ["jax", "numpy"]
