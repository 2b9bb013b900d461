"""Two classes from a table: tumours of the breast, benign or malignant (569 real cases)."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import keraunos as keras
from keraunos.layers import Dense
from keraunos.models import Sequential


def main() -> dict[str, list[float]]:
    keras.utils.set_random_seed(0)
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0)

    model = Sequential()
    model.add(Dense(32, activation="relu", input_dim=30))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, y_train, epochs=20, batch_size=32, verbose=2)

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.2%}")
    return history.history


if __name__ == "__main__":
    main()
