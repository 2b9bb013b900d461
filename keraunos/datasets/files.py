"""Files of data sets: fetched and checked; read as arrays, and as nothing that runs."""

import gzip
import json
import math
import os
import zipfile
from typing import IO, Any

import numpy as np

from keraunos.datasets.pickles import load_pickle
from keraunos.utils.files import get_file

BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
CIFAR = "https://www.cs.toronto.edu/~kriz/"

# What Keras asks of each; for Fashion-MNIST it asks nothing: gzip and the header are checked.
HASHES = {
    "boston_housing.npz": "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    "california_housing.npz": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "imdb_word_index.json": "bfafd718b763782e994055a2d397834f",
    "mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "reuters_word_index.json": "4d44cc38712099c9e383dc6e5f11a921",
}

Split = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def fetch(path: Any, name: str, folder: str = "datasets") -> str:
    """Where the file `name` of Keras's storage is, called `path` here; downloaded if need be."""
    return get_file(path, BASE + name, file_hash=HASHES.get(name), cache_subdir=folder)


def read_npz(path: str, *names: str) -> list[np.ndarray]:
    """Arrays of an `.npz` file; those of objects may hold lists, numbers, text and arrays."""
    with zipfile.ZipFile(path) as archive:
        found = {name.removesuffix(".npy") for name in archive.namelist()}
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"{path} has no arrays {missing}, only {sorted(found)}.")
        arrays = []
        for name in names:
            with archive.open(f"{name}.npy") as file:
                arrays.append(_read_npy(file))
        return arrays


def _read_npy(file: IO[bytes]) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"Arrays in .npy files must be of version 1 or 2, got {version}.")
    shape, fortran, dtype = read[version](file)
    if dtype.hasobject:
        array = np.asarray(load_pickle(file))
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"Expected an array of {dtype} of shape {shape}, got {array!r:.80}.")
        return array
    data = file.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"The array of shape {shape} is cut short: {len(data)} bytes of {dtype}.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def read_idx(path: str, dimensions: int) -> np.ndarray:
    """The bytes in a gzipped file of MNIST's format; a damaged file is removed."""
    try:
        with gzip.open(path, "rb") as file:
            data = file.read()
        shape = tuple(np.frombuffer(data, ">i4", dimensions, offset=4))
        if data[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError("its header is not that of an IDX file of bytes")
        return np.frombuffer(data, "uint8", offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        os.remove(path)
        raise ValueError(f"{path} was damaged and is removed, load it again: {error}") from error


def read_cifar(name: str, folder: str, parts: list[str], labels: str) -> list[Any]:
    """For each part, images, uint8 `(n, 3, 32, 32)`, and labels, int64 `(n, 1)`."""
    path = get_file(f"{folder}-target", CIFAR + name, extract=True, file_hash=HASHES.get(name))
    found = []
    for part in parts:
        with open(os.path.join(path, folder, part), "rb") as file:
            content = load_pickle(file)
        images = np.asarray(content[b"data"]).reshape(-1, 3, 32, 32)
        found.append((images, np.array(content[labels.encode()]).reshape(-1, 1)))
    return found


def read_index(path: str) -> dict[str, int]:
    """A JSON file of words and their numbers."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int) -> Split:
    """Shuffled rows, the last `test_split` of them for tests."""
    if not 0 <= test_split < 1:
        raise ValueError(
            f"Invalid `test_split` argument: {test_split}. It must be between 0 and 1 (exclusive "
            "of 1)."
        )
    x, y = shuffled(seed, x, y)
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def shuffled(seed: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays, their rows in the order that Keras gives them."""
    chance = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)
    order = chance.permutation(len(arrays[0]))
    return [array[order] for array in arrays]
