"""Dense, EinsumDense, Embedding and their neighbours against Keras."""

import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.core import masks
from tests.oracle import close, same_layer, same_weights

RNG = np.random.default_rng(0)
X2 = RNG.normal(size=(2, 3)).astype("float32")
X3 = RNG.normal(size=(2, 5, 3)).astype("float32")
X4 = RNG.normal(size=(2, 3, 2, 3)).astype("float32")
IDS = RNG.integers(0, 3, (2, 5)).astype("int32")


@pytest.mark.parametrize(
    ("name", "arguments", "x"),
    [
        ("Dense", {"units": 4, "activation": "tanh"}, X2),
        ("Dense", {"units": 4, "use_bias": False}, X3),
        ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c"}, X2),
        ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (5, 4)}, X3),
        (
            "EinsumDense",
            {"equation": "abc,cde->abde", "output_shape": (5, 2, 4), "bias_axes": "d"},
            X3,
        ),
        (
            "EinsumDense",
            {"equation": "...x,xy->...y", "output_shape": 4, "bias_axes": "y"},
            X3,
        ),
        (
            "EinsumDense",
            {"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"},
            X4,
        ),
        ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (3, 4)}, X4),
        ("Embedding", {"input_dim": 3, "output_dim": 4}, IDS),
        ("ReversibleEmbedding", {"input_dim": 3, "output_dim": 4, "tie_weights": False}, IDS),
        ("Identity", {}, X3),
        ("Masking", {"mask_value": 0.5}, np.where(IDS[..., None] > 0, X3, 0.5)),
    ],
    ids=lambda v: str(v) if not isinstance(v, np.ndarray) else "",
)
def test_same_as_keras(name, arguments, x):
    same_layer(name, arguments, x)


@pytest.mark.parametrize(
    ("tied", "cap", "dtype"), [(True, None, None), (False, 2.0, None), (True, None, "float16")]
)
def test_reversed_embedding(tied, cap, dtype):
    made = [
        library.layers.ReversibleEmbedding(
            3, 4, tie_weights=tied, logit_soft_cap=cap, reverse_dtype=dtype
        )
        for library in (keraunos, keras)
    ]
    for layer in made:
        layer.build((None,))
    same_weights(*made)
    x = RNG.normal(size=(2, 4)).astype("float32")
    close(made[0](x, reverse=True), np.asarray(made[1](x, reverse=True)), 1e-3 if dtype else 1e-5)
    assert made[0](keraunos.KerasTensor((None, 4)), reverse=True).shape == (None, 3)


def test_embedding_reads_any_integers():
    pair = [library.layers.Embedding(3, 2) for library in (keraunos, keras)]
    for layer in pair:
        layer.build(())
    same_weights(*pair)
    for ids in ([-1, 0, 2], [1.0, 2.0], [3, 7]):
        ours, theirs = (np.asarray(layer(np.array(ids))) for layer in pair)
        np.testing.assert_allclose(ours, theirs)
    half = layers.Embedding(300, 2, dtype="mixed_float16")
    np.testing.assert_array_equal(half(np.array([299.0])), half(np.array([299])))


def test_embedding_starts_from_weights():
    table = np.arange(6.0, dtype="float32").reshape(3, 2)
    for given in (table, [table]):
        layer = layers.Embedding(3, 2, weights=given)
        np.testing.assert_array_equal(layer.embeddings.numpy(), table)
    assert "weights" not in layer.get_config()


def test_masks_come_from_where_they_should():
    embedding = layers.Embedding(3, 2, mask_zero=True)
    np.testing.assert_array_equal(masks.get_mask(embedding(IDS)), IDS != 0)
    assert masks.get_mask(layers.Embedding(3, 2)(IDS)) is None
    x = np.where(IDS[..., None] > 0, X3, 0)
    np.testing.assert_array_equal(masks.get_mask(layers.Masking()(x)), IDS > 0)


def double(x, by=2.0):
    return x * by


