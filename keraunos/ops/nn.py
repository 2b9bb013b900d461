"""Public `keras.ops.nn`: what neural networks are made of, by kind."""
# ruff: noqa: F403

from keraunos.ops.activations import *
from keraunos.ops.attention import *
from keraunos.ops.blocks import *
from keraunos.ops.conv import *
from keraunos.ops.ctc import *
from keraunos.ops.normalization import *
from keraunos.ops.pool import *
from keraunos.ops.targets import *
