"""Models as estimators: scikit-learn's own checks, and the numbers of Keras."""

import keras
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import keraunos
from keraunos.callbacks import History
from keraunos.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from tests.oracle import close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = X @ [1.0, -2.0, 0.5]
CLASSES = np.array(list("abc") * 4)
QUIET = {"verbose": 0}


def linear(library):
    def make(X, y, units=None):
        model = library.Sequential([library.layers.Dense(y.shape[1], kernel_initializer="zeros")])
        model.compile("sgd", "mse")
        return model

    return make


class LeastSquares(keraunos.Model):
    """What an estimator asks of a model, at once."""

    def fit(self, X, y, sample_weight=None, **kwargs):
        self._w = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0].astype("float32")
        self.history = History()
        self.history.epoch = [0]
        return self.history

    def predict(self, X, verbose=0):
        return (np.c_[X, np.ones(len(X))] @ self._w).astype("float32")


def least_squares(X, y):
    model = LeastSquares()
    model.compile("sgd", "mse")
    return model


# What those of Keras fail too: `decision_function` has a column for each of two classes, sample
# weights do not exclude rows.
FAILING = {
    SKLearnClassifier: {
        "check_classifiers_one_label_sample_weights",
        "check_classifiers_train",
        "check_classifiers_classes",
    },
    SKLearnRegressor: set(),
    SKLearnTransformer: set(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FAILING, ids=lambda kind: kind.__name__)
def test_scikit_learns_checks(kind):
    results = check_estimator(kind(least_squares, fit_kwargs=QUIET), on_skip=None, on_fail=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    assert failed <= FAILING[kind]
    assert sum(r["status"] == "passed" for r in results) >= 37


@pytest.mark.parametrize("kind", ["Classifier", "Regressor", "Transformer"])
def test_numbers_of_keras(kind):
    y = CLASSES if kind == "Classifier" else Y
    keras.utils.disable_interactive_logging()
    made = []
    for library in (keraunos, keras):
        wrappers = keraunos.wrappers if library is keraunos else keras.wrappers
        estimator = getattr(wrappers, f"SKLearn{kind}")(linear(library), fit_kwargs=dict(QUIET))
        assert estimator.fit(X, y, epochs=3, shuffle=False) is estimator
        made.append(estimator)
    ours, theirs = made
    raw = "transform" if kind == "Transformer" else "decision_function"
    for method in {raw, "predict"}:
        if hasattr(theirs, method):
            mine, yours = getattr(ours, method)(X), getattr(theirs, method)(X)
            if mine.dtype.kind == "f":
                close(mine, yours)
            else:
                assert (mine == yours).all()
    if kind != "Transformer":
        assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-4)
    assert ours.epoch_ == 3 and ours.history_.epoch == [0, 1, 2]
    assert ours.__sklearn_tags__() == theirs.__sklearn_tags__()
    assert ours.get_params().keys() == theirs.get_params().keys()


def test_a_model_is_copied_unless_the_start_is_warm():
    model = keraunos.Sequential([keraunos.Input((3,)), keraunos.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    cold = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, Y)
    assert cold.model_ is not model
    close(model.get_weights(), before)
    assert clone(cold).model is model
    warm = SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET).fit(X, Y)
    assert warm.model_ is model and warm.fit(X, Y).model_ is model and warm.epoch_ == 2
    once = SKLearnRegressor(linear(keraunos), warm_start=True, fit_kwargs=QUIET).fit(X, Y)
    model = once.model_
    assert once.fit(X, Y).model_ is model


def test_a_search():
    grid = {"model_kwargs": [{"units": 1}, {"units": 2}]}
    search = GridSearchCV(SKLearnRegressor(linear(keraunos), fit_kwargs=QUIET), grid, cv=2)
    assert search.fit(X, Y).best_params_["model_kwargs"] in grid["model_kwargs"]


def test_requests_for_metadata():
    estimator = SKLearnRegressor(least_squares)
    with pytest.raises(RuntimeError, match="`set_fit_request` needs metadata routing"):
        estimator.set_fit_request(sample_weight=True)
    with sklearn.config_context(enable_metadata_routing=True):
        assert estimator.set_fit_request(sample_weight=True) is estimator
        assert estimator.get_metadata_routing().fit.requests == {"sample_weight": True}


@pytest.mark.filterwarnings("ignore:.*would be compared with several")
@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: SKLearnRegressor(3).fit(X, Y), TypeError, "a compiled model or a function"),
        (
            lambda: SKLearnRegressor(keraunos.Sequential()).fit(X, Y),
            RuntimeError,
            "needs a model that is compiled with a loss and an optimizer",
        ),
        (lambda: SKLearnClassifier(least_squares).fit(X, Y), ValueError, "Target type: continuous"),
        (lambda: SKLearnClassifier(least_squares).predict(X), ValueError, "is not fitted yet"),
        (
            lambda: SKLearnClassifier(least_squares).fit(X, ["a"] * 12),
            ValueError,
            "can't train when only one class",
        ),
        (
            lambda: (
                SKLearnClassifier(lambda X, y: linear(keraunos)(X, y[:, :1]), fit_kwargs=QUIET)
                .fit(X, CLASSES)
                .predict(X)
            ),
            ValueError,
            "an output for each of the 3 classes",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
