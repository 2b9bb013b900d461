"""Common mistakes, and what the message about each must name.

`python -m tests.mistakes page` writes docs/errors.md; `... score keras` (or keraunos) says how
many of them a library explains.

A mistake is code as a user would write it in `train.py`. The line that a message must lead to is
marked `#!`; else it is the last one. `what` are regular expressions, divided by " & ", that all
must be found in the message, `fix` is one; `why` is the reason, for the page.
"""

import contextlib
import io
import linecache
import re
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
FILE = "train.py"


class Mistake(NamedTuple):
    name: str
    code: str
    what: str
    fix: str
    why: str


class Told(NamedTuple):
    """What a library said: the kind of error, "warning", or "" if it was silent."""

    kind: str
    text: str
    frames: list[tuple[str, int]]  # of the traceback: file and line


TABLE: dict[str, list[Mistake]] = {
    "Shapes": [
        Mistake(
            "data of another width",
            "mlp().fit(X[:, :3], Y)",
            r"None, 4 & 8, 3",
            r"Input|[Gg]ive|expect",
            "A row of the data must be what the input declares.",
        ),
        Mistake(
            "one sample without a batch axis",
            "mlp().predict(X[0])",
            r"\(None, 4\) & \(4,\)",
            r"\[None\]|expand_dims|batch",
            "Axis 0 always counts samples.",
        ),
        Mistake(
            "data with one axis too many",
            "mlp().predict(X[None])",
            r"\(None, 4\) & \(1, 8, 4\)",
            r"batch|\[0\]|squeeze|reshape",
            "Axis 0 always counts samples.",
        ),
        Mistake(
            "channels first instead of last",
            """
model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 3, 8, 8)), np.ones((4, 1)))
""",
            r"8, 8, 3 & 3, 8, 8",
            r"transpose|moveaxis|channels",
            "Images are (height, width, channels) unless `data_format` says otherwise.",
        ),
        Mistake(
            "`input_shape` with the batch in it",
            """
model = keras.Sequential([layers.Dense(3, input_shape=(8, 4))])  #!
model.compile("sgd", "mse")
model.fit(X, Y)
""",
            r"None, 8, 4 & \(8, 4\)",
            r"without (the|its) batch|batch",
            "`input_shape` and `Input(shape)` leave the batch out.",
        ),
        Mistake(
            "a layer used again at another width",
            """
dense = layers.Dense(2)  #!
dense(keras.Input((3,)))
dense(keras.Input((5,)))
""",
            r"dense & 3 & None, 5",
            r"another|new layer|built",
            "Weights are made for the width that a layer meets first.",
        ),
        Mistake(
            "Flatten forgotten before the classifier",
            """
model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Dense(3)])
model.compile("sgd", "categorical_crossentropy")
model.fit(np.random.rand(8, 8, 8, 1), Y)
""",
            r"8, 3 & 6, 6, 3",
            r"Flatten|GlobalAverage",
            "A Dense layer works on the last axis and keeps the others.",
        ),
        Mistake(
            "images without a channel axis",
            "layers.Conv2D(8, 3)(keras.Input((28, 28)))",
            r"conv2d & None, 28, 28 & 4",
            r"expand_dims|None\]|Reshape|channel",
            "A 2D convolution wants (batch, height, width, channels).",
        ),
        Mistake(
            "sequences without a feature axis in Conv1D",
            "layers.Conv1D(8, 3)(keras.Input((28,)))",
            r"conv1d & None, 28 & 3",
            r"expand_dims|None\]|Reshape|channel",
            "A 1D convolution wants (batch, steps, channels).",
        ),
        Mistake(
            "LSTM on a table",
            "layers.LSTM(8)(keras.Input((4,)))",
            r"lstm & None, 4 & 3",
            r"expand_dims|None\]|Reshape|steps|features",
            "A recurrent layer wants (batch, steps, features).",
        ),
        Mistake(
            "stacked LSTMs without `return_sequences`",
            """
keras.Sequential([
    keras.Input((5, 4)),
    layers.LSTM(8),
    layers.LSTM(8),  #!
])
""",
            r"lstm_1 & None, 8 & 3",
            r"return_sequences",
            "Every recurrent layer but the last must hand on all steps.",
        ),
        Mistake(
            "Dense on numbers without a feature axis",
            "layers.Dense(3)(keras.Input(()))",
            r"dense & \(None,\) & 2",
            r"expand_dims|None\]|Reshape|shape=\(1,\)",
            "A Dense layer wants at least (batch, features).",
        ),
        Mistake(
            "concatenating shapes that do not fit",
            """
a, b = keras.Input((4, 2)), keras.Input((5, 3))
layers.concatenate([a, b])
""",
            r"None, 4, 2 & None, 5, 3",
            r"axis",
            "All axes but the joined one must agree.",
        ),
        Mistake(
            "adding shapes that do not fit",
            """
a, b = keras.Input((4,)), keras.Input((3,))
layers.add([a, b])
""",
            r"4 & 3 & shape",
            r"Dense|same shape|project",
            "Element by element needs equal shapes.",
        ),
        Mistake(
            "merging a single tensor",
            "layers.Add()(keras.Input((4,)))",
            r"[Aa]dd & list",
            r"\[a, b\]|list|at least 2",
            "A merging layer takes a list of tensors.",
        ),
        Mistake(
            "a kernel larger than its input",
            "layers.Conv2D(8, 5)(keras.Input((3, 3, 1)))",
            r"conv2d & 5 & 3",
            r"same|smaller",
            "Without padding the kernel must fit into the image.",
        ),
        Mistake(
            "pooling until nothing is left",
            """
x = keras.Input((4, 4, 1))
x = layers.MaxPooling2D(3)(x)
x = layers.MaxPooling2D(3)(x)  #!
""",
            r"max_pooling2d_1 & None, 1, 1, 1 & 3",
            r"same|smaller|fewer",
            "Each pooling divides the size; small images bear few of them.",
        ),
        Mistake(
            "cropping more than there is",
            "layers.Cropping2D(3)(keras.Input((6, 6, 1)))",
            r"cropping2d & 6, 6, 1|6 & 3",
            r"crop less|smaller|less|greater",
            "Something must be left of each axis.",
        ),
        Mistake(
            "Reshape to another number of elements",
            "layers.Reshape((5, 5))(keras.Input((24,)))",
            r"24 & 5, 5|25",
            r"-1|24 elements|same number|total size",
            "Reshape keeps the number of elements of a sample.",
        ),
        Mistake(
            "Permute with an axis too many",
            "layers.Permute((2, 1, 3))(keras.Input((4, 5)))",
            r"permute|Permute & 2, 1, 3 & None, 4, 5",
            r"one for each axis|2 axes|starts at 1|without|ndim",
            "The permutation names each axis but the batch once.",
        ),
        Mistake(
            "Dense after Flatten of unknown sizes",
            "layers.Dense(2)(layers.Flatten()(keras.Input((None, 3))))",
            r"dense & None, None & last",
            r"Pooling|fixed|known|Input",
            "Weights need a known width.",
        ),
        Mistake(
            "a stateful LSTM without a batch size",
            """
layer = layers.LSTM(4, stateful=True)
layer(keras.Input((5, 3)))
""",
            r"stateful & batch",
            r"batch_size=|batch_shape",
            "The states of a stateful layer are one for each row of a batch.",
        ),
        Mistake(
            "a batch other than the fixed one",
            """
model = keras.Sequential([keras.Input((6, 8), batch_size=32), layers.LSTM(4)])
model.compile("sgd", "mse")
model.predict(np.ones((5, 6, 8)))
""",
            r"32 & 5",
            r"batch_size=",
            "A fixed batch size holds for every batch, the last one too.",
        ),
        Mistake(
            "MultiHeadAttention on a table",
            """
x = keras.Input((8,))
layers.MultiHeadAttention(2, 4)(x, x)
""",
            r"multi_head_attention & None, 8",
            r"expand_dims|None\]|steps|3 axes|axes|rank",
            "Attention wants (batch, steps, features).",
        ),
        Mistake(
            "normalizing an axis that is not there",
            "layers.BatchNormalization(axis=3)(keras.Input((4,)))",
            r"batch_normalization|BatchNormalization & 3 & None, 4",
            r"axis=-1|axis",
            "The channels are on the last axis, -1, unless they are first.",
        ),
        Mistake(
            "TimeDistributed without steps",
            "layers.TimeDistributed(layers.Dense(3))(keras.Input((4,)))",
            r"time_distributed|TimeDistributed & None, 4 & 3",
            r"steps|time|expand_dims",
            "TimeDistributed wants (batch, steps, ...).",
        ),
        Mistake(
            "RepeatVector on a sequence",
            "layers.RepeatVector(3)(keras.Input((4, 5)))",
            r"repeat_vector|RepeatVector & None, 4, 5 & 2",
            r"Flatten|2 axes|return_sequences|ndim=2",
            "RepeatVector wants (batch, features).",
        ),
        Mistake(
            "matrices that do not fit",
            "ops.matmul(keras.Input((4,)), np.ones((5, 3), 'float32'))",
            r"matmul|Matmul|contract|multiply & 4 & 5, 3",
            r"transpose|inner|equal|last axis",
            "The last axis of the first and the next to last of the second are summed.",
        ),
        Mistake(
            "a wrong shape inside of `call`",
            """
class Scale(layers.Layer):
    def call(self, x):
        return x * ops.ones((3,))  #!

Scale()(keras.Input((4,)))
""",
            r"scale & None, 4 & 3",
            r"broadcast|axis|shape",
            "The sizes of an axis must be equal, or one of them 1.",
        ),
    ],
    "Losses and targets": [
        Mistake(
            "class numbers with categorical_crossentropy",
            "mlp().fit(X, LABELS)",
            r"8, 3|None, 3 & \(8,\)|\(8, 1\)",
            r"sparse_categorical_crossentropy|to_categorical",
            "It wants a number for each class.",
        ),
        Mistake(
            "one-hot targets with sparse_categorical_crossentropy",
            "mlp(loss='sparse_categorical_crossentropy').fit(X, Y)",
            r"8, 3",
            r" categorical_crossentropy|argmax",
            "It wants one class number for each sample.",
        ),
        Mistake(
            "a label that is no class",
            "mlp(loss='sparse_categorical_crossentropy').fit(X, LABELS + 2)",
            r"\by\b & 4 & 3",
            r"units|classes|ignore_class|0 to 2",
            "Keras gives such rows no loss, or a wrong one, without a word.",
        ),
        Mistake(
            "labels that start at 1",
            "mlp(loss='sparse_categorical_crossentropy').fit(X, LABELS + 1)",
            r"\by\b & 1 & 3",
            r"y - 1|[Ss]ubtract 1",
            "Classes are numbered from 0.",
        ),
        Mistake(
            "label -1 for what has none",
            """
labels = np.where(LABELS == 2, -1, LABELS)
mlp(loss="sparse_categorical_crossentropy").fit(X, labels)
""",
            r"\by\b & -1",
            r"ignore_class|sample_weight",
            "-1 is no class; the loss must be told to leave it out.",
        ),
        Mistake(
            "fractions as class numbers",
            "mlp(loss='sparse_categorical_crossentropy').fit(X, LABELS / 2)",
            r"\by\b & 0\.5",
            r"integer|whole|round|mse|regression",
            "Class numbers would be cut off to integers.",
        ),
        Mistake(
            "targets -1 and 1 in binary_crossentropy",
            "mlp(1, 'sigmoid', 'binary_crossentropy').fit(X, np.sign(X[:, :1]))",
            r"\by\b & -1 & 1",
            r"\(y \+ 1\) / 2|hinge",
            "Binary crossentropy takes targets from 0 to 1; others give negative losses.",
        ),
        Mistake(
            "pixels as targets of binary_crossentropy",
            "mlp(4, 'sigmoid', 'binary_crossentropy').fit(X, np.abs(X) * 255)",
            r"\by\b & binary_crossentropy",
            r"255|[Ss]cale|0 (to|and) 1",
            "Binary crossentropy takes targets from 0 to 1.",
        ),
        Mistake(
            "two units for yes or no",
            "mlp(2, 'softmax', 'binary_crossentropy').fit(X, LABELS % 2)",
            r"8, 2|None, 2 & \(8,\)|\(8, 1\)",
            r"sparse_categorical_crossentropy|1 unit|Dense\(1|units",
            "Two units are two classes; one sigmoid is enough for yes or no.",
        ),
        Mistake(
            "softmax over one unit",
            "keras.Sequential([keras.Input((4,)), layers.Dense(1, activation='softmax')])",
            r"softmax & 1",
            r"sigmoid",
            "A softmax over one number is always 1.",
        ),
        Mistake(
            "categorical_crossentropy with one unit",
            "mlp(1, 'sigmoid').fit(X, LABELS[:, None] % 2)",
            r"categorical_crossentropy & 1",
            r"binary_crossentropy",
            "Of one class the probability is always 1.",
        ),
        Mistake(
            "several classes at once with a softmax",
            "mlp().fit(X, np.ones((8, 3)))",
            r"\by\b & 3|sum",
            r"sigmoid|binary_crossentropy",
            "A softmax divides one probability among the classes.",
        ),
        Mistake(
            "one target column for three outputs",
            "mlp(3, None, 'mse').fit(X, X[:, :1])",
            r"8, 1 & None, 3|8, 3",
            r"units|Dense\(1",
            "The one column would be compared with each of the outputs.",
        ),
        Mistake(
            "three target columns for one output",
            "mlp(1, None, 'mse').fit(X, X[:, :3])",
            r"8, 3 & None, 1|8, 1",
            r"units|Dense\(3",
            "The one output would be compared with each of the columns.",
        ),
        Mistake(
            "targets that lack an axis",
            "mlp(3, None, 'mse').fit(X[:3], X[:3, 0])",
            r"\(3,\) & None, 3|3, 3",
            r"\[:, None\]|units|expand_dims|reshape",
            "Each target would be compared with the outputs for other samples.",
        ),
        Mistake(
            "one target for every step",
            """
model = keras.Sequential([
    keras.Input((5, 4)),
    layers.LSTM(2, return_sequences=True),
    layers.Dense(1),
])
model.compile("sgd", "mse")
model.fit(np.random.rand(8, 5, 4), X[:, :1])
""",
            r"8, 1 & None, 5, 1|8, 5, 1",
            r"return_sequences",
            "The one target would be compared with the output of each step.",
        ),
        Mistake(
            "softmax and `from_logits=True`",
            "mlp(loss=keras.losses.CategoricalCrossentropy(from_logits=True)).fit(X, Y)",
            r"softmax & from_logits",
            r"from_logits=False|remove|without|activation",
            "The softmax would be taken twice.",
        ),
        Mistake(
            "sigmoid and `from_logits=True`",
            """
loss = keras.losses.BinaryCrossentropy(from_logits=True)
mlp(1, "sigmoid", loss).fit(X, LABELS[:, None] % 2)
""",
            r"sigmoid & from_logits",
            r"from_logits=False|remove|without|activation",
            "The sigmoid would be taken twice.",
        ),
        Mistake(
            "logits taken for probabilities",
            "mlp(3, None, 'sparse_categorical_crossentropy').fit(X, LABELS)",
            r"sparse_categorical_crossentropy & out",
            r"from_logits=True|softmax",
            "What is not from 0 to 1 is cut off, and does not learn.",
        ),
        Mistake(
            "a logit taken for a probability",
            "mlp(1, 'tanh', 'binary_crossentropy').fit(X, LABELS[:, None] % 2)",
            r"binary_crossentropy & out",
            r"from_logits=True|sigmoid",
            "What is not from 0 to 1 is cut off, and does not learn.",
        ),
        Mistake(
            "as many losses as there are no outputs",
            "two(loss=['mse'] * 3).fit(PAIR, TARGETS)",
            r"loss & 3 & 2",
            r"one for each|p, q|expect",
            "One loss for each output, in their order or by name.",
        ),
        Mistake(
            "a loss for an output that does not exist",
            "two(loss={'p': 'mse', 'qq': 'mse'}).fit(PAIR, TARGETS)",
            r"qq & \bp\b",
            r"mean 'q'|outputs are|keys|p.*q",
            "Losses in a dict go by the names of output layers.",
        ),
        Mistake(
            "a weight for an output that does not exist",
            "two(loss_weights={'p': 1.0, 'r': 2.0}).fit(PAIR, TARGETS)",
            r"loss_weights & \br\b",
            r"outputs are|p.*q",
            "Weights in a dict go by the names of output layers.",
        ),
        Mistake(
            "a metric for an output that does not exist",
            "two(metrics={'p': 'mae', 'r': 'mae'}).fit(PAIR, TARGETS)",
            r"metrics & \br\b",
            r"outputs are|p.*q",
            "Metrics in a dict go by the names of output layers.",
        ),
        Mistake(
            "no targets",
            "mlp().fit(X)",
            r"\by\b|targets & loss",
            r"fit\(x, y\)|[Gg]ive|[Pp]ass|y=None|needs",
            "A loss compares with targets.",
        ),
        Mistake(
            "no targets in the batches",
            "mlp().fit(iter([X]), steps_per_epoch=1)",
            r"\by\b|targets & loss",
            r"\(x, y\)|yield|[Pp]ass",
            "Batches with targets are tuples.",
        ),
        Mistake(
            "targets beside batches",
            "mlp().fit(iter([(X, Y)]), Y)",
            r"`y` & iterator|generator",
            r"None|yield|gives|batches",
            "The batches hold the targets themselves.",
        ),
        Mistake(
            "too few targets",
            "two().fit(PAIR, TARGETS[:1])",
            r"\by\b & 1 & 2",
            r"p, q|one for each|expect",
            "Each output with a loss has a target.",
        ),
        Mistake(
            "a misspelt output in the targets",
            "two().fit(PAIR, {'p': TARGETS[0], 'qq': TARGETS[1]})",
            r"\by\b & qq",
            r"mean 'q'|outputs are|p.*q",
            "Targets in a dict go by the names of output layers.",
        ),
        Mistake(
            "an output without a target",
            "two().fit(PAIR, {'p': TARGETS[0]})",
            r"\bq\b & \by\b",
            r"[Gg]ive|leave|key",
            "Each output with a loss has a target.",
        ),
        Mistake(
            "words as targets",
            "mlp(loss='sparse_categorical_crossentropy').fit(X, np.array(['cat', 'dog'] * 4))",
            r"\by\b & cat|str|<U3",
            r"StringLookup|np.unique",
            "A loss computes with numbers.",
        ),
        Mistake(
            "NaN in the targets",
            """
targets = X[:, :1].copy()
targets[3] = np.nan
mlp(1, None, "mse").fit(X, targets)
""",
            r"\by\b & NaN|nan & 3|row",
            r"isnan|isfinite|[Ff]ill|drop",
            "One NaN makes the loss and then every weight NaN.",
        ),
        Mistake(
            "weights for other samples",
            "mlp().fit(X, Y, sample_weight=np.ones(5))",
            r"sample_weight & 5 & 8",
            r"same number|samples|cardinality",
            "One weight for each sample.",
        ),
        Mistake(
            "sample weights of a shape that does not fit",
            "mlp().fit(X, Y, sample_weight=np.ones((8, 2)))",
            r"sample_weight & 8, 2",
            r"\(8,\)|one (number|weight)|1D|shape",
            "One weight for each sample.",
        ),
        Mistake(
            "a weight for a class that does not exist",
            "mlp().fit(X, Y, class_weight={0: 1.0, 1: 2.0, 7: 3.0})",
            r"class_weight & 7",
            r"0 to 2|3 classes|classes",
            "Its keys are class numbers.",
        ),
        Mistake(
            "class weights by words",
            "mlp().fit(X, Y, class_weight={'cat': 1.0, 'dog': 2.0})",
            r"class_weight & cat",
            r"number|integer|0",
            "Its keys are class numbers.",
        ),
        Mistake(
            "class weights with two outputs",
            "two().fit(PAIR, TARGETS, class_weight={0: 1.0, 1: 2.0})",
            r"class_weight & output",
            r"sample_weight|single|one",
            "It does not say for which output.",
        ),
    ],
    "Data": [
        Mistake(
            "NaN in the inputs",
            """
data = X.copy()
data[3, 1] = np.nan
mlp().fit(data, Y)
""",
            r"\bx\b & NaN|nan & 3|row",
            r"isnan|isfinite|[Ff]ill|drop|nan_to_num",
            "One NaN makes the loss and then every weight NaN.",
        ),
        Mistake(
            "infinity in the inputs",
            """
with np.errstate(divide="ignore"):
    data = np.log(np.zeros((8, 4)))
mlp().fit(data, Y)
""",
            r"\bx\b & inf",
            r"isfinite|clip|drop|[Ff]ill",
            "Infinity times a weight of 0 is NaN.",
        ),
        Mistake(
            "words as inputs",
            "mlp().fit(np.array([['a', 'b', 'c', 'd']] * 8), Y)",
            r"\bx\b & 'a'|<U1|str",
            r"StringLookup|TextVectorization|astype",
            "Layers compute with numbers.",
        ),
        Mistake(
            "lists of several lengths",
            """
rows = np.array([[1, 2], [1, 2, 3], [1], [2]] * 2, dtype=object)
mlp().fit(rows, Y)
""",
            r"\bx\b & object",
            r"pad_sequences|astype",
            "An array of objects has no numbers to compute with.",
        ),
        Mistake(
            "arrays of different lengths",
            "mlp().fit(X, Y[:5])",
            r"\bx\b & 8 & \by\b & 5",
            r"same number|cardinality|samples",
            "Rows of x and y belong together.",
        ),
        Mistake(
            "no data",
            "mlp().fit(X[:0], Y[:0])",
            r"empty|no samples|0 samples|size 0",
            r"filter|path|x, y|data",
            "There is nothing to learn from.",
        ),
        Mistake(
            "a pair instead of two arguments",
            "mlp().fit((X, Y))",
            r"2 & 1|\by\b",
            r"fit\(x, y\)|Dataset",
            "A tuple is a model's several inputs.",
        ),
        Mistake(
            "an embedding of fewer words than there are",
            """
model = keras.Sequential([keras.Input((4,)), layers.Embedding(10, 2), layers.Flatten(), layers.Dense(3)])  #!
model.compile("sgd", "mse")
model.fit(np.full((8, 4), 10), Y)
""",
            r"\bx\b & 10 & embedding",
            r"input_dim=11|input_dim",
            "On JAX a too large id gives a row of NaN, without a word.",
        ),
        Mistake(
            "a negative id",
            """
model = keras.Sequential([keras.Input((4,)), layers.Embedding(10, 2), layers.Flatten(), layers.Dense(3)])  #!
model.compile("sgd", "mse")
model.fit(np.full((8, 4), -1), Y)
""",
            r"\bx\b & -1 & embedding",
            r"mask_zero|0 to 9|\+ 1",
            "On JAX -1 gives the last row, without a word.",
        ),
        Mistake(
            "pixels that nobody scaled",
            """
pixels = np.random.default_rng(0).integers(0, 256, (200, 4))
mlp().fit(pixels.astype("float32"), Y.repeat(25, axis=0))
""",
            r"\bx\b & 255",
            r"Rescaling|/ 255|Normalization",
            "Large inputs make large gradients: training starts badly, or never.",
        ),
        Mistake(
            "inputs that are all the same",
            "mlp().fit(np.ones((200, 4)), Y.repeat(25, axis=0))",
            r"\bx\b & 1",
            r"loading|cast|division|read",
            "Nothing can be learned from a constant; often an integer division made it.",
        ),
        Mistake(
            "a misspelt input",
            "two().fit({'first': X, 'secnd': PAIR[1]}, TARGETS)",
            r"second & secnd",
            r"mean",
            "Arrays in a dict go by the names of inputs.",
        ),
        Mistake(
            "an input that nobody reads",
            "two().fit({'first': X, 'second': PAIR[1], 'third': X}, TARGETS)",
            r"third",
            r"first, second|inputs are|not used",
            "Arrays in a dict go by the names of inputs.",
        ),
        Mistake(
            "too few inputs",
            "two().predict(PAIR[:1])",
            r"2 & 1 & first|input",
            r"first, second|expect",
            "Each input takes an array.",
        ),
        Mistake(
            "batches that end too early",
            """
batches = ((X, Y) for _ in range(3))
mlp().fit(batches, steps_per_epoch=2, epochs=4)
""",
            r"steps_per_epoch|ran out|ended",
            r"steps_per_epoch \* epochs|repeat|batches",
            "A generator is read once, all epochs together.",
        ),
        Mistake(
            "batches of another width",
            "mlp().fit(iter([(X[:, :3], Y)]), steps_per_epoch=1)",
            r"None, 4 & 8, 3",
            r"Input|[Gg]ive|expect",
            "A row of the data must be what the input declares.",
        ),
        Mistake(
            "validation data without targets",
            "mlp().fit(X, Y, validation_data=X)",
            r"validation_data",
            r"\(x, y\)|tuple",
            "Validation computes the loss too.",
        ),
        Mistake(
            "validation data of another width",
            "mlp().fit(X, Y, validation_data=(X[:, :3], Y))",
            r"None, 4 & 8, 3",
            r"validation_data|Input|expect",
            "It goes through the same model.",
        ),
        Mistake(
            "a split that is no share",
            "mlp().fit(X, Y, validation_split=20)",
            r"validation_split & 20",
            r"0\.2|between 0 and 1|0 and 1",
            "It is the share of the rows to validate on.",
        ),
        Mistake(
            "a split of batches",
            "mlp().fit(iter([(X, Y)]), validation_split=0.2)",
            r"validation_split & iterator|generator|array",
            r"validation_data|array",
            "Only arrays can be cut.",
        ),
        Mistake(
            "half a batch",
            "mlp().fit(X, Y, batch_size=0.5)",
            r"batch_size & 0\.5",
            r"positive integer|integer",
            "It counts rows.",
        ),
        Mistake(
            "no epochs",
            "mlp().fit(X, Y, epochs='3')",
            r"epochs & '3'",
            r"positive integer|integer",
            "It counts passes over the data.",
        ),
    ],
    "Arguments": [
        Mistake(
            "a misspelt activation",
            "layers.Dense(3, activation='rellu')",
            r"rellu & activation",
            r"'relu'",
            "Names are those of `keras.activations`.",
        ),
        Mistake(
            "a misspelt argument",
            "layers.Dense(3, activaton='relu')",
            r"activaton & Dense",
            r"`activation`",
            "",
        ),
        Mistake(
            "an argument that is missing",
            "layers.Dense()",
            r"units & Dense",
            r"units",
            "",
        ),
        Mistake(
            "half a unit",
            "layers.Dense(3.5)",
            r"units & 3\.5",
            r"positive integer|integer",
            "Units are counted.",
        ),
        Mistake(
            "fewer units than one",
            "layers.Dense(-2)",
            r"units & -2",
            r"positive integer|positive|greater",
            "Units are counted.",
        ),
        Mistake(
            "units as a word",
            "layers.Dense('relu')",
            r"units & relu",
            r"positive integer|integer",
            "The first argument is the number of units.",
        ),
        Mistake(
            "a kernel of three sizes for two axes",
            "layers.Conv2D(8, (3, 3, 3))",
            r"kernel_size & 3, 3, 3",
            r"2",
            "One size for each axis that the kernel moves along.",
        ),
        Mistake(
            "a padding that does not exist",
            "layers.Conv2D(8, 3, padding='smae')",
            r"padding & smae",
            r"same",
            "",
        ),
        Mistake(
            "a dropout in percent",
            "layers.Dropout(50)",
            r"rate|Dropout & 50",
            r"0\.5|0 (to|and) 1",
            "It is a share.",
        ),
        Mistake(
            "an initializer that does not exist",
            "layers.Dense(3, kernel_initializer='glorot')",
            r"glorot & initializer",
            r"glorot_(uniform|normal)",
            "Names are those of `keras.initializers`.",
        ),
        Mistake(
            "a number as a regularizer",
            "layers.Dense(3, kernel_regularizer=0.01)",
            r"0\.01 & regularizer",
            r"L2\(|l2\(|'l2'",
            "A number does not say of what kind the penalty is.",
        ),
        Mistake(
            "a dtype that does not exist",
            "layers.Dense(3, dtype='float31')",
            r"float31",
            r"float32",
            "",
        ),
        Mistake(
            "a class instead of a layer",
            "keras.Sequential([keras.Input((4,)), layers.Dense])",
            r"Dense & class|type|instance",
            r"Dense\(",
            "A model is made of layers, and a layer by calling its class.",
        ),
        Mistake(
            "a function instead of a layer",
            "keras.Sequential([keras.Input((4,)), lambda x: x * 2])",
            r"function|lambda & [Ll]ayer",
            r"Lambda",
            "",
        ),
        Mistake(
            "a name with a slash",
            "layers.Dense(3, name='block/dense')",
            r"block/dense & name",
            r"'_'|_|without|no '/'|cannot contain|string",
            "Slashes divide the names in a path.",
        ),
        Mistake(
            "a number as an input's shape",
            "keras.Input(4)",
            r"shape & 4",
            r"\(4,\)|tuple",
            "A shape is a tuple, without the batch.",
        ),
        Mistake(
            "a misspelt optimizer",
            "mlp(optimizer='adamm')",
            r"adamm & optimizer",
            r"'adam'",
            "Names are those of `keras.optimizers`.",
        ),
        Mistake(
            "a misspelt argument of an optimizer",
            "keras.optimizers.Adam(learning_rat=0.1)",
            r"learning_rat\b & Adam|[Aa]rgument",
            r"learning_rate\b",
            "",
        ),
        Mistake(
            "a negative learning rate",
            "keras.optimizers.SGD(-0.1)",
            r"learning_rate & -0\.1",
            r"positive|not negative|uphill",
            "The loss would grow.",
        ),
        Mistake(
            "a learning rate as text",
            "keras.optimizers.SGD('0.1')",
            r"learning_rate & '?0\.1",
            r"number|float|schedule",
            "",
        ),
        Mistake(
            "a misspelt loss",
            "mlp(loss='categorical_crossentropi')",
            r"categorical_crossentropi\b & loss",
            r"'categorical_crossentropy'",
            "Names are those of `keras.losses`.",
        ),
        Mistake(
            "a misspelt metric",
            "mlp(metrics=['acuracy'])",
            r"acuracy & metric",
            r"'accuracy'",
            "Names are those of `keras.metrics`.",
        ),
        Mistake(
            "a misspelt argument of `fit`",
            "mlp().fit(X, Y, epoch=3)",
            r"epoch\b & fit",
            r"`?epochs`?",
            "",
        ),
        Mistake(
            "a misspelt argument of a call",
            "layers.Dropout(0.5)(X, trainig=True)",
            r"trainig\b",
            r"`?training`?\b",
            "",
        ),
    ],
    "Models": [
        Mistake(
            "`fit` before `compile`",
            "keras.Sequential([layers.Dense(1)]).fit(X, Y)",
            r"compile & fit",
            r"model\.compile\(|call `compile|compile\(\)",
            "Somebody must say what to minimize, and how.",
        ),
        Mistake(
            "two layers of one name",
            """
keras.Sequential([
    layers.Dense(1, name="a"),
    layers.Dense(1, name="a"),  #!
])
""",
            r"'a'|\ba\b & name",
            r"another|unique",
            "Names tell layers, and their weights in files, apart.",
        ),
        Mistake(
            "an input that was left out",
            """
a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
keras.Model(a, layers.add([a, b]))
""",
            r"\bb\b & input",
            r"Add it|to `inputs`|disconnected",
            "The graph must lead from the inputs to the outputs.",
        ),
        Mistake(
            "inputs and outputs exchanged",
            """
x = keras.Input((4,))
y = layers.Dense(2)(x)
keras.Model(y, x)
""",
            r"input & output",
            r"exchang|order|Model\(inputs, outputs\)|disconnected",
            "A model goes from its inputs to its outputs.",
        ),
        Mistake(
            "an array as a model's input",
            "keras.Model(X, layers.Dense(2)(keras.Input((4,))))",
            r"inputs & array|ndarray",
            r"keras\.Input|Input",
            "A graph starts at symbolic tensors.",
        ),
        Mistake(
            "no outputs",
            "keras.Model(keras.Input((4,)))",
            r"outputs",
            r"missing|needs|outputs=|required",
            "",
        ),
        Mistake(
            "a layer that was not called",
            """
x = layers.Dense(3)
layers.Dense(2)(x)
""",
            r"Dense & tensor",
            r"\(x\)|[Cc]all it|called",
            "A layer takes tensors, and is called to give one.",
        ),
        Mistake(
            "a layer called on nothing",
            "layers.Dense(3)()",
            r"inputs & missing|call",
            r"inputs|argument",
            "",
        ),
        Mistake(
            "two outputs in a Sequential",
            """
keras.Sequential([
    keras.Input((5, 4)),
    layers.LSTM(3, return_state=True),  #!
    layers.Dense(2),
])
""",
            r"lstm|dense & 3|list|multiple",
            r"keras\.Model|Functional|return_state",
            "A Sequential hands one tensor from layer to layer.",
        ),
        Mistake(
            "an Input in the middle",
            "keras.Sequential([keras.Input((4,)), layers.Dense(2), keras.Input((2,))])",
            r"[Ii]nput",
            r"first|starts",
            "",
        ),
        Mistake(
            "a layer that is not there",
            "mlp().get_layer('outt')",
            r"outt",
            r"'out'|\bout\b",
            "",
        ),
        Mistake(
            "counting before building",
            "keras.Sequential([layers.Dense(2)]).count_params()",
            r"built|build",
            r"build\(|call|Input",
            "Weights are made when the input's width is known.",
        ),
        Mistake(
            "a Bidirectional of something else",
            "layers.Bidirectional(layers.Dense(3))",
            r"Bidirectional & Dense|layer",
            r"RNN|LSTM|recurrent",
            "Only recurrent layers have a direction.",
        ),
        Mistake(
            "too few weights",
            """
model = mlp()
model.set_weights(model.get_weights()[:1])
""",
            r"1 & 2",
            r"get_weights|kernel|bias|expect",
            "One array for each variable, in their order.",
        ),
        Mistake(
            "weights of another shape",
            """
model = mlp()
model.set_weights([w.T for w in model.get_weights()])
""",
            r"4, 3 & 3, 4",
            r"kernel|must|expected",
            "",
        ),
        Mistake(
            "layers frozen after `compile`",
            """
model = mlp()
model.layers[0].trainable = False
model.fit(X, Y)
""",
            r"trainable & out|compile",
            r"compile",
            "It takes effect at once, here as in Keras, though Keras 1 and 2 waited for `compile`.",
        ),
        Mistake(
            "a mask that ends at a layer",
            """
x = layers.Embedding(9, 4, mask_zero=True)(keras.Input((5,)))
layers.LSTM(2)(layers.Flatten()(x)[:, :, None])
""",
            r"flatten & mask",
            r"supports_masking|mask_zero",
            "Padding would count as data from there on.",
        ),
    ],
    "Code of your own": [
        Mistake(
            "a Python `if` on a symbolic tensor",
            """
x = keras.Input((2,))
y = x if ops.sum(x) > 0 else -x
""",
            r"KerasTensor|[Tt]ensor & bool|truth|if",
            r"ops\.where|ops\.cond",
            "It stands for a value that is not known yet.",
        ),
        Mistake(
            "NumPy on a symbolic tensor",
            "np.sin(keras.Input((2,)))",
            r"KerasTensor & NumPy|numpy",
            r"keras\.ops",
            "NumPy computes with values that are there.",
        ),
        Mistake(
            "a loop over a symbolic tensor",
            """
for row in keras.Input((2,)):
    pass
""",
            r"KerasTensor & iter",
            r"unstack|vectorized_map|ops\.",
            "How many rows there are is not known yet.",
        ),
        Mistake(
            "`super().__init__()` forgotten",
            """
class Mine(layers.Layer):
    def __init__(self):
        self.dense = layers.Dense(3)

Mine()(X)
""",
            r"Mine & __init__",
            r"super\(\)\.__init__\(\)",
            "It makes the lists in which layers and weights are kept.",
        ),
        Mistake(
            "no `call`",
            """
class Mine(layers.Layer):
    def forward(self, x):
        return x

Mine()(X)
""",
            r"Mine & call",
            r"def call|define|implement",
            "",
        ),
        Mistake(
            "`call` without `return`",
            """
class Mine(layers.Layer):
    def call(self, x):
        ops.relu(x)

layers.Dense(2)(Mine()(keras.Input((4,))))
""",
            r"[Mm]ine|dense & None",
            r"return",
            "",
        ),
        Mistake(
            "`build` forgotten",
            """
class Mine(layers.Layer):
    def call(self, x):
        return ops.matmul(x, self.kernel)  #!

Mine()(keras.Input((4,)))
""",
            r"[Mm]ine & kernel",
            r"build|add_weight",
            "Weights are made in `build`, when the width is known.",
        ),
        Mistake(
            "a Python `if` in `call`",
            """
class Gate(layers.Layer):
    def call(self, x):
        if ops.sum(x) > 0:  #!
            return x
        return -x

Gate()(keras.Input((4,)))
""",
            r"[Gg]ate & if|bool",
            r"ops\.where|ops\.cond",
            "One program is compiled for all values.",
        ),
        Mistake(
            "NumPy in `call`",
            """
class Norm(layers.Layer):
    def call(self, x):
        return x / np.linalg.norm(x)  #!

Norm()(keras.Input((4,)))
""",
            r"[Nn]orm & NumPy|numpy",
            r"ops\.(linalg\.)?norm",
            "NumPy computes with values that are there.",
        ),
        Mistake(
            "`float` in `call`",
            """
class Scale(layers.Layer):
    def call(self, x):
        return x * float(ops.max(x))  #!

Scale()(keras.Input((4,)))
""",
            r"[Ss]cale & float",
            r"without|leave|ops\.cast|astype",
            "There is no number yet that Python could hold.",
        ),
        Mistake(
            "a `range` over a tensor in `call`",
            """
class Loop(layers.Layer):
    def call(self, x):
        for i in range(ops.argmax(x[0])):  #!
            x = x + 1
        return x

Loop()(keras.Input((4,)))
""",
            r"[Ll]oop & integer|index|int|range",
            r"fori_loop|while_loop|scan",
            "How often is not known when the program is made.",
        ),
        Mistake(
            "rows chosen by a condition in `call`",
            """
class Positive(layers.Layer):
    def call(self, x):
        return x[x > 0]  #!

Positive()(keras.Input((4,)))
""",
            r"[Pp]ositive & bool|shape",
            r"ops\.where",
            "Shapes must not depend on values.",
        ),
        Mistake(
            "assigning to a part of a tensor",
            """
class Zero(layers.Layer):
    def call(self, x):
        x[:, 0] = 0  #!
        return x

Zero()(keras.Input((4,)))
""",
            r"[Zz]ero & assign|immutable",
            r"slice_update|scatter|ops\.where|\.at\[",
            "Tensors do not change.",
        ),
        Mistake(
            "`.numpy()` in `call`",
            """
class Show(layers.Layer):
    def call(self, x):
        print(x.numpy())  #!
        return x

Show()(keras.Input((4,)))
""",
            r"[Ss]how & numpy",
            r"ops\.convert_to_numpy|run_eagerly|jax\.debug\.print",
            "There is no value yet to be shown.",
        ),
        Mistake(
            "a tensor kept from another call",
            """
class Memory(layers.Layer):
    kept = None

    def call(self, x):
        if self.kept is not None:
            x = x + self.kept
        self.kept = ops.mean(x)  #!
        return x

inputs = keras.Input((4,))
keras.Model(inputs, Memory()(inputs)).predict(X)
""",
            r"kept|leak & another|escape",
            r"add_weight|Variable|assign",
            "A tensor of a program does not outlive it; a weight does.",
        ),
        Mistake(
            "a layer made in `call`",
            """
class Mine(layers.Layer):
    def call(self, x):
        return layers.Dense(3)(x)  #!

Mine()(keras.Input((4,)))
""",
            r"[Mm]ine|Dense|dense & call",
            r"__init__|build",
            "Its weights would be made anew in each call, and never be trained.",
        ),
        Mistake(
            "a list of layers that is not seen",
            """
class Mine(keras.Model):
    def __init__(self):
        super().__init__()
        self.layers = [layers.Dense(3), layers.Dense(3)]  #!

Mine()
""",
            r"layers",
            r"another name|different name|reserved|rename",
            "`layers` is what the model says of itself.",
        ),
        Mistake(
            "a loss that takes one argument",
            """
def loss(y_pred):  #!
    return ops.mean(y_pred)

mlp(loss=loss).fit(X, Y)
""",
            r"\bloss\b & argument",
            r"y_true, y_pred",
            "",
        ),
        Mistake(
            "a loss without `return`",
            """
def loss(y_true, y_pred):  #!
    ops.mean(ops.square(y_true - y_pred))

mlp(loss=loss).fit(X, Y)
""",
            r"\bloss\b & None",
            r"return",
            "",
        ),
        Mistake(
            "a Python `if` in a loss",
            """
def loss(y_true, y_pred):
    error = ops.mean(y_true - y_pred)
    return error if error > 0 else -error  #!

mlp(loss=loss).fit(X, Y)
""",
            r"\bloss\b & if|bool",
            r"ops\.where|ops\.cond",
            "One program is compiled for all values.",
        ),
        Mistake(
            "NumPy in a loss",
            """
def loss(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2)  # fine: an array's own method does the work

def wrong(y_true, y_pred):
    return np.log(np.array(y_pred)).mean()  #!

mlp(loss=wrong).fit(X, Y)
""",
            r"wrong|loss & NumPy|numpy",
            r"ops\.",
            "NumPy computes with values that are there.",
        ),
        Mistake(
            "scikit-learn, or NumPy, in a metric",
            """
def spread(y_true, y_pred):
    return np.std(np.asarray(y_pred))  #!

mlp(metrics=[spread]).fit(X, Y)
""",
            r"spread|metric & NumPy|numpy",
            r"ops\.",
            "Metrics are part of the compiled step.",
        ),
        Mistake(
            "a `train_step` that returns nothing",
            """
class Mine(keras.Model):
    def train_step(self, data):  #!
        pass

inputs = keras.Input((4,))
model = Mine(inputs, layers.Dense(3)(inputs))
model.compile("sgd", "mse")
model.fit(X, Y)
""",
            r"train_step",
            r"return|logs|state",
            "",
        ),
    ],
    "Callbacks and files": [
        Mistake(
            "a monitor that is misspelt",
            """
stop = keras.callbacks.EarlyStopping("val_acc", mode="max")
mlp(metrics=["accuracy"]).fit(X, Y, validation_data=(X, Y), callbacks=[stop])
""",
            r"val_acc\b & EarlyStopping|[Ee]arly",
            r"val_accuracy",
            "What is never logged is never looked at.",
        ),
        Mistake(
            "a monitor of validation without validation",
            "mlp().fit(X, Y, callbacks=[keras.callbacks.EarlyStopping()])",
            r"val_loss & EarlyStopping|[Ee]arly",
            r"validation_data|validation_split|loss",
            "What is never logged is never looked at.",
        ),
        Mistake(
            "a checkpoint that follows nothing",
            """
best = keras.callbacks.ModelCheckpoint("m.keras", monitor="val_los", save_best_only=True)
mlp().fit(X, Y, validation_data=(X, Y), callbacks=[best])
""",
            r"val_los\b & ModelCheckpoint|[Bb]est",
            r"val_loss\b",
            "Every epoch would count as the best.",
        ),
        Mistake(
            "a checkpoint's name without an ending",
            "keras.callbacks.ModelCheckpoint('best')",
            r"best & filepath|ModelCheckpoint",
            r"\.keras",
            "",
        ),
        Mistake(
            "a class instead of a callback",
            "mlp().fit(X, Y, callbacks=[keras.callbacks.EarlyStopping])",
            r"callbacks|[Cc]allback & EarlyStopping|class",
            r"EarlyStopping\(|instance",
            "",
        ),
        Mistake(
            "a plateau that raises the learning rate",
            "keras.callbacks.ReduceLROnPlateau(factor=2.0)",
            r"factor & 2\.0",
            r"less|below|< 1|>= 1|1\.0",
            "",
        ),
        Mistake(
            "a schedule that returns nothing",
            """
def schedule(epoch):  #!
    0.1 / (epoch + 1)

mlp().fit(X, Y, callbacks=[keras.callbacks.LearningRateScheduler(schedule)])
""",
            r"schedule & None",
            r"float|return",
            "",
        ),
        Mistake(
            "a file that is not there",
            "keras.models.load_model('nope.keras')",
            r"nope\.keras",
            r"exist|not found|path",
            "",
        ),
        Mistake(
            "weights under a model's ending",
            "mlp().save_weights('model.keras')",
            r"model\.keras",
            r"\.weights\.h5",
            "",
        ),
        Mistake(
            "weights of another model",
            """
mlp(3).save_weights("a.weights.h5")
mlp(5).load_weights("a.weights.h5")
""",
            r"4, 5 & 4, 3",
            r"skip_mismatch|same architecture|out",
            "Weights fit the architecture that they were made for.",
        ),
        Mistake(
            "a layer that the file names, but nobody knows",
            """
class Mine(layers.Layer):
    def call(self, x):
        return x

keras.Sequential([keras.Input((4,)), Mine()]).save("mine.keras")
keras.models.load_model("mine.keras")
""",
            r"Mine",
            r"custom_objects|register_keras_serializable",
            "A file holds the name of a class, not its code.",
        ),
        Mistake(
            "a layer that cannot be written down",
            """
class Mine(layers.Layer):
    def __init__(self, table):
        super().__init__()
        self.table = table

    def call(self, x):
        return x

keras.Sequential([keras.Input((4,)), Mine({1, 2})]).save("mine.keras")
""",
            r"Mine & table|get_config",
            r"get_config",
            "What a constructor took must be known to make the layer again.",
        ),
    ],
}
MISTAKES = [mistake for part in TABLE.values() for mistake in part]


