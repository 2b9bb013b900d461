"""The rest of `keras.utils`: names, configs of programs, the graph."""

import copy
import inspect
import pickle

import keras
import pytest

import keraunos
from keraunos import utils


@pytest.mark.parametrize("name", [n for n in utils.__all__ if callable(getattr(utils, n))])
def test_same_signature(name):
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(library, name)).parameters.values()]
        for library in (utils, keras.utils)
    )
    assert ours == theirs


def test_source_inputs():
    for library in (keraunos, keras):
        a, b = library.Input((3,)), library.Input((3,))
        x = library.layers.Dense(3)(library.layers.Add()([a, b]))
        y = library.layers.Add()([x, a])
        found = library.utils.get_source_inputs(y)
        assert sorted(map(id, found)) == sorted(map(id, [a, b]))
        assert library.utils.get_source_inputs(a)[0] is a
    with pytest.raises(ValueError, match="needs a symbolic tensor, got 5"):
        utils.get_source_inputs(5)


STEPS = [
    "c.a", "c['b']", "c.z", "c['z']", "len(c)", "list(c)", "'a' in c", "c.as_dict()", "c.to_json()",
    "repr(c)", "c.frozen", "c.freeze()", "c.frozen", "setattr(c, 'a', 3)", "c.update(a=3)",
    "c.pop('a')", "c.__setitem__('q', 1)", "c.a", "c.unfreeze()", "setattr(c, 'q', 3)", "c.q",
    "c.pop('q')", "c.pop('q')", "c.pop('q', 5)", "c.get('zz', 4)", "c.update({'x': 1}, y=2)",
    "list(c.keys())", "list(c.values())", "list(c.items())", "c.__delitem__('y')", "c.as_dict()",
    "repr(copy.copy(c))", "c.b", "bool(c)",
]  # fmt: skip


def test_config():
    def walk(library):
        c = library.Config(a=1, b={"c": 2})
        for step in STEPS:
            try:
                yield step, eval(step, {"c": c, "copy": copy})
            except (AttributeError, KeyError, ValueError, TypeError) as error:
                yield step, type(error), str(error)

    assert list(walk(utils)) == list(walk(keras.utils))


def test_config_is_copied_and_pickled():
    config = utils.Config(a=1)
    config.freeze()
    other = pickle.loads(pickle.dumps(config))
    assert other.frozen and other == config
    assert not copy.copy(config).frozen
    del (free := copy.copy(config)).a
    assert "a" not in free


def test_logging_switch():
    utils.disable_interactive_logging()
    assert not utils.is_interactive_logging_enabled()
    utils.enable_interactive_logging()
    assert utils.is_interactive_logging_enabled()
    assert keraunos.config.is_interactive_logging_enabled is utils.is_interactive_logging_enabled
