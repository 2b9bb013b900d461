"""Programs that `ExportArchive` wrote, read again."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import naming
from keraunos.core.state import Variable
from keraunos.core.untrusted import FileError
from keraunos.export.program import revive, unpack
from keraunos.saving import configs
from keraunos.saving.files import as_path, reading
from keraunos.saving.zips import Zip


class Reloaded:
    """What an archive holds: its endpoints as methods, its variables, its collections of them.

    An assignment to a variable counts for the calls that follow.
    """

    def __init__(self, filepath: Any):
        path = as_path(filepath)
        with reading(path), Zip(path) as file:
            about = configs.mapping(file.text("archive.json", configs.MOST_BYTES))
            if about["format"] != 1:
                raise FileError(
                    f"{str(path)!r} has the format {about['format']}, this version reads 1: it was "
                    "written by a later one."
                )
            self.variables = [
                _variable(file.data(f"variables/{i}"), **known)
                for i, known in enumerate(about["variables"])
            ]
            for name, places in about["collections"].items():
                self._add(name, [self.variables[i] for i in places])
            for name, known in about["endpoints"].items():
                program = revive(name, known, file.data(f"endpoints/{name}.mlirbc"))
                self._add(name, self._endpoint(name, program, known))
        self.endpoints = list(about["endpoints"])

    def _add(self, name: str, value: Any) -> None:
        taken = {*dir(type(self)), "variables", "endpoints"}
        if not name.isidentifier() or name.startswith("_") or name in taken:
            raise FileError(f"it calls something {name!r}, which is no name for that")
        setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        known = [key for key in vars(self) if not key.startswith("_")]
        raise AttributeError(f"The archive has no {name!r}. It has {', '.join(known)}.")

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if not v.trainable]

    def _endpoint(self, name: str, program: Any, known: dict[str, Any]) -> Callable:
        run = jax.jit(program.call)
        wanted = unpack(known["takes"], iter(program.in_avals[len(self.variables) :]))

        def call(*args: Any) -> Any:
            given = _flat(name, wanted, args)
            outputs = iter(run(*(v.value for v in self.variables), *given))
            result = unpack(known["gives"], outputs)
            for place, value in zip(known["assigns"], outputs, strict=True):
                self.variables[place].assign(value)
            return result

        call.__name__ = name
        call.__doc__ = f"Run the program on {_shown(wanted)}."
        return call


def _flat(name: str, wanted: tuple, args: tuple) -> list:
    """The arrays in `args`, in the dtypes of the program."""
    leaves, treedef = jax.tree.flatten(wanted)
    try:
        given = treedef.flatten_up_to(args)
    except ValueError as error:
        raise TypeError(f"{name}() takes {_shown(wanted)}: {error}") from None
    return [jnp.asarray(x, aval.dtype) for x, aval in zip(given, leaves)]


def _shown(wanted: tuple) -> str:
    return ", ".join(str(jax.tree.map(lambda a: a.str_short(), one)) for one in wanted)


def _variable(data: bytes, path: str, shape: list[int], dtype: str, trainable: bool) -> Variable:
    array = np.frombuffer(data, jnp.dtype(dtype)).reshape(shape)
    around, _, name = path.rpartition("/")
    with naming.name_scope(around) if around else contextlib.nullcontext():
        return Variable(array, dtype=dtype, trainable=trainable, name=name)


def load(filepath: Any) -> Reloaded:
    """Read an archive; `load(path).serve(x)` runs the program of an exported model.

    Nothing in the file is run but the programs, and those only when they are called.
    """
    return Reloaded(filepath)


__all__ = ["Reloaded", "load"]
