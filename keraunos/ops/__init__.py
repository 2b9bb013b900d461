"""Functions of tensors, symbolic or real: `keras.ops`, a flat namespace."""
# ruff: noqa: F401, F403

from keraunos.ops import image, linalg, nn, numpy, operators
from keraunos.ops.core import *
from keraunos.ops.einops import *
from keraunos.ops.linalg import *
from keraunos.ops.math import *
from keraunos.ops.nn import *
from keraunos.ops.numpy import *
