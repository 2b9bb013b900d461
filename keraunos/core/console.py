"""Where text goes: a terminal, a notebook, a pipe, or the log."""

import logging
import os
import sys

from keraunos.core import config

_log = logging.getLogger("keraunos")


def say(text: str, end: str = "\n") -> None:
    """Write `text` to standard output; to the log if interactive logging is disabled."""
    if not is_interactive_logging_enabled():
        _log.info(text)
        return
    try:
        sys.stdout.write(text + end)
    except UnicodeEncodeError:  # a console that knows no bars or frames
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write((text + end).encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def can_redraw() -> bool:
    """Whether a line that was written can be drawn again: in a terminal, or in a notebook."""
    if not is_interactive_logging_enabled():
        return False
    return sys.stdout.isatty() or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


def enable_interactive_logging() -> None:
    """From now on, progress and messages are printed to standard output."""
    config.put("interactive_logging", True)


def disable_interactive_logging() -> None:
    """From now on, progress and messages go to the logger named "keraunos"."""
    config.put("interactive_logging", False)


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages are printed to standard output."""
    return bool(config.get("interactive_logging"))


def readable(size: float) -> str:
    """A number of bytes, as people read it."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"
