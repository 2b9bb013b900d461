"""Compare what is ours with real Keras: same weights in, same numbers out."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

import keraunos


def close(ours, theirs, rtol=1e-5, atol=1e-6):
    """Assert that two trees of arrays have equal structure, shapes, dtypes and numbers."""
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype, (a.shape, a.dtype, b.shape, b.dtype)
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=rtol, atol=atol)


def symbols(library, inputs):
    """Symbolic inputs of `library`, with an unknown batch, for arrays or nested arrays."""
    of = lambda x: library.KerasTensor((None, *x.shape[1:]), str(x.dtype))
    return jax.tree.map(of, inputs)


def same_weights(ours, theirs, seed=0):
    """Give two layers the same random weights; assert that names and shapes agree."""
    mine, yours = ours.weights, theirs.weights
    assert [(v.name, tuple(v.shape)) for v in mine] == [(v.name, tuple(v.shape)) for v in yours]
    assert [v.trainable for v in mine] == [v.trainable for v in yours]
    rng = np.random.default_rng(seed)
    for a, b in zip(mine, yours):
        value = rng.uniform(0.1, 0.9, a.shape).astype("float32") - (0.5 if a.trainable else 0)
        a.assign(value)
        b.assign(value)


def _forward_and_gradients(layer, inputs, kwargs):
    trained = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]
    floats = all(np.asarray(x).dtype.kind == "f" for x in jax.tree.leaves(inputs))

    def scalar(trained, inputs):
        outputs, updated = layer.stateless_call(trained, others, inputs, **kwargs)
        total = sum(jnp.sum(jnp.sin(y.astype("float32"))) for y in jax.tree.leaves(outputs))
        return total, (outputs, updated)

    gradient = jax.grad(scalar, argnums=(0, 1) if floats else 0, has_aux=True)
    grads, (outputs, updated) = jax.jit(gradient)(trained, inputs)
    return outputs, updated, grads


def same_layer(name, arguments, inputs, rtol=1e-5, atol=2e-6, call=None, updates=True):
    """Compare layer `name` in both libraries: symbolic shape, weights, outputs, gradients.

    Args:
        arguments: Of the constructor; a callable of the library gives them for each.
        inputs: An array, or a nested structure of arrays.
        call: Further arguments of the call.
        updates: Whether the new values of variables that are not trained are compared.
    Returns:
        Our layer and theirs.
    """
    layers = []
    for library in (keraunos, keras):
        given = arguments(library) if callable(arguments) else dict(arguments)
        layers.append(getattr(library.layers, name)(**given))
    ours, theirs = layers
    kwargs = call or {}
    shapes = []
    for library, layer in ((keraunos, ours), (keras, theirs)):
        out = layer(symbols(library, inputs), **kwargs)
        shapes.append([(tuple(t.shape), t.dtype) for t in jax.tree.leaves(out)])
    assert shapes[0] == shapes[1], shapes
    same_weights(ours, theirs)
    mine = _forward_and_gradients(ours, inputs, kwargs)
    yours = _forward_and_gradients(theirs, inputs, kwargs)
    close(mine[0], yours[0], rtol, atol)
    if updates:
        close(mine[1], yours[1], rtol, atol)
    close(mine[2], yours[2], rtol * 10, atol * 10)
    return ours, theirs
