"""Where there is no Chromium the tests in a browser are skipped, and it is said; elsewhere they run or fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import browser as tool
import pytest

ROOT = Path(__file__).parents[1]
SELF = f"{__file__}::test_a_page_opens"
BROKEN = "#!/bin/sh\nexit 3\n"


def run(path: Path, *command: str) -> subprocess.CompletedProcess:
    """A command of this Python with nothing but `path` on PATH."""
    return subprocess.run([sys.executable, *command], env={"PATH": str(path)}, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def broken(tmp_path) -> Path:
    """A folder with a Chromium that is there and does not start."""
    (tmp_path / "chromium").write_text(BROKEN)
    (tmp_path / "chromium").chmod(0o755)
    return tmp_path


def test_a_page_opens(browser):
    page = browser.new_page()
    page.set_content("<p>here</p>")
    assert page.locator("p").inner_text() == "here"
    page.close()


def test_without_a_browser_the_skip_is_said(tmp_path):
    done = run(tmp_path, "-m", "pytest", SELF, "-p", "no:cacheprovider")
    assert done.returncode == 0 and "1 skipped" in done.stdout + done.stderr, done.stdout + done.stderr
    assert f"SKIPPED, 1 tests in a browser: {tool.MISSING}" in done.stdout


def test_a_browser_that_does_not_start_is_no_skip(broken):
    done = run(broken, "-m", "pytest", SELF, "-p", "no:cacheprovider")
    assert done.returncode == 1 and "1 error" in done.stdout and "SKIPPED" not in done.stdout


def test_make_test_ends_with_it(tmp_path, broken):
    """As `make test` calls it, after all tests: one line, or none."""
    (nothing := tmp_path / "empty").mkdir()
    said = run(nothing, "tools/browser.py").stderr
    assert "SKIPPED" in said and "apt-get install chromium" in said
    assert run(broken, "tools/browser.py").stderr == ""
    recipe = (ROOT / "Makefile").read_text().partition("\ntest: ")[2].partition("\n\n")[0]
    assert recipe.splitlines()[-1].strip() == "@$(PY) tools/browser.py"


def test_none_is_found_on_an_empty_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert tool.program() is None
    with pytest.raises(FileNotFoundError, match="install it"), tool.chromium():
        pass
