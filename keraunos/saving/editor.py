"""Look into a file of weights, change what it holds, write it again."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keraunos.core import console, registry
from keraunos.core.fields import did_you_mean
from keraunos.saving import weights as walking
from keraunos.saving.archive import opened_weights
from keraunos.saving.files import as_path, reading, replaced
from keraunos.saving.stores import Writer


@registry.export("saving.KerasFileEditor")
class KerasFileEditor:
    """The weights in a `.keras` or `.weights.h5` file, as nested dicts that can be changed.

    Objects (layers, optimizers) are meant by their path, as `"layers/dense"`, or by its last
    part where that is enough.

    Args:
        filepath: The file; it is read whole, and not changed.

    Attributes:
        weights_dict: Arrays by number, in dicts by the parts of an object's path.
        metadata: Of a `.keras` file: version and date.
    """

    def __init__(self, filepath: Any):
        self.filepath, self.metadata = as_path(filepath), None
        if not self.filepath.name.endswith((".keras", ".weights.h5")):
            raise ValueError(
                "Invalid filename: expected a `.keras` `.weights.h5` extension. "
                f"Received: filepath={filepath}"
            )
        with reading(self.filepath), opened_weights(self.filepath) as (reader, self.metadata):
            self.weights_dict: dict[str, Any] = {}
            for path in reader:
                self._make(path).update(reader.read(path))
        console.say(f"Keras model file '{filepath}'")
        if self.metadata:
            version, date = self.metadata["keras_version"], self.metadata["date_saved"]
            console.say(f"Saved with Keras {version} - date: {date}")

    def summary(self) -> None:
        """Print the objects, and shape and dtype of their arrays."""
        console.say("Weights structure\n" + "\n".join(_drawn(self.weights_dict, "  ", top=True)))

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Print where the file and a model differ.

        Returns `{"status": "success" or "error", "error_count": ..., "match_count": ...}`.
        """
        console.say("Running comparison")
        expected = {p: walking.own_variables(thing) for p, thing in walking.walk(reference_model)}
        expected = {path: arrays for path, arrays in expected.items() if arrays}
        found = dict(self._objects())
        sides = ("reference model", expected), ("saved file", found)
        errors = [
            text
            for (here, mine), (there, others) in (sides, sides[::-1])
            for text in _lacking(mine, here, others, there)
        ]
        matches = 0
        for path in expected.keys() & found.keys():
            for key in expected[path].keys() & found[path].keys():
                shapes = expected[path][key].shape, found[path][key].shape
                matches += shapes[0] == shapes[1]
                if shapes[0] != shapes[1]:
                    errors.append(
                        f"...Weight shape mismatch for /{path}/{key}\n"
                        f"    In reference model: shape={shapes[0]}\n"
                        f"    In saved file: shape={shapes[1]}"
                    )
        console.say("\n".join([*errors, "─" * 21]))
        if errors:
            told = f"Found {len(errors)} errors: saved file is not compatible with the "
            console.say(told + "reference model")
        else:
            console.say(
                "Comparison successful: saved file is compatible with the reference model\n"
                f"    Found {matches} matching weights"
            )
        status = "error" if errors else "success"
        return {"status": status, "error_count": len(errors), "match_count": matches}

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name."""
        parent, name = self._find(object_name)
        items = [(new_name if key == name else key, value) for key, value in parent.items()]
        parent.clear()
        parent.update(items)

    def delete_object(self, object_name: str) -> None:
        """Remove an object, and all that it holds."""
        parent, name = self._find(object_name)
        del parent[name]

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object with arrays by number, as `{"0": kernel, "1": bias}`."""
        self._make(object_path).update(_arrays(weights))

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove an array of an object."""
        parent, name = self._find(object_name)
        if weight_name not in parent[name]:
            raise ValueError(
                f"Weight {weight_name} not found in object {object_name}, which has "
                f"{list(parent[name])}."
            )
        del parent[name][weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add arrays to an object."""
        parent, name = self._find(object_name)
        parent[name].update(_arrays(weights))

    def save(self, filepath: Any) -> None:
        """Write what there is now to a `.weights.h5` file."""
        path = as_path(filepath)
        if not path.name.endswith(".weights.h5"):
            raise ValueError(
                "Invalid `filepath` argument: expected a `.weights.h5` extension. "
                f"Received: filepath={filepath}"
            )
        with replaced(path) as new, Writer(new) as writer:
            for inner, arrays in self._objects():
                writer.write(inner, arrays)

    resave_weights = save

    def _make(self, path: str) -> dict[str, Any]:
        place = self.weights_dict
        for part in filter(None, path.split("/")):
            place = place.setdefault(part, {})
        return place

    def _objects(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, held in _walk(self.weights_dict):
            arrays = {key: value for key, value in held.items() if not isinstance(value, dict)}
            if arrays:
                yield path, arrays

    def _find(self, name: str) -> tuple[dict[str, Any], str]:
        """The dict that holds the object, and its key there."""
        paths = [path for path, _ in _walk(self.weights_dict) if path]
        meant = [path for path in paths if name in (path, path.rpartition("/")[2])]
        meant = [name] if name in meant else meant
        if len(meant) != 1:
            told = f"has {len(meant)} objects called {name!r}: {', '.join(meant)}. Give a path."
            if not meant:
                known = [*paths, *(path.rpartition("/")[2] for path in paths)]
                told = f"has no object {name!r}{did_you_mean(name, known) or '.'}"
            raise ValueError(f"{self.filepath} {told} `summary()` lists all.")
        parent, _, last = meant[0].rpartition("/")
        return self._make(parent), last


def _walk(held: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, held
    for name, value in held.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{path}/{name}".lstrip("/"))


def _arrays(weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(weights, Mapping):
        raise ValueError(f"`weights` must be a dict of arrays by name, got {weights!r}.")
    return {str(name): np.asarray(value) for name, value in weights.items()}


def _lacking(mine: dict, here: str, others: dict, there: str) -> Iterator[str]:
    """What is in one place and not in another."""
    for path, arrays in mine.items():
        if path not in others:
            yield (
                f"...Object /{path} present in {here}, missing from {there}\n"
                f"    In {here}, /{path} contains the following keys: {list(arrays)}"
            )
        elif extra := [key for key in arrays if key not in others[path]]:
            yield f"...Weights {extra} of /{path} present in {here}, missing from {there}"


def _drawn(held: dict[str, Any], indent: str, top: bool = False) -> Iterator[str]:
    for place, (name, value) in enumerate(held.items()):
        last = place == len(held) - 1
        branch = "└─ " if last else ("> " if top and not place else "├─ ")
        if isinstance(value, dict):
            yield f"{indent}{branch}{name}"
            yield from _drawn(value, indent + ("    " if last else "│   "))
        else:
            value = np.asarray(value)
            yield f"{indent}{branch}{name}: shape={value.shape}, dtype={value.dtype}"
