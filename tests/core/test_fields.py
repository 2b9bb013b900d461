"""A constructor, declared once."""

import inspect
from typing import Any, ClassVar

import pytest

from keraunos.core.fields import (
    Configurable,
    DataFormat,
    Fraction,
    Padding,
    PerAxis,
    Positive,
    declare,
    fields,
    owned,
)
from keraunos.core.registry import export


class Base(Configurable):
    def __init__(self, *, name=None, trainable=True):
        self.name, self.trainable = name, trainable


@export("test.Window")
@fields
class Window(Base):
    rank: ClassVar[int] = 2

    size: Positive
    strides: PerAxis = 1
    rate: Fraction = 0.5
    padding: Padding = "valid"
    data_format: DataFormat = None
    extra: Any = None

    kernel: Any = owned()

    def __post_init__(self):
        self.area = self.size**2


def test_signature():
    names = list(inspect.signature(Window).parameters)
    assert names[:3] == ["size", "strides", "rate"] and names[-2:] == ["name", "trainable"]
    assert "kernel" not in names and "rank" not in names


def test_values_are_converted_and_post_init_runs():
    window = Window(3, 2, padding="SAME", name="w")
    assert (window.strides, window.padding, window.area, window.name) == ((2, 2), "same", 9, "w")
    assert window.data_format == "channels_last"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "Window needs a positive integer for `size`, got 0."),
        ({"size": True}, "Window needs a positive integer for `size`, got True."),
        ({"size": 2.5}, "Window needs a positive integer for `size`, got 2.5."),
        ({"size": 1, "rate": 2}, "Window needs a number from 0 to 1 for `rate`, got 2."),
        ({"size": 1, "rate": "x"}, "Window needs a number from 0 to 1 for `rate`, got 'x'."),
        (
            {"size": 1, "strides": (1, 2, 3)},
            "Window needs a positive integer or 2 of them for `strides`, got (1, 2, 3).",
        ),
        (
            {"size": 1, "padding": "full"},
            "Window needs one of valid, same for `padding`, got 'full'.",
        ),
        (
            {"size": 1, "data_format": "NHWC"},
            "`data_format` must be one of channels_last, channels_first, got 'nhwc'.",
        ),
    ],
)
def test_bad_values_name_the_argument(given, message):
    with pytest.raises(ValueError) as error:
        Window(**given)
    assert str(error.value) == message


def test_missing_and_unknown_arguments():
    with pytest.raises(TypeError, match=r"Window.. missing a required argument: 'size'"):
        Window()
    with pytest.raises(TypeError, match=r"Did you mean `padding`\?"):
        Window(3, paddin="same")


def test_config_round_trip():
    window = Window(3, (1, 2), 0.25, "same", extra={"a": (1, 2)})
    config = window.get_config()
    again = Window.from_config(config)
    assert again.get_config() == config and again.extra == {"a": (1, 2)}


def test_a_subclass_inherits_arguments_and_may_move_or_default_them():
    @fields
    class Wide(Window):
        padding: Padding = "same"
        width: int = 7

    wide = Wide(size=2)
    assert (wide.padding, wide.width, wide.size) == ("same", 7, 2)


def test_a_users_own_init_is_ordinary_python():
    class Mine(Window):
        def __init__(self, units, **kwargs):
            super().__init__(size=units * 2, **kwargs)
            self.units = units

    assert Mine(3, name="m").size == 6


def test_declared_from_elsewhere():
    class Other(Base):
        pass

    declare(Other, list(Window.__fields__.values())[:1], Base.__init__)
    assert Other(4).size == 4


def test_repr_shows_what_is_not_default():
    assert repr(Window(3)).startswith("Window(size=3")
