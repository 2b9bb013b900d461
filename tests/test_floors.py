"""No circles between modules, no imports upwards."""

import subprocess
import sys
from pathlib import Path


def test_floors():
    tool = Path(__file__).resolve().parents[1] / "tools" / "floors.py"
    done = subprocess.run([sys.executable, tool], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
