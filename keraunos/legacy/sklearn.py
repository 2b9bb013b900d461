"""`keras.wrappers.scikit_learn`: functions that build models, as estimators of scikit-learn."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from keraunos.models import Model
from keraunos.utils.arrays import to_categorical


class BaseWrapper:
    """An estimator around the model that `build_fn` makes and compiles.

    Args:
        build_fn: A function or an object that is called; by default the object itself.
        sk_params: Arguments of `build_fn`, and of `fit`, `predict` and `evaluate` of the model.
    """

    def __init__(self, build_fn: Any = None, **sk_params: Any):
        self.build_fn, self.sk_params = build_fn, sk_params
        self.check_params(sk_params)

    def _builder(self) -> Callable:
        return self.__call__ if self.build_fn is None else self.build_fn  # type: ignore

    def check_params(self, params: dict[str, Any]) -> None:
        """Refuse arguments that nothing takes."""
        takers = (Model.fit, Model.predict, Model.evaluate, self._builder())
        known = {name for fn in takers for name in inspect.signature(fn).parameters} | {"nb_epoch"}
        for name in params:
            if name not in known:
                raise ValueError(f"{name} is not a legal parameter")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {**copy.deepcopy(self.sk_params), "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> "BaseWrapper":
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.check_params(params)
        self.sk_params.update(params)
        return self

    def filter_sk_params(self, fn: Callable, override: Any = None) -> dict[str, Any]:
        """Those of the arguments that `fn` takes."""
        known = {*inspect.signature(fn).parameters} | ({"nb_epoch"} if fn == Model.fit else set())
        found = {name: value for name, value in self.sk_params.items() if name in known}
        return found | (override or {})

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Build the model anew, and train it; its `History`."""
        build = self._builder()
        self.model = build(**self.filter_sk_params(build))
        loss = self.model.loss
        name = loss if isinstance(loss, str) else getattr(loss, "__name__", None)
        if name == "categorical_crossentropy" and np.ndim(y) != 2:
            y = to_categorical(y)
        self.history = self.model.fit(x, y, **self.filter_sk_params(Model.fit, kwargs))
        return self.history

    def _predicted(self, x: Any, kwargs: dict) -> np.ndarray:
        return self.model.predict(x, **self.filter_sk_params(Model.predict, kwargs))

    def _scores(self, x: Any, y: Any, kwargs: dict) -> dict[str, float]:
        given = self.filter_sk_params(Model.evaluate, kwargs)
        return self.model.evaluate(x, y, return_dict=True, **given)

    def __sklearn_tags__(self) -> Any:
        from sklearn import base

        kind = base.ClassifierMixin if isinstance(self, KerasClassifier) else base.RegressorMixin
        return type("_", (kind, base.BaseEstimator), {})().__sklearn_tags__()


class KerasClassifier(BaseWrapper):
    """A model as a classifier: labels in, labels out."""

    _estimator_type = "classifier"

    def fit(self, x: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        y = np.array(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_ = np.unique(y)
            y = np.searchsorted(self.classes_, y)
        self.n_classes_ = len(self.classes_)
        if sample_weight is not None:
            kwargs["sample_weight"] = sample_weight
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The label of each sample."""
        found = self._predicted(x, kwargs)
        numbers = found.argmax(-1) if found.shape[-1] > 1 else (found > 0.5).astype(int)
        return self.classes_[numbers]

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """`(samples, classes)`, also where the model has one output."""
        found = self._predicted(x, kwargs)
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The accuracy, which the model must be compiled with."""
        y = np.searchsorted(self.classes_, y)
        loss = self.model.loss
        if getattr(loss, "__name__", loss) == "categorical_crossentropy" and y.ndim != 2:
            y = to_categorical(y)
        scores = self._scores(x, y, kwargs)
        for name in ("accuracy", "acc"):
            if name in scores:
                return scores[name]
        raise ValueError(
            "`score` needs a model that reports its accuracy: pass `metrics=['accuracy']` to "
            "`compile` in the function that builds it."
        )


class KerasRegressor(BaseWrapper):
    """A model as a regressor."""

    _estimator_type = "regressor"

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        return np.squeeze(self._predicted(x, kwargs), axis=-1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Minus the loss, so that larger is better."""
        return -self._scores(x, y, kwargs)["loss"]


__all__ = ["BaseWrapper", "KerasClassifier", "KerasRegressor"]
