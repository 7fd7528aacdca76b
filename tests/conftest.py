"""What all tests share: drawn examples are the same in every run, a slow machine is no failure, and one browser."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from browser import MISSING, chromium, program

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that reaches no other host."""
    if not program():  # and only then: a browser that is there and does not start is a failure
        pytest.skip(f"{MISSING}; nothing is tried in a browser")
    with chromium() as running:
        yield running


def pytest_terminal_summary(terminalreporter):
    """How many tests a missing browser took away, in words: a letter in a row of dots is soon overlooked."""
    skipped = [each for each in terminalreporter.stats.get("skipped", []) if MISSING in str(each.longrepr)]
    if skipped:
        terminalreporter.write_line(f"SKIPPED, {len(skipped)} tests in a browser: {MISSING}", yellow=True)
