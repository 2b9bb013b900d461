"""Where a user's code made or called something, for messages that name their own line."""

import sys
from pathlib import Path

_OURS = str(Path(__file__).resolve().parents[1])


def users_line() -> str | None:
    """`file.py:12`: the nearest line on the stack outside of this package."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_OURS, "<")):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