# Running one ---------------------------------------------------------------------------------

HELPERS = """
def mlp(units=3, activation="softmax", loss="categorical_crossentropy", **rest):
    out = layers.Dense(units, activation=activation, name="out")
    model = keras.Sequential([keras.Input((4,), name="x"), out])
    model.compile(**{"optimizer": "sgd", "loss": loss, **rest})
    return model


def two(**compiled):
    a, b = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    both = layers.concatenate([a, b])
    outputs = [layers.Dense(1, name="p")(both), layers.Dense(2, name="q")(both)]
    model = keras.Model([a, b], outputs)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model
"""


def names(library: Any) -> dict[str, Any]:
    """What a user's file has at hand."""
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
    labels = np.arange(8) % 3
    found = {
        "__name__": "__main__",
        "keras": library,
        "layers": library.layers,
        "ops": library.ops,
        "np": np,
        "X": x,
        "Y": np.eye(3, dtype="float32")[labels],
        "LABELS": labels,
        "PAIR": [x, x[:, :2]],
        "TARGETS": [x[:, :1], x[:, :2]],
    }
    exec(compile(HELPERS, "models.py", "exec"), found)
    return found


class _Warned(Exception):
    pass


def run(mistake: Mistake, library: Any) -> Told:
    """What `library` says of a mistake; the first warning counts as much as an error."""
    library.utils.clear_session()
    code = mistake.code.strip("\n") + "\n"
    linecache.cache[FILE] = (len(code), None, code.splitlines(True), FILE)

    def heard(message, category, filename, lineno, *_, **__):
        raise _Warned(str(message), (filename, lineno))

    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):
        warnings.simplefilter("ignore")
        for kind in (UserWarning, SyntaxWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = heard
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, FILE, "exec"), names(library))
        except _Warned as warned:
            text, place = warned.args
            return Told("warning", text, [place])
        except Exception as error:
            text = "\n".join([str(error), *getattr(error, "__notes__", ())])
            return Told(type(error).__name__, text, _frames(error.__traceback__))
    return Told("", "", [])


