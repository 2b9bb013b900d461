"""Public `keras.ops.nn`: what neural networks are made of, by kind."""
# ruff: noqa: F403

from keraunos.ops.activations import *
from keraunos.ops.conv import *
from keraunos.ops.pool import *
