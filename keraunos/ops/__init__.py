"""Functions of tensors, symbolic or real: `keras.ops`, a flat namespace."""
# ruff: noqa: F401, F403

from keraunos.core import registry
from keraunos.ops import image, linalg, nn, numpy, operators
from keraunos.ops.core import *
from keraunos.ops.einops import *
from keraunos.ops.linalg import *
from keraunos.ops.math import *
from keraunos.ops.nn import *
from keraunos.ops.numpy import *

for _name, _thing in dict(globals()).items():  # files name operations by their public path
    if callable(_thing) and not _name.startswith("_"):
        registry.export(f"ops.{_name}")(_thing)
