"""Hashes against published values, and layers that hash against Keras's documented examples."""

import jax
import numpy as np
import pytest
from hypothesis import given, strategies as st

import keraunos
from keraunos import layers
from keraunos.layers.preprocessing import hashing


def fingerprint(text: str) -> int:
    (found,) = hashing.hashed([text.encode()], hashing.fingerprint)
    return int(found.astype("int64"))


# Of Guava's `Hashing.farmHashFingerprint64`, and of BigQuery's FARM_FINGERPRINT.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0x9AE16A3B2F90404F - 2**64),
        ("test", 8581389452482819506),
        ("test" * 8, -4196240717365766262),
        ("test" * 64, 3500507768004279527),
        ("1footrue", -1541654101129638711),
        ("2applefalse", 2794438866806483259),
        ("3true", -4880158226897771312),
    ],
)
def test_fingerprint(text, expected):
    assert fingerprint(text) == expected


def test_siphash():
    """The test vectors of the paper: key 00..0f, messages 00..0e, and none."""
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert hashing.siphash(np.arange(15, dtype="uint8")[None], key)[0] == 0xA129CA6149BE45E5
    assert hashing.siphash(np.zeros((1, 0), "uint8"), key)[0] == 0x726FDB47DD0E0E31


@given(st.lists(st.binary(max_size=150), max_size=6))
def test_one_by_one(strings):
    """Strings are hashed together as alone, whatever their lengths."""
    for hash_of in (hashing.fingerprint, lambda rows: hashing.siphash(rows, (1, 2))):
        together = hashing.hashed(strings, hash_of)
        alone = [hashing.hashed([string], hash_of)[0] for string in strings]
        assert together.tolist() == alone


LETTERS = [["A"], ["B"], ["C"], ["D"], ["E"]]


@pytest.mark.parametrize(
    ("options", "inputs", "expected"),
    [
        ({}, LETTERS, [1, 0, 1, 1, 2]),
        ({"mask_value": ""}, [["A"], ["B"], [""], ["C"], ["D"]], [1, 1, 0, 2, 2]),
        ({"salt": [133, 137]}, LETTERS, [1, 2, 1, 0, 2]),
        ({"salt": 133}, LETTERS, [0, 0, 2, 1, 0]),
    ],
)
def test_hashing(options, inputs, expected):
    out = layers.Hashing(num_bins=3, **options)(inputs)
    assert out.dtype == "int32"
    np.testing.assert_array_equal(out, np.array(expected)[:, None])


def test_hashing_of_integers():
    """They are hashed as they are written, alike in Python and in programs."""
    numbers = np.array([[3, -1, 2**40], [0, 7, 3]])
    layer = layers.Hashing(num_bins=11)
    np.testing.assert_array_equal(layer(numbers), layer(numbers.astype(str)))
    np.testing.assert_array_equal(jax.jit(layer)(numbers[1]), layer(numbers[1]))
    masked = layers.Hashing(num_bins=3, mask_value=3, output_mode="count")(numbers)
    assert (masked[:, 0] == 1).all() and (masked.sum(-1) == 3).all()
    assert layers.Hashing(num_bins=1, mask_value=3)(numbers).max() == 0


def test_hashed_crossing():
    letters, numbers = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])
    layer = layers.HashedCrossing(num_bins=5)
    np.testing.assert_array_equal(layer((letters, numbers)), [1, 4, 1, 1, 3])
    np.testing.assert_array_equal(
        layer((letters[:, None], numbers[:, None]))[:, 0], [1, 4, 1, 1, 3]
    )
    assert layer(("A", 101)) == 1
    hot = layers.HashedCrossing(num_bins=5, output_mode="one_hot")
    for crossed in ((letters, numbers), (letters[:, None], numbers[:, None])):
        np.testing.assert_array_equal(hot(crossed), np.eye(5)[[1, 4, 1, 1, 3]])
    pair = (numbers, numbers + 1)
    np.testing.assert_array_equal(jax.jit(layer)(list(pair)), layer(pair))


def test_symbols():
    text = keraunos.Input((1,), dtype="string")
    number = keraunos.Input((1,), dtype="int64")
    assert layers.Hashing(num_bins=3)(text).shape == (None, 1)
    assert layers.Hashing(num_bins=3, output_mode="one_hot")(number).shape == (None, 3)
    assert layers.HashedCrossing(4, output_mode="one_hot")([text, number]).shape == (None, 4)
    assert layers.Hashing(num_bins=3).compute_output_shape((None, 2)) == (None, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Hashing(0), "Hashing needs a positive integer for `num_bins`, got 0."),
        (lambda: layers.Hashing(3, salt="a"), "needs an integer or two of them for `salt`"),
        (lambda: layers.Hashing(3, output_mode="x"), "needs one of int, one_hot, multi_hot, count"),
        (lambda: layers.Hashing(3, sparse=True), "gives dense tensors only: `sparse=True`"),
        (lambda: layers.Hashing(3)([0.5]), "needs strings or integers, got float64"),
        (lambda: layers.HashedCrossing(3, output_mode="count"), "needs one of int, one_hot"),
        (lambda: layers.HashedCrossing(3)(["a"]), "crosses a list of at least two arrays"),
        (lambda: layers.HashedCrossing(3)([["a"], ["b", "c"]]), "needs arrays of one shape"),
    ],
)
def test_errors(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert message in str(error.value)
