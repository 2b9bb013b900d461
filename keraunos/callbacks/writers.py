"""Callbacks that write the numbers of every epoch somewhere."""

import csv
import json
import os
import urllib.parse
import urllib.request
import warnings
from typing import Any

import numpy as np

from keraunos.callbacks.callback import Callback, number
from keraunos.core import registry


@registry.export("callbacks.CSVLogger")
class CSVLogger(Callback):
    """Write the numbers of every epoch as a line of a CSV file.

    Args:
        append: Whether to go on in a file that exists.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False):
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._file: Any = None
        self._writer: csv.DictWriter | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        known = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename)
        self._has_header = bool(known)
        self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115
        self._writer = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        if self._writer is None:
            names = sorted(logs)
            if not any(name.startswith("val_") for name in names):
                names += [f"val_{name}" for name in names]  # validation may come later
            self._writer = csv.DictWriter(
                self._file,
                ["epoch", *names],
                restval="NA",
                extrasaction="ignore",
                delimiter=self.sep,
            )
            if not self._has_header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **{k: _cell(v) for k, v in logs.items()}})
        self._file.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._file.close()
        self._writer = None


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

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
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
