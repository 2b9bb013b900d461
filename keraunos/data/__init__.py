"""Where batches come from: arrays, tables, generators, datasets, loaders."""

from keraunos.data.arrays import Arrays
from keraunos.data.source import Source, Stream, source, split_off

__all__ = ["Arrays", "Source", "Stream", "source", "split_off"]
