"""Pickled arrays, lists and dicts, read without running code."""

import pickle
from typing import IO, Any

import numpy as np

_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


def load_pickle(file: IO[bytes]) -> Any:
    """What a pickle of arrays holds; names in it other than NumPy's own raise.

    Text that Python 2 wrote becomes bytes.
    """
    return _Reader(file, encoding="bytes").load()


class _Reader(pickle.Unpickler):
    """Names in the file stand for the functions below, which make arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name in _ALLOWED:
            return _ALLOWED[name]
        if (module, name) == ("_codecs", "encode"):
            return _bytes
        raise pickle.UnpicklingError(
            f"The file names `{module}.{name}`: data sets may hold arrays, lists, dicts, numbers "
            "and text, and nothing that runs."
        )


def _bytes(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else str(value)


class _Dtype:
    """A dtype that its code and byte order tell; what NumPy itself would read is not trusted."""

    def __init__(self, code: Any, *_: Any):
        self.value = np.dtype(_text(code))

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(_text(state[1]))


class _Array(np.ndarray):
    """An array that checks the parts it is put together from."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("An array in the file is not what NumPy writes.")
        if isinstance(data, list) != dtype.value.hasobject:
            raise pickle.UnpicklingError("An array in the file has data of another dtype.")
        super().__setstate__((1, shape, dtype.value, bool(fortran), data))  # type: ignore[arg-type]


def _array(*_: Any) -> np.ndarray:
    return np.ndarray.__new__(_Array, (0,), "int8")


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.value, 1)[0]


_ALLOWED = {"_reconstruct": _array, "ndarray": _array, "dtype": _Dtype, "scalar": _scalar}
