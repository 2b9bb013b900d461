"""Run Python in a process of its own, where nothing is imported yet."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])


def python(*arguments: str, **options) -> subprocess.CompletedProcess:
    """What `python *arguments` prints and returns, with keraunos on its path."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, **options
    )
