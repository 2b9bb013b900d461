"""Public `keras.datasets.cifar100`."""

from keraunos.datasets.cifar10 import arranged
from keraunos.datasets.files import Split, read_cifar


def load_data(label_mode: str = "fine") -> Split:
    """Coloured photographs of 100 classes: 50,000 to train with, 10,000 to test.

    Args:
        label_mode: "fine" for 100 classes, "coarse" for the 20 that they belong to.

    Returns:
        `(x_train, y_train), (x_test, y_test)` as of `cifar10.load_data`, but labels are int64.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(
            f'`label_mode` must be one of `"fine"`, `"coarse"`. Received: label_mode={label_mode}.'
        )
    train, test = read_cifar(
        "cifar-100-python.tar.gz", "cifar-100-python", ["train", "test"], f"{label_mode}_labels"
    )
    return arranged(*train), arranged(*test)
