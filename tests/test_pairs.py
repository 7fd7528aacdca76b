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
    pairs.write([{**LINES[0], "torch": "2.5.0"}, *LINES[1:]], copy)
    assert "torch 2.5.0" in copy.read_text() != (ROOT / "README.md").read_text()


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['pair']}, {line['system']}")
def test_what_was_tried_passed_and_is_what_its_name_says(line):
    python, also = pairs.PAIRS[line["pair"]]
    assert line["failed"] == 0 and line["passed"] > 300 and line["python"].startswith(f"{python}.")
    assert line["python"] in SpecifierSet(PROJECT["requires-python"])
    assert all(line[name].split("+")[0] in ASKED[name] for name in ("torch", "open_clip_torch", "numpy"))
    if also == [pairs.LOCK]:
        assert {name: line[name] for name in pairs.PACKAGES} == {name: LOCKED[name] for name in pairs.PACKAGES}
    else:
        assert all(line[wish.name].split("+")[0] in wish.specifier for wish in map(Requirement, also))


def test_the_oldest_versions_that_the_project_asks_for_were_tried():
    """And each minor version of Python from the oldest to the newest."""
    for name in ("torch", "open_clip_torch"):
        least = next(each.version for each in ASKED[name] if each.operator == ">=")
        assert any(f"{line[name]}.".startswith(f"{least}.") for line in LINES), name
    assert {line["python"].rpartition(".")[0] for line in LINES} == {"3.11", "3.12", "3.13"}


def test_the_workflow_tries_every_pair_on_linux_and_macos():
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["pairs"]
    matrix = job["strategy"]["matrix"]
    assert matrix["pair"] == list(pairs.PAIRS) and matrix["os"] == ["ubuntu-latest", "macos-latest"]
    assert {each["pair"]: each["python"] for each in matrix["include"]} == {n: p for n, (p, _) in pairs.PAIRS.items()}
    assert all((ROOT / "tests" / f"test_{name}.py").exists() for name in pairs.FAST)


def test_a_new_line_takes_the_place_of_the_old_one(tmp_path):
    path, (first, *_) = tmp_path / "pairs.json", LINES
    pairs.record({**first, "pair": "3.12-oldest"}, path)
    pairs.record({**first, "pair": "3.11-lock", "passed": 1}, path)
    pairs.record({**first, "pair": "3.11-lock", "passed": 0, "failed": 2}, path)
    kept = pairs.record({**first, "pair": "3.11-newest", "system": "Darwin arm64"}, path)
    assert [line["pair"] for line in kept] == ["3.11-lock", "3.12-oldest", "3.11-newest"] and kept[0]["failed"] == 2
    assert json.loads(path.read_text()) == kept
    told = pairs.sentence(kept)
    assert told.count("\n* ") == 2 and told.endswith("Not tried yet: 3.11-lock, 3.13-lock.")
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
