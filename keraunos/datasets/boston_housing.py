"""Public `keras.datasets.boston_housing`."""

from keraunos.datasets.files import Split, fetch, read_npz, split


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Split:
    """506 districts of Boston and their median house prices.

    One of the columns, "B", was made on racist premises: use `california_housing` instead.

    Args:
        path: What the file is called in `~/.keras/datasets`.
        test_split: Share of the rows to test with.
        seed: Of the order of rows.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float64 `(n, 13)` and, in 1000 dollars, `(n,)`.
    """
    x, y = read_npz(fetch(path, "boston_housing.npz"), "x", "y")
    return split(x, y, test_split, seed)
