"""Public `keras.datasets.mnist`."""

from keraunos.datasets.files import Split, fetch, read_npz


def load_data(path: str = "mnist.npz") -> Split:
    """Handwritten digits: 60,000 to train with, 10,000 to test.

    Args:
        path: What the file is called in `~/.keras/datasets`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images, uint8 `(n, 28, 28)`; digits, uint8 `(n,)`.
    """
    x, y, x_test, y_test = read_npz(
        fetch(path, "mnist.npz"), "x_train", "y_train", "x_test", "y_test"
    )
    return (x, y), (x_test, y_test)
