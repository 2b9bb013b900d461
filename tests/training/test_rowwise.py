"""Whether rows of a batch stay apart, and what `predict` makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import keraunos
from keraunos import layers, ops
from keraunos.training.rowwise import ROWS, rowwise

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 4)).astype("float32")
X = RNG.normal(size=(70, 4)).astype("float32")

APART = [
    lambda x: jax.nn.softmax(x @ W + 1),
    lambda x: (x.reshape(-1, 2, 2).transpose(1, 0, 2) * 2).sum(0),
    lambda x: jnp.sort(x, 1)[:, ::-1].cumsum(1) - x.mean(1, keepdims=True),
    lambda x: jnp.asarray(W)[jnp.argmax(x, 1)],
    lambda x: jnp.einsum("bi,bj->bij", x, x),
    lambda x: jnp.concatenate([x, jnp.zeros_like(x)], 1)[:, 1:],
    lambda x: jax.lax.scan(lambda h, w: (jnp.tanh(h * w), None), x, W)[0],
    lambda x: ops.max_pool(x[:, None, :, None], (1, 2)),
    lambda x: ops.conv(x[..., None], W[:3, :1, None], padding="same"),
    lambda x: x.reshape(-1)[:, None].reshape(-1, 4) + jnp.arange(4),
]
MIXED = [
    lambda x: x - x.mean(0),
    lambda x: x[::-1],
    lambda x: x.cumsum(0),
    lambda x: jnp.sort(x, 0),
    lambda x: jnp.roll(x, 1, 0),
    lambda x: jnp.pad(x, ((1, 0), (0, 0)))[:-1],
    lambda x: jax.lax.pad(x, 0.0, ((1, -1, 0), (0, 0, 0))),
    lambda x: x @ x.T @ x,
    lambda x: x * jnp.arange(x.shape[0])[:, None],
    lambda x: x.at[0].set(0.0),
    lambda x: x[jnp.zeros(x.shape[0], int)],
    lambda x: x.T.reshape(-1, 4),
    lambda x: jax.lax.scan(lambda h, row: (h + row, h), jnp.zeros(4), x)[1],
    lambda x: jnp.where(x.max() > 0, x, -x),
    lambda x: x.sum(1),
    lambda x: x.T,
    lambda x: jax.random.normal(jax.random.key(0), x.shape),
]


def told(function) -> bool:
    return rowwise(jax.make_jaxpr(function)(jnp.zeros((ROWS, 4))).jaxpr)


@pytest.mark.parametrize("i", range(len(APART)))
def test_rows_apart(i):
    assert told(APART[i])


@pytest.mark.parametrize("i", range(len(MIXED)))
def test_rows_mixed_or_not_known(i):
    assert told(MIXED[i]) == (i == 14)  # a number for each row is a row


def compilations(do) -> int:
    found = []
    listen = lambda name, *_, **__: found.append(name) if "backend_compile" in name else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        do()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(found)


def model():
    inputs = keraunos.Input((4,))
    x = layers.Dense(5, activation="relu")(inputs)
    return keraunos.Model(inputs, {"a": layers.Dense(2)(x), "b": layers.LayerNormalization()(x)})


def test_few_programs_serve_any_number_of_rows():
    predictor, sizes = model(), [1, 2, 3, 5, 7, 31, 32, 33, 34, 64, 70, 1, 66]

    def predict():
        for size in sizes:
            found = predictor.predict(X[:size], verbose=0)
            assert found["a"].shape == (size, 2)
            for name in want:
                np.testing.assert_allclose(found[name], want[name][:size], rtol=1e-5, atol=1e-6)

    want = predictor(X)
    assert predictor.predict(np.repeat(X, 30, 0), verbose=0)["a"].shape == (2100, 2)
    predict()
    again = model()
    again.predict(X[:1], verbose=0)
    few = compilations(lambda: [again.predict(X[:size], verbose=0) for size in sizes])
    assert few <= 7
    assert compilations(lambda: [again.predict(X[:n], verbose=0) for n in range(4, 71, 9)]) == 0


def test_rows_that_depend_on_each_other_are_not_padded():
    class Centred(layers.Layer):
        def call(self, x):
            return x - ops.mean(x, axis=0)

    centred = keraunos.Sequential([keraunos.Input((4,)), Centred()])
    np.testing.assert_allclose(
        centred.predict(X[:5], verbose=0), X[:5] - X[:5].mean(0), rtol=1e-5, atol=1e-6
    )


def test_steps_and_batches_of_predict():
    predictor = model()
    seen = []
    tell = keraunos.callbacks.LambdaCallback
    callback = type("Seen", (tell,), {"on_predict_batch_end": lambda s, i, logs: seen.append(i)})()
    found = predictor.predict(X, batch_size=16, steps=7, verbose=0, callbacks=[callback])
    assert found["a"].shape == (70 + 32, 2) and seen == list(range(7))
    np.testing.assert_array_equal(found["a"][70:], found["a"][:32])
