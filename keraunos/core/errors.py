"""What a user is told of an error: their own line, their layer, what to write instead.

Functions that users call are doors. An error that leaves the library through one carries no line
of the library's own, unless `keras.config.disable_traceback_filtering()` was called, and says in
the user's words what JAX says of tracers.
"""

import contextlib
import difflib
import functools
import importlib.util
import inspect
import linecache
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, TypeVar

from keraunos.core import config

F = TypeVar("F", bound=Callable)

_found = [importlib.util.find_spec(name) for name in ("jax", "jaxlib", "numpy")]
_HIDDEN = (
    str(Path(__file__).resolve().parents[1]),
    *(str(Path(spec.origin).parent) for spec in _found if spec and spec.origin),
    *(str(module.__file__) for module in (contextlib, functools, inspect)),
    *("<frozen", "<string>", "<__array_function__"),
)


def users_line() -> str | None:
    """`file.py:12`: the nearest line on the stack outside of this package."""
    found = _users()
    return found and place(*found)


def _users() -> tuple[str, int] | None:
    frame: Any = sys._getframe(2)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_HIDDEN):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def place(file: str, line: int) -> str:
    """`file.py:12`, from the current folder on."""
    return f"{file.removeprefix(os.getcwd() + os.sep)}:{line}"


def defined_at(fn: Any) -> str:
    """`, defined at file.py:12`, if that is known of a function, or of a method."""
    code: CodeType | None = getattr(inspect.unwrap(fn), "__code__", None)
    if code is None or code.co_filename.startswith(_HIDDEN):
        return ""
    return f", defined at {place(code.co_filename, code.co_firstlineno)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the closest of `known`, or nothing."""
    close = difflib.get_close_matches(name, [k for k in known if k not in ("self", "kwargs")], 1)
    return f". Did you mean `{close[0]}`?" if close else ""


def shapes(values: dict[str, Any]) -> str:
    """`x: (None, 4) float32, ...` of those values that are tensors, or lists of them."""
    told = {name: _shape(value) for name, value in values.items()}
    return ", ".join(f"{name}: {text}" for name, text in told.items() if text)


def _shape(value: Any) -> str:
    array: Any = value
    if isinstance(value, (list, tuple)) and value:
        parts = [_shape(part) for part in value[:4]]
        return f"[{', '.join(parts)}{', ...' * (len(value) > 4)}]" if all(parts) else ""
    if isinstance(value, dict) and value:
        return f"{{{shapes(value)}}}"
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return ""
    sizes = [str(n) if isinstance(n, int) else "None" for n in array.shape]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)}) {array.dtype}"


def brief(value: Any) -> str:
    """`value`, in few words."""
    text = _shape(value) if hasattr(value, "shape") else ""
    if text:
        return (
            f"an array of shape {text}" if type(value).__name__ == "ndarray" else repr(value)[:80]
        )
    if hasattr(value, "__code__"):
        return f"the function `{value.__name__}`{defined_at(value)}"
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)[:80]


@contextlib.contextmanager
def noting(text: str) -> Iterator[None]:
    """Add `text` to an error that passes."""
    try:
        yield
    except Exception as error:
        error.add_note(text)
        raise


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the user's nearest line does."""
    warnings.warn_explicit(message, category, *(_users() or ("<unknown>", 0)))


def door(fn: F) -> F:
    """Decorator: let errors leave the library here, told as above."""

    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            if getattr(error, "_told", False):  # a door within this one has said all
                shorten(error)
                raise
            told = _in_their_words(error, wrapper, args, kwargs)
            with contextlib.suppress(AttributeError):
                told._told = True  # type: ignore[attr-defined]
            if told is error:
                shorten(error)
                raise
            try:
                raise told from None
            except Exception:
                vars(told).update(vars(error))
                told.__traceback__ = error.__traceback__
                shorten(told)
                raise

    return wrapper  # type: ignore[return-value]


