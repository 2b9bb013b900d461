"""Config: the named values of a program, as attributes and as a dict."""

import json
from collections.abc import Iterator, MutableMapping
from typing import Any


class Config(MutableMapping):
    """Named values, read and written as attributes or as in a dict; can be frozen."""

    def __init__(self, **kwargs: Any):
        vars(self).update(_values=dict(kwargs), _frozen=False)

    def _writable(self) -> dict:
        if self._frozen:
            raise ValueError("Cannot mutate attribute(s) because the config is frozen.")
        return self._values

    @property
    def frozen(self) -> bool:
        """Whether values cannot be changed."""
        return self._frozen

    def freeze(self) -> None:
        """Forbid changes from now on."""
        vars(self)["_frozen"] = True

    def unfreeze(self) -> None:
        """Allow changes again."""
        vars(self)["_frozen"] = False

    def as_dict(self) -> dict[str, Any]:
        """A copy, as a dict."""
        return dict(self._values)

    def to_json(self) -> str:
        """The values as JSON."""
        return json.dumps(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._values:
            raise AttributeError(f"Unknown attribute: '{name}'.")
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._writable()[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"Unknown attribute: '{name}'.")
        del self._writable()[name]

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._writable()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._writable()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self):
        return self._values.keys()

    def values(self):
        return self._values.values()

    def items(self):
        return self._values.items()

    def __copy__(self) -> "Config":
        return type(self)(**self._values)

    def __getstate__(self) -> dict:
        return dict(vars(self))

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"<Config {self._values}>"
