"""Nothing is left of calls and of models; a forked process says that it cannot compute.

`tools/leaks.py` is the measurement; here it runs with few calls.
"""

import copy
import pickle

import numpy as np
import pytest

from tests.run_python import python
from tools import leaks


@pytest.mark.parametrize("name", leaks.CALLS)
def test_calls_leave_no_memory(name):
    model, files = leaks.made(), leaks.open_files()
    growth = leaks.grown(lambda: leaks.CALLS[name](model), 20)
    assert growth < leaks.MOST and leaks.open_files() <= files + 1


@pytest.mark.parametrize("trained", [False, True])
def test_models_that_are_dropped_are_freed(trained):
    growth, left = leaks.dropped(3, trained)
    assert growth < leaks.MOST and left == 0


def test_copies_are_models_of_their_own():
    model = leaks.made()
    model.fit(leaks.X, leaks.Y, verbose=0)
    expected = model.predict(leaks.X, verbose=0)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict(leaks.X, verbose=0), expected)
        twin.fit(leaks.X, leaks.Y, verbose=0)
        assert twin.optimizer.iterations.numpy() == 2
    np.testing.assert_array_equal(model.predict(leaks.X, verbose=0), expected)


FORK = """
import os
import numpy as np
import keraunos

x = np.ones((8, 3), "float32")
model = keraunos.Sequential([keraunos.Input((3,)), keraunos.layers.Dense(1)])
if {before}:
    model.predict(x, verbose=0)
child = os.fork()
if not child:
    try:
        model.predict(x, verbose=0)
    except RuntimeError as error:
        os._exit(7 if "forked off" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), model.predict(x, verbose=0).shape)
"""


@pytest.mark.parametrize("before", [False, True])
def test_a_forked_process_says_why_it_does_not_answer(before):
    run = python("-W", "ignore", "-c", FORK.format(before=before), timeout=120)
    assert run.stdout.strip() == "7 (8, 1)", run.stderr[-500:]
