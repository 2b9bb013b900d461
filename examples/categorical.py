"""Ten classes with one-hot targets, written as a list and as a functional graph.

The functional model is then used as a layer, on every step of a sequence of images.
"""

import numpy as np
from sklearn.datasets import load_digits

import keraunos as keras
from keraunos.layers import Activation, Dense, Input, TimeDistributed
from keraunos.models import Model, Sequential


def main() -> dict[str, list[float]]:
    keras.utils.set_random_seed(0)
    images, labels = load_digits(return_X_y=True)
    x, y = images / 16, keras.utils.to_categorical(labels, num_classes=10)

    in_a_row = Sequential(
        [Dense(32, input_shape=(64,)), Activation("relu"), Dense(10), Activation("softmax")]
    )
    in_a_row.compile(optimizer="adagrad", loss="categorical_crossentropy", metrics=["accuracy"])
    in_a_row.fit(x, y, epochs=2, verbose=2)

    inputs = Input(shape=(64,))
    hidden = Dense(64, activation="relu")(inputs)
    hidden = Dense(64, activation="relu")(hidden)
    model = Model(inputs=inputs, outputs=Dense(10, activation="softmax")(hidden))
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=10, validation_split=0.2, verbose=2)

    sequences = Input(shape=(20, 64))
    every_step = Model(inputs=sequences, outputs=TimeDistributed(model)(sequences))
    digits = every_step.predict(x[:100].reshape(5, 20, 64), verbose=0).argmax(-1)
    assert digits.shape == (5, 20)
    assert all(np.array_equal(a, b) for a, b in zip(every_step.get_weights(), model.get_weights()))
    print(f"read {(digits == labels[:100].reshape(5, 20)).mean():.0%} of five sequences right")
    return history.history


if __name__ == "__main__":
    main()
