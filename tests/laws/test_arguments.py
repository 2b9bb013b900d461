"""Every argument of every constructor is checked: who, which one, what it was."""

import inspect

import pytest

import keraunos
from keraunos import (
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from keraunos.optimizers import schedules
from tests.laws import test_layers as table


class Odd:
    """Something that no argument is."""

    def __repr__(self):
        return "<odd>"


# What a constructor needs, by the names of its arguments, where the table of layers has no row.
NEEDED = {
    "axis": -1,
    "backup_dir": "run",
    "boundaries": [1],
    "directory": "run",
    "dtype": "float32",
    "filename": "log.csv",
    "filepath": "model.keras",
    "fn": max,
    "function": max,
    "inner_optimizer": "sgd",
    "layer": lambda: layers.Dense(2),
    "layers": lambda: [layers.Rescaling(2.0)],
    "cells": lambda: [layers.LSTMCell(2)],
    "default_optimizer": optimizers.SGD,
    "normalizer": None,
    "optimizer_map": lambda: optimizers.OptimizerMap(optimizers.SGD()),
    "precision": 0.5,
    "rate": 0.5,
    "recall": 0.5,
    "schedule": lambda: float,
    "sensitivity": 0.5,
    "shape": (2,),
    "specificity": 0.5,
    "target_class_ids": [0],
    "transformation": None,
    "values": [0.1, 0.2],
}
# Arguments that may be anything, or only whose truth counts; and abstract or refused classes.
ANYTHING = {
    "Constant": {"value"},
    "constant": {"value"},
    "Masking": {"mask_value"},
    "Hashing": {"mask_value"},
    "IntegerLookup": {"mask_token", "oov_token"},
    "TensorBoard": {"embeddings_metadata"},
    "CallbackList": {"model", "callbacks"},
    "InputLayer": {"input_tensor"},
}
OF_THE_PAST = {"implementation", "use_cudnn", "time_major"}
NOT_MADE_SO = {"Optimizer", "LearningRateSchedule", "RNN", "OptaxOptimizer", "TFSMLayer"}
NOT_MADE_SO |= {"TorchModuleWrapper", "FlaxLayer", "JaxLayer", "OrbaxCheckpoint", "InputLayer"}
PACKAGES = [callbacks, constraints, initializers, layers, losses, metrics, optimizers]
PACKAGES += [regularizers, schedules]


def _rows():
    found = {}
    for rows in vars(table).values():
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, table.Row):
                found.setdefault(row.name, row.arguments)
    return found


ROWS = _rows()


def _needed(cls):
    parameters = inspect.signature(cls).parameters.values()
    asked = {
        p.name: NEEDED.get(p.name, 1)
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    } | ROWS.get(cls.__name__, {})
    return {name: value() if callable(value) and value is not max else value
            for name, value in asked.items()}  # fmt: skip


def _cases():
    for package in PACKAGES:
        for name, cls in inspect.getmembers(package, inspect.isclass):
            ours = cls.__module__.startswith("keraunos") and not name.startswith("_")
            if ours and name not in NOT_MADE_SO and cls.__name__ == name:
                yield pytest.param(cls, id=f"{package.__name__.split('.')[-1]}-{name}")


@pytest.mark.parametrize("cls", list(_cases()))
def test_no_argument_passes_unchecked(cls):
    free = ANYTHING.get(cls.__name__, set()) | OF_THE_PAST
    faults = []
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in free:
            continue
        try:
            cls(**_needed(cls) | {name: Odd()})
        except (TypeError, ValueError) as error:
            if name not in str(error) or "<odd>" not in str(error):
                faults.append(f"{name}: {error}")
        else:
            faults.append(f"{name} is not checked")
    assert not faults, "\n".join(faults)


def test_what_is_needed_is_enough():
    keraunos.utils.clear_session()
    for case in _cases():
        (cls,) = case.values
        cls(**_needed(cls))
