"""Text and numbers in, two answers out: the functional API with several inputs and outputs.

Each sample is a passage of 100 words of Python's own manual, and five plain numbers about it; the
question is whether it comes from a page on statements or from one on types and objects. The
auxiliary output makes the LSTM learn from the text alone.
"""

import re
from pydoc_data.topics import topics

import numpy as np

import keraunos as keras
from keraunos.layers import LSTM, Dense, Embedding, Input
from keraunos.models import Model

WORDS, LENGTH = 10_000, 100
STATEMENTS = "assert assignment break class compound del exceptions for function global if import"
STATEMENTS += " nonlocal pass raise return try while with yield lambda comparisons"
TYPES = "types typesseq typesmapping typesmethods numeric specialnames strings bltin-file-objects"
TYPES += " customization context-managers attribute-access sequence-types numeric-types typesset"


def load():
    """`(words (n, 100), numbers (n, 5), labels (n, 1))`, in a random order."""
    passages, labels = [], []
    for label, names in enumerate((STATEMENTS, TYPES)):
        for name in names.split():
            words = re.findall(r"\w+|[^\w\s]", topics.get(name, "").lower())
            for start in range(0, len(words) - LENGTH, 50):
                passages.append(words[start : start + LENGTH])
                labels.append(label)
    numbers = [[np.mean([test(word) for word in words]) for test in TESTS] for words in passages]
    index = {word: i + 1 for i, word in enumerate(sorted({w for p in passages for w in p}))}
    ids = np.array([[index[word] % WORDS for word in words] for words in passages])
    order = np.random.default_rng(0).permutation(len(ids))
    return ids[order], np.array(numbers)[order], np.array(labels)[order, None]


TESTS = (str.isalpha, str.isdigit, lambda w: w == "(", lambda w: len(w) > 7, lambda w: w == '"')


def build() -> Model:
    main_input = Input(shape=(LENGTH,), dtype="int32", name="main_input")
    x = Embedding(output_dim=32, input_dim=WORDS, input_length=LENGTH)(main_input)
    lstm_out = LSTM(32)(x)
    auxiliary_output = Dense(1, activation="sigmoid", name="aux_output")(lstm_out)

    auxiliary_input = Input(shape=(5,), name="aux_input")
    x = keras.layers.concatenate([lstm_out, auxiliary_input])
    for _ in range(3):
        x = Dense(64, activation="relu")(x)
    main_output = Dense(1, activation="sigmoid", name="main_output")(x)
    return Model(inputs=[main_input, auxiliary_input], outputs=[main_output, auxiliary_output])


def main() -> dict[str, list[float]]:
    keras.utils.set_random_seed(0)
    words, numbers, labels = load()
    model = build()
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", loss_weights=[1.0, 0.2])
    model.fit([words, numbers], [labels, labels], epochs=1, batch_size=32, verbose=2)

    model.compile(
        optimizer="rmsprop",
        loss={"main_output": "binary_crossentropy", "aux_output": "binary_crossentropy"},
        loss_weights={"main_output": 1.0, "aux_output": 0.2},
        metrics={"main_output": "accuracy"},
    )
    history = model.fit(
        {"main_input": words, "aux_input": numbers},
        {"main_output": labels, "aux_output": labels},
        epochs=5,
        batch_size=32,
        verbose=2,
    )
    main, aux = model.predict([words[:8], numbers[:8]], verbose=0)
    assert main.shape == aux.shape == (8, 1)
    return history.history


if __name__ == "__main__":
    main()
