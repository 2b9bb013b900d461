"""`keras.ops.nn` against Keras: numbers, gradients, symbolic shapes, dtypes, messages."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import ops
from tests.oracle import close

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def ties(*shape):
    return RNG.integers(-2, 3, size=shape).astype("float32")


X, IMAGE, POSITIVE = normal(2, 3, 4), normal(2, 6, 5, 4), np.abs(normal(2, 3)) + 0.1
PROBABLE = np.float32([[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]])
HOT = np.float32([[0, 0, 1], [0.2, 0.3, 0.5]])
LABELS = np.array([2, 0])
VECTOR, THREE = normal(4), normal(3)
Q, K, V = normal(2, 3, 4, 5), normal(2, 6, 4, 5), normal(2, 6, 4, 5)
SEEN = RNG.random((2, 4, 3, 6)) > 0.4

PLAIN = [
    ("relu", [X], {}),
    ("relu6", [X * 5], {}),
    ("leaky_relu", [X], {"negative_slope": 0.3}),
    ("sigmoid", [X], {}),
    ("hard_sigmoid", [X * 3], {}),
    ("sparse_sigmoid", [X], {}),
    ("log_sigmoid", [X * 20], {}),
    ("silu", [X], {}),
    ("hard_silu", [X * 3], {}),
    ("hard_tanh", [X], {}),
    ("tanh_shrink", [X], {}),
    ("softplus", [X * 20], {}),
    ("sparse_plus", [X], {}),
    ("squareplus", [X], {"b": 2}),
    ("softsign", [X], {}),
    ("soft_shrink", [X], {}),
    ("hard_shrink", [X], {"threshold": 0.3}),
    ("threshold", [X, 0.2, -1.0], {}),
    ("elu", [X], {"alpha": 0.5}),
    ("selu", [X], {}),
    ("celu", [X], {"alpha": 2.0}),
    ("gelu", [X], {}),
    ("gelu", [X], {"approximate": False}),
    ("glu", [X], {}),
    ("softmax", [X], {"axis": (1, 2)}),
    ("softmax", [X], {"axis": None}),
    ("log_softmax", [X], {"axis": 1}),
    ("moments", [X], {"axes": [0, 2]}),
    ("moments", [X], {"axes": (1,), "keepdims": True}),
    ("batch_normalization", [X, VECTOR, np.abs(VECTOR), -1], {}),
    ("batch_normalization", [X, THREE, np.abs(THREE), 1, THREE, THREE], {"epsilon": 0.1}),
    ("layer_normalization", [X], {}),
    ("layer_normalization", [X, VECTOR, VECTOR], {"epsilon": 0.1}),
    ("layer_normalization", [X, normal(3, 4), normal(3, 4)], {"axis": [1, 2]}),
    ("layer_normalization", [X, THREE], {"axis": 1}),
    ("rms_normalization", [X], {}),
    ("rms_normalization", [X, VECTOR], {"epsilon": 0.1}),
    ("rms_normalization", [X], {"axis": (1, 2)}),
    ("normalize", [X], {}),
    ("normalize", [X], {"axis": 1, "order": 1}),
    ("normalize", [X], {"axis": 0, "order": 3}),
    ("normalize", [X], {"epsilon": 10.0}),
    ("binary_crossentropy", [HOT, PROBABLE], {}),
    ("binary_crossentropy", [HOT, X[:, :, 0] * 9], {"from_logits": True}),
    ("categorical_crossentropy", [HOT, PROBABLE], {}),
    ("categorical_crossentropy", [HOT, POSITIVE], {"axis": 0}),
    ("categorical_crossentropy", [HOT, X[:, :, 0] * 9], {"from_logits": True}),
    ("psnr", [X, X + 1, 3.0], {}),
    ("dot_product_attention", [Q, K, V], {"scale": 0.3}),
    ("dot_product_attention", [Q, K[:, :, :2], V[:, :, :2]], {"is_causal": True}),
    ("dot_product_attention", [Q, K, V, normal(1, 1, 3, 6)], {}),
    ("unfold", [np.moveaxis(IMAGE, -1, 1), 2], {}),
    ("unfold", [IMAGE, (3, 2)], {"dilation": (1, 2), "padding": (2, 1), "stride": (2, 1)}),
    ("fold", [normal(2, 12, 12), (4, 5), 2], {}),
    ("fold", [normal(1, 18, 15), (4, 5), (2, 3)], {"padding": 1, "stride": (2, 1)}),
    ("depth_to_space", [IMAGE, 2], {}),
    ("depth_to_space", [normal(1, 8, 2, 3), 2, "channels_first"], {}),
    ("space_to_depth", [normal(1, 4, 6, 3), 2], {}),
    ("space_to_depth", [normal(1, 3, 4, 6), 2, "channels_first"], {}),
    ("conv", [IMAGE, normal(3, 2, 4, 5)], {"strides": 2, "padding": "same"}),
    ("conv", [IMAGE, normal(2, 2, 2, 4)], {"dilation_rate": (1, 2)}),
    ("conv_transpose", [IMAGE, normal(3, 2, 5, 4), 2, "same", 1], {}),
    ("depthwise_conv", [IMAGE, normal(3, 3, 4, 2)], {"strides": 2}),
    ("separable_conv", [IMAGE, normal(3, 3, 4, 2), normal(1, 1, 8, 3)], {"padding": "same"}),
    ("max_pool", [ties(2, 6, 5, 4), (2, 2), 2], {}),
    ("max_pool", [ties(2, 6, 5, 4), (3, 2)], {"strides": (1, 2), "padding": "same"}),
    ("average_pool", [IMAGE, 3], {"strides": 2, "padding": "same"}),
    ("adaptive_max_pool", [ties(2, 6, 5, 4), (4, 2)], {}),
    ("adaptive_average_pool", [IMAGE, (3, 3)], {}),
]


def id_of(case):
    return case if isinstance(case, str) else None


def floats(value):
    return isinstance(value, np.ndarray) and value.dtype == "float32"


@pytest.mark.parametrize("name, args, kwargs", PLAIN, ids=id_of)
def test_numbers_and_gradients(name, args, kwargs):
    places = [i for i, value in enumerate(args) if floats(value)]

    def answers(library):
        fn = getattr(library.ops, name)

        def scalar(*arrays):
            filled = list(args)
            for place, array in zip(places, arrays):
                filled[place] = array
            outputs = fn(*filled, **kwargs)
            return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(outputs)), outputs

        arrays = [jnp.asarray(args[place]) for place in places]
        grads, outputs = jax.jit(jax.grad(scalar, argnums=tuple(range(len(arrays))), has_aux=True))(
            *arrays
        )
        return outputs, grads

    (y, dy), (z, dz) = answers(keraunos), answers(keras)
    close(y, z, atol=2e-6)
    close(dy, dz, rtol=1e-4, atol=3e-5)


def unknown(library, value):
    return library.KerasTensor((None, *value.shape[1:])) if floats(value) else value


def has_shapes(case):
    """Whether Keras says the right shape: not for groups, nor for an axis before the last."""
    name, args, kwargs = case
    if name.startswith("adaptive"):
        return False
    grouped = name == "conv" and args[0].shape[-1] != args[1].shape[-2]
    return not grouped and not (name == "categorical_crossentropy" and "axis" in kwargs)


@pytest.mark.parametrize(
    "name, args, kwargs", [case for case in PLAIN if has_shapes(case)], ids=id_of
)
def test_symbolic_shapes(name, args, kwargs):
    batches = {"batch_normalization": 1, "layer_normalization": 1, "rms_normalization": 1}
    batches |= {"conv": 1, "conv_transpose": 1, "depthwise_conv": 1, "separable_conv": 1}

    def shapes(library):
        many = args[: batches.get(name, len(args))]
        filled = [unknown(library, value) for value in many] + args[len(many) :]
        outputs = getattr(library.ops, name)(*filled, **kwargs)
        return [(tuple(t.shape), t.dtype) for t in jax.tree.leaves(outputs)]

    assert shapes(keraunos) == shapes(keras)


INTEGERS = [
    ("one_hot", [[0, 2, -1, 5], 3], {}),
    ("one_hot", [[[0, 1]], 3], {"axis": 1, "dtype": "int32"}),
    ("multi_hot", [[0, 2, 2, -1, 5], 3], {}),
    ("multi_hot", [[[0, 2], [1, 1]], 3], {"dtype": "int32"}),
    ("multi_hot", [np.arange(24).reshape(2, 3, 4), 20], {}),
    ("multi_hot", [[[0, 2], [1, 1]]], {"num_tokens": 3}),
    ("sparse_categorical_crossentropy", [LABELS, PROBABLE], {}),
    ("sparse_categorical_crossentropy", [LABELS[:, None], PROBABLE], {"from_logits": True}),
    ("sparse_categorical_crossentropy", [np.array([-1, 7]), PROBABLE], {}),
    ("sparse_categorical_crossentropy", [LABELS.astype("float32"), PROBABLE], {}),
    ("dot_product_attention", [Q, K, V], {"mask": SEEN}),
    ("dot_product_attention", [Q, K, V], {"mask": SEEN[:, :1], "is_causal": True}),
    ("dot_product_attention", [Q, K, V], {"mask": SEEN & False}),
    ("conv", [np.arange(5).reshape(1, 5, 1), np.ones((2, 1, 1), "int32")], {}),
    ("psnr", [X, X, 1.0], {}),
]


@pytest.mark.parametrize("name, args, kwargs", INTEGERS, ids=id_of)
def test_numbers(name, args, kwargs):
    arrays = [np.asarray(value) if isinstance(value, list) else value for value in args]
    ours = getattr(keraunos.ops, name)(*args, **kwargs)
    close(ours, getattr(keras.ops, name)(*arrays, **kwargs))


def test_polar():
    ours, theirs = (lib.ops.polar(np.abs(THREE), THREE) for lib in (keraunos, keras))
    assert ours.dtype == theirs.dtype == "complex64"
    close([ours.real, ours.imag], [theirs.real, theirs.imag])


def test_sparsemax_sums_to_one():
    """Along any axis; Keras's does for a single vector only."""
    rows = ops.sparsemax(X * 2)
    close(jnp.sum(rows, -1), np.ones((2, 3), "float32"))
    close(rows[1, 2:], keras.ops.sparsemax(X[1, 2:] * 2))
    close(ops.sparsemax(X.swapaxes(1, 2) * 2, axis=1), jnp.swapaxes(rows, 1, 2))


