"""Public `keras.wrappers`: models as estimators of scikit-learn, for its pipelines and searches."""

from typing import Any

import numpy as np

from keraunos.models import Model, clone_model

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        RegressorMixin,
        TransformerMixin,
        clone,
    )
    from sklearn.utils._metadata_requests import _routing_enabled
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        "`keras.wrappers` needs scikit-learn: install it by `pip install keraunos[sklearn]`."
    ) from None

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class _Estimator(BaseEstimator):
    """A compiled model behind `fit`.

    Args:
        model: A compiled model, of which a copy with weights of its own is fitted; or a function
            `model(X, y, **model_kwargs)` that makes one. Targets come in the shape and the
            encoding that the model is fitted on.
        warm_start: Whether a second `fit` goes on with the model of the first. The given model is
            then fitted itself. (Keras accepts this, and starts anew.)
        model_kwargs: For `model`, if it is a function.
        fit_kwargs: For the model's `fit`; those of a call of `fit` go before.
    """

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_clone__(self):
        copied = {k: v for k, v in self.get_params(deep=False).items() if k != "model"}
        return type(self)(self.model, **clone(copied, safe=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    @property
    def epoch_(self) -> int:
        """How many epochs the model was fitted for; by the last `fit`, unless it starts warm."""
        return getattr(self, "_epochs", 0)

    def fit(self, X: Any, y: Any, **kwargs: Any):
        """Fit the model.

        Shapes: `X` is `(samples, features)`, `y` is `(samples,)`.
        """
        X, y = validate_data(self, X=X, y=y)
        y = self._encoded(y)
        given = {**(self.fit_kwargs or {}), **kwargs}
        warm = self.warm_start and hasattr(self, "model_")
        model = self.model_ if warm else self._new_model(X, y)
        self.history_ = model.fit(X, y, **given)
        self._epochs = len(self.history_.epoch) + (self.epoch_ if warm else 0)
        self.model_, self._verbose = model, given.get("verbose", "auto")
        return self

    def _new_model(self, X, y):
        model = self.model
        if not isinstance(model, Model):
            if not callable(model):
                raise TypeError(
                    f"{type(self).__name__} needs a compiled model or a function that makes one "
                    f"for `model`, got {model!r}."
                )
            model = model(X=X, y=y, **(self.model_kwargs or {}))
        elif not self.warm_start:
            model = clone_model(self.model)
            model.compile_from_config(self.model.get_compile_config() or {})
        if not (isinstance(model, Model) and model.compiled and model.loss and model.optimizer):
            raise RuntimeError(
                f"{type(self).__name__} needs a model that is compiled with a loss and an "
                f"optimizer for `model`, got {model!r}: call its `compile` first."
            )
        return model

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """The targets as the model is fitted on them: `(samples, outputs)`."""
        type_of_target(y, raise_unknown=True)
        return y.reshape(-1, 1)

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        """What the model says, in the form of the targets of `fit`."""
        return outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X=X, reset=False)
        return self.model_.predict(X, verbose=self._verbose)

    def predict(self, X: Any) -> np.ndarray:
        """What the model says of each sample, in the form of the targets of `fit`."""
        return self._decoded(self._outputs(X))

    def set_fit_request(self, **kwargs: Any):
        """Say which metadata, as `sample_weight`, `fit` is to get from a pipeline or a search."""
        if not _routing_enabled():
            raise RuntimeError(
                "`set_fit_request` needs metadata routing: call "
                "`sklearn.set_config(enable_metadata_routing=True)` first."
            )
        self._metadata_request = self._get_metadata_request()
        for name, alias in kwargs.items():
            self._metadata_request.fit.add_request(param=name, alias=alias)
        return self


class SKLearnClassifier(ClassifierMixin, _Estimator):
    __doc__ = f"""A model as a classifier, fitted on classes as rows with a one.
    {(_Estimator.__doc__ or "").partition(".")[2]}"""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        if (kind := type_of_target(y, raise_unknown=True)) not in ("binary", "multiclass"):
            raise ValueError(
                f"Only binary and multiclass target types are supported. Target type: {kind}"
            )
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError("Classifier can't train when only one class is present.")
        return np.eye(len(self.classes_))[numbers]

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes_):
            raise ValueError(
                f"SKLearnClassifier needs a model with an output for each of the "
                f"{len(self.classes_)} classes, got outputs of shape {outputs.shape}."
            )
        return self.classes_[outputs.argmax(axis=1)]

    def decision_function(self, X: Any) -> np.ndarray:
        """What the model says of each sample and class: `(samples, classes)`."""
        return self._outputs(X)


class SKLearnRegressor(RegressorMixin, _Estimator):
    __doc__ = f"""A model as a regressor, fitted on numbers in a column.
    {(_Estimator.__doc__ or "").partition(".")[2]}"""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    __doc__ = f"""A model as a step that gives something else for its samples, as an embedding.
    {(_Estimator.__doc__ or "").partition(".")[2]}"""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """What the model says of each sample."""
        return self._outputs(X)
