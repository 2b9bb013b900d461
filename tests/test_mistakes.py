"""Common mistakes are told in three parts, in few words, without lines of the library."""

import pytest

import keraunos
from tests import mistakes

PAGE = mistakes.PAGE.read_text()


@pytest.mark.parametrize("mistake", mistakes.MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_told(mistake):
    keraunos.config.enable_traceback_filtering()
    told = mistakes.run(mistake, keraunos)
    assert told.kind, "nothing is said of it"
    assert mistakes.parts(mistake, told) == (True, True, True), told.text
    assert len(told.text) < 600
    assert {file for file, _ in told.frames} <= {mistakes.FILE, "models.py"}
    assert mistakes.row(mistake, told) in PAGE, "run `python -m tests.mistakes page`"


def test_the_page_has_nothing_else():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(rows) == len(mistakes.MISTAKES) + len(mistakes.TABLE)
