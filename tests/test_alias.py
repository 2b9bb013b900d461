"""`import keras` gives keraunos; names of the past are found; TensorFlow is told to be missing."""

import importlib
import sys

import pytest

from keraunos.legacy import modules, names
from tests.run_python import python

_SAME = """
import sys
import keraunos.alias
assert not any("keraunos" in type(finder).__module__ for finder in sys.meta_path)
{install}
import keras, keraunos, keraunos.initializers
assert keras is keraunos and keras.__spec__.name == "keraunos"
import keras.initializers as initializers
assert initializers is keraunos.initializers
assert initializers.__spec__.name == initializers.__name__ == "keraunos.initializers"
import tensorflow as tf
from tensorflow import keras as theirs
from tensorflow.keras.initializers import Zeros
from tensorflow.python.keras.initializers import Zeros as Private
from tensorflow.compat.v1.keras.initializers import Zeros as Compatible
assert tf.keras is theirs is keras and tf.__version__.startswith("2.")
assert Zeros is Private is Compatible is initializers.Zeros
assert Zeros.__module__.startswith("keraunos.")
import keras.initializations, keraunos.initializations
from keras import initializations
assert initializations is keras.initializations is keraunos.initializations
assert initializations.Zeros is Zeros
from keras.src.initializers.constant_initializers import Zeros as Deep
from keras.api._v2.keras.initializers import Zeros as Api
assert Deep is Api is Zeros
keraunos.alias.install()
assert len([f for f in sys.meta_path if "keraunos" in type(f).__module__]) == 2
print("same")
"""

_ERRORS = [
    (
        "from keras.initializations import Zeross",
        "ImportError",
        "cannot import name 'Zeross' from 'keras.initializations'. "
        "Did you mean keras.initializers.Zeros? (At {line}.)",
    ),
    (
        "from keras.initializations import Dense",
        "ImportError",
        "cannot import name 'Dense' from 'keras.initializations'. "
        "It is keras.layers.Dense now. (At {line}.)",
    ),
    (
        "import keras.initializations as old; old.zeross",
        "AttributeError",
        "module 'keras.initializations' has no attribute 'zeross'. "
        "Did you mean keras.initializers.zeros? (At {line}.)",
    ),
    (
        "import keras.initializer",
        "ModuleNotFoundError",
        "No module named 'keras.initializer'. Did you mean 'keras.initializers'?",
    ),
    (
        "import keras.estimator",
        "ModuleNotFoundError",
        "No module named 'keras.estimator'. Train with `model.fit`.",
    ),
    (
        "import tensorflow as tf; tf.constant",
        "AttributeError",
        "`tf.constant` (at {line}) is TensorFlow, which is not installed: here `tensorflow` holds "
        "only `tf.keras`, and that is keraunos. Use `keras.ops.convert_to_tensor`.",
    ),
    (
        "import tensorflow as tf; tf.reduce_mean([1])",
        "AttributeError",
        "`tf.reduce_mean` (at {line}) is TensorFlow, which is not installed: here `tensorflow` "
        "holds only `tf.keras`, and that is keraunos. Use `keras.ops.mean`.",
    ),
    ("import tensorflow as tf; tf.random.normal([1])", "AttributeError", "`keras.random.normal`"),
    ("import tensorflow as tf; tf.math.reduce_max", "AttributeError", "`tf.math.reduce_max` (at"),
    ("import tensorflow.compat.v1 as tf; tf.reduce_sum", "AttributeError", "`keras.ops.sum`"),
    ("from tensorflow import constant", "ImportError", "Use `keras.ops.convert_to_tensor`."),
    (
        "import tensorflow.data",
        "ModuleNotFoundError",
        "Use `keraunos.data.Dataset`, or arrays and generators",
    ),
    ("import tensorflow as tf; tf.frobnicate", "AttributeError", "See `keras.ops`"),
]


@pytest.mark.parametrize("install", ["keraunos.alias.install()", "import keraunos.as_keras"])
def test_the_alias_is_the_same_module(install):
    result = python("-c", _SAME.format(install=install))
    assert result.stdout == "same\n", result.stderr


