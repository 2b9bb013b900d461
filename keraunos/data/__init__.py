"""Where batches come from: arrays, tables, generators, datasets, loaders."""

from keraunos.data.arrays import Arrays
from keraunos.data.pydataset import PyDataset
from keraunos.data.source import Source, Stream, source, split_off

__all__ = ["Arrays", "PyDataset", "Source", "Stream", "source", "split_off"]
