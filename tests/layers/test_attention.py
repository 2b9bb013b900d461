"""Attention layers against Keras: numbers, masks, shapes, configs, errors."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import layers
from keraunos.core import masks
from tests.oracle import close, same_layer, same_weights

RNG = np.random.default_rng(0)
NAMES = ["MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"]


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def bits(*shape):
    return RNG.random(shape) < 0.6


Q, V, K = normal(2, 3, 4), normal(2, 5, 6), normal(2, 5, 7)
SEE, BY_HEAD = bits(2, 3, 5), bits(2, 2, 3, 5)
QM, VM, KM = bits(2, 3), bits(2, 5), bits(2, 5)
NONE = np.zeros((2, 5), bool)
SEE[0, 1] = False  # this query sees nothing
MHA = ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3})
GQA = ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2})
SCORES = {"return_attention_scores": True}


def pair(name, arguments, *shapes):
    both = [getattr(k.layers, name)(name="it", **arguments) for k in (keraunos, keras)]
    for layer in both:
        layer.build(*shapes)
    same_weights(*both)
    assert [v.path for v in both[0].weights] == [v.path for v in both[1].weights]
    return both


def same_heads(name, arguments, inputs, calls):
    """Outputs for all `calls`; for the first of them gradients, too."""
    ours, theirs = pair(name, arguments, *(x.shape for x in inputs))
    symbolic = ours(*(keraunos.KerasTensor((None, *x.shape[1:])) for x in inputs), **SCORES)
    real = ours(*inputs, **SCORES)
    assert [(None, *y.shape[1:]) for y in real] == [t.shape for t in symbolic]
    for number, call in enumerate(calls):
        results = []
        for layer in (ours, theirs):
            trained = [v.value for v in layer.trainable_variables]
            others = [v.value for v in layer.non_trainable_variables]

            def total(trained, inputs, layer=layer, others=others):
                out, _ = layer.stateless_call(trained, others, *inputs, **call)
                return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(out)), out

            if number == 0:
                gradient = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
                results.append(gradient(trained, list(inputs)))
            else:
                results.append(layer(*inputs, **call))
        close(*results, rtol=2e-5, atol=1e-5)
    return ours, theirs


@pytest.mark.parametrize(
    ("layer", "more", "inputs"),
    [
        (MHA, {}, (Q, V)),
        (MHA, {"value_dim": 5, "use_bias": False, "output_shape": (2, 3)}, (Q, V, K)),
        (MHA, {"use_gate": True, "value_dim": 2, "sliding_window": 2}, (Q, V)),
        (MHA, {"dropout": 0.5}, (Q, V)),
        (GQA, {}, (Q, V)),
        (GQA, {"use_gate": True, "use_bias": False}, (Q, V, K)),
        (GQA, {"dropout": 0.5, "sliding_window": 2}, (Q, V)),
    ],
    ids=lambda v: str(v) if not isinstance(v[0] if isinstance(v, tuple) else v, np.ndarray) else "",
)
def test_heads(layer, more, inputs):
    see = {"attention_mask": SEE}
    every = {"query_mask": QM, "value_mask": VM, "key_mask": KM}
    calls = [see | SCORES, {}, see, every | SCORES]
    calls += [every | see | {"use_causal_mask": True}]
    if layer is MHA:
        calls += [{"attention_mask": BY_HEAD}, {"attention_mask": SEE[:1].astype(int)} | SCORES]
    if "value_dim" in more:  # without scores, Keras fails where keys and values differ in width
        calls = [call for call in calls if "return_attention_scores" in call]
    ours, theirs = same_heads(layer[0], layer[1] | more, inputs, calls)
    shapes = [x.shape for x in inputs]
    if layer is MHA:
        assert ours.compute_output_shape(*shapes) == theirs.compute_output_shape(*shapes)


@pytest.mark.parametrize(
    ("axes", "q", "v", "more"),
    [
        (None, (2, 2, 3, 4), (2, 2, 3, 4), {}),
        ((2,), (2, 2, 3, 4), (2, 2, 5, 4), {"output_shape": 7}),
        (1, (2, 3, 2, 4), (2, 5, 2, 4), {"value_dim": 2}),
        ((-2,), (2, 2, 3, 4), (2, 2, 3, 4), {"dropout": 0.1}),
        ((1, 3), (2, 3, 2, 2, 4), (2, 2, 2, 3, 4), {}),
    ],
    ids=str,
)
def test_attention_axes(axes, q, v, more):
    options = MHA[1] | {"attention_axes": axes} | more
    ours, theirs = same_heads(MHA[0], options, (normal(*q), normal(*v)), [SCORES, {}])
    for key in ("attention_axes", "output_shape", "value_dim"):
        assert ours.get_config()[key] == theirs.get_config()[key]


def test_masks_along_other_axes():
    """One axis moved, all else is as on three axes."""
    layer = layers.MultiHeadAttention(2, 3, attention_axes=(2,))
    flat = layers.MultiHeadAttention(2, 3)
    x = normal(2, 2, 3, 4)
    layer(x, x), flat(x[:, 0], x[:, 0])
    flat.set_weights(layer.get_weights())
    mask = np.array([[[1, 1, 0], [1, 0, 1]]] * 2, bool)
    out, scores = layer(x, x, value_mask=mask, use_causal_mask=True, **SCORES)
    for i in range(2):
        part = flat(x[:, i], x[:, i], value_mask=mask[:, i], use_causal_mask=True, **SCORES)
        close((out[:, i], scores[:, i]), part)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Attention", {}),
        ("Attention", {"use_scale": True, "dropout": 0.3}),
        ("Attention", {"score_mode": "concat"}),
        ("Attention", {"score_mode": "concat", "use_scale": True}),
        ("AdditiveAttention", {}),
        ("AdditiveAttention", {"use_scale": False}),
    ],
    ids=str,
)
def test_without_heads(name, arguments):
    value, key = normal(2, 5, 4), normal(2, 5, 4)
    ours, theirs = same_layer(name, arguments, [Q, value, key], call=SCORES, updates=False)
    pair(name, arguments, [Q.shape, value.shape])
    for mask in (None, [QM, None], [None, VM], [QM, VM], [QM, NONE]):
        for causal in (False, True):
            for inputs in ([Q, value], [Q, value, key]):
                call = {"mask": mask, "use_causal_mask": causal} | SCORES
                close(ours(inputs, **call), theirs(inputs, **call))
    high = [normal(1, 3, 2, 4), normal(1, 3, 5, 4)]
    close(ours(high), theirs(high))
    shapes = [(None, 3, 4), (None, 5, 4)]
    assert ours.compute_output_shape(shapes) == theirs.compute_output_shape(shapes)


@pytest.mark.parametrize("name", NAMES)
def test_masks_that_tensors_carry(name):
    """Masks of an embedding reach the layer; that of the query goes on."""
    outputs, symbols = [], []
    ids = [np.array([[1, 2, 0], [2, 0, 0]]), np.array([[1, 0, 2, 0], [2, 1, 1, 0]])]
    arguments = dict([MHA, GQA]).get(name, {})
    table = normal(3, 4)
    for k in (keraunos, keras):
        embed = k.layers.Embedding(3, 4, mask_zero=True)
        embed.build((None, None))
        embed.set_weights([table])
        layer = getattr(k.layers, name)(**arguments)
        listed = name not in ("MultiHeadAttention", "GroupQueryAttention")
        run = lambda a, b, f=layer, listed=listed: f([a, b]) if listed else f(a, b)
        symbol = run(*(embed(k.Input((None,))) for _ in ids))
        symbols.append(symbol._keras_mask.shape)
        rng = np.random.default_rng(1)
        layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
        x = [embed(i) for i in ids]
        out = run(*x)
        outputs.append((out, out._keras_mask))
    close(*outputs)
    assert symbols[0] == symbols[1]


@pytest.mark.parametrize("name", NAMES)
def test_masks_under_jit(name):
    listed = name not in (MHA[0], GQA[0])
    layer = getattr(layers, name)(**dict([MHA, GQA]).get(name, {}))

    def run(q, v, qm, vm):
        masks.set_mask(q, qm)
        masks.set_mask(v, vm)
        return layer([q, v]) if listed else layer(q, v)

    given = [jnp.asarray(x) for x in (Q, normal(2, 5, 4), QM, VM)]
    close(run(*given), jax.jit(run)(*given), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    of = lambda f: [(p.name, p.default) for p in inspect.signature(f).parameters.values()]
    wanted = [p for p in of(theirs.__init__) if p[0] != "kwargs"]
    assert of(ours.__init__)[: len(wanted)] == wanted
    assert of(ours.call) == of(theirs.call)
    assert of(ours.build) == of(theirs.build)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (MHA[0], MHA[1] | {"kernel_regularizer": "l2", "seed": 1, "activity_regularizer": "l2"}),
        (MHA[0], MHA[1] | {"attention_axes": 1, "output_shape": 3, "flash_attention": False}),
        (GQA[0], GQA[1] | {"dropout": 0.1, "use_gate": True, "activity_regularizer": "l2"}),
        ("Attention", {"use_scale": True, "dropout": 0.1, "seed": 3}),
        ("AdditiveAttention", {"dropout": 0.1, "seed": 3}),
    ],
    ids=str,
)
def test_config(name, arguments):
    ours, theirs = (getattr(k.layers, name)(name="it", **arguments) for k in (keraunos, keras))
    assert ours.get_config().keys() == theirs.get_config().keys()
    plain = lambda c: {k: v for k, v in c.items() if isinstance(v, (int, float, str, tuple))}
    assert plain(ours.get_config()) == plain(theirs.get_config())
    mine, yours = layers.serialize(ours), keras.layers.serialize(theirs)
    assert (mine["module"], mine["class_name"]) == (yours["module"], yours["class_name"])
    for config in (mine, yours):
        again = layers.deserialize(config)
        assert type(again) is type(ours) and again.get_config() == ours.get_config()
    shapes = [(2, 3, 4), (2, 5, 4)]
    if name in (MHA[0], GQA[0]):
        ours.build(*shapes), theirs.build(*shapes)
    else:
        ours.build(shapes), theirs.build(shapes)
    assert ours.get_build_config() == theirs.get_build_config()
    again = layers.deserialize(layers.serialize(ours))
    assert again.built and [w.path for w in again.weights] == [w.path for w in ours.weights]


@pytest.mark.parametrize("layer", [MHA, GQA], ids=str)
def test_penalties_on_activity(layer):
    arguments = layer[1] | {"activity_regularizer": "l2", "use_gate": True}
    ours, theirs = pair(layer[0], arguments, Q.shape, V.shape)
    ours(Q, V), theirs(Q, V)
    close(sorted(ours.losses), sorted(theirs.losses))


@pytest.mark.parametrize("layer", [MHA, GQA], ids=str)
def test_names_and_starts(layer):
    """Automatic names are Keras's; kernels of one shape start apart."""
    keras.backend.clear_session()
    keraunos.utils.clear_session()
    ours, theirs = (getattr(k.layers, layer[0])(**layer[1]) for k in (keraunos, keras))
    assert ours.name == theirs.name
    ours(Q, Q)
    one, two = ours._key_dense.kernel, ours._value_dense.kernel
    assert not np.allclose(one, two)


