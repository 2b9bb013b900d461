"""Callbacks that write the numbers of every epoch somewhere."""

import csv
import json
import os
import urllib.parse
import urllib.request
import warnings
from typing import Annotated, Any

import numpy as np

from keraunos.callbacks.callback import Callback, number
from keraunos.core import registry
from keraunos.core.fields import Path, checked, mapping, optional


@registry.export("callbacks.CSVLogger")
class CSVLogger(Callback):
    """Write the numbers of every epoch as a line of a CSV file.

    Args:
        append: Whether to go on in a file that exists.
    """

    @checked
    def __init__(self, filename: Path, separator: str = ",", append: bool = False):
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._size = 0  # of what stays in the file
        self._names: list[str] | None = None  # of the columns

    def on_train_begin(self, logs: dict | None = None) -> None:
        with open(self.filename, "a") as file:  # an error comes now, not after an epoch
            self._size = file.tell() if self.append else 0
        self._names = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        has_header = self._names is not None or self._size > 0
        if self._names is None:
            names = sorted(logs)
            if not any(name.startswith("val_") for name in names):
                names += [f"val_{name}" for name in names]  # validation may come later
            self._names = ["epoch", *names]
        with open(self.filename, "a", newline="") as file:
            file.truncate(self._size)  # a run that goes on keeps what is there
            writer = csv.DictWriter(
                file, self._names, restval="NA", extrasaction="ignore", delimiter=self.sep
            )
            if not has_header:
                writer.writeheader()
            writer.writerow({"epoch": epoch, **{k: _cell(v) for k, v in logs.items()}})
            self._size = file.tell()

    def get_run_state(self) -> dict[str, Any]:
        return {"_size": self._size, "_names": self._names}


def _cell(value: Any) -> Any:
    value = number(value)
    if isinstance(value, str) or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'


@registry.export("callbacks.RemoteMonitor")
class RemoteMonitor(Callback):
    """Send the numbers of every epoch to a server, by HTTP POST.

    Args:
        root, path: The address.
        field: Of the form, under which the numbers are sent as JSON.
        headers: Of the request.
        send_as_json: Whether the request is JSON itself, and no form.
    """

    @checked
    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Annotated[Any, optional(mapping)] = None,
        send_as_json: bool = False,
    ):
        super().__init__()
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        numbers = {name: np.asarray(value).tolist() for name, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **numbers})
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        kind = "json" if self.send_as_json else "x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path,
            body.encode(),
            {"Content-Type": f"application/{kind}", **(self.headers or {})},
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except OSError as error:
            warnings.warn(
                f"Could not reach RemoteMonitor root server at {self.root}: {error}", stacklevel=2
            )
