"""The pairs of versions that were tried: what README.md says of them, what the workflow tries, how a try is kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pairs
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
LINES = json.loads(pairs.RESULTS.read_text())
LINE = {"pair": "3.11-lock", "python": "3.11.7", "torch": "2.5.0", "torchvision": "0.20.0", "open_clip_torch": "3.1.0",
        "numpy": "2.4.6", "passed": 400, "skipped": 0, "failed": 0, "system": "Linux x86_64",
        "date": "2026-11-25"}  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = {wish.name: wish.specifier for wish in map(Requirement, PROJECT["dependencies"])}
LOCKED = {
    pin.name: next(iter(pin.specifier)).version
    for pin in map(Requirement, re.findall(r"^[^#\n].*$", (ROOT / pairs.LOCK).read_text(), re.MULTILINE))
}


def test_the_readme_says_what_the_results_say(tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text((ROOT / "README.md").read_text())
    pairs.write(LINES, copy)
    assert copy.read_text() == (ROOT / "README.md").read_text()
    pairs.write([{**LINE, "torch": "2.5.9"}, *LINES], copy)
    assert "torch 2.5.9" in copy.read_text() != (ROOT / "README.md").read_text()


def check(line: dict) -> None:
    """Raise unless a line is of a try that passed, of what its name says, within what the project asks for."""
    python, also = pairs.PAIRS[line["pair"]]
    assert line["failed"] == 0 and line["passed"] > 300 and line["python"].startswith(f"{python}.")
    assert line["python"] in SpecifierSet(PROJECT["requires-python"])
    assert all(line[name].split("+")[0] in ASKED[name] for name in ("torch", "open_clip_torch", "numpy"))
    if also == [pairs.LOCK]:
        assert {name: line[name] for name in pairs.PACKAGES} == {name: LOCKED[name] for name in pairs.PACKAGES}
    else:
        assert all(line[wish.name].split("+")[0] in wish.specifier for wish in map(Requirement, also))


def test_what_was_tried_passed_and_is_what_its_name_says():
    for line in LINES:
        check(line)
    check({**LINE, "pair": "3.11-newest"})
    for wrong in ({"failed": 1}, {"python": "3.12.1"}, {"torch": "2.3.1"}, {"pair": "3.11-lock"}):
        with pytest.raises(AssertionError):
            check({**LINE, "pair": "3.11-newest", **wrong})


def test_the_oldest_versions_that_the_project_asks_for_are_a_pair():
    """And each minor version of Python from the oldest to the newest is in one."""
    asked = [each for _, also in pairs.PAIRS.values() for each in also]
    for name in ("torch", "open_clip_torch"):
        least = next(each.version for each in ASKED[name] if each.operator == ">=")
        assert f"{name}=={least}.*" in asked
    assert {python for python, _ in pairs.PAIRS.values()} == {"3.11", "3.12", "3.13"}


def test_the_workflow_tries_every_pair_on_linux_and_macos():
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["pairs"]
    matrix = job["strategy"]["matrix"]
    assert matrix["pair"] == list(pairs.PAIRS) and matrix["os"] == ["ubuntu-latest", "macos-latest"]
    assert {each["pair"]: each["python"] for each in matrix["include"]} == {n: p for n, (p, _) in pairs.PAIRS.items()}
    assert all((ROOT / "tests" / f"test_{name}.py").exists() for name in pairs.FAST)


def test_a_new_line_takes_the_place_of_the_old_one(tmp_path):
    path, first = tmp_path / "pairs.json", LINE
    pairs.record({**first, "pair": "3.12-oldest"}, path)
    pairs.record({**first, "pair": "3.11-lock", "passed": 1}, path)
    pairs.record({**first, "pair": "3.11-lock", "passed": 0, "failed": 2}, path)
    kept = pairs.record({**first, "pair": "3.11-newest", "system": "Darwin arm64"}, path)
    assert [line["pair"] for line in kept] == ["3.11-lock", "3.12-oldest", "3.11-newest"] and kept[0]["failed"] == 2
    assert json.loads(path.read_text()) == kept
    told = pairs.sentence(kept)
    assert told.count("\n* ") == 2 and told.endswith("Not tried by it yet: 3.11-lock, 3.13-lock.")
    assert "macOS" in pairs.sentence(kept[:2])


def test_versions_are_read_in_the_environment_itself():
    found = pairs.versions(sys.executable)
    assert set(found) == {"python", *pairs.PACKAGES} and found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_it_says_what_is_missing():
    for words, says in ((["3.10-old"], "no pair 3.10-old"), (["3.11-lock", "--folder"], "expected one argument")):
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "pairs.py"), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and says in done.stderr
    with pytest.raises(SystemExit, match=r"no Python 2\.9 here"):
        pairs.program("2.9", None)