def _frames(trace: types.TracebackType | None) -> list[tuple[str, int]]:
    """From the first line of the user's on."""
    found = []
    while trace is not None:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found[1:]


def line_of(mistake: Mistake) -> int:
    """The line that the message must lead to."""
    lines = mistake.code.strip("\n").splitlines()
    marked = [i for i, line in enumerate(lines, 1) if line.endswith("#!")]
    if marked:
        return marked[0]
    return max(i for i, line in enumerate(lines, 1) if line[:1] not in ("", " ", "]", ")"))


def parts(mistake: Mistake, told: Told) -> tuple[bool, bool, bool]:
    """Whether it says what was found, where, and what to do."""
    line = line_of(mistake)
    found = all(re.search(part, told.text, re.DOTALL) for part in mistake.what.split(" & "))
    ours = [number for file, number in told.frames if file == FILE]
    where = line in ours[-1:] + ours[:1] or f"{FILE}:{line}" in told.text
    return found, where, bool(re.search(mistake.fix, told.text, re.DOTALL))


def score(library: Any) -> None:
    counts = {"silent": 0, "partly": 0, "fully": 0}
    for mistake in MISTAKES:
        told = run(mistake, library)
        said = parts(mistake, told)
        full = all(said) and len(told.text) < 600
        how = "silent" if not told.kind else "fully" if full else "partly"
        counts[how] += 1
        if "-v" in sys.argv or (how != "fully" and "-q" not in sys.argv):
            flags = "".join(c if s else "-" for c, s in zip("WLF", said))
            print(f"--- {mistake.name}: {how} {flags} {told.kind} {len(told.text)}")
            print("   ", told.text[:900].replace("\n", "\n    "))
            print("   ", [f"{Path(f).name}:{n}" for f, n in told.frames])
    print(len(MISTAKES), counts)