def shorten(error: BaseException | None) -> None:
    """Take the lines that are not the user's out of a traceback."""
    if not config.get("traceback_filtering"):
        return
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        entries, trace = [], error.__traceback__
        while trace is not None:
            if not trace.tb_frame.f_code.co_filename.startswith(_HIDDEN):
                entries.append(trace)
            trace = trace.tb_next
        for entry in reversed(entries):
            trace = TracebackType(trace, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        error.__traceback__ = trace
        notes = getattr(error, "__notes__", None)
        if notes:
            notes[:] = [note for note in notes if "JAX has removed" not in note]
        error = error.__cause__ or error.__context__


# In their words -------------------------------------------------------------------------------

_LATER = "but there are no values yet when a program is made"
# What JAX raises about tensors whose values are not there yet: what was done, and the way out.
_TRACED = {
    "TracerBoolConversionError": (
        f"a Python `if`, `while`, `and`, `not` or `assert` needs the value of a tensor, {_LATER}",
        "Use `keras.ops.where(condition, a, b)` or `keras.ops.cond`; for a loop "
        "`keras.ops.while_loop`.",
    ),
    "TracerArrayConversionError": (
        f"NumPy, or a package that builds on it, needs the values of a tensor, {_LATER}",
        "Use {instead}.",
    ),
    "TracerIntegerConversionError": (
        f"`range`, or an index of a list, needs an integer, got a tensor, {_LATER}",
        "Loop with `keras.ops.fori_loop`, pick with `keras.ops.take`; sizes are in `x.shape`.",
    ),
    "ConcretizationTypeError": (
        f"`float`, `int` or the like needs the value of a tensor, {_LATER}",
        "Leave it a tensor, without `float(...)`; `keras.ops.cast` changes its dtype.",
    ),
    "NonConcreteBooleanIndexError": (
        f"which elements a boolean index picks, and so the shape, depends on values, {_LATER}",
        "Keep the shape: `keras.ops.where(condition, x, 0)`, or multiply by the condition.",
    ),
    "UnexpectedTracerError": (
        "the tensor made here was kept and used in another call, where it has no value",
        "Keep numbers from call to call in a weight: `self.add_weight(...)` in `build`, "
        "`.assign(...)` in `call`; within one call hand tensors on as arguments.",
    ),
}
# What others raise in code that runs while a program is made.
_WORDS = (
    (
        r"Tracer.* has no attribute '?numpy",
        f"`.numpy()` needs the value of a tensor, {_LATER}",
        "To look at values use `jax.debug.print` or `compile(run_eagerly=True)`; outside of "
        "`call`, `keras.ops.convert_to_numpy`.",
    ),
    (
        r"immutable|not support item assignment",
        "a part of a tensor is assigned, but tensors are immutable",
        "Use `x = keras.ops.slice_update(x, start, part)`, `keras.ops.scatter_update` or "
        "`keras.ops.where`.",
    ),
)
# What is wrong with shapes is said by JAX itself; this is the way out.
_SHAPES = (
    (
        r"ncompatible shapes for broadcasting",
        "On each axis, counted from the last, the sizes must be equal or one of them 1: "
        "`reshape`, `transpose` or `expand_dims` one of the two.",
    ),
    (
        r"contracting dimensions",
        "The last axis of the first and the next to last axis of the second must be equal: "
        "`transpose` or `reshape` one of the two.",
    ),
)
_LEAKED = re.compile(r"^(.+):(\d+):\d+ \(", re.MULTILINE)  # where a tensor was made
_OUTSIDE = re.compile(r"\b(?:np|numpy|scipy|sp|jnp|tf|math|torch)((?:\.\w+)+)\s*\(")


def _in_their_words(error: Exception, fn: Callable, args: tuple, kwargs: dict) -> Exception:
    """`error`, with the way out added; or another in its place, if it was one of JAX's tracers."""
    text, kind = str(error), type(error).__name__
    trace = error.__traceback__
    if kind == "TypeError" and "unexpected keyword argument" in text:
        return _misspelt(error, text, fn, kwargs)
    what = fix = ""
    if kind in _TRACED and type(error).__module__.startswith("jax"):
        what, fix = _TRACED[kind]
    for pattern, *words in _WORDS:
        if re.search(pattern, text):
            what, fix = words
    if what:
        made = [(file, int(n)) for file, n in _LEAKED.findall(text) if not file.startswith(_HIDDEN)]
        file, number = made[-1] if made else _line_within(trace)
        code = linecache.getline(file, number).partition("#")[0].strip()
        told = f"{place(file, number)}{code and f', `{code}`'}: {what}. "
        return TypeError(told + fix.format(instead=_instead(code)))
    for pattern, fix in _SHAPES:
        if re.search(pattern, text) and fix not in text:
            given = ""
            if hasattr(fn, "tensor_arguments"):
                named = dict(zip(inspect.signature(fn).parameters, args)) | kwargs
                given = f" {fn.__name__} was called with {shapes(named)}."
            error.args = (f"{text.rstrip('.')}.{given} {fix}",)
    return error


def misspelt(kwargs: Iterable[str], known: Iterable[str]) -> str:
    """`did_you_mean` of the first argument that is not known."""
    return next((did_you_mean(name, known) for name in kwargs if name not in known), "")


def _misspelt(error: Exception, text: str, fn: Callable, kwargs: dict) -> Exception:
    """The error of a call that does not fit the signature, with the argument that was meant."""
    parameters = inspect.signature(fn).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if hint := "" if takes_all else misspelt(kwargs, parameters):
        error.args = (text[max(text.find(f"{fn.__name__}()"), 0) :] + hint,)
    return error


def _line_within(trace: TracebackType | None) -> tuple[str, int]:
    """The user's innermost line that a traceback went through, or that called us."""
    found = _users() or ("your code", 0)
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HIDDEN):
            found = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return found


def _instead(code: str) -> str:
    """The functions of `keras.ops` for those that a line of code calls elsewhere."""
    found = [name.rpartition(".")[2] for name in _OUTSIDE.findall(code)]
    ours = [name for name in found if hasattr(sys.modules.get("keraunos.ops"), name)]
    if ours:
        return ", ".join(f"`keras.ops.{name}`" for name in dict.fromkeys(ours))
    return "the functions of `keras.ops` instead"
