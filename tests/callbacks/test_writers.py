"""Numbers are written as Keras writes them."""

import http.server
import json
import threading
import urllib.parse

import keras
import numpy as np
import pytest

from keraunos import callbacks

PLAIN = [{"loss": 1.5, "acc": 0.25}, {"loss": np.float32(0.5), "acc": 1e-7}]
RUNS = [
    ([PLAIN], {}),
    ([PLAIN], {"separator": ";"}),
    ([PLAIN, PLAIN], {}),
    ([PLAIN, PLAIN], {"append": True}),
    ([[{"a": 1}], [{"b": 2}]], {"append": True}),
    ([[{"loss": 1.0, "val_loss": 2.0}, {"loss": 1.0}]], {}),
    ([[{"loss": 1.0}, {"loss": 1.0, "val_loss": 3.0}]], {}),
    ([[{"a": "text", "b": np.array([1.0, 2.0]), "c": [1, 2], "d": np.array(3.0), "e": None}]], {}),
    ([[{"a": 1}, None]], {}),
    ([[]], {}),
    ([[{}]], {}),
]


@pytest.mark.parametrize(("runs", "options"), RUNS)
def test_csv_logger(tmp_path, runs, options):
    written = []
    for library in (callbacks, keras.callbacks):
        path = tmp_path / f"{library.__name__}.csv"
        for epochs in runs:
            callback = library.CSVLogger(path, **options)
            callback.on_train_begin()
            for epoch, logs in enumerate(epochs):
                callback.on_epoch_end(epoch, logs)
            callback.on_train_end()
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_csv_logger_ignores_new_names(tmp_path):
    callback = callbacks.CSVLogger(tmp_path / "log.csv")
    callback.on_train_begin()
    callback.on_epoch_end(0, {"a": 1})
    callback.on_epoch_end(1, {"a": 1, "new": 2})
    callback.on_train_end()
    assert (tmp_path / "log.csv").read_text() == "epoch,a,val_a\n0,1,NA\n1,1,NA\n"


@pytest.fixture
def server():
    """A server that keeps what it gets: `(path, headers, body)`."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", got
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("as_json", [False, True])
def test_remote_monitor(server, as_json):
    root, got = server
    callback = callbacks.RemoteMonitor(root, "/here", "f", {"X-Me": "1"}, send_as_json=as_json)
    callback.on_epoch_end(3, {"loss": np.float32(0.5), "acc": 1})
    ((path, headers, body),) = got
    assert path == "/here" and headers["X-Me"] == "1"
    text = body if as_json else urllib.parse.parse_qs(body)["f"][0]
    assert json.loads(text) == {"epoch": 3, "loss": 0.5, "acc": 1}
    assert headers["Content-Type"].endswith("json" if as_json else "urlencoded")


def test_remote_monitor_without_a_server():
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor root server at http://"):
        callbacks.RemoteMonitor("http://127.0.0.1:9").on_epoch_end(0, {"loss": 1.0})
