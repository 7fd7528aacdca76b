"""What all tests share: drawn examples are the same in every run, a slow machine is no failure, and one browser."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from browser import chromium

settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that reaches no other host."""
    try:
        with chromium() as running:
            yield running
    except FileNotFoundError as error:
        pytest.skip(f"{error}: nothing is tried in a browser")
