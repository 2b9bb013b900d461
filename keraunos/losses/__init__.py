"""Losses: functions of targets and predictions, and the classes made of them."""

# ruff: noqa: F401  the names of this package

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.losses.crossentropy import (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    ctc,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from keraunos.losses.loss import Loss, LossFunctionWrapper, deserialize, get, serialize
from keraunos.losses.margins import (
    CategoricalHinge,
    Circle,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    circle,
    hinge,
    squared_hinge,
)
from keraunos.losses.overlap import Dice, Tversky, dice, tversky
from keraunos.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
