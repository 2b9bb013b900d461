"""Public `keras.ops.numpy`: what NumPy has too, by kind."""
# ruff: noqa: F403

from keraunos.ops.elementwise import *
from keraunos.ops.linalg import slogdet as slogdet
from keraunos.ops.reducing import *
from keraunos.ops.shaping import *
