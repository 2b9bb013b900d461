"""Public `keras.datasets`: small data sets to try models on, downloaded when they are loaded."""

from typing import TYPE_CHECKING

from keraunos.core.past import names_of
from keraunos.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