@pytest.mark.parametrize("name", ["layer_normalization", "rms_normalization", "softmax", "moments"])
def test_half_precision(name):
    x = jnp.asarray(X * 1000, "float16")
    args = [[0]] if name == "moments" else []
    ours, theirs = (getattr(lib.ops, name)(x, *args) for lib in (keraunos, keras))
    close(ours, theirs, rtol=2e-2, atol=1e-2)


def test_half_precision_crossentropy_is_finite():
    for name, target in (("binary", [[1, 0]]), ("categorical", [[1, 0]])):
        output = jnp.asarray([[1, 0]], "bfloat16")
        loss = getattr(ops, f"{name}_crossentropy")(target, output)
        assert loss.dtype == "bfloat16" and np.all(np.abs(np.asarray(loss, "float32")) < 1e-3)


def test_layer_normalization_with_deviation_only():
    with pytest.warns(UserWarning, match="rms_scaling"):
        ours = ops.layer_normalization(X, VECTOR, rms_scaling=True)
    close(ours, keras.ops.layer_normalization(X, VECTOR, rms_scaling=True))


def test_attention_with_a_cap_and_wide_values():
    value, cap = normal(2, 6, 4, 7), 2.0
    scores = np.einsum("bqhd,bkhd->bhqk", Q, K) / np.sqrt(5)
    shares = jax.nn.softmax(cap * np.tanh(scores / cap))
    want = np.einsum("bhqk,bkhd->bqhd", shares, value)
    close(ops.dot_product_attention(Q, K, value, attn_logits_soft_cap=cap), want)


