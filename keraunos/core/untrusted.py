"""What is done for the sake of a file that nobody vouches for."""

import contextlib
import contextvars
from collections.abc import Iterator

from keraunos.core import console


class FileError(ValueError):
    """A file cannot be read: it is torn, of another kind, does not fit, or asks for too much."""


class _Allowance:
    def __init__(self, nbytes: int):
        self.given = self.left = nbytes


_allowance: contextvars.ContextVar[_Allowance | None] = contextvars.ContextVar(
    "allowance", default=None
)


@contextlib.contextmanager
def allowance(nbytes: int) -> Iterator[None]:
    """Within it, what is made may take `nbytes` of memory in all."""
    token = _allowance.set(_Allowance(nbytes))
    try:
        yield
    finally:
        _allowance.reset(token)


def take(nbytes: int, what: str) -> None:
    """Count memory before it is taken. Raises `FileError` if that is more than is allowed."""
    allowed = _allowance.get()
    if allowed is None:
        return
    allowed.left -= nbytes
    if allowed.left < 0:
        wanted, given = console.readable(nbytes), console.readable(allowed.given)
        raise FileError(
            f"{what} would take {wanted}; by what the file holds, all of it may take {given}"
        )