def test_lambda():
    layer = layers.Lambda(double, arguments={"by": 3.0})
    close(layer(X2), X2 * 3)
    assert layer(keraunos.KerasTensor((None, 3))).shape == (None, 3)
    again = layers.deserialize(layers.serialize(layer), custom_objects={"double": double})
    close(again(X2), X2 * 3)
    told = layers.Lambda(lambda x: x, output_shape=(7,))
    assert told(keraunos.KerasTensor((None, 3))).shape == (None, 7)
    assert layers.Lambda(double, output_shape=lambda s: s).compute_output_shape((2, 3)) == (2, 3)
    trained = layers.Lambda(lambda x, training: x + 1 if training else x)
    close(trained(X2, training=True), X2 + 1)
    masked = layers.Lambda(double, mask=lambda inputs, mask: inputs[..., 0] > 0)
    np.testing.assert_array_equal(masks.get_mask(masked(X3)), X3[..., 0] * 2 > 0)


def test_lambdas_are_code_which_files_may_not_run():
    theirs = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x * 2))
    with pytest.raises(ValueError, match="safe_mode=False"):
        layers.deserialize(theirs)
    layer = layers.Lambda.from_config(theirs["config"], safe_mode=False)
    close(layer(X2), X2 * 2)
    named = keras.saving.serialize_keras_object(keras.layers.Lambda(keras.ops.abs))
    close(layers.deserialize(named)(X2), np.abs(X2))


@pytest.mark.parametrize("name", ["Dense", "EinsumDense", "Embedding", "Masking"])
def test_configs_are_read_by_keras(name):
    first = {"Dense": (3,), "EinsumDense": ("ab,bc->ac", 3), "Embedding": (3, 2), "Masking": (0.0,)}
    config = getattr(layers, name)(*first[name], name="a").get_config()
    theirs = getattr(keras.layers, name)(*first[name], name="a").get_config()
    assert getattr(keras.layers, name).from_config(config).get_config() == theirs
    assert getattr(layers, name).from_config(theirs).get_config() == config


def test_input():
    x = layers.Input((3,), name="x", dtype="int32")
    theirs = keras.Input((3,), name="x", dtype="int32")
    layer, index, place = x._keras_history
    assert (x.shape, x.dtype, x.name, index, place) == ((None, 3), "int32", "x", 0, 0)
    assert layer.get_config() == theirs._keras_history.operation.get_config()
    assert layers.InputLayer.from_config(layer.get_config()).output.shape == (None, 3)
    assert layers.Input(batch_shape=(2, 3)).shape == layers.Input((3,), 2).shape == (2, 3)
    symbol = keraunos.KerasTensor((2, 3))
    assert layers.Input(tensor=symbol) is symbol


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "Dense needs a positive integer for `units`, got 0"),
        (lambda: layers.Dense(2).build((None, None)), r"know the last of .* \(None, None\)"),
        (lambda: _twice(layers.Dense(2), X2, np.ones((2, 4))), "expects size 3 on axis -1"),
        (lambda: layers.Dense(2)(np.ones(3)), "at least 2 axes"),
        (lambda: layers.EinsumDense("ab", 3)(X2), "of the form 'ab,bc->ac'"),
        (lambda: layers.EinsumDense("ab,bc->ab", 4)(X2), "'b' has size 4 there, but 3 in"),
        (lambda: layers.EinsumDense("ab,bcd->ac", 4)(X2), r"size of the axes \['d'\]"),
        (lambda: layers.EinsumDense("ab,bc->ac", 4, bias_axes="z")(X2), "among the axes 'ac'"),
        (lambda: layers.Embedding(0, 2), "positive integer for `input_dim`"),
        (lambda: layers.Input(), "needs a `shape`"),
        (lambda: layers.Input(3), "tuple of sizes.*got 3"),
        (lambda: layers.Input((3, -1)), "tuple of sizes"),
        (lambda: layers.Input((3,), batch_shape=(2, 3)), "either `batch_shape` or `shape`"),
        (lambda: layers.Input((3,), ragged=True), "Ragged tensors are not supported"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _twice(layer, x, y):
    layer(x)
    layer(y)