@pytest.mark.parametrize("layer", [MHA, GQA], ids=str)
def test_dropout(layer):
    """Shares are dropped in training only; those returned are as they were before."""
    it = getattr(layers, layer[0])(**layer[1], dropout=0.5, seed=1)
    plain, before = it(Q, V, **SCORES)
    trained, after = it(Q, V, training=True, **SCORES)
    close(before, after)
    assert not np.allclose(plain, trained) and not np.allclose(trained, it(Q, V, training=True))


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_dropout_of_shares(name):
    it = getattr(layers, name)(dropout=0.5, seed=1)
    _, before = it([Q, Q], **SCORES)
    _, after = it([Q, Q], training=True, **SCORES)
    kept = np.asarray(after) != 0
    assert 0 < kept.sum() < kept.size
    close(after[kept], before[kept] * 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(name, policy):
    arguments = dict([MHA, GQA]).get(name, {})
    it = getattr(layers, name)(**arguments, dtype=policy)
    out = it(Q, Q, **SCORES) if arguments else it([Q, Q], mask=[QM, NONE[:, :3]], **SCORES)
    assert {y.dtype.name for y in out} == {policy.removeprefix("mixed_")}
    assert all(np.isfinite(np.asarray(y, "float32")).all() for y in out)
    assert {v.dtype for v in it.weights} <= {"float32"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 2), "a positive integer for `num_heads`, got 0"),
        (lambda: layers.MultiHeadAttention(1, 2, value_dim=0), "for `value_dim`, got 0"),
        (lambda: layers.MultiHeadAttention(1, 2, sliding_window=0), "`sliding_window`, got 0"),
        (lambda: layers.MultiHeadAttention(1, 2, output_shape=1.5), "`output_shape`, got 1.5"),
        (lambda: layers.GroupQueryAttention(2, 4, 3), "multiple of .* got 4 and 3"),
        (lambda: layers.MultiHeadAttention(1, 2, dropout=0.1, flash_attention=True), "fused"),
        (
            lambda: layers.MultiHeadAttention(1, 2, flash_attention=True)(Q, V, **SCORES),
            "no scores to return",
        ),
        (lambda: layers.MultiHeadAttention(1, 2)(Q, V[:, 0]), r"\(2, 3, 4\), \(2, 6\)"),
        (lambda: layers.MultiHeadAttention(1, 2, attention_axes=5)(Q, V), r"\(5,\)"),
        (lambda: layers.Attention(score_mode="sum"), "one of dot, concat for `score_mode`"),
        (lambda: layers.Attention()(Q), r"a list \[query, value\]"),
        (lambda: layers.AdditiveAttention()(Q), r"got one of shape \(2, 3, 4\)"),
        (lambda: layers.Attention()([Q]), "got 1 inputs"),
        (lambda: layers.Attention()([Q, Q], mask=[QM]), "got 1 masks"),
        (lambda: layers.Attention()([Q, Q], mask=QM), "got a single one"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wrong_width_is_told():
    layer = layers.MultiHeadAttention(1, 2)
    layer(Q, V)
    with pytest.raises(ValueError, match=r"(value|key)'.* size 6 on axis -1"):
        layer(Q, K)
