"""Public `keras.datasets.california_housing`."""

from keraunos.datasets.files import Split, fetch, read_npz, split


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Split:
    """20,640 districts of California in 1990 and their median house prices.

    Args:
        version: "large", or "small" for the first 600.
        path: What the file is called in `~/.keras/datasets`.
        test_split: Share of the rows to test with.
        seed: Of the order of rows.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: float32 `(n, 8)` and, in dollars, `(n,)`.
    """
    if version not in ("small", "large"):
        raise ValueError(
            f"Argument `version` must be one of 'small', 'large'. Received: version={version}"
        )
    x, y = read_npz(fetch(path, "california_housing.npz"), "x", "y")
    rows = slice(600 if version == "small" else None)
    return split(x[rows], y[rows], test_split, seed)
