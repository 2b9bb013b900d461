"""Losses beside Keras: values, gradients, reductions, weights, masks, dtypes, configs, messages."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import losses
from tests.oracle import close


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def data(kind, shape=(4, 3)):
    """Targets and predictions of a kind; `shape` is that of the predictions."""
    rng = np.random.default_rng(len(kind) + sum(shape))
    scores = rng.normal(size=shape)
    labels = rng.integers(0, shape[-1], shape[:-1])
    return {
        "numbers": lambda: (rng.normal(size=shape), scores),
        "positive": lambda: (rng.uniform(0.1, 3, shape), rng.uniform(0.1, 3, shape)),
        "signs": lambda: (rng.choice([-1.0, 1], shape), scores),
        "bits": lambda: (rng.integers(0, 2, shape), rng.uniform(0.02, 0.98, shape)),
        "bit logits": lambda: (rng.integers(0, 2, shape), 3 * scores),
        "one-hot": lambda: (np.eye(shape[-1])[labels], _softmax(scores)),
        "one-hot logits": lambda: (np.eye(shape[-1])[labels], 3 * scores),
        "soft": lambda: (_softmax(rng.normal(size=shape)), rng.uniform(0.1, 3, shape)),
        "labels": lambda: (labels, _softmax(scores)),
        "label column": lambda: (labels[..., None], _softmax(scores)),
        "label logits": lambda: (labels, 3 * scores),
        "embeddings": lambda: (
            np.arange(shape[0]) % 2,
            scores / np.linalg.norm(scores, axis=-1, keepdims=True),
        ),
    }[kind]()


def arrays(*values):
    return [
        np.asarray(v, "int32" if np.asarray(v).dtype.kind == "i" else "float32") for v in values
    ]


def value_and_gradient(fn, y_true, y_pred, jit=lambda fn: fn):
    def scalar(y_pred):
        value = fn(y_true, y_pred)
        return jnp.sum(jnp.sin(value).astype("float32")), value

    gradient, value = jit(jax.grad(scalar, has_aux=True))(jnp.asarray(y_pred))
    assert np.isfinite(np.asarray(gradient, "float32")).all()
    return value, gradient


FUNCTIONS = [
    ("mean_squared_error", {}, "numbers"),
    ("mean_absolute_error", {}, "numbers"),
    ("mean_absolute_percentage_error", {}, "numbers"),
    ("mean_squared_logarithmic_error", {}, "positive"),
    ("mean_squared_logarithmic_error", {}, "numbers"),
    ("huber", {}, "numbers"),
    ("huber", {"delta": 0.3}, "numbers"),
    ("log_cosh", {}, "numbers"),
    ("cosine_similarity", {}, "numbers"),
    ("cosine_similarity", {"axis": 0}, "numbers"),
    ("hinge", {}, "signs"),
    ("hinge", {}, "bits"),
    ("squared_hinge", {}, "signs"),
    ("squared_hinge", {}, "bits"),
    ("categorical_hinge", {}, "one-hot"),
    ("kl_divergence", {}, "soft"),
    ("kl_divergence", {}, "one-hot"),
    ("poisson", {}, "positive"),
    ("binary_crossentropy", {}, "bits"),
    ("binary_crossentropy", {"label_smoothing": 0.2, "axis": 0}, "bits"),
    ("binary_crossentropy", {"from_logits": True}, "bit logits"),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bit logits"),
    ("binary_focal_crossentropy", {}, "bits"),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "alpha": 0.4}, "bits"),
    ("binary_focal_crossentropy", {"gamma": 1.5, "from_logits": True}, "bit logits"),
    ("binary_focal_crossentropy", {"label_smoothing": 0.1, "axis": 0}, "bits"),
    ("categorical_crossentropy", {}, "one-hot"),
    ("categorical_crossentropy", {}, "soft"),
    ("categorical_crossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("categorical_crossentropy", {"from_logits": True}, "one-hot logits"),
    ("categorical_crossentropy", {"from_logits": True, "axis": 0}, "one-hot logits"),
    ("categorical_focal_crossentropy", {}, "one-hot"),
    ("categorical_focal_crossentropy", {"gamma": 1.0, "label_smoothing": 0.1}, "one-hot"),
    ("categorical_focal_crossentropy", {"from_logits": True}, "one-hot logits"),
    ("sparse_categorical_crossentropy", {}, "labels"),
    ("sparse_categorical_crossentropy", {}, "label column"),
    ("sparse_categorical_crossentropy", {"ignore_class": 1}, "labels"),
    ("sparse_categorical_crossentropy", {"from_logits": True}, "label logits"),
    ("sparse_categorical_crossentropy", {"from_logits": True, "ignore_class": 0}, "label logits"),
    ("dice", {}, "bits"),
    ("dice", {"axis": 0}, "bits"),
    ("dice", {"axis": (0, 1)}, "bits"),
    ("tversky", {}, "bits"),
    ("tversky", {"alpha": 0.3, "beta": 0.6, "axis": 1}, "bits"),
]


@pytest.mark.parametrize(("name", "kwargs", "kind"), FUNCTIONS, ids=str)
def test_a_function_gives_the_values_and_gradients_of_keras(name, kwargs, kind):
    y_true, y_pred = arrays(*data(kind, (2, 3, 4)))
    ours, theirs = (
        value_and_gradient(lambda t, p: getattr(lib.losses, name)(t, p, **kwargs), y_true, y_pred)
        for lib in (keraunos, keras)
    )
    close(ours[0], theirs[0])
    close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "kwargs", "kind"), FUNCTIONS, ids=str)
def test_a_function_knows_the_shape_of_its_result(name, kwargs, kind):
    y_true, y_pred = arrays(*data(kind, (2, 3, 4)))
    fn = getattr(losses, name)
    symbols = [keraunos.KerasTensor((None, *y.shape[1:]), str(y.dtype)) for y in (y_true, y_pred)]
    known, real = fn(*symbols, **kwargs), fn(y_true, y_pred, **kwargs)
    assert known.dtype == real.dtype.name and len(known.shape) == real.ndim
    assert all(m == n or (m is None and n == 2) for m, n in zip(known.shape, real.shape))


CLASSES = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("Huber", {"delta": 0.5}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("CosineSimilarity", {"axis": 1}, "numbers"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "one-hot"),
    ("KLDivergence", {}, "soft"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bit logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "gamma": 3.0}, "bits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.7]}, "one-hot"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, "labels"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "label logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "labels"),
    ("Circle", {"gamma": 4.0}, "embeddings"),
    ("Circle", {"remove_diagonal": False, "gamma": 4.0, "margin": 0.1}, "embeddings"),
    ("Dice", {"axis": (1,)}, "bits"),
    ("Tversky", {"alpha": 0.3, "axis": 1}, "bits"),
]


@pytest.mark.parametrize(("name", "kwargs", "kind"), CLASSES, ids=str)
def test_a_class_gives_the_values_of_keras(name, kwargs, kind):
    y_true, y_pred = arrays(*data(kind))
    weight = np.array([0.5, 2, 0, 1], "float32")
    for w in (None, weight):
        close(
            *(getattr(lib.losses, name)(**kwargs)(y_true, y_pred, w) for lib in (keraunos, keras))
        )


@pytest.mark.parametrize(
    ("name", "kwargs", "kind"),
    [
        ("MeanSquaredError", {"reduction": "sum"}, "numbers"),
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "labels"),
    ],
    ids=str,
)
def test_a_class_gives_the_gradients_of_keras(name, kwargs, kind):
    y_true, y_pred = arrays(*data(kind))
    weight = np.array([0.5, 2, 0, 1], "float32")
    results = []
    for lib in (keraunos, keras):
        loss = getattr(lib.losses, name)(**kwargs)
        results.append(value_and_gradient(lambda t, p: loss(t, p, weight), y_true, y_pred))
    close(*results)


@pytest.mark.parametrize(("name", "kwargs", "kind"), CLASSES, ids=str)
def test_a_class_has_the_signature_and_config_of_keras(name, kwargs, kind):
    ours, theirs = (getattr(lib.losses, name) for lib in (keraunos, keras))
    of = lambda cls: [
        (p.name, p.default) for p in inspect.signature(cls.__init__).parameters.values()
    ]
    assert of(ours) == of(theirs)
    mine, yours = ours(**kwargs), theirs(**kwargs)
    config, theirs = mine.get_config(), yours.get_config()
    assert config == theirs | {key: config[key] for key in config.keys() - theirs.keys()}
    # Keras forgets the arguments of Huber and CosineSimilarity, and an axis.
    assert config.keys() - theirs.keys() <= {"delta", "axis"}
    assert (mine.name, mine.reduction, mine.dtype) == (yours.name, yours.reduction, yours.dtype)
    for described in (losses.serialize(mine), keras.losses.serialize(yours)):
        again = losses.deserialize(described)
        assert type(again) is ours
        assert again.get_config() == ours().get_config() | described["config"]


REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
WEIGHTS = {
    "none": None,
    "scalar": 2.0,
    "batch": np.array([1.0, 3.0], "float32"),
    "column": np.array([[1.0], [3.0]], "float32"),
    "steps": np.arange(6, dtype="float32").reshape(2, 3),
    "steps column": np.arange(6, dtype="float32").reshape(2, 3, 1),
    "integers": np.array([[1], [0]]),
    "zeros": np.zeros((2, 1), "float32"),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weight", [w for w in WEIGHTS if w != "batch"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_weigh_and_mask_as_keras_does(reduction, weight, masked, rng):
    y_true, y_pred = rng.normal(size=(2, 2, 3, 4)).astype("float32")
    results = []
    for lib in (keraunos, keras):
        p = jnp.array(y_pred)
        if masked:
            p._keras_mask = jnp.array([[True, True, False], [True, False, False]])
        loss = lib.losses.MeanSquaredError(reduction=reduction)
        results.append(loss(y_true, p, sample_weight=WEIGHTS[weight]))
    close(*results)


@pytest.mark.parametrize("weight", ["none", "scalar", "batch", "column", "integers", "zeros"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_of_one_value_per_sample(reduction, weight, rng):
    y_true, y_pred = rng.normal(size=(2, 2, 3)).astype("float32")
    results = [
        lib.losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, WEIGHTS[weight])
        for lib in (keraunos, keras)
    ]
    close(*results)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_weights_of_samples_go_with_the_batch(reduction, rng):
    """Where Keras fails, or takes them for weights of steps if the sizes happen to agree."""
    y_true, y_pred = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    weight, loss = np.array([1.0, 2, 3], "float32"), losses.MeanSquaredError(reduction=reduction)
    close(loss(y_true, y_pred, weight), loss(y_true, y_pred, weight[:, None]))
    p = jnp.array(y_pred)
    p._keras_mask = jnp.array([[True, True, False], [True, False, False], [True] * 3])
    close(loss(y_true, p, weight), loss(y_true, p, weight[:, None]))


def test_what_is_masked_may_be_nan():
    y_pred = jnp.array([[[1.0], [jnp.nan]]])
    y_pred._keras_mask = jnp.array([[True, False]])
    assert losses.MeanSquaredError()(np.zeros((1, 2, 1)), y_pred) == 1


def test_nothing_but_masked_values_cost_nothing():
    y_pred = jnp.ones((2, 3, 1))
    y_pred._keras_mask = jnp.zeros((2, 3), bool)
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
        assert losses.MeanSquaredError(reduction=reduction)(np.zeros((2, 3, 1)), y_pred) == 0


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_classes_that_are_ignored_do_not_count(reduction, weight):
    y_true, y_pred = np.array([1, 0, 2], "int32"), _softmax(np.eye(3, dtype="float32"))
    weight = None if weight is None else np.array(weight, "float32")
    results = [
        lib.losses.SparseCategoricalCrossentropy(ignore_class=0, reduction=reduction)(
            y_true, y_pred, sample_weight=weight
        )
        for lib in (keraunos, keras)
    ]
    close(*results)


@pytest.mark.parametrize(
    ("true", "pred"),
    [((3,), (3,)), ((3,), (3, 1)), ((3, 1), (3,)), ((3, 1), (3, 3)), ((2, 3), (2, 3, 1)),
     ((2, 3, 1), (2, 3)), ((), (3,)), ((1, 3), (2, 3))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["MeanSquaredError", "LogCosh"])
def test_a_last_axis_of_one_comes_and_goes(name, true, pred, rng):
    y_true, y_pred = (rng.normal(size=shape).astype("float32") for shape in (true, pred))
    close(*(getattr(lib.losses, name)(None)(y_true, y_pred) for lib in (keraunos, keras)))
    fn = {"LogCosh": "log_cosh"}.get(name, "mean_squared_error")
    close(*(getattr(lib.losses, fn)(y_true, y_pred) for lib in (keraunos, keras)))


@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((4,), (4,))], ids=str)
def test_binary_crossentropy_of_one_unit(shapes, rng):
    y_true = rng.integers(0, 2, shapes[0])
    y_pred = rng.uniform(0.1, 0.9, shapes[1]).astype("float32")
    close(*(lib.losses.BinaryCrossentropy()(y_true, y_pred) for lib in (keraunos, keras)))


@pytest.mark.parametrize("pred", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("true", ["int32", "float32", "bfloat16", "uint8"])
@pytest.mark.parametrize("name", ["mean_squared_error", "binary_crossentropy", "hinge", "poisson"])
def test_functions_compute_in_the_dtype_of_the_predictions(name, true, pred):
    y_true, y_pred = jnp.array([[0, 1, 1]], true), jnp.array([[0.25, 0.5, 0.75]], pred)
    ours, theirs = (getattr(lib.losses, name)(y_true, y_pred) for lib in (keraunos, keras))
    close(ours, theirs, rtol=1e-5 if pred == "float32" else 1e-2)


def test_whole_numbers_are_predictions_too():
    close(*(lib.losses.mean_squared_error([[0, 1, 1]], [[1, 1, 0]]) for lib in (keraunos, keras)))
    assert losses.hinge([[0, 1]], [[1, 2]]) == 1 and losses.poisson([[0, 1]], [[1, 1]]) > 0.99


def test_the_gradient_at_a_vector_of_zeros_is_zero():
    assert not jax.grad(lambda p: losses.cosine_similarity([1.0, 0], p))(jnp.zeros(2)).any()


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16", "float16", "mixed_float16"])
def test_classes_compute_in_their_dtype(dtype):
    y_true, y_pred = np.array([[0, 1, 1]]), np.array([[0.25, 0.5, 0.75]])
    results = [
        lib.losses.BinaryCrossentropy(dtype=dtype)(y_true, y_pred) for lib in (keraunos, keras)
    ]
    close(*results, rtol=1e-5 if dtype in (None, "float32") else 1e-2)


def test_class_numbers_are_exact_in_half_precision():
    y_pred = jnp.eye(300)[257:258] * 20
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="bfloat16")
    assert loss(np.array([257]), y_pred) < 1e-3


EXTREMES = [
    ("binary_crossentropy", {}, [0, 1, 0, 1], [0, 1, 1, 0]),
    ("binary_crossentropy", {"from_logits": True}, [0, 1, 0, 1], [-500, 500, 500, -500]),
    ("categorical_crossentropy", {}, [0, 1, 0, 0], [1, 0, 0, 0]),
    ("categorical_crossentropy", {"from_logits": True}, [0, 1, 0, 0], [500, -500, 0, 0]),
    ("sparse_categorical_crossentropy", {}, 1, [1, 0, 0, 0]),
    ("sparse_categorical_crossentropy", {"from_logits": True}, 1, [500, -500, 0, 0]),
    ("sparse_categorical_crossentropy", {}, 5, [0.75, 0.25, 0, 0]),
    ("kl_divergence", {}, [0, 1, 0, 0], [1, 0, 0, 0]),
    ("poisson", {}, [0, 1, 0, 0], [0, 0, 0, 0]),
    ("log_cosh", {}, [0, 1, 0, 0], [500, -500, 0, 0]),
    ("mean_absolute_percentage_error", {}, [0, 1, 0, 0], [1, 0, 0.5, 0.5]),
    ("cosine_similarity", {}, [0, 0, 0, 0], [1, 0, 0, 0]),
    ("cosine_similarity", {}, [1e-4, 0, 0, 0], [1, 1, 0, 0]),
    ("dice", {}, [0, 0, 0, 0], [0, 0, 0, 0]),
    ("tversky", {}, [0, 0, 0, 0], [0, 0, 0, 0]),
    ("hinge", {}, [0, 0.5, 0, 0], [0.3, 0.4, 0, 0]),
]


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), EXTREMES, ids=str)
def test_extremes_have_finite_values_and_gradients(name, kwargs, y_true, y_pred):
    y_true, y_pred = (np.full((2, 3, *np.shape(y)), y, "float32") for y in (y_true, y_pred))
    ours, theirs = (
        value_and_gradient(lambda t, p: getattr(lib.losses, name)(t, p, **kwargs), y_true, y_pred)
        for lib in (keraunos, keras)
    )
    close(ours[0], theirs[0])
    close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "kwargs",
    [{"gamma": 2.0, "margin": 0.1}, {"ref": 3}, {"ref": 3, "remove_diagonal": False}],
    ids=str,
)
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_circle(kwargs, classes, rng):
    kwargs = {"gamma": 3.0, **kwargs}
    y_pred = rng.normal(size=(4, 3)).astype("float32")
    y_pred /= np.linalg.norm(y_pred, axis=1, keepdims=True)
    labels = np.arange(4) % classes
    if rows := kwargs.pop("ref", None):
        kwargs |= {"ref_labels": labels[:rows], "ref_embeddings": y_pred[:rows]}
    ours, theirs = (
        value_and_gradient(lambda t, p: lib.losses.circle(t, p, **kwargs), labels, y_pred, jax.jit)
        for lib in (keraunos, keras)
    )
    close(ours[0], theirs[0], atol=1e-5)
    close(ours[1], theirs[1], rtol=1e-4, atol=1e-5)


def test_circle_takes_vectors_that_are_too_long_for_unit_vectors(rng):
    y_true, y_pred = np.arange(4)[:, None] % 2, 2 * rng.normal(size=(4, 3)).astype("float32")
    close(*(lib.losses.circle(y_true, y_pred) for lib in (keraunos, keras)))


def test_ctc(rng):
    y_true = np.array([[1, 2, 0, 0], [1, 1, 3, 0], [0, 0, 0, 0], [3, 1, 2, 1]], "int32")
    y_pred = rng.normal(size=(4, 5, 4)).astype("float32")
    ours, theirs = (
        value_and_gradient(lib.losses.ctc, y_true, y_pred, jax.jit) for lib in (keraunos, keras)
    )
    close(ours[0], theirs[0])
    close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)
    close(*(lib.losses.CTC()(y_true, y_pred) for lib in (keraunos, keras)))
    impossible = np.array([[1, 1, 1]])
    assert 1e5 < losses.ctc(impossible, y_pred[:1, :3]) < 1.0001e5
    symbols = keraunos.KerasTensor((None, 3), "int32"), keraunos.KerasTensor((None, 5, 4))
    assert losses.ctc(*symbols).shape == (None,)


@pytest.mark.parametrize("q", [0.2, 0.5, 0.9])
def test_generalized_crossentropy(q):
    y_true, y_pred = arrays(*data("labels"))
    name = "categorical_generalized_cross_entropy"
    ours, theirs = (
        value_and_gradient(lambda t, p: getattr(lib.losses, name)(t, p, q), y_true, y_pred)
        for lib in (keraunos, keras)
    )
    close(ours, theirs)
    column = losses.categorical_generalized_cross_entropy(y_true[:, None], y_pred, q)
    close(column, theirs[0])


NAMES = [
    "mse",
    "MSE",
    "mae",
    "MAE",
    "mape",
    "MAPE",
    "msle",
    "MSLE",
    "bce",
    "BCE",
    "kld",
    "KLD",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "dice",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
OLD = {
    "cosine_proximity": "cosine_similarity",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_lower_case_gives_the_function(name):
    found = losses.get(name)
    assert inspect.isfunction(found) and found.__name__ == keras.losses.get(name).__name__
    described = losses.serialize(found)
    assert described == keras.losses.serialize(keras.losses.get(name))
    assert losses.deserialize(described) is found


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_old_names_are_understood(old, new):
    assert losses.get(old) is getattr(losses, new)


@pytest.mark.parametrize("name", sorted({name for name, *_ in CLASSES} | {"CTC"}))
def test_the_name_of_a_class_gives_an_instance(name):
    cls = getattr(losses, name)
    assert type(losses.get(name)) is cls and type(losses.get(cls)) is cls
    assert type(losses.get({"class_name": name, "config": {"name": "a"}})) is cls


def test_get_passes_on_what_is_a_loss_already():
    loss, fn = losses.MeanSquaredError(), lambda y_true, y_pred: y_true
    assert losses.get(loss) is loss and losses.get(fn) is fn and losses.get(None) is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.get("mean_square_error"), ValueError,
         "'mean_square_error' is not one of keras.losses. Did you mean 'mean_squared_error'?"),
        (lambda: losses.get(3), ValueError, "3 is not one of keras.losses"),
        (lambda: losses.MeanSquaredError(reduction="auto"), ValueError,
         "MeanSquaredError needs one of 'sum_over_batch_size', 'sum', 'mean', "
         "'mean_with_sample_weight', 'none', None for `reduction`, got 'auto'."),
        (lambda: losses.Huber(dleta=1), TypeError, "Did you mean `delta`?"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(2), ValueError,
         "CategoricalGeneralizedCrossEntropy needs a number between 0 and 1 for `q`, got 2."),
        (lambda: losses.Loss()(1.0, 2.0), NotImplementedError, "Loss must define `call"),
        (lambda: losses.CategoricalCrossentropy()(np.ones((2, 1)), np.ones((2, 10))), ValueError,
         "categorical_crossentropy needs targets with a number for each of the 10 classes, got "
         "y_true of shape (2, 1) and y_pred of shape (2, 10). If the targets are class numbers, "
         "use sparse_categorical_crossentropy, or make them one-hot by "
         "keras.utils.to_categorical(y_true, 10)."),
        (lambda: losses.categorical_crossentropy(np.ones(2), np.ones((2, 10))), ValueError,
         "use sparse_categorical_crossentropy"),
        (lambda: losses.categorical_crossentropy(np.ones((2, 3)), np.ones((2, 10))), ValueError,
         "got y_true of shape (2, 3) and y_pred of shape (2, 10). The targets have 3 numbers each, "
         "so the last layer must have 3 units."),
        (lambda: losses.categorical_focal_crossentropy(np.ones((2, 1)), np.ones((2, 10))),
         ValueError, "use sparse_categorical_crossentropy"),
        (lambda: losses.sparse_categorical_crossentropy(np.ones((2, 3)), np.ones((2, 3))),
         ValueError, "sparse_categorical_crossentropy needs one class number, below 3, for each "
         "prediction, got y_true of shape (2, 3) and y_pred of shape (2, 3). Targets with a number "
         "for each class are for categorical_crossentropy."),
        (lambda: losses.sparse_categorical_crossentropy(np.ones(3), np.ones((2, 3))), ValueError,
         "y_true of shape (3,) and y_pred of shape (2, 3). y_true needs the shape of y_pred "
         "without its classes."),
        (lambda: losses.BinaryCrossentropy()(np.ones((2, 1)), np.ones((2, 3))), ValueError,
         "binary_crossentropy needs a target for each prediction, got y_true of shape (2, 1) and "
         "y_pred of shape (2, 3)."),
        (lambda: losses.ctc(np.ones(2), np.ones((2, 5))), ValueError, "ctc needs labels of shape "
         "(batch, length) and logits of shape (batch, frames, classes), got y_true of shape (2,) "
         "and y_pred of shape (2, 5)."),
        (lambda: losses.mean_squared_error(np.ones((2, 3)), np.ones((2, 4))), ValueError,
         "mean_squared_error needs targets that fit the predictions, got y_true of shape (2, 3) "
         "and y_pred of shape (2, 4)."),
    ],
)  # fmt: skip
def test_messages(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.CategoricalCrossentropy()(np.ones((2, 1)), np.ones((2, 1))),
        lambda: losses.sparse_categorical_crossentropy(np.zeros(2), np.ones((2, 1))),
    ],
)
def test_one_unit_cannot_tell_classes_apart(call):
    with pytest.warns(SyntaxWarning, match="whose probability is always 1. For yes or no use"):
        call()


def test_users_losses():
    class Weighted(losses.Loss):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * jnp.mean(jnp.square(y_true["a"] - y_pred["a"]), -1)

        def get_config(self):
            return super().get_config() | {"factor": self.factor}

    loss = Weighted(factor=2.0, reduction="sum")
    assert loss.name == "weighted" and Weighted().name == "weighted_1"
    structure = {"a": np.ones((2, 3)), "b": np.ones(2)}
    zeros = {"a": np.zeros((2, 3)), "b": np.zeros(2)}
    assert loss(structure, zeros) == 4 and loss(structure, zeros, [1.0, 0.0]) == 2
    assert Weighted.from_config(loss.get_config()).factor == 2.0
    with keraunos.saving.CustomObjectScope({"Weighted": Weighted}):
        assert losses.deserialize(losses.serialize(loss)).get_config() == loss.get_config()


def test_a_function_of_the_users():
    def distance(y_true, y_pred, power=1):
        return jnp.mean(jnp.abs(y_true - y_pred) ** power, -1)

    loss = losses.LossFunctionWrapper(distance, name="d", power=2)
    assert loss([[1.0, 2.0]], [[1, 4]]) == 2
    config = loss.get_config()
    assert config["power"] == 2 and config["fn"]["config"] == "distance"
    again = losses.deserialize(losses.serialize(loss), {"distance": distance})
    assert again.fn is distance and again.name == "d"


def test_scalars_and_lists():
    scalar = losses.LossFunctionWrapper(lambda y_true, y_pred: jnp.mean(y_pred))
    assert scalar([1.0, 2.0], [2.0, 4.0]) == 3
    assert scalar([1.0, 2.0], [2.0, 4.0], sample_weight=[1.0, 2.0]) == 4.5
    assert losses.mean_squared_error([[1.0, 2.0]], [[1, 3]]) == 0.5
    assert losses.MeanSquaredError()([[1.0, 2.0]], [[1, 3]]) == 0.5
