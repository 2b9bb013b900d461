"""Hashes of strings: FarmHash's 64-bit fingerprint and SipHash-2-4, on arrays of unsigned integers.

Strings of one length are hashed together; a row of a matrix of bytes is a string. Arithmetic is
modulo 2**64, as NumPy's is.

FarmHash: https://github.com/google/farmhash. SipHash: Aumasson & Bernstein, 2012,
https://www.131002.net/siphash/siphash.pdf
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CAT, _CROSS = 0xC6A4A7935BD1E995, 0xDECAFCAFFE
_WORD = 2**64


def buckets(strings: Iterable[bytes], count: int, salt: tuple[int, int] | None = None) -> list[int]:
    """The bin, below `count`, of each string: by its fingerprint, or its SipHash with a salt."""
    strings = list(strings)
    distinct = list(dict.fromkeys(strings))
    hashes = hashed(distinct, fingerprint if salt is None else lambda b: siphash(b, salt))
    bins = dict(zip(distinct, (hashes % np.uint64(count)).tolist()))
    return [bins[string] for string in strings]


def hashed(strings: list[bytes], hash_of: Callable) -> np.ndarray:
    """The hashes of strings of any lengths; `hash_of` takes those of one length."""
    places = defaultdict(list)
    for i, string in enumerate(strings):
        places[len(string)].append(i)
    found = np.empty(len(strings), "uint64")
    for size, here in places.items():
        rows = np.frombuffer(b"".join(strings[i] for i in here), "uint8").reshape(len(here), size)
        found[here] = hash_of(rows)
    return found


def _fetch(rows: np.ndarray, at: int, size: int = 8) -> np.ndarray:
    """Little-endian integers of `size` bytes, from place `at` of every row."""
    start = at % rows.shape[1]
    part = np.ascontiguousarray(rows[:, start : start + size])
    return part.view(f"<u{size}")[:, 0].astype("uint64")


def _rotate(x: np.ndarray, by: int) -> np.ndarray:
    """To the right."""
    return (x >> by) | (x << (64 - by))


def _mix(x: np.ndarray) -> np.ndarray:
    return x ^ (x >> 47)


def _join(u, v, by) -> np.ndarray:
    a = _mix((u ^ v) * by)
    return _mix((v ^ a) * by) * by


def fingerprint(rows: np.ndarray) -> np.ndarray:
    """FarmHash's fingerprint of the rows of a matrix of bytes."""
    size = rows.shape[1]
    by = (_K2 + size * 2) % _WORD
    if size > 64:
        return _long(rows)
    if size > 32:
        return _to_64(rows, by)
    if size > 16:
        c, d = _fetch(rows, -8) * by, _fetch(rows, -16) * _K2
        a, b = _fetch(rows, 0) * _K1, _fetch(rows, 8)
        y = _rotate(a + b, 43) + _rotate(c, 30) + d
        return _join(y, a + _rotate(b + _K2, 18) + c, by)
    if size >= 8:
        a, b = _fetch(rows, 0) + _K2, _fetch(rows, -8)
        return _join(_rotate(b, 37) * by + a, (_rotate(a, 25) + b) * by, by)
    if size >= 4:
        return _join(size + (_fetch(rows, 0, 4) << 3), _fetch(rows, -4, 4), by)
    if size:
        first, middle, last = (_fetch(rows, i, 1) for i in (0, size >> 1, -1))
        return _mix(((first + (middle << 8)) * _K2) ^ ((size + (last << 2)) * _K0)) * _K2
    return np.full(len(rows), _K2, "uint64")


def _to_64(rows: np.ndarray, by: int) -> np.ndarray:
    a, b = _fetch(rows, 0) * _K2, _fetch(rows, 8)
    c, d = _fetch(rows, -8) * by, _fetch(rows, -16) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _join(y, a + _rotate(b + _K2, 18) + c, by)
    e, f = _fetch(rows, 16) * by, _fetch(rows, 24)
    g, h = (y + _fetch(rows, -32)) * by, (z + _fetch(rows, -24)) * by
    return _join(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, by)


def _long(rows: np.ndarray) -> np.ndarray:
    """Blocks of 64 bytes, the last of which overlaps the one before."""
    size = rows.shape[1]
    start = lambda value: np.full(len(rows), value % _WORD, "uint64")
    v, w = (start(0), start(0)), (start(0), start(0))
    x, y, rest = start(81 * _K2) + _fetch(rows, 0), start(81 * _K1 + 113), (size - 1) % 64
    z = _mix(y * _K2 + 113) * _K2

    def block(at, x, y, z, v, w, by, nine=1):
        get = lambda place: _fetch(rows, at + place)
        x = _rotate(x + y + v[0] + get(8), 37) * by
        y = _rotate(y + v[1] + get(48), 42) * by
        x, y = x ^ (w[1] * nine), y + v[0] * nine + get(40)
        z = _rotate(z + w[0], 33) * by
        v = _weak([get(i) for i in (0, 8, 16, 24)], v[1] * by, x + w[0])
        w = _weak([get(i) for i in (32, 40, 48, 56)], z + w[1], y + get(16))
        return z, y, x, v, w

    for at in range(0, size - 1 - rest, 64):
        x, y, z, v, w = block(at, x, y, z, v, w, _K1)
    by = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + rest, w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = block(size - 64, x, y, z, v, w, by, 9)
    return _join(_join(v[0], w[0], by) + _mix(y) * _K0 + z, _join(v[1], w[1], by) + x, by)


def _weak(words: list[np.ndarray], a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a = a + words[0]
    b = _rotate(b + a + words[3], 21)
    c = a + words[1] + words[2]
    return c + words[3], b + _rotate(c, 44) + a


def siphash(rows: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """SipHash-2-4 of the rows of a matrix of bytes."""
    size = rows.shape[1]
    pad = np.zeros((len(rows), 8 - size % 8), "uint8")
    pad[:, -1] = size % 256
    words = np.concatenate([rows, pad], 1).view("<u8").astype("uint64")
    letters = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [np.full(len(rows), k ^ c, "uint64") for k, c in zip((*key, *key), letters)]
    for word in words.T:
        v[3] = v[3] ^ word
        v = _round(_round(v))
        v[0] = v[0] ^ word
    v[2] = v[2] ^ 0xFF
    v = _round(_round(_round(_round(v))))
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(v: list[np.ndarray]) -> list[np.ndarray]:
    left = lambda x, by: _rotate(x, 64 - by)
    a, b, c, d = v
    a, c = a + b, c + d
    b, d, a = left(b, 13) ^ a, left(d, 16) ^ c, left(a, 32)
    c, a = c + b, a + d
    b, d, c = left(b, 17) ^ c, left(d, 21) ^ a, left(c, 32)
    return [a, b, c, d]


def crossed(columns: Iterable[np.ndarray]) -> np.ndarray:
    """One hash of several 64-bit integers in each place: of strings their fingerprints."""
    columns = list(columns)
    found = np.full(columns[0].shape, _CROSS, "uint64")
    for column in columns:
        found = found ^ _CAT ^ (_mix(column.astype("uint64") * _CAT) * _CAT)
        found = _mix(_mix(found * _CAT) * _CAT)
    return found