def test_errors_say_where_things_are(tmp_path):
    """One process for all: each line is a file, so that messages can name it."""
    files = []
    for i, (code, _, _) in enumerate(_ERRORS):
        files.append(tmp_path / f"script{i}.py")
        files[-1].write_text(code)
    program = (
        "import sys, runpy, keraunos.as_keras\n"
        "for path in sys.argv[1:]:\n"
        "    try: runpy.run_path(path)\n"
        "    except Exception as error: print(type(error).__name__, error, sep='|')\n"
    )
    result = python("-c", program, *map(str, files))
    lines = result.stdout.splitlines()
    assert len(lines) == len(_ERRORS), result.stderr
    for line, file, (_, kind, message) in zip(lines, files, _ERRORS):
        assert line.startswith(f"{kind}|") and message.format(line=f"{file}:1") in line


def test_real_keras_is_not_replaced_behind_its_users_back():
    import keras  # noqa: F401

    from keraunos import alias

    before = list(sys.meta_path)
    with pytest.raises(RuntimeError, match=r"Keras 3\.15\.1 is already imported, from .*before"):
        alias.install()
    assert sys.meta_path == before


# The tables -------------------------------------------------------------------------------


def _exists(path: str) -> bool:
    package, _, name = path.rpartition(".")
    return hasattr(importlib.import_module(f"keraunos.{package}"), name)


@pytest.mark.parametrize("package", sorted(names.NAMES))
def test_names_of_the_past_lead_to_names_of_today(package):
    for old, now in names.NAMES[package].items():
        assert _exists(now) if "." in now else importlib.import_module(f"keraunos.{now}"), old


def test_modules_of_the_past_lead_to_modules_of_today():
    for homes in set(names.MODULES.values()):
        for home in homes:
            importlib.import_module(f"keraunos.{home}")


_IDIOMS = """
layers.core: Dense Dropout Activation Flatten Reshape Permute RepeatVector Lambda Masking
layers.convolutional: Conv2D Convolution2D ZeroPadding2D UpSampling2D MaxPooling2D Cropping2D
layers.pooling: MaxPooling2D AveragePooling1D GlobalAveragePooling2D
layers.recurrent: LSTM GRU SimpleRNN RNN
layers.embeddings: Embedding
layers.merge: add concatenate Concatenate Dot
layers.wrappers: TimeDistributed Bidirectional
layers.normalization: BatchNormalization LayerNormalization
layers.noise: GaussianNoise GaussianDropout AlphaDropout
layers.advanced_activations: LeakyReLU PReLU ELU Softmax
layers.convolutional_recurrent: ConvLSTM2D
engine: Layer InputSpec Model
engine.topology: Layer Input InputSpec
engine.training: Model
engine.base_layer: Layer
objectives: mean_squared_error mse
optimizers.optimizer_v2.adam: Adam
utils.np_utils: to_categorical
utils.vis_utils: plot_model
utils.generic_utils: Progbar get_custom_objects CustomObjectScope
utils.data_utils: get_file Sequence
callbacks.callbacks: EarlyStopping
saving.hdf5_format: load_model
"""
_ROWS = [row.split(": ") for row in _IDIOMS.strip().splitlines()]


@pytest.mark.parametrize(("module", "held"), _ROWS)
def test_idioms_of_old_scripts(module, held):
    past = modules.load(module)
    for name in held.split():
        assert getattr(past, name).__module__.startswith("keraunos.")


def test_a_package_knows_its_modules_of_the_past():
    from keraunos import losses, utils

    assert utils.np_utils.normalize is utils.normalize
    assert losses.mse is losses.MSE is losses.mean_squared_error
    with pytest.raises(AttributeError, match=r"'keras\.utils' .*Use pytest"):
        _ = utils.keras_test
    with pytest.raises(AttributeError, match=r"Did you mean keras\.utils\.to_categorical"):
        _ = utils.to_categorcal
