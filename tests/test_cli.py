"""`keraunos run` runs a script as python runs it."""

import os

from tests.run_python import python

_SCRIPT = '''"""What the script says of itself."""
import sys
import keras
print(__name__, __file__, sys.argv, sys.path[0], __doc__, __spec__, keras.__name__)
assert sys.modules["__main__"].__doc__ == __doc__
def fail():
    raise ValueError("told")
if "fail" in sys.argv:
    try:
        fail()
    except ValueError as error:
        raise KeyError("key") from error
sys.exit(7)
'''


def test_a_script_runs_as_python_runs_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    options = {"cwd": tmp_path}
    ours = python("-m", "keraunos", "run", "script.py", "--epochs", "2", **options)
    folder, file = os.path.realpath(tmp_path), tmp_path / "script.py"
    expected = f"__main__ {file} ['script.py', '--epochs', '2'] {folder} What the script says of"
    assert ours.returncode == 7 and ours.stderr == ""
    assert ours.stdout == f"{expected} itself. None keraunos\n"


def test_errors_of_a_script_look_as_in_python(tmp_path):
    script, broken = tmp_path / "script.py", tmp_path / "broken.py"
    script.write_text(_SCRIPT.replace("import keras\n", "import math as keras\n"))
    broken.write_text("def f(:\n")
    for arguments in ([str(script), "fail"], [str(broken)]):
        ours, theirs = python("-m", "keraunos", "run", *arguments), python(*arguments)
        assert (ours.returncode, ours.stdout, ours.stderr) == (1, theirs.stdout, theirs.stderr)
    missing = python("-m", "keraunos", "run", "nowhere.py")
    assert missing.returncode == 2
    assert missing.stderr == "keraunos: can't open file 'nowhere.py': No such file or directory\n"


def test_version():
    from keraunos import __version__

    assert python("-m", "keraunos", "--version").stdout == f"keraunos {__version__}\n"
