"""Where batches come from: arrays, tables, generators, datasets, loaders."""

from keraunos.data.arrays import Arrays, Blocks
from keraunos.data.dataset import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
    TensorSpec,
)
from keraunos.data.pydataset import PyDataset
from keraunos.data.source import Source, Stream, source, split_off
from keraunos.data.tables import columns

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Arrays",
    "Blocks",
    "Dataset",
    "PyDataset",
    "Source",
    "Stream",
    "TensorSpec",
    "columns",
    "source",
    "split_off",
]
