"""The table of contents: every layer, grouped by the file it is in."""

from keraunos.layers.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from keraunos.layers.input import Input, InputLayer
from keraunos.layers.layer import Layer
from keraunos.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from keraunos.layers.spec import InputSpec
from keraunos.layers.wrappers import Bidirectional, TimeDistributed, Wrapper

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "GRUCell",
    "Input",
    "InputLayer",
    "InputSpec",
    "LSTMCell",
    "Layer",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "TimeDistributed",
    "Wrapper",
]
