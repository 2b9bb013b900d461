"""The command line: `keraunos run script.py` runs a Keras script on keraunos."""

import argparse
import importlib
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence

from keraunos import alias


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (by default `sys.argv[1:]`) name; its exit code."""
    parser = argparse.ArgumentParser(
        prog="keraunos", description="The Keras API on one engine, JAX/XLA."
    )
    version = importlib.import_module("keraunos").__version__
    parser.add_argument("--version", action="version", version=f"keraunos {version}")
    commands = parser.add_subparsers(metavar="command", required=True)
    run = commands.add_parser(
        "run",
        help="run a Python script in which `import keras` gives keraunos",
        description="Run a Python script in which `import keras`, and `tensorflow.keras` where "
        "TensorFlow is not installed, give keraunos.",
    )
    run.add_argument("script", help="a Python file")
    run.add_argument("args", nargs=argparse.REMAINDER, help="what the script finds in sys.argv[1:]")
    run.set_defaults(do=lambda given: run_script(given.script, given.args))
    inspect = commands.add_parser(
        "inspect",
        help="show what a file of a model or of weights holds",
        description="Show what a .keras, .h5, .weights.h5, .weights.json or .safetensors file "
        "holds, without building or running any of it.",
    )
    inspect.add_argument("file", help="a file, or a folder that holds what a .keras file holds")
    inspect.set_defaults(do=lambda given: inspect_file(given.file))
    given = parser.parse_args(arguments)
    return given.do(given)


def inspect_file(path: str) -> int:
    """Print what the file at `path` holds; the exit code."""
    try:
        print(importlib.import_module("keraunos.saving.inspection").inspect(path))
    except (OSError, ValueError) as error:
        print(f"keraunos: {error}", file=sys.stderr)
        return 1
    return 0


def run_script(path: str, arguments: Sequence[str] = ()) -> int:
    """Run the file at `path` as `python path *arguments` does, on keraunos; its exit code."""
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        print(f"keraunos: can't open file {path!r}: {error.strerror}", file=sys.stderr)
        return 2
    alias.install()
    sys.argv = [path, *arguments]
    path = os.path.abspath(path)
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __file__=path,
        __builtins__=__builtins__,
        __cached__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", path),
    )
    sys.modules["__main__"] = module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        return _shown(error)
    return 0


def _shown(error: BaseException) -> int:
    """Print an error of the script as Python does, without our own frames; the exit code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error = error.with_traceback(trace)
    sys.excepthook(type(error), error, trace)
    return 130 if isinstance(error, KeyboardInterrupt) else 1
