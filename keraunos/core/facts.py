"""Attributes that are set once, and are true from then on."""

from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Fact(Generic[T]):
    """An attribute of instances that cannot be assigned again.

        shape = Fact[tuple[int, ...]]()

    Errors: AttributeError on a second assignment.
    """

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: Any = None) -> "Fact[T]": ...
    @overload
    def __get__(self, instance: Any, owner: Any = None) -> T: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__[self.name]
        except KeyError:
            who = type(instance).__name__
            raise AttributeError(f"{who!r} object has no attribute {self.name!r}") from None

    def __set__(self, instance: Any, value: T) -> None:
        if self.name in instance.__dict__:
            raise AttributeError(
                f"The `{self.name}` of a {type(instance).__name__} cannot be changed "
                f"to {value!r}; make a new one."
            )
        instance.__dict__[self.name] = value
