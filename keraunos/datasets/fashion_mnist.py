"""Public `keras.datasets.fashion_mnist`."""

import os

from keraunos.datasets.files import Split, fetch, read_idx

_FILES = (
    "train-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
)


def load_data() -> Split:
    """Pictures of clothes: 60,000 to train with, 10,000 to test.

    The classes are T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag and
    ankle boot.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 `(n, 28, 28)`; classes, uint8 `(n,)`.
    """
    folder = os.path.join("datasets", "fashion-mnist")
    paths = [fetch(name, name, folder) for name in _FILES]
    y, x, y_test, x_test = (read_idx(path, 1 + 2 * (i % 2)) for i, path in enumerate(paths))
    return (x, y), (x_test, y_test)
