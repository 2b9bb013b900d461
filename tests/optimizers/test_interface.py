"""What users call and override, beside the numbers."""

import copy
import pickle
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import Variable, optimizers

from .cases import SHAPES, agree, both, gradients, run, variables


def variable(name="kernel", value=(1.0, 1.0), **changes):
    made = Variable(np.asarray(value, "float32"), name=name)
    for attribute, new in changes.items():
        setattr(made, attribute, new)
    return made


def ones():
    return jnp.ones(2)


# Learning rates -------------------------------------------------------------------------------


def test_learning_rate():
    optimizer = optimizers.SGD(0.5)
    assert isinstance(optimizer.learning_rate, Variable) and float(optimizer.lr) == 0.5
    optimizer.lr = 0.25
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    assert float(optimizer.learning_rate) == 0.5
    assert [v.name for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match=r"follows .*cannot be set to a number"):
        optimizer.learning_rate = 0.1


@pytest.mark.parametrize("rate", [lambda: 0.5, lambda step: 0.5 + 0 * step, np.float32(0.5)])
def test_callable_learning_rate(rate):
    kernel = variable()
    optimizers.SGD(rate).apply([ones()], [kernel])
    assert kernel.numpy().tolist() == [0.5, 0.5]


def test_old_spellings():
    kernel = variable()
    optimizer = optimizers.SGD(lr=1.0, decay=1.0)
    for _ in range(3):  # 1, 1/2, 1/3
        optimizer.apply([ones()], [kernel])
    np.testing.assert_allclose(kernel.numpy(), 1 - 1 - 1 / 2 - 1 / 3, rtol=1e-6)
    again = optimizers.SGD.from_config(optimizer.get_config() | {"is_legacy_optimizer": False})
    assert again.get_config() == optimizer.get_config()
    assert issubclass(optimizers.legacy.Adam, optimizers.Adam)
    assert sorted(optimizers.legacy.__all__) == [
        name for name in sorted(dir(keras.optimizers.legacy)) if not name.startswith("_")
    ]


# Which variables ------------------------------------------------------------------------------


def test_missing_gradients():
    optimizer, kernel, bias = optimizers.SGD(0.5), variable(), variable("bias")
    with pytest.warns(UserWarning, match="does not depend on kernel"):
        optimizer.apply([None, ones()], [kernel, bias])
    assert kernel.numpy().tolist() == [1, 1] and bias.numpy().tolist() == [0.5, 0.5]
    with pytest.raises(
        ValueError, match=r"no gradients: the loss does not depend on .* kernel, bias"
    ):
        optimizer.apply([None, None])
    optimizer.apply([])
    assert int(optimizer.iterations) == 1


def test_apply_gradients():
    optimizer, kernel, bias = optimizers.SGD(0.5), variable(), variable("bias")
    optimizer.build([kernel, bias])
    assert optimizer.apply_gradients(zip([ones()], [bias])) is optimizer.iterations
    assert kernel.numpy().tolist() == [1, 1] and bias.numpy().tolist() == [0.5, 0.5]


def test_overwritten_by_gradient():
    """Statistics, e.g. of float8, come as gradients and are neither scaled nor averaged."""
    results = []
    for library in (keraunos, keras):
        for arguments in ({}, {"gradient_accumulation_steps": 2, "loss_scale_factor": 2.0}):
            trained = [library.Variable(np.ones(2, "float32"), name=n) for n in ("kernel", "scale")]
            trained[1].overwrite_with_gradient = True
            optimizer = library.optimizers.Adam(0.1, **arguments)
            optimizer.build(trained)
            for i in range(4):
                optimizer.apply([ones() * (i + 1), jnp.array([3.0 - i, 7.0 + i])], trained)
            results.append([np.asarray(v.value) for v in [*trained, *optimizer.variables]])
    agree(results[0], results[2])
    agree(results[1], results[3])
    kernel, scale = variable(), variable("scale", overwrite_with_gradient=True)
    averaged = optimizers.SGD(use_ema=True, ema_overwrite_frequency=1, weight_decay=0.1)
    averaged.apply([ones(), ones() * 7], [kernel, scale])  # Keras fails here
    assert scale.numpy().tolist() == [7, 7]


def test_constraint_after_everything():
    kernel = variable(constraint=lambda w: w + 10)
    optimizer = optimizers.SGD(0.5, use_ema=True, ema_overwrite_frequency=1)
    optimizer.apply([ones()], [kernel])
    assert kernel.numpy().tolist() == [10.5, 10.5]