# Convolution and pooling on the CPU ---------------------------------------------------------

CURVED = [
    ((1, 7, 2), (3, 2, 2), {"strides": 2, "padding": "same"}),
    ((1, 5, 4, 2), (2, 2, 2, 2), {"dilation_rate": 2}),
    ((1, 4, 3, 4), (2, 2, 2, 4), {}),
    ((1, 3, 3, 3, 1), (2, 2, 2, 1, 2), {"padding": "same"}),
    ((2, 3, 4, 2), (1, 1, 2, 3), {"strides": (2, 1)}),
    ((1, 11, 9, 2), (3, 2, 2, 3), {"padding": "same"}),
    ((1, 11, 11, 2), (3, 3, 2, 3), {}),
]


@pytest.mark.parametrize("shape, kernel, kwargs", CURVED)
def test_convolution_forward_and_second_derivatives(shape, kernel, kwargs):
    x, w, dx, dw = normal(*shape), normal(*kernel), normal(*shape), normal(*kernel)

    def of(library):
        scalar = lambda x, w: jnp.sum(jnp.sin(library.ops.conv(x, w, **kwargs)))
        curve = jax.jvp(jax.grad(scalar, (0, 1)), (x, w), (dx, dw))
        return jax.jit(lambda: (curve, jax.jvp(scalar, (x, w), (dx, dw))))()

    close(of(keraunos), of(keras), rtol=1e-4, atol=1e-4)


