"""Checkpoints in Orbax's layout: a folder of numbered steps, which many hosts write together.

What Keras writes: in a step, `pytree` holds the state of the model by group and path, and
`model_config` the config of the model as JSON text. Paths change with the names that layers get,
and when a model is read, so ours also say in their metadata in which order the variables are.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from keraunos.core import registry
from keraunos.core.fields import did_you_mean
from keraunos.saving import configs

_WEIGHTS = ("trainable_variables", "non_trainable_variables")


def library() -> Any:
    """Orbax's API that Keras's files are written with."""
    try:
        import orbax.checkpoint.experimental.v1 as orbax
    except ImportError:
        raise ImportError(
            "Orbax checkpoints need orbax-checkpoint: install it by "
            "`pip install keraunos[distributed]`."
        ) from None
    return orbax


def steps(folder: Path) -> list[int]:
    """The steps that a folder holds checkpoints of, the last one last."""
    found = (p for p in folder.iterdir() if p.name.isdigit() and (p / "pytree").is_dir())
    return sorted(int(p.name) for p in found)


def find(path: Path) -> Path | None:
    """The checkpoint that a folder is, or the last that it holds; None if there is none."""
    if (path / "pytree").is_dir():
        return path
    return next((path / str(step) for step in reversed(steps(path))), None)


# Writing ------------------------------------------------------------------------------------


def content(model: Any, weights_only: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint of a model holds, by item; and its custom metadata."""
    groups = {k: v for k, v in model._state_groups.items() if k in _WEIGHTS or not weights_only}
    for name, variables in groups.items():
        path, times = next(iter(Counter(v.path for v in variables).most_common(1)), ("", 0))
        if times > 1:
            raise ValueError(
                f"A checkpoint holds variables by their paths, but {times} of the `{name}` of "
                f"{model.name!r} are called {path!r}. Give their layers names of their own."
            )
    tree = model.get_state_tree()
    found: dict[str, Any] = {"pytree": {name: tree[name] for name in groups}}
    if not weights_only:
        with registry.sharing():
            found["model_config"] = {"config": json.dumps(registry.serialize(model))}
    owners = {"weights": model, "optimizer": model.optimizer}
    order = {k: [v.path for v in owner.variables] for k, owner in owners.items() if owner}
    return found, {"paths": order}


# Reading ------------------------------------------------------------------------------------


def load_model(step: Path, compile: bool) -> Any:
    """The model of a checkpoint, with the state of its optimizer."""
    if not (step / "model_config").is_dir():
        raise ValueError(
            f"{step} holds weights only. Make the model first, then call `model.load_weights`."
        )
    held = library().load_checkpointables(step.absolute(), {"model_config": None})
    config = configs.mapping(held["model_config"]["config"])
    if not compile:
        config.pop("compile_config", None)
    model = registry.deserialize(config, kind="models")
    tree, order = _read(step)
    _assign_weights(model, tree, order, step)
    if model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)
        values = _flat(tree.get("optimizer_variables", {}))
        optimizer = model.optimizer.variables
        pairs, problems = _matched(values, optimizer, order.get("optimizer"), model.name)
        if problems:
            warnings.warn(
                f"The state of the optimizer {model.optimizer.name!r} was not loaded from {step}: "
                f"{problems[0]}. Training starts with a fresh one.",
                stacklevel=4,
            )
        else:
            _assign(pairs)
    return model


def load_weights(model: Any, step: Path, skip_mismatch: bool = False) -> None:
    """Read the weights of a checkpoint; all of them or none."""
    _assign_weights(model, *_read(step), step, skip_mismatch)


def _read(step: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The state in a checkpoint, as NumPy arrays, and the order of its paths, if it is known."""
    orbax, path = library(), step.absolute()
    known = orbax.checkpointables_metadata(path)
    arrays = jax.tree.map(lambda _: np.ndarray, known.metadata["pytree"])
    tree = orbax.load_checkpointables(path, {"pytree": arrays})["pytree"]
    return tree, (known.custom_metadata or {}).get("paths", {})


def _assign_weights(
    model: Any, tree: dict, order: dict, step: Path, skip_mismatch: bool = False
) -> None:
    values: dict[str, Any] = {}
    for name in _WEIGHTS:  # which of them a variable is in depends on what is frozen now
        values |= _flat(tree.get(name, {}))
    pairs, problems = [], []
    for seeds in (False, True):  # a model may do without the states of random numbers
        variables = [v for v in model.variables if _is_seed(v.path) == seeds]
        mine = {path: value for path, value in values.items() if _is_seed(path) == seeds}
        found, wrong = _matched(mine, variables, order.get("weights"), model.name)
        pairs, problems = pairs + found, problems + ([] if seeds else wrong)
    if problems:
        lines = [*problems[:10], *([f"and {len(problems) - 10} more"] if problems[10:] else [])]
        told = "\n  ".join([f"The checkpoint {step} does not fit {model.name!r}:", *lines])
        if not skip_mismatch:
            raise ValueError(f"{told}\nNothing was loaded. `skip_mismatch=True` loads what fits.")
        warnings.warn(f"{told}\nThese were left as they are.", stacklevel=4)
    _assign(pairs)


def _is_seed(path: str) -> bool:
    return "seed_generator" in path


def _assign(pairs: Iterable[tuple[Any, Any]]) -> None:
    for variable, value in pairs:
        variable.assign(value)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(key.key for key in path): value for path, value in leaves}


def _matched(
    values: dict[str, Any], variables: list, order: list[str] | None, root: str
) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Pairs of variables and their values, and what does not fit.

    By path, if these are the same; else by order, if kinds and shapes are the same; else by
    path up to numbers and the name of the model, `root`: automatic names go on counting, and
    a model that was read is not in the paths of its layers, where one that was made may be.
    """
    paths = {v.path: v.path for v in variables}
    if paths.keys() != values.keys():
        names = [path for path in order or () if path in values]
        kinds = [(_last(v.path), tuple(v.shape)) for v in variables]
        if kinds == [(_last(path), values[path].shape) for path in names]:
            paths = dict(zip(paths, names))
        else:
            ours, theirs = (sorted((*_counted(p, root), p) for p in ps) for ps in (paths, values))
            if [stem for stem, _, _ in ours] == [stem for stem, _, _ in theirs]:
                paths = {mine[-1]: other[-1] for mine, other in zip(ours, theirs)}
    pairs, problems = [], []
    for variable in variables:
        value = values.get(paths[variable.path])
        if value is None:
            hint = did_you_mean(variable.path, values)
            problems.append(f"{variable.path} is missing from the checkpoint{hint}")
        elif value.shape != variable.shape:
            problems.append(
                f"{variable.path} has shape {variable.shape}, in the checkpoint {value.shape}"
            )
        else:
            pairs.append((variable, value))
    extra = values.keys() - set(paths.values())
    return pairs, problems + [f"{path} is only in the checkpoint" for path in sorted(extra)]


def _last(path: str) -> str:
    return re.split("[/_]", path)[-1]


def _counted(path: str, root: str) -> tuple[str, list[int]]:
    """What identifies a path: without the numbers in it, and without `root`; and the numbers."""
    stem = re.escape(re.sub(r"_\d+$", "", root))
    path = re.sub(rf"^([^/]+/)?{stem}(_\d+)?[/_]", lambda found: found[1] or "", path)
    return re.sub(r"_\d+", "", path), [int(n) for n in re.findall(r"_(\d+)", path)]
