"""Many calls of operations, compared with Keras in one compiled program for each library."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

import keraunos
from tests.oracle import close

_rng = np.random.default_rng(0)


def rand(*shape, low=-2.0, high=2.0):
    """Random float32 numbers."""
    return _rng.uniform(low, high, shape).astype("float32")


def ints(*shape, low=-4, high=5):
    """Random int32 numbers."""
    return _rng.integers(low, high, shape).astype("int32")


def find(library, path):
    found = library.ops
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _is_float(leaf):
    return isinstance(leaf, np.ndarray) and leaf.dtype == np.float32


def _split(cases):
    """The float arrays in all arguments, and the function that puts others in their places."""
    leaves, treedef = jax.tree.flatten([(args, kwargs) for _, args, kwargs in cases])
    places = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]

    def rebuild(values):
        filled = list(leaves)
        for place, value in zip(places, values):
            filled[place] = value
        return jax.tree.unflatten(treedef, filled)

    return [leaves[i] for i in places], rebuild


def _real(y):
    """Complex numbers as pairs, which can be compared."""
    return jnp.stack([y.real, y.imag]) if jnp.iscomplexobj(y) else y


def _wave(outputs):
    """A number that depends on all outputs that have gradients."""
    leaves = [jnp.asarray(y) for y in jax.tree.leaves(outputs)]
    floats = [y for y in leaves if jnp.issubdtype(y.dtype, jnp.floating)]
    return sum((jnp.sum(jnp.sin(y)) for y in floats), jnp.zeros(()))


def _program(library, case):
    """What a call computes, as JAX sees it, and the constants in it."""
    arrays, rebuild = _split([case])

    def run(arrays):
        (args, kwargs) = rebuild(arrays)[0]
        return find(library, case[0])(*args, **kwargs)

    closed = jax.make_jaxpr(run)(arrays)
    return str(closed.jaxpr), [np.asarray(constant) for constant in closed.consts]


def _same_program(case):
    """Whether both libraries compute the very same; then there is no need to run it."""
    (mine, ours), (yours, theirs) = _program(keraunos, case), _program(keras, case)
    return mine == yours and all(map(np.array_equal, ours, theirs))


def same_numbers(cases, gradients=True, rtol=1e-5, atol=2e-6):
    """Compare outputs, and gradients of all float arguments, of `(path, args, kwargs)` cases."""
    cases = [(case[0], case[1], case[2] if len(case) > 2 else {}) for case in cases]
    cases = [case for case in cases if not _same_program(case)]
    if not cases:
        return
    arrays, rebuild = _split(cases)

    def results(library):
        def run(arrays):
            outputs = [
                find(library, path)(*args, **kwargs)
                for (path, _, _), (args, kwargs) in zip(cases, rebuild(arrays))
            ]
            return _wave(outputs), jax.tree.map(_real, outputs)

        if not gradients:
            return jax.jit(run)(arrays)[1], []
        grads, outputs = jax.jit(jax.grad(run, has_aux=True))(arrays)
        return outputs, grads

    mine, yours = results(keraunos), results(keras)
    for (path, args, kwargs), a, b in zip(cases, mine[0], yours[0]):
        try:
            close(a, b, rtol, atol)
        except AssertionError as error:
            error.add_note(f"{path}(*{args}, **{kwargs})")
            raise
    for i, (a, b) in enumerate(zip(mine[1], yours[1])):
        try:
            close(a, b, rtol * 10, atol * 10)
        except AssertionError as error:
            error.add_note(f"gradient of {arrays[i]}")
            raise


def symbolic(library, structure, unknown=0):
    """Arrays as symbolic tensors, whose axis `unknown` has no known size."""

    def of(leaf):
        if not isinstance(leaf, np.ndarray):
            return leaf
        shape = [None if i == unknown else n for i, n in enumerate(leaf.shape)]
        return library.KerasTensor(shape, str(leaf.dtype))

    return jax.tree.map(of, structure)


def spec(outputs):
    return [(tuple(t.shape), str(t.dtype)) for t in jax.tree.leaves(outputs)]


def shape_differences(cases, unknown=0):
    """What Keras and we say of the shapes of symbolic outputs, where that is not the same."""
    found = {}
    for path, args, *kwargs in cases:
        answers = []
        for library in (keras, keraunos):
            given, named = symbolic(library, (args, kwargs[0] if kwargs else {}), unknown)
            try:
                answers.append(spec(find(library, path)(*given, **named)))
            except Exception as error:
                answers.append(error)
        if isinstance(answers[0], Exception):
            continue  # Keras wants known sizes there
        if isinstance(answers[1], Exception) or answers[0] != answers[1]:
            found[path] = tuple(answers)
    return found