# The page ------------------------------------------------------------------------------------

_HEAD = """# Mistakes and what is said of them

Before the first step, or the first that could see it, a mistake meets an exception that says what was
found, where, and what to do; what could be meant meets a warning. The tables below are written by
`python -m tests.mistakes page`, which makes each mistake in a file `train.py`, and
`tests/test_mistakes.py` holds the library to every word.

A traceback holds your own lines only; `keras.config.disable_traceback_filtering()` shows ours too. An error
in a layer names the layer, the line of yours that made it, what it was called with, and the shapes that
came before it. In code that becomes part of a program (`call`, losses, metrics, `train_step`) it names
your line, and what to write instead.

`fit` looks through its data before the first step: arrays in memory in one pass, of streams the first batch.
`fit(..., check_data=False)` leaves that out. What it only warns of can be silenced as any
`UserWarning`.

```python
import numpy as np
import keraunos as keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
try:
    model.fit(np.random.rand(8, 4), np.arange(8) % 4)
except ValueError as error:
    assert "`y` holds the class 3" in str(error)
```
"""


def row(mistake: Mistake, told: Told) -> str:
    text = told.text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
    return f"| {mistake.name} | {told.kind}: {text} | {mistake.why or '-'} |"


def page() -> str:
    import keraunos

    parts = [_HEAD]
    for title, mistakes in TABLE.items():
        parts.append(f"## {title}\n\n| mistake | message | reason |\n|---|---|---|")
        parts[-1] += "".join("\n" + row(m, run(m, keraunos)) for m in mistakes) + "\n"
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1] == "score":
        score(__import__(sys.argv[2]))
    else:
        PAGE.write_text(page())
