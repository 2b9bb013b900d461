"""A model whose batches all have 32 rows, and what it says of another size."""

import numpy as np

import keraunos as keras
from keraunos.layers import LSTM, Dense
from keraunos.models import Sequential


def main() -> dict[str, list[float]]:
    keras.utils.set_random_seed(0)
    steps = np.arange(320)[:, None] / 10 + np.arange(7) / 2
    waves = np.sin(steps)[..., None]  # predict the seventh value from six

    model = Sequential()
    model.add(LSTM(16, batch_size=32, input_shape=(6, 1)))
    model.add(Dense(1))
    model.compile(optimizer="rmsprop", loss="mse")
    assert model.input_shape == (32, 6, 1)
    history = model.fit(waves[:, :6], waves[:, 6], batch_size=32, epochs=10, verbose=2)
    try:
        model.predict(waves[:5, :6], batch_size=5)
    except ValueError as error:
        print("refused, as it should be:", error)
    else:
        raise SystemExit("a batch of 5 was accepted by a model fixed to batches of 32")
    return history.history


if __name__ == "__main__":
    main()
