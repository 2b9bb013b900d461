"""The table of optimizers under test, and how one is run in either library."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

import keraunos

SHAPES = {"kernel": (3, 2), "bias": (2,)}
MORE = {"Adafactor": {"tensor": (2, 2, 3)}, "Muon": {"embeddings": (3, 2), "wide": (2, 3)}}
STEPS = 10

# Name of the optimizer, its arguments.
CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"nesterov": True, "clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.3, "clipnorm": None}),
    ("SGD", {"global_clipnorm": 0.5, "loss_scale_factor": 4.0}),
    ("SGD", {"learning_rate": 0.1, "use_ema": True}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.6, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "epsilon": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.5, "centered": True, "rho": 0.7}),
    ("RMSprop", {"centered": True, "epsilon": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.5, "epsilon": 0.1}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": 0.0, "beta": 0.2}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.3,
            "beta": 0.4,
        },
    ),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.9, "beta_2_decay": -0.6, "epsilon_1": 1e-3}),
    (
        "Adafactor",
        {"learning_rate": 0.1, "relative_step": False, "clip_threshold": 0.5, "epsilon_2": 0.1},
    ),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 0.1}),
    ("Adam", {"loss_scale_factor": 8.0, "weight_decay": 0.1, "clipnorm": 1.0}),
    (
        "Adam",
        {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3},
    ),
    (
        "Adam",
        {
            "learning_rate": 0.1,
            "gradient_accumulation_steps": 3,
            "use_ema": True,
            "ema_momentum": 0.6,
            "ema_overwrite_frequency": 2,
        },
    ),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.2, "amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1}),
    ("Nadam", {}),
    (
        "Nadam",
        {"learning_rate": 0.1, "beta_1": 0.5, "gradient_accumulation_steps": 3, "clipnorm": 0.5},
    ),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.1, "beta_1": 0.5, "epsilon": 0.1, "weight_decay": 0.1}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1, "warmup_steps": 5, "weight_decay": 0.1}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.01}),
    ("Muon", {}),
    ("Muon", {"exclude_layers": ["ker"], "adam_lr_ratio": 0.5, "learning_rate": 0.1}),
    ("Muon", {"rms_rate": None, "nesterov": False, "ns_steps": 2, "adam_weight_decay": None}),
    ("Muon", {"learning_rate": 0.1, "weight_decay": None, "muon_a": 3.0, "momentum": 0.5}),
]
IDS = [f"{name}-{'-'.join(arguments) or 'default'}" for name, arguments in CASES]


def arrays(shapes, seed, count):
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=s).astype("float32") for s in shapes.values()] for _ in range(count)]


def variables(library, shapes=SHAPES, dtype="float32"):
    values = zip(shapes, arrays(shapes, 0, 1)[0])
    return [library.Variable(value, dtype=dtype, name=name) for name, value in values]


def gradients(shapes=SHAPES, dtype="float32", steps=STEPS):
    return [[jnp.asarray(g, dtype) for g in step] for step in arrays(shapes, 1, steps)]


def run(library, optimizer, dtype="float32", jit=True, grads=None, shapes=None):
    """Values of the variables, then of the optimizer's, after ten steps."""
    shapes = shapes or SHAPES | MORE.get(type(optimizer).__name__, {})
    trained = variables(library, shapes, dtype)
    grads = gradients(shapes, dtype) if grads is None else grads
    optimizer.build(trained)
    if not jit:
        for each in grads:
            optimizer.apply(each, trained)
        return [np.asarray(v.value) for v in [*trained, *optimizer.variables]]
    step = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))
    values = [jnp.array(v.value) for v in trained]
    slots = [jnp.array(v.value) for v in optimizer.variables]
    for each in grads:
        values, slots = step(slots, each, values)
    return [np.asarray(v) for v in [*values, *slots]]


def both(name, arguments):
    """The optimizer in our library, and in Keras."""
    make = arguments if callable(arguments) else lambda library: dict(arguments)
    return [getattr(library.optimizers, name)(**make(library)) for library in (keraunos, keras)]


def agree(ours, theirs, rtol=1e-5, atol=1e-6):
    """Assert that lists of arrays have equal shapes and dtypes, and numbers that are close."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), rtol=rtol, atol=atol)