def test_pooling_forward_and_second_derivatives():
    x, dx = ties(1, 5, 5, 2), normal(1, 5, 5, 2)
    scalar = lambda x: jnp.sum(jnp.sin(ops.max_pool(x, 3, 2, "same")) ** 2)
    forward = jax.jvp(scalar, (x,), (dx,))[1]
    close(forward, jnp.vdot(jax.grad(scalar)(x), dx), rtol=1e-4)
    assert jax.hessian(scalar)(x).shape == (*x.shape, *x.shape)


def test_convolution_in_a_loop_and_mapped():
    x, w = normal(3, 6, 5, 2), normal(3, 3, 2, 2)
    scalar = lambda w, x: jnp.sum(jnp.sin(ops.conv(x, w)))
    step = lambda i, w: w - 0.01 * jax.grad(scalar)(w, x)
    close(jax.lax.fori_loop(0, 2, step, w), step(0, step(0, w)), rtol=1e-4)
    each = jax.vmap(jax.grad(scalar), (None, 0))(w, x[:, None])
    close(jnp.sum(each, 0), jax.grad(scalar)(w, x), rtol=1e-4, atol=1e-5)


def test_no_gradient_of_xlas_convolution_in_loops():
    """Labels other than the usual ones are what makes loops slow on the CPU."""
    x, w = normal(2, 6, 5, 2), normal(3, 3, 2, 2)
    grad = jax.grad(lambda x, w: jnp.sum(ops.conv(x, w, 2, "same") ** 2), (0, 1))
    text = jax.jit(grad).lower(x, w).as_text()
    labels = [
        line.split("dim_numbers = ")[1].split(",  ")[0]
        for line in text.splitlines()
        if "stablehlo.convolution" in line
    ]
    assert len(labels) == 3
    assert {label.split(", window")[0] for label in labels} == {
        "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"
    }


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_kernel_gradient_is_none_of_ynnpacks(padding):
    """Its kernel is higher than its input, but not the larger one; see `_kept_from_ynnpack`."""
    x, w = normal(1, 12, 12, 2), normal(3, 3, 2, 2)
    grad = jax.grad(lambda w: jnp.sum(ops.conv(x, w, 1, padding) ** 2))
    text = jax.jit(grad).lower(w).compile().as_text()
    sizes = [line.split("size=")[1].split()[0] for line in text.splitlines() if "window={" in line]
    assert [size.rstrip("}") for size in sizes][-1] == {"same": "15x12", "valid": "13x10"}[padding]


# Speech -------------------------------------------------------------------------------------

