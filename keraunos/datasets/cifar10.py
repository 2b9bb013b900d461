"""Public `keras.datasets.cifar10`."""

import numpy as np

from keraunos.core import config
from keraunos.datasets.files import Split, read_cifar


def load_data() -> Split:
    """Coloured photographs of 10 classes: 50,000 to train with, 10,000 to test.

    The classes are airplane, automobile, bird, cat, deer, dog, frog, horse, ship and truck.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 `(n, 32, 32, 3)`, or `(n, 3, 32, 32)`
        if `image_data_format()` is "channels_first"; classes, uint8 `(n, 1)`.
    """
    parts = [f"data_batch_{i}" for i in range(1, 6)]
    *train, test = read_cifar(
        "cifar-10-python.tar.gz", "cifar-10-batches-py", [*parts, "test_batch"], "labels"
    )
    images, labels = map(np.concatenate, zip(*train))
    return arranged(images, labels.astype("uint8")), arranged(test[0], test[1].astype("uint8"))


def arranged(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images with channels where `image_data_format()` has them; and their labels."""
    last = config.image_data_format() == "channels_last"
    return images.transpose(0, 2, 3, 1) if last else images, labels
