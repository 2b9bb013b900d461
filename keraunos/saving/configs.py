"""JSON that nobody vouches for, and the models that it describes."""

import json
from typing import Any

from keraunos.core import console
from keraunos.core.untrusted import FileError

MOST_BYTES = 64 << 20
MOST_VALUES = 2_000_000  # each takes some hundred bytes once it is read


def parsed(text: str) -> Any:
    """What JSON holds. Raises `FileError` if it is torn, too large, or nested too deeply."""
    if len(text) > MOST_BYTES:
        raise FileError(f"the config has {console.readable(len(text))}, 64 MB are allowed")
    values = sum(map(text.count, ",[{"))
    if values > MOST_VALUES:
        raise FileError(f"the config has {values:,} values; {MOST_VALUES:,} are allowed")
    try:
        return json.loads(text)
    except RecursionError:
        raise FileError("the config is nested thousands deep") from None
    except ValueError as error:
        raise FileError(f"the config is not JSON: {error}") from None


def mapping(text: str) -> dict[str, Any]:
    """What JSON holds, if that is a dict."""
    found = parsed(text)
    if not isinstance(found, dict):
        raise FileError(f"the config is no dict, but {type(found).__name__}")
    return found
