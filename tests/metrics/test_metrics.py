"""Metrics beside Keras: two updates, a result, a reset, with weights of every rank; configs."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos
from keraunos import metrics
from keraunos.core import graph
from tests.oracle import close


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def data(kind, shape=(4, 3)):
    """Two batches of targets and predictions; `shape` is that of the predictions."""
    rng = np.random.default_rng(len(kind) + sum(shape))
    for _ in range(2):
        scores = rng.normal(size=shape).astype("float32")
        labels = rng.integers(0, shape[-1], shape[:-1])
        y_true, y_pred = {
            "numbers": (rng.normal(size=shape), scores),
            "positive": (rng.uniform(0.1, 3, shape), rng.uniform(0.1, 3, shape)),
            "bits": (rng.integers(0, 2, shape), rng.uniform(0, 1, shape)),
            "bit logits": (rng.integers(0, 2, shape), 3 * scores),
            "whole": (rng.integers(0, 3, shape), rng.integers(0, 3, shape)),
            "one-hot": (np.eye(shape[-1])[labels], _softmax(scores)),
            "one-hot whole": (np.eye(shape[-1])[labels], rng.integers(0, shape[-1], shape[:-1])),
            "labels": (labels, _softmax(scores)),
            "label column": (labels[..., None], _softmax(scores)),
            "ids": (labels, np.argsort(scores)),
        }[kind]
        yield [x.astype("float32" if x.dtype.kind == "f" else "int32") for x in (y_true, y_pred)]


def run(metric, batches, weights=(None, None)):
    """Variables and result after each update, and after a reset."""
    seen = []
    for batch, weight in zip(batches, weights):
        metric.update_state(*batch, sample_weight=weight)
        seen += [[v.numpy() for v in metric.variables], np.asarray(metric.result())]
    metric.reset_state()
    return [*seen, [v.numpy() for v in metric.variables]]


def both(name, kwargs):
    return [getattr(lib.metrics, name)(**kwargs) for lib in (keraunos, keras)]


def same(name, kwargs, batches, weights=(None, None), **tolerance):
    batches = list(batches)
    ours, theirs = (run(metric, batches, weights) for metric in both(name, kwargs))
    close(ours, theirs, **tolerance)
    return ours


METRICS = [
    ("Accuracy", {}, "whole"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "bits"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("SparseCategoricalAccuracy", {}, "labels"),
    ("SparseCategoricalAccuracy", {}, "label column"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("TopKCategoricalAccuracy", {}, "one-hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "labels"),
    ("SparseTopKCategoricalAccuracy", {"k": 1}, "label column"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "ids"),
    ("MeanSquaredError", {}, "numbers"),
    ("RootMeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("LogCoshError", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {"axis": 1}, "numbers"),
    ("Hinge", {}, "bit logits"),
    ("SquaredHinge", {}, "bit logits"),
    ("CategoricalHinge", {}, "one-hot"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bit logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0, "from_logits": True}, "labels"),
    ("KLDivergence", {}, "one-hot"),
    ("Poisson", {}, "positive"),
    ("PearsonCorrelation", {}, "numbers"),
    ("ConcordanceCorrelation", {}, "numbers"),
    ("TruePositives", {}, "bits"),
    ("FalsePositives", {"thresholds": [0.7, 0.2]}, "bits"),
    ("TrueNegatives", {"thresholds": 0.3}, "bits"),
    ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, "bits"),
    ("Precision", {}, "bits"),
    ("Precision", {"thresholds": [0.7, 0.2]}, "bits"),
    ("Precision", {"top_k": 2}, "bits"),
    ("Precision", {"top_k": 2, "thresholds": 0.6}, "bits"),
    ("Recall", {"class_id": 1}, "bits"),
    ("Recall", {"class_id": 2, "top_k": 2}, "one-hot"),
    ("Recall", {"thresholds": [0.1, 0.4, 0.5]}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 9}, "bits"),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "num_thresholds": 1}, "bits"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 9}, "bits"),
    ("PrecisionAtRecall", {"recall": 0.4, "num_thresholds": 9}, "bits"),
    ("RecallAtPrecision", {"precision": 0.6, "class_id": 1, "num_thresholds": 9}, "bits"),
    ("RecallAtPrecision", {"precision": 1.0, "num_thresholds": 9}, "bits"),
    ("AUC", {}, "bits"),
    ("AUC", {"thresholds": [0.6, 0.2, 0.3]}, "bits"),
    ("AUC", {"num_thresholds": 9, "from_logits": True}, "bit logits"),
    ("AUC", {"num_thresholds": 9}, "bit logits"),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, "whole"),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 1], "ignore_class": 2}, "whole"),
    ("IoU", {"num_classes": 5, "target_class_ids": [4]}, "whole"),
    ("MeanIoU", {"num_classes": 4}, "whole"),
    ("MeanIoU", {"num_classes": 3, "dtype": "float32"}, "whole"),
    ("BinaryIoU", {"dtype": "float32"}, "bits"),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3, "dtype": "float32"}, "bits"),
    ("FBetaScore", {"beta": 2.0}, "one-hot"),
    ("FBetaScore", {"beta": 0.5, "average": "micro"}, "one-hot"),
    ("FBetaScore", {"average": "weighted", "threshold": 0.3}, "bits"),
    ("F1Score", {}, "bits"),
    ("F1Score", {"average": "macro", "threshold": 0.4}, "bits"),
    ("R2Score", {}, "numbers"),
    ("R2Score", {"class_aggregation": None, "num_regressors": 2}, "numbers"),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "numbers"),
]
LAZY = ("FBetaScore", "F1Score", "R2Score")  # for rank 2 alone


@pytest.mark.parametrize(("name", "kwargs", "kind"), METRICS, ids=str)
def test_updates_results_and_resets_are_those_of_keras(name, kwargs, kind):
    same(name, kwargs, data(kind))
    weights = np.array([0.5, 2, 0, 1], "float32"), np.array([1, 0, 3, 1], "int32")
    if name.endswith("IoU"):
        weights = [np.stack([w.round()] * 3, axis=1) for w in weights]
    same(name, kwargs, data(kind), weights)


SEQUENCES = [row for row in METRICS if row[0] not in LAZY][::5]


@pytest.mark.parametrize(("name", "kwargs", "kind"), SEQUENCES, ids=str)
def test_sequences(name, kwargs, kind):
    same(name, kwargs, data(kind, (2, 3, 4)))


@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "MeanIoU", "Precision"])
def test_weights_of_steps(name):
    kwargs = {"num_classes": 4, "sparse_y_pred": False} if name == "MeanIoU" else {}
    y_true, y_pred = next(data("bits" if name == "Precision" else "labels", (2, 3, 4)))
    weight = np.array([[1, 0, 2], [3, 1, 1]], "int32")
    ours, flat = (getattr(metrics, name)(**kwargs) for _ in range(2))
    ours.update_state(y_true, y_pred, weight)
    flat.update_state(y_true.reshape(6, *y_true.shape[2:]), y_pred.reshape(6, 4), weight.ravel())
    close(ours.result(), flat.result())


WEIGHTS = {
    "scalar": 2.0,
    "batch": np.array([1.0, 3.0], "float32"),
    "column": np.array([[1.0], [3.0]], "float32"),
    "all": np.arange(6, dtype="float32").reshape(2, 3),
    "all, and one": np.arange(6, dtype="float32").reshape(2, 3, 1),
    "row": np.array([[1.0, 2, 3]], "float32"),
    "one": np.ones(1, "float32"),
}


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_mean_and_sum_with_weights_of_every_rank(name, weight):
    values = np.arange(6, dtype="float32").reshape(2, 3)
    ours, theirs = both(name, {})
    for metric in (ours, theirs):
        metric.update_state(values, WEIGHTS[weight])
        metric.update_state(values + 1, WEIGHTS[weight])
    close([v.value for v in ours.variables], [v.value for v in theirs.variables])
    close(ours.result(), theirs.result())


@pytest.mark.parametrize(
    ("values", "weight"),
    [((), ()), ((3,), ()), ((3,), (3,)), ((3,), (1,)), ((3,), (3, 1)), ((3, 1), (3,)),
     ((2, 3, 4), (2,)), ((2, 3, 4), (2, 3)), ((2, 3, 4), (2, 3, 1)), ((2, 3, 4), (2, 1, 4)),
     ((2, 3, 4), (2, 3, 4, 1)), ((2, 3, 1), (2, 3)), ((0,), (0,))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_mean_and_sum_of_every_shape(name, values, weight, rng):
    values, weight = rng.normal(size=values), rng.uniform(size=weight)
    ours, theirs = both(name, {})
    for metric in (ours, theirs):
        metric.update_state(values.astype("float32"), weight.astype("float32"))
    close([v.value for v in ours.variables], [v.value for v in theirs.variables], atol=1e-5)


def test_mean_takes_numbers_and_lists():
    mean = metrics.Mean()
    assert mean(3) == 3 and mean([1, 2]) == 2 and mean(4.0, sample_weight=3) == 3
    assert metrics.Mean().result() == 0


@pytest.mark.parametrize("name", ["BinaryAccuracy", "Precision", "AUC", "TruePositives"])
@pytest.mark.parametrize("weight", ["batch", "column", "all"])
def test_weights_of_single_predictions(name, weight):
    if name == "BinaryAccuracy" and weight == "column":
        weight = "batch"
    batches = list(data("bits", (2, 3)))
    same(name, {}, batches, [WEIGHTS[weight]] * 2)


@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((4,), (4,))], ids=str)
@pytest.mark.parametrize(
    "name", ["BinaryAccuracy", "MeanSquaredError", "RootMeanSquaredError", "Precision", "AUC"]
)
def test_a_last_axis_of_one_comes_and_goes(name, shapes):
    batches = [[y.reshape(s) for y, s in zip(batch, shapes)] for batch in data("bits", (4, 1))]
    same(name, {}, batches)


@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
@pytest.mark.parametrize("curve", ["ROC", "PR", "PRGAIN"])
@pytest.mark.parametrize("labels", [{}, {"label_weights": [1.0, 0.5, 2.0]}], ids=str)
@pytest.mark.parametrize("multi", [{}, {"multi_label": True}], ids=str)
def test_areas(curve, method, labels, multi):
    kwargs = {"num_thresholds": 9, "curve": curve, "summation_method": method} | labels | multi
    ours, theirs = both("AUC", kwargs)
    weight = np.array([0.5, 2, 0, 1], "float32")
    for batch in data("bits"):
        for metric in (ours, theirs):
            metric.update_state(*batch, sample_weight=weight)
    close(ours.result(), theirs.result(), rtol=2e-5)


def test_areas_of_labels_that_are_known_have_variables_at_once():
    ours, theirs = both("AUC", {"num_thresholds": 4, "multi_label": True, "num_labels": 3})
    assert [v.shape for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]


@pytest.mark.parametrize(
    "y_pred", [[0.0, 0.25, 0.5, 0.75, 1.0], [-3.0, 0.5, 0.2, 2.0, 0.5]], ids=["edges", "outside"]
)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("AUC", {"num_thresholds": 5}), ("AUC", {"thresholds": [0.5]}), ("Recall", {}),
     ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}),
     ("Recall", {"thresholds": [0.75, 0.5, 0.5]}),
     ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 5})],
    ids=str,
)  # fmt: skip
def test_predictions_on_and_beyond_the_thresholds(name, kwargs, y_pred):
    batch = [np.array([1, 0, 1, 0, 1]), np.array(y_pred, "float32")]
    same(name, kwargs, [batch])


@pytest.mark.parametrize(
    ("name", "kwargs", "kind"),
    [("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 2]}, "one-hot"),
     ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0], "ignore_class": 0}, "one-hot"),
     ("OneHotIoU", {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": True},
      "one-hot whole"),
     ("OneHotMeanIoU", {"num_classes": 3}, "one-hot"),
     ("OneHotMeanIoU", {"num_classes": 4, "axis": 0}, "one-hot"),
     ("MeanIoU", {"num_classes": 3, "sparse_y_true": False, "sparse_y_pred": False}, "one-hot")],
    ids=str,
)  # fmt: skip
def test_overlaps_of_one_hot_tensors(name, kwargs, kind):
    same(name, kwargs, data(kind))


def test_overlaps_do_not_count_numbers_that_are_no_class():
    y = np.array([-1, 0, 1, 7]), np.array([0, 0, 1, 1])
    metric = metrics.IoU(2, [0, 1])
    metric.update_state(*y)
    assert metric.variables[0].numpy().tolist() == [[1, 0], [0, 1]] and metric.result() == 1


@pytest.mark.parametrize("regressors", [0, 1, 3, 7, 9])
def test_r2_is_adjusted_while_there_are_samples(regressors):
    metric = metrics.R2Score(num_regressors=regressors)
    batch = next(data("numbers", (4, 2)))
    plain = metrics.R2Score()(*batch)
    if regressors < 7:
        close(metric(*batch), keras.metrics.R2Score(num_regressors=regressors)(*batch))
    else:
        close(metric(*batch), plain)


def test_r2_of_constant_targets():
    y_true, y_pred = np.ones((3, 2), "float32"), np.zeros((3, 2), "float32")
    close(*(lib.metrics.R2Score()(y_true, y_pred) for lib in (keraunos, keras)))


FUNCTIONS = ["binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
             "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy",
             "pearson_correlation", "concordance_correlation"]  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 6), (2, 3, 6)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, shape):
    kind = "labels" if name.startswith("sparse") else "one-hot"
    y_true, y_pred = next(data(kind, shape))
    ours, theirs = (getattr(lib.metrics, name)(y_true, y_pred) for lib in (keraunos, keras))
    close(ours, theirs)
    symbols = [keraunos.KerasTensor((None, *y.shape[1:])) for y in (y_true, y_pred)]
    known = getattr(metrics, name)(*symbols)
    assert known.shape[1:] == ours.shape[1:] and known.dtype == ours.dtype.name


@pytest.mark.parametrize("k", [1, 2, 3])
def test_classes_that_are_equally_likely_are_all_among_the_likeliest(k):
    y_true, y_pred = np.arange(4), np.array([[0.3, 0.3, 0.2, 0.2]] * 4, "float32")
    fn = "sparse_top_k_categorical_accuracy"
    close(*(getattr(lib.metrics, fn)(y_true, y_pred, k=k) for lib in (keraunos, keras)))


@pytest.mark.parametrize("axis", [0, -1, (0, 1)])
@pytest.mark.parametrize("name", ["pearson_correlation", "concordance_correlation"])
def test_correlations_along_an_axis(name, axis):
    batch = next(data("numbers", (4, 3)))
    close(*(getattr(lib.metrics, name)(*batch, axis=axis) for lib in (keraunos, keras)))


# Masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, np.array([[1.0, 2, 3], [3, 4, 5]], "float32")])
def test_masked_steps_do_not_count(weight, rng):
    y_true, y_pred = rng.integers(0, 4, (2, 3)), rng.normal(size=(2, 3, 4)).astype("float32")
    results = []
    for metric in both("SparseCategoricalAccuracy", {}):
        p = jnp.array(y_pred)
        p._keras_mask = jnp.array([[True, False, False], [True, True, True]])
        metric.update_state(y_true, p, weight)
        results.append([v.value for v in metric.variables])
    close(*results)


def test_masks_go_with_weights_of_samples():
    metric, p = metrics.MeanSquaredError(), jnp.ones((2, 3, 1))
    p._keras_mask = jnp.array([[True, False, False], [True, True, True]])
    metric.update_state(np.zeros((2, 3, 1)), p, np.array([3.0, 1.0]))
    close([v.value for v in metric.variables], [np.float32(2)] * 2)


# Names, configs, states ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kwargs", "kind"), METRICS, ids=str)
def test_signature_config_and_variables_are_those_of_keras(name, kwargs, kind):
    ours, theirs = (getattr(lib.metrics, name) for lib in (keraunos, keras))
    of = lambda fn: [(p.name, p.default) for p in inspect.signature(fn).parameters.values()]
    assert of(ours.__init__) == of(theirs.__init__)
    assert of(ours.update_state) == of(theirs.update_state)
    mine, yours = ours(name="m", **kwargs), theirs(name="m", **kwargs)
    config, told = mine.get_config(), yours.get_config()
    assert {key: config[key] for key in told} == told
    assert config.keys() - told.keys() <= {"axis", "from_sorted_ids"}  # Keras forgets these
    assert [(v.path, v.shape, v.dtype, v.trainable) for v in mine.variables] == [
        (v.path, tuple(v.shape), v.dtype, v.trainable) for v in yours.variables
    ]
    direction = "" if name.startswith(("True", "False")) else yours._direction
    assert (mine._direction or "") == direction
    for described in (metrics.serialize(mine), keras.metrics.serialize(yours)):
        again = metrics.deserialize(described)
        assert type(again) is ours and again.get_config() == {**config, **described["config"]} | {
            key: again.get_config()[key] for key in config.keys() - described["config"].keys()
        }


def test_every_name_of_keras_is_here():
    for library in ("losses", "metrics"):
        names = [n for n in dir(getattr(keras, library)) if not n.startswith("_")]
        assert not [n for n in names if not hasattr(getattr(keraunos, library), n)]


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
    "accuracy",
    "Accuracy",
    "auc",
    "AUC",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "cosine_similarity",
    "f1_score",
    "false_negatives",
    "false_positives",
    "hinge",
    "kl_divergence",
    "mean",
    "mean_absolute_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "precision",
    "r2_score",
    "recall",
    "root_mean_squared_error",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "sum",
    "top_k_categorical_accuracy",
    "true_negatives",
    "true_positives",
    "LogCoshError",
    "Precision",
    "FBetaScore",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_gives_an_instance(name):
    ours, theirs = metrics.get(name), keras.metrics.get(name)
    assert type(ours).__name__ == type(theirs).__name__
    assert type(metrics.get({"class_name": name, "config": {"name": "a"}})) is type(ours)
    assert metrics.Precision().name == "precision" or name in ("precision", "Precision")


def test_get_passes_on_what_is_a_metric_already():
    metric, fn = metrics.Mean(), lambda y_true, y_pred: y_true
    assert metrics.get(metric) is metric and metrics.get(fn) is fn and metrics.get(None) is None
    assert type(metrics.get(metrics.Mean)) is metrics.Mean


def test_a_function_is_wrapped_and_written():
    wrapper = metrics.MeanMetricWrapper(keraunos.losses.binary_crossentropy, from_logits=True)
    theirs = keras.metrics.MeanMetricWrapper(keras.losses.binary_crossentropy, from_logits=True)
    described = metrics.serialize(wrapper)
    assert described == keras.metrics.serialize(theirs)
    again = metrics.deserialize(described)
    assert again.fn is keraunos.losses.binary_crossentropy
    batch = next(data("bit logits"))
    close(again(*batch), theirs(*batch))


def test_metrics_compute_in_their_dtype():
    for metric in both("MeanSquaredError", {"dtype": "bfloat16"}):
        assert metric.dtype == "bfloat16" and metric.variables[0].dtype == "bfloat16"
        assert metric(np.ones((1, 2)), np.zeros((1, 2))).dtype == "bfloat16"
    assert metrics.Mean(dtype="mixed_float16").dtype == "float16"


def test_stateless_calls_leave_the_metric_alone():
    metric = metrics.BinaryAccuracy()
    zeros = metric.stateless_reset_state()
    update = jax.jit(metric.stateless_update_state)
    state = update(zeros, jnp.array([[1.0], [0.0]]), jnp.array([[0.9], [0.8]]))
    assert metric.stateless_result(state) == 0.5
    assert metric.result() == 0 and isinstance(state, list)


def test_metrics_that_wait_for_data_are_built_by_a_trace():
    metric = metrics.F1Score()
    y = keraunos.KerasTensor((4, 3))
    graph.abstract(lambda t, p: metric.update_state(t, p) or p, y, y)
    assert [v.numpy().sum() for v in metric.variables] == [0] * 4
    batch = next(data("one-hot"))
    state = jax.jit(metric.stateless_update_state)(metric.stateless_reset_state(), *batch)
    close(metric.stateless_result(state), keras.metrics.F1Score()(*batch))


class Share(metrics.Metric):
    """A metric as users write them."""

    def __init__(self, name="share", above=0.5, **kwargs):
        super().__init__(name=name, **kwargs)
        self.above = above
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_variable(shape=(), initializer="ones", name="seen")
        self.inner = [metrics.Mean(name="inner")]

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.hits.assign_add(jnp.sum(jnp.asarray(y_pred) > self.above))
        self.seen.assign_add(len(y_pred))
        self.inner[0].update_state(y_pred)

    def result(self):
        return {"share": self.hits / self.seen, "inner": self.inner[0].result()}

    def get_config(self):
        return super().get_config() | {"above": self.above}


def test_users_metrics():
    metric = Share(above=0.3)
    paths = ["share/hits", "share/seen", "inner/total", "inner/count"]
    assert [v.path for v in metric.variables] == paths
    assert repr(metric) == "<Share name=share>"
    result = metric([1.0, 0], [0.2, 0.4])
    close(result, {"share": np.float32(1 / 3), "inner": np.float32(0.3)})
    metric.reset_state()
    assert not any(v.numpy() for v in metric.variables)
    assert Share.from_config(metric.get_config()).above == 0.3
    assert metric.get_config() == {"name": "share", "dtype": "float32", "above": 0.3}
    values, variables = metric.stateless_update_state([0.0, 0, 0, 0], [1], [0.9]), metric.variables
    assert [float(v) for v in values] == pytest.approx([1, 1, 0.9, 1])
    assert not any(v.numpy() for v in variables)


def test_users_wrappers():
    class Distance(metrics.MeanMetricWrapper):
        def __init__(self, name="distance", dtype=None):
            super().__init__(keraunos.losses.mean_absolute_error, name, dtype=dtype)

    assert Distance()([[1.0]], [[3.0]]) == 2 and Distance().name == "distance"

    class Twice(metrics.Mean):
        def result(self):
            return 2 * super().result()

    assert Twice()([1, 3]) == 4 and Twice(name="t").name == "t"


def test_nested_structures_reach_the_function():
    fn = lambda y_true, y_pred: y_true["a"] - y_pred["a"]
    metric = metrics.MeanMetricWrapper(fn, name="n")
    assert metric({"a": np.ones((2, 3))}, {"a": np.zeros((2, 3))}) == 1


class Forgetful(metrics.Metric):
    def __init__(self):
        self.total = self.add_weight(name="total")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.get("acuracy"), ValueError,
         "'acuracy' is not one of keras.metrics. Did you mean 'accuracy'?"),
        (lambda: metrics.Precision(thresholds=1.5), ValueError,
         "Precision needs numbers from 0 to 1 for `thresholds`, got 1.5."),
        (lambda: metrics.Recall(top_k=0), ValueError,
         "Recall needs a positive integer for `top_k`, got 0."),
        (lambda: metrics.Precision(threshold=0.5), TypeError, "Did you mean `thresholds`?"),
        (lambda: metrics.Precision()(np.ones((2, 1)), np.ones((2, 3))), ValueError,
         "precision needs a target for each prediction, got y_true of shape (2, 1) and y_pred of "
         "shape (2, 3)."),
        (lambda: metrics.PrecisionAtRecall(1.5), ValueError,
         "PrecisionAtRecall needs a number from 0 to 1 for `recall`, got 1.5."),
        (lambda: metrics.PrecisionAtRecall(), TypeError, "missing a required argument: 'recall'"),
        (lambda: metrics.AUC(num_thresholds=1), ValueError,
         "AUC needs an integer above 1 for `num_thresholds`, got 1."),
        (lambda: metrics.AUC(curve="x"), ValueError,
         "AUC needs one of ROC, PR, PRGAIN for `curve`, got 'x'."),
        (lambda: metrics.AUC(num_labels=3), ValueError,
         "AUC needs `multi_label=True` for `num_labels`, got 3."),
        (lambda: metrics.IoU(3, [0, 5]), ValueError,
         "IoU has 3 classes, so `target_class_ids` go from 0 to 2, got 5."),
        (lambda: metrics.FBetaScore(average="x"), ValueError,
         "FBetaScore needs one of None, 'micro', 'macro', 'weighted' for `average`, got 'x'."),
        (lambda: metrics.FBetaScore(beta=0), ValueError, "a number above 0 for `beta`, got 0"),
        (lambda: metrics.FBetaScore(threshold=2), ValueError, "at most 1, or None for `threshold`"),
        (lambda: metrics.F1Score()(np.ones(3), np.ones(3)), ValueError,
         "f1_score needs targets and predictions of shape (batch, columns), got y_true of shape "
         "(3,) and y_pred of shape (3,)."),
        (lambda: metrics.F1Score().result(), ValueError,
         "f1_score has seen no data yet; call `update_state` first."),
        (lambda: metrics.R2Score(num_regressors=-1), ValueError,
         "R2Score needs an integer from 0 on for `num_regressors`, got -1."),
        (lambda: metrics.R2Score("x"), ValueError, "R2Score needs one of None, 'uniform_average'"),
        (lambda: metrics.Metric()(1), NotImplementedError, "must define `update_state`"),
        (lambda: metrics.Metric().result(), NotImplementedError, "must define `result`"),
        (lambda: Forgetful(), RuntimeError,
         "Forgetful.__init__ must call `super().__init__()` before it makes variables."),
        (lambda: metrics.Mean(name="m").stateless_result([1.0]), ValueError,
         "m has 2 variables, got 1 values in `metric_variables`. Give one for each of "
         "['m/total', 'm/count']."),
    ],
)  # fmt: skip
def test_messages(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
