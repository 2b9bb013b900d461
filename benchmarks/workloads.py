"""The workloads: data, a model in the Keras API, the same by hand in JAX.

`by_hand()` gives `(init, loss)`: `init(key) -> (weights, moments)` and
`loss(weights, moments, inputs, targets, key) -> (loss, moments)`, where moments are what batch
normalization keeps. Hand-written code is what a user of JAX would write without a second thought.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

STAGES = [(16, 1), (32, 2), (64, 2)]  # of the residual net: channels, strides of the first block
LAYERS, WIDTH, HEADS, STEPS, WORDS = 4, 256, 4, 128, 1000  # of the transformer


class Workload(NamedTuple):
    what: str
    batch: int
    epochs: int
    optimizer: str
    data: Callable  # () -> (inputs, targets), tuples of arrays
    model: Callable  # (keras) -> (model, loss)
    by_hand: Callable


def arrays(rows: int, *inputs: tuple, classes: int = 0, targets: int = 1):
    """Random rows; a shape that starts with "ids" is one of whole numbers up to its second item."""

    def make():
        rng = np.random.default_rng(0)
        whole = lambda top, shape: rng.integers(0, top, (rows, *shape)).astype("int32")
        x = tuple(
            whole(shape[1], shape[2:])
            if shape[0] == "ids"
            else rng.random((rows, *shape), "float32")
            for shape in inputs
        )
        binary = lambda: rng.integers(0, 2, (rows, 1)).astype("float32")
        return x, tuple(whole(classes, ()) if classes else binary() for _ in range(targets))

    return make


def texts():
    tokens = np.random.default_rng(0).integers(0, WORDS, (160, STEPS + 1)).astype("int32")
    return (tokens[:, :-1].copy(),), (tokens[:, 1:].copy(),)


# In the Keras API ---------------------------------------------------------------------------


def guide(K):
    dense = K.layers.Dense
    hidden, out = dense(32, activation="relu"), dense(1, activation="sigmoid")
    return K.Sequential([K.Input((100,)), hidden, out]), "binary_crossentropy"


def digits(K):
    L = K.layers
    hidden = [L.Dense(512, activation="relu"), L.Dropout(0.2), L.Dense(512, activation="relu")]
    layers = [K.Input((784,)), *hidden, L.Dense(10, activation="softmax")]
    return K.Sequential(layers), "sparse_categorical_crossentropy"


def headline(K):
    L = K.layers
    words, extra = K.Input((100,), dtype="int32"), K.Input((5,))
    h = L.LSTM(32)(L.Embedding(10000, 512)(words))
    aside, z = L.Dense(1, activation="sigmoid")(h), L.Concatenate()([h, extra])
    for _ in range(3):
        z = L.Dense(64, activation="relu")(z)
    out = L.Dense(1, activation="sigmoid")(z)
    return K.Model([words, extra], [out, aside]), ["binary_crossentropy"] * 2


def convolutional(K):
    L = K.layers
    layers = [K.Input((28, 28, 1))]
    for filters in (32, 64):
        layers += [L.Conv2D(filters, 3, activation="relu"), L.MaxPooling2D(2)]
    layers += [L.Flatten(), L.Dropout(0.5), L.Dense(10, activation="softmax")]
    return K.Sequential(layers), "sparse_categorical_crossentropy"


def residual(K):
    L = K.layers

    def normed(x, filters, size, strides):
        conv = L.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)
        return L.BatchNormalization()(conv(x))

    inputs = K.Input((32, 32, 3))
    x = L.ReLU()(normed(inputs, 16, 3, 1))
    for filters, first in STAGES:
        for strides in (first, 1, 1):
            y = normed(L.ReLU()(normed(x, filters, 3, strides)), filters, 3, 1)
            x = normed(x, filters, 1, strides) if strides > 1 else x
            x = L.ReLU()(L.Add()([x, y]))
    out = L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(x))
    return K.Model(inputs, out), "sparse_categorical_crossentropy"


def transformer(K):
    L = K.layers

    class Place(L.Layer):
        def build(self, shape):
            self.place = self.add_weight(shape=shape[1:], initializer="uniform", name="place")

        def call(self, x):
            return x + self.place

    normed = lambda x: L.LayerNormalization(epsilon=1e-5)(x)
    inputs = K.Input((STEPS,), dtype="int32")
    x = Place()(L.Embedding(WORDS, WIDTH)(inputs))
    for _ in range(LAYERS):
        h = normed(x)
        x = x + L.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h, use_causal_mask=True)
        x = x + L.Dense(WIDTH)(L.Dense(4 * WIDTH, activation="gelu")(normed(x)))
    out = L.Dense(WORDS)(normed(x))
    return K.Model(inputs, out), K.losses.SparseCategoricalCrossentropy(from_logits=True)


# By hand ------------------------------------------------------------------------------------


class Hand:
    """Layers by hand: weights are made in `init`, by name, and found again in `loss`."""

    def __init__(self, key=None, weights=None, moments=None, noise=None):
        self.key, self.noise, self.new = key, noise, {}
        self.weights, self.moments = weights or {}, moments or {}

    def weight(self, name, *shape, fan=None, value=None):
        import jax

        if self.key is not None and name not in self.weights:
            if value is None:
                self.key, key = jax.random.split(self.key)
                top = (3 / (fan or (np.prod(shape[:-1]) + shape[-1]) / 2)) ** 0.5
                self.weights[name] = jax.random.uniform(key, shape, "float32", -top, top)
            else:
                self.weights[name] = jax.numpy.full(shape, value, "float32")
        return self.weights[name]

    def dense(self, name, x, units):
        return x @ self.weight(name, x.shape[-1], units) + self.weight(name + "b", units, value=0)

    def conv(self, name, x, filters, size, strides=1, padding="SAME", bias=False):
        import jax

        kernel = self.weight(name, size, size, x.shape[-1], filters)
        labels = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(
            x, kernel, (strides,) * 2, padding, dimension_numbers=labels
        )
        return y + self.weight(name + "b", filters, value=0) if bias else y

    def norm(self, name, x, axes):
        """Batch normalization over all axes but the last, or layer normalization over the last."""
        import jax
        import jax.numpy as jnp

        size = x.shape[-1]
        mean = jnp.mean(x, axes, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
        for part, value in (("mean", mean), ("variance", variance)) if axes != -1 else ():
            old = self.moments.get(name + part, jnp.zeros(size))
            self.new[name + part] = 0.99 * old + 0.01 * value.reshape(size)
        factor = jax.lax.rsqrt(variance + 1e-3) * self.weight(name + "g", size, value=1)
        return (x - mean) * factor + self.weight(name + "o", size, value=0)

    def drop(self, x, rate):
        import jax

        key = jax.random.key(0) if self.noise is None else self.noise
        kept = jax.random.bernoulli(key, 1 - rate, x.shape)
        return jax.numpy.where(kept, x / (1 - rate), 0)

    def lstm(self, name, x, units):
        import jax
        import jax.numpy as jnp

        recurrent = self.weight(name + "r", units, 4 * units)
        projected = jnp.swapaxes(self.dense(name, x, 4 * units), 0, 1)

        def step(carry, z):
            h, c = carry
            i, f, g, o = jnp.split(z + h @ recurrent, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((x.shape[0], units))
        return jax.lax.scan(step, (zeros, zeros), projected)[0][0]


def by_hand(network: Callable, inputs: Callable) -> Callable:
    """`(init, loss)` of `network(hand, inputs, targets) -> loss`."""

    def make():
        def init(key):
            hand = Hand(key)
            network(hand, *(tuple(x[:2] for x in part) for part in inputs()))
            return hand.weights, hand.new

        def loss(weights, moments, x, y, key):
            hand = Hand(weights=weights, moments=moments, noise=key)
            return network(hand, x, y), hand.new

        return init, loss

    return make


def entropy(logits, y):
    import jax
    import jax.numpy as jnp

    if y.dtype.kind == "f":
        return jnp.mean(jax.nn.softplus(logits) - logits * y)
    right = y[..., None] == jnp.arange(logits.shape[-1])
    return jnp.mean(jax.nn.logsumexp(logits, -1) - jnp.sum(jnp.where(right, logits, 0), -1))


def relu(x):
    return x * (x > 0)


def guide_by_hand(hand, x, y):
    return entropy(hand.dense("b", relu(hand.dense("a", x[0], 32)), 1), y[0])


def digits_by_hand(hand, x, y):
    h = hand.drop(relu(hand.dense("a", x[0], 512)), 0.2)
    return entropy(hand.dense("c", relu(hand.dense("b", h, 512)), 10), y[0])


def headline_by_hand(hand, x, y):
    import jax.numpy as jnp

    h = hand.lstm("lstm", hand.weight("words", 10000, 512)[x[0]], 32)
    z = jnp.concatenate([h, x[1]], -1)
    for i in range(3):
        z = relu(hand.dense(f"d{i}", z, 64))
    return entropy(hand.dense("out", z, 1), y[0]) + entropy(hand.dense("aside", h, 1), y[1])


def convolutional_by_hand(hand, x, y):
    import jax

    h, window = x[0], (1, 2, 2, 1)
    for i, filters in enumerate((32, 64)):
        h = relu(hand.conv(f"c{i}", h, filters, 3, padding="VALID", bias=True))
        h = jax.lax.reduce_window(h, -np.inf, jax.lax.max, window, window, "VALID")
    return entropy(hand.dense("d", hand.drop(h.reshape(h.shape[0], -1), 0.5), 10), y[0])


def residual_by_hand(hand, x, y):
    def normed(name, x, *how):
        return hand.norm(name + "n", hand.conv(name, x, *how), (0, 1, 2))

    h = relu(normed("first", x[0], 16, 3))
    for i, (filters, first) in enumerate(STAGES):
        for j, strides in enumerate((first, 1, 1)):
            z = relu(normed(f"{i}{j}a", h, filters, 3, strides))
            h = normed(f"{i}{j}c", h, filters, 1, strides) if strides > 1 else h
            h = relu(h + normed(f"{i}{j}b", z, filters, 3))
    return entropy(hand.dense("out", h.mean((1, 2)), 10), y[0])


def transformer_by_hand(hand, x, y):
    import jax
    import jax.numpy as jnp

    h = hand.weight("words", WORDS, WIDTH)[x[0]] + hand.weight("place", STEPS, WIDTH)
    seen = np.tril(np.ones((STEPS, STEPS), bool))
    for i in range(LAYERS):
        z = hand.dense(f"{i}qkv", hand.norm(f"{i}n", h, -1), 3 * WIDTH)
        z = z.reshape(*z.shape[:2], 3, HEADS, WIDTH // HEADS)
        q, k, v = (z[:, :, j] for j in range(3))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * (WIDTH // HEADS) ** -0.5
        scores = jax.nn.softmax(jnp.where(seen, scores, -1e9))
        z = jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(h.shape)
        h = h + hand.dense(f"{i}o", z, WIDTH)
        z = jax.nn.gelu(hand.dense(f"{i}f", hand.norm(f"{i}m", h, -1), 4 * WIDTH), False)
        h = h + hand.dense(f"{i}g", z, WIDTH)
    return entropy(hand.dense("out", hand.norm("last", h, -1), WORDS), y[0])


def _row(what, batch, epochs, optimizer, data, model, network) -> Workload:
    return Workload(what, batch, epochs, optimizer, data, model, by_hand(network, data))


_images = arrays(6000, (28, 28, 1), classes=10)
_news = arrays(2000, ("ids", 10000, 100), (5,), targets=2)
WORKLOADS = {
    "w1": _row("the guide's MLP", 32, 10, "rmsprop", arrays(1000, (100,)), guide, guide_by_hand),
    "w2": _row(
        "MNIST MLP", 128, 3, "rmsprop", arrays(60000, (784,), classes=10), digits, digits_by_hand
    ),
    "w3": _row("two inputs, LSTM", 32, 3, "rmsprop", _news, headline, headline_by_hand),
    "w4": _row("small CNN", 128, 3, "adam", _images, convolutional, convolutional_by_hand),
    "w5": _row(
        "ResNet-20",
        64,
        3,
        "adam",
        arrays(1000, (32, 32, 3), classes=10),
        residual,
        residual_by_hand,
    ),
    "w6": _row("small GPT", 16, 3, "adam", texts, transformer, transformer_by_hand),
}