@pytest.mark.parametrize(
    ("excluded", "decayed"),
    [
        ({}, ["kernel", "bias"]),
        ({"var_names": ["bias"]}, ["kernel"]),
        ({"var_names": ["ke.*l"]}, ["bias"]),
        ({"var_names": ["dense"]}, ["kernel", "bias"]),
        ({"var_list": [0]}, ["bias"]),
    ],
)
def test_exclusion_from_weight_decay(excluded, decayed):
    outcomes = []
    for library in (keraunos, keras):
        trained = variables(library)
        optimizer = library.optimizers.AdamW(0.1, weight_decay=0.5)
        names = dict(excluded)
        if "var_list" in names:
            names["var_list"] = [trained[i] for i in names["var_list"]]
        optimizer.exclude_from_weight_decay(**names)
        optimizer.apply([jnp.zeros(v.shape) for v in trained], trained)
        outcomes.append([np.asarray(v.value) for v in trained])
    agree(*outcomes)
    moved = [n for n, a, v in zip(SHAPES, outcomes[0], variables(keras)) if (a != v.numpy()).any()]
    assert moved == decayed


def test_averages_at_the_end():
    outcomes = []
    for library in (keraunos, keras):
        trained = variables(library)
        optimizer = library.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        for grads in gradients(steps=4):
            optimizer.apply(grads, trained)
        optimizer.finalize_variable_values(trained)
        outcomes.append([np.asarray(v.value) for v in trained])
    agree(*outcomes)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
        {"loss_scale_factor": 4.0, "clipnorm": 1.0, "weight_decay": 0.1},
    ],
)
def test_eager_is_traced(arguments):
    make = lambda: optimizers.Adam(0.1, **arguments)
    agree(run(keraunos, make(), jit=False), run(keraunos, make()))


# Overriding -------------------------------------------------------------------------------------


def momentum_in_the_manner_of_keras(library):
    class Momentum(library.optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, momentum=0.9, name="mine", **kwargs):
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
            self.momentum = momentum

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.momenta = [
                self.add_variable_from_reference(reference_variable=v, name="m") for v in variables
            ]
            self.count = self.add_variable((), name="count")

        def update_step(self, gradient, variable, learning_rate):
            m = self.momenta[self._get_variable_index(variable)]
            self.assign(m, m * self.momentum - gradient * learning_rate)
            self.assign_add(variable, m)
            self.assign_sub(self.count, 1.0)

        def get_config(self):
            return super().get_config() | {"momentum": self.momentum}

    return Momentum


@pytest.mark.parametrize("arguments", [{}, {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True}])
def test_users_update_step(arguments):
    ours, theirs = (
        momentum_in_the_manner_of_keras(library)(momentum=0.5, **arguments)
        for library in (keraunos, keras)
    )
    agree(run(keraunos, ours), run(keras, theirs, jit=False))
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    assert ours.get_config() == theirs.get_config()
    again = type(ours).from_config(ours.get_config())
    assert again.momentum == 0.5 and again.name == "mine"


def test_own_step():
    class Signs(optimizers.Optimizer):
        slots = ("seen",)

        def step(self, gradient, learning_rate, t, seen):
            return learning_rate * t * jnp.sign(gradient), {"seen": seen + 1}

    kernel, optimizer = variable(), Signs(0.5)
    optimizer.apply([ones()], [kernel])
    optimizer.apply([-ones()], [kernel])
    assert kernel.numpy().tolist() == [1.5, 1.5]
    assert [v.path for v in optimizer.variables][2:] == ["signs/kernel_seen"]
    with pytest.raises(NotImplementedError, match="Bare must define `update_step"):
        type("Bare", (optimizers.Optimizer,), {})(0.1).apply([ones()], [variable()])


def test_making_variables():
    with keraunos.name_scope("dense"):
        kernel = variable()
    optimizer = optimizers.SGD()
    made = [
        optimizer.add_variable((2,), name="own"),
        optimizer.add_variable((2,), "ones", "int32"),
        optimizer.add_variable_from_reference(kernel),
        optimizer.add_variable_from_reference(kernel, "copy", kernel.value),
        *optimizer.add_optimizer_variables([kernel], "one"),
    ]
    a, b = optimizer.add_optimizer_variables([kernel], ["a", "b"], ["ones", "zeros"])
    made += [a[0], b[0]]
    assert [v.path for v in made] == [
        "sgd/own", "sgd/variable", "sgd/dense_kernel_var", "sgd/dense_kernel_copy",
        "sgd/dense_kernel_one", "sgd/dense_kernel_a", "sgd/dense_kernel_b",
    ]  # fmt: skip
    assert optimizer.variables[2:] == made and not any(v.trainable for v in made)
    assert [float(v.value[0]) for v in made] == [0, 1, 0, 1, 0, 1, 0]
    hidden = variable("scale", overwrite_with_gradient=True)
    assert optimizer.add_optimizer_variables([hidden], "x") == [None]


# Files and copies -------------------------------------------------------------------------------


def test_own_variables():
    ours, theirs = both("Adam", {"learning_rate": 0.1})
    run(keras, theirs, jit=False)
    store = {}
    theirs.save_own_variables(store)
    ours.build(variables(keraunos))
    ours.load_own_variables(store)
    agree(ours.get_weights(), [v.numpy() for v in theirs.variables])
    mine = {}
    ours.save_own_variables(mine)
    assert mine.keys() == store.keys()
    ours.set_weights([np.zeros(v.shape) for v in ours.variables])
    assert not any(v.numpy().any() for v in ours.variables)
    with pytest.warns(
        UserWarning, match="adam has 6 variables and the file 1, so they are not read"
    ):
        ours.load_own_variables({"0": np.array(1)})


