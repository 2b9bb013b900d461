"""Public `keras.export`: models as programs that run without their Python code."""

from keraunos.export.archive import ExportArchive
from keraunos.export.reloaded import Reloaded, load

__all__ = ["ExportArchive", "Reloaded", "load"]