LOGITS, LENGTHS = normal(3, 7, 4), np.array([7, 5, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"merge_repeated": False},
        {"mask_index": 3},
        {"strategy": "beam_search", "top_paths": 3},
        {"strategy": "beam_search", "beam_width": 4, "top_paths": 2, "mask_index": 3},
    ],
)
def test_ctc_decode(arguments):
    ours = ops.ctc_decode(LOGITS, LENGTHS, **arguments)
    theirs = keras.ops.ctc_decode(LOGITS, LENGTHS, **arguments)
    count = 2 if "strategy" in arguments else 3  # an empty sequence has no second best
    close([ours[0][:, :count], ours[1][:count]], [theirs[0][:, :count], theirs[1][:count]])
    symbols = keraunos.KerasTensor((None, 7, 4)), keraunos.KerasTensor((None,), "int32")
    assert [t.shape[1:] for t in ops.ctc_decode(*symbols, **arguments)] == [
        (None, 7),
        ours[1].shape[1:],
    ]


def test_beam_search_finds_the_probability_of_a_word():
    words, scores = ops.ctc_decode(LOGITS, LENGTHS, "beam_search", 100, 1)
    size = np.sum(np.asarray(words[0]) >= 0, axis=1)
    loss = ops.ctc_loss(np.maximum(words[0], 0), LOGITS, size, LENGTHS)
    close(scores[:2, 0], -loss[:2], rtol=1e-3)  # rare beginnings are not followed


ERRORS = [
    (lambda: ops.binary_crossentropy(np.ones((2, 1)), X[0]), r"\(2, 1\) and \(3, 4\)"),
    (lambda: ops.categorical_crossentropy(1.0, 2.0), "an axis of classes"),
    (lambda: ops.sparse_categorical_crossentropy([0, 1, 2], PROBABLE), r"of shape \(2,\)"),
    (lambda: ops.multi_hot([1, 2]), "needs `num_classes`"),
    (lambda: ops.one_hot([1, 2], 3, sparse=True), "dense tensors only"),
    (lambda: ops.normalize(X, order=1.5), "integer above 0 for `order`, got 1.5"),
    (lambda: ops.batch_normalization(X, THREE, THREE, -1), "size 4 for `mean`"),
    (lambda: ops.psnr(X, VECTOR, 1.0), r"got \(2, 3, 4\) and \(4,\)"),
    (lambda: ops.depth_to_space(IMAGE, 3), r"3\*\*2 divides, got 4"),
    (lambda: ops.space_to_depth(IMAGE, 2), "got 6 and 5"),
    (lambda: ops.unfold(X, 2), r"\(batch, channels, h, w\); got shape \(2, 3, 4\)"),
    (lambda: ops.fold(X, 4, 2), r"\(batch, channels \* 4, 9\)"),
    (lambda: ops.dot_product_attention(X, X, X), "4 axes"),
    (lambda: ops.dot_product_attention(Q, K[:, :, :3], V[:, :, :3]), "divide those of `query`"),
    (lambda: ops.glu(X, axis=1), "an even size"),
    (lambda: ops.conv(IMAGE, normal(3, 3, 3, 2)), "groups of 3 channels"),
    (lambda: ops.conv(X, normal(3, 3, 4, 2)), "equal rank"),
    (lambda: ops.conv(X, normal(2, 4, 2), padding="causal"), "'valid' or 'same', got 'causal'"),
    (lambda: ops.conv_transpose(X, normal(2, 2, 3)), "needs 3"),
    (lambda: ops.max_pool(X, (2, 2)), "or 1 of them"),
    (lambda: ops.ctc_decode(LOGITS, LENGTHS, "best"), "'greedy' or 'beam_search', got 'best'"),
]


@pytest.mark.parametrize("make, message", ERRORS, ids=[message for _, message in ERRORS])
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names_are_those_of_keras():
    public = {name for name in dir(keras.ops.nn) if not name.startswith("_")}
    assert public <= set(dir(keraunos.ops.nn)) and public <= set(dir(keraunos.ops))
