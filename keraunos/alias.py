"""`import keras` without Keras: one call, and every `keras.x.y` is `keraunos.x.y`.

    import keraunos.alias; keraunos.alias.install()     # or: import keraunos.as_keras
    from keras.layers import Dense                      # keraunos.layers.Dense

The alias is the same module object, not a copy, so `isinstance` holds across names. Where
TensorFlow is not installed, `tf.keras` is an alias too. Modules of Keras 1 and 2 that are
gone (`keras.layers.core`) hold the names of their successors.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

from keraunos.legacy import modules
from keraunos.legacy.names import MODULES

_KERAS = ("keras",)
_TENSORFLOW = tuple(
    f"tensorflow.{path}keras" for path in ("", "python.", "compat.v1.", "compat.v2.", "contrib.")
)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, under the names of Keras, the modules of keraunos."""

    def __init__(self, aliases: tuple[str, ...]):
        self.aliases = aliases
        self.above = {alias.rpartition(".")[0] for alias in aliases}
        self.above |= {"tensorflow.compat", "tensorflow.python.client"}

    def find_spec(self, fullname, path=None, target=None):
        module = self._found(fullname)
        if module is None:
            return None
        spec = importlib.machinery.ModuleSpec(
            fullname, self, is_package=hasattr(module, "__path__")
        )
        spec.loader_state = module
        return spec

    def _found(self, fullname: str) -> types.ModuleType | None:
        for alias in self.aliases:
            if fullname == alias or fullname.startswith(f"{alias}."):
                path = fullname[len(alias) + 1 :]
                module = modules.find(path)
                if module is None:
                    raise ModuleNotFoundError(modules.unknown(path, fullname), name=fullname)
                return module
        if self.aliases != _KERAS and fullname.partition(".")[0] == "tensorflow":
            return self._stand(fullname)
        return None

    def _stand(self, fullname: str) -> types.ModuleType:
        tensorflow = importlib.import_module("keraunos.legacy.tensorflow")
        if fullname not in self.above:
            path = fullname.partition(".")[2]
            raise ModuleNotFoundError(tensorflow.explained(path), name=fullname)
        return tensorflow.Stand(fullname)

    def create_module(self, spec):
        module = spec.loader_state
        if not hasattr(module, "__path__"):
            module.__path__ = []  # modules of the past may be below it
        spec.loader_state = module.__spec__  # importing under another name overwrites it
        return module

    def exec_module(self, module):
        module.__spec__ = getattr(module.__spec__, "loader_state", None)


class _Historic(_Finder):
    """Finds modules of the past as `keraunos.layers.convolutional`, after all other finders."""

    def _found(self, fullname: str) -> types.ModuleType | None:
        path = fullname.removeprefix("keraunos.")
        return modules.load(path) if path != fullname and path in MODULES else None


def install() -> None:
    """From now on, `import keras` gives keraunos.

    So does `tensorflow.keras`, unless TensorFlow is installed. Calling it again changes nothing.

    Raises:
        RuntimeError: If real Keras is already imported.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.__name__ != "keraunos":
        version = getattr(loaded, "__version__", "of another kind")
        raise RuntimeError(
            f"Keras {version} is already imported, from {getattr(loaded, '__file__', None)}; "
            "modules that hold it would not see the change. Call `keraunos.alias.install()`, or "
            "`import keraunos.as_keras`, before the first import of keras."
        )
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    absent = "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow") is None
    sys.meta_path.insert(0, _Finder((*_KERAS, *_TENSORFLOW) if absent else _KERAS))
    sys.meta_path.append(_Historic(()))
