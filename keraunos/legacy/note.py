"""One line, once in a process, that says old spellings are used."""

import logging

from keraunos.core import config, errors

_said: list[str] = []


def note(what: str) -> None:
    """Say that `what`, a name or an argument of the past, was met; only the first time.

    The setting `note_old_names` (in `keras.json`, or `keras.legacy.quiet()`) silences it.
    """
    if _said or not config.get("note_old_names"):
        return
    line = errors.users_line()
    _said.append(what)
    logging.getLogger("keraunos").warning(
        "keraunos: %s%s is a spelling of an older Keras; such code runs as it did. "
        "`keras.legacy.quiet()` silences this note.",
        what,
        f" ({line})" if line else "",
    )


def quiet() -> None:
    """Say nothing of old spellings."""
    config.put("note_old_names", False)