@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies(again):
    kernel, optimizer = variable(), optimizers.Adam(0.5)
    optimizer.apply([ones()], [kernel])
    kernel, optimizer = again((kernel, optimizer))
    optimizer.apply([ones()], [kernel])
    np.testing.assert_allclose(kernel.numpy(), 0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("identifier", "cls"),
    [
        ("adam", "Adam"),
        ("RMSProp", "RMSprop"),
        ("rmsprop", "RMSprop"),
        ("adamw", "AdamW"),
        ("adam_w", "AdamW"),
        ("schedulefreeadamw", "ScheduleFreeAdamW"),
        ({"class_name": "ADAM", "config": {"learning_rate": 0.5}}, "Adam"),
        ({"class_name": "Muon", "config": {}}, "Muon"),
        (optimizers.Lion, "Lion"),
    ],
)
def test_get(identifier, cls):
    found = optimizers.get(identifier)
    assert type(found).__name__ == cls
    again = optimizers.deserialize(optimizers.serialize(found))
    assert type(again) is type(found) and again.get_config() == found.get_config()
    assert optimizers.get(found) is found and optimizers.get(None) is None


def test_serialize_as_keras():
    ours, theirs = both("AdamW", {"name": "a", "learning_rate": 0.3})
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)


def test_slots_stay_with_their_variables():
    kernel = variable()
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    kernel._array = jax.device_put(kernel.value, sharding)
    optimizer = optimizers.SGD(momentum=0.9)
    optimizer.build([kernel])
    assert optimizer.variables[-1].value.committed and not optimizer.variables[0].value.committed


# Errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optimizers.SGD(momentun=0.9),
            "SGD has no argument `momentun`. Did you mean `momentum`?",
        ),
        (
            lambda: optimizers.SGD("fast"),
            "a number, a LearningRateSchedule or a callable for `learning_rate`, got 'fast'.",
        ),
        (
            lambda: optimizers.SGD(momentum=2),
            "SGD needs a number from 0 to 1 for `momentum`, got 2.",
        ),
        (
            lambda: optimizers.SGD(clipnorm=1, clipvalue=2),
            "`clipnorm`, `clipvalue` and `global_clipnorm`, got clipnorm=1, clipvalue=2.",
        ),
        (
            lambda: optimizers.SGD(use_ema=True, ema_momentum=2),
            "a number from 0 to 1 for `ema_momentum`, got 2.",
        ),
        (
            lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=1.5),
            "an integer for `ema_overwrite_frequency`, got 1.5.",
        ),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=1),
            "an integer of at least 2 for `gradient_accumulation_steps`, got 1.",
        ),
        (lambda: optimizers.SGD(name="a/b"), "a string without '/' for `name`, got 'a/b'."),
        (
            lambda: optimizers.Lion(beta_1=0.0),
            "Lion needs a number above 0 and up to 1 for `beta_1`, got 0.0.",
        ),
        (
            lambda: optimizers.Ftrl(learning_rate_power=1.0),
            "a number of at most 0 for `learning_rate_power`, got 1.0.",
        ),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1.0),
            "at least 0 for `l1_regularization_strength`, got -1.0.",
        ),
        (
            lambda: optimizers.AdamW(weight_decay=None),
            "AdamW needs a number (Adam does without) for `weight_decay`, got None.",
        ),
        (
            lambda: optimizers.get("adem"),
            "'adem' is not one of keras.optimizers. Did you mean 'adam'?",
        ),
        (lambda: optimizers.get(5), "5 is not one of keras.optimizers."),
        (lambda: optimizers.get(len), "An optimizer is needed"),
        (lambda: optimizers.SGD().apply([ones()]), "sgd does not know whose gradients these are."),
        (
            lambda: optimizers.SGD().stateless_apply([], [ones()], [ones()]),
            "SGD.stateless_apply needs a built optimizer.",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_refusals_of_gradients():
    kernel, optimizer = variable(), optimizers.SGD()
    optimizer.build([kernel])
    for call, message in [
        (
            lambda: optimizer.apply([ones()] * 2),
            "sgd needs one gradient for each of 1 variables, got 2.",
        ),
        (
            lambda: optimizer.apply([jnp.ones(3)]),
            "a gradient of shape (2,) for kernel, got one of shape (3,).",
        ),
        (
            lambda: optimizer.apply([ones()], [variable("other")]),
            "sgd does not know the variable other",
        ),
        (
            lambda: optimizer.stateless_apply([0], [ones()], [ones()]),
            "2 variables in `optimizer_variables`, got 1.",
        ),
        (
            lambda: optimizer.stateless_apply([0, 0.1], [ones()], []),
            "1 variables in `trainable_variables`, got 0.",
        ),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
