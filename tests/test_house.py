"""The house: pins, packaging, verbs, sizes of files, and what must not stand in any of them."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERBS = ["env", "reproduce", "test", "book", "serve", "train", "bench", "verify", "clean"]
HOSTS = ("pypi.org", "pythonhosted", "npmjs.org", "index-url", "find-links", "download.pytorch.org")
TEXT = {
    ".py",
    ".toml",
    ".yml",
    ".yaml",
    ".md",
    ".sh",
    ".lock",
    ".cff",
    ".json",
    ".ipynb",
    ".bib",
    ".css",
    ".txt",
    "",
}
PLACES = [("Linux", "linux", "x86_64"), ("Linux", "linux", "aarch64"), ("Darwin", "darwin", "arm64")]


def pins() -> list[str]:
    return [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]


def tracked() -> list[Path]:
    """Every file that is ours: not built, not vendored."""
    skipped = {
        ".git",
        ".venv",
        "runs",
        "executed",
        "_build",
        "vendor",
        "__pycache__",
        "node_modules",
        "build",
    }
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in skipped and not f.endswith((".egg-info", "_cache", ".hypothesis"))]
        found += [Path(folder) / name for name in files]
    return found


def lists(folder: str, pattern: str = "*.py") -> list[Path]:
    return sorted((ROOT / folder).rglob(pattern))


def test_the_lock_pins_exactly_and_once():
    names = [canonicalize_name(Requirement(pin).name) for pin in pins()]
    assert len(names) == len(set(names)) > 100
    assert all([s.operator for s in Requirement(pin).specifier] == ["=="] for pin in pins())
    assert not [pin for pin in pins() if "@" in pin or "://" in pin]


def test_environment_yml_has_the_same_pins():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    assert pip == pins()
    assert "python=3.11" in conda["dependencies"]


def test_the_lock_meets_what_the_project_asks_for():
    locked = {canonicalize_name(r.name): r for r in map(Requirement, pins())}
    asked = [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["book"],
        *PROJECT["optional-dependencies"]["test"],
        *PROJECT["optional-dependencies"]["cluster"],
    ]
    for wish in map(Requirement, asked):
        pin = locked[canonicalize_name(wish.name)]
        assert wish.specifier.contains(next(iter(pin.specifier)).version), f"{pin} does not meet {wish}"


@pytest.mark.parametrize(("python", "place"), list(product(("3.11", "3.12", "3.13"), PLACES)))
def test_the_lock_is_closed(python, place):
    """What a pinned package needs on a Python and a machine is pinned for it too, at a version that fits."""
    system, platform, machine = place
    env = {
        "python_version": python, "python_full_version": f"{python}.1", "platform_system": system,
        "sys_platform": platform, "platform_machine": machine, "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "os_name": "posix",
    }  # fmt: skip
    locked = {canonicalize_name(r.name): r for r in map(Requirement, pins()) if not r.marker or r.marker.evaluate(env)}
    asked = [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["book"],
        *PROJECT["optional-dependencies"]["test"],
        *PROJECT["optional-dependencies"]["cluster"],
    ]
    waiting, seen, missing = [Requirement(wish) for wish in asked], set(), set()
    while waiting:
        wish = waiting.pop()
        name, extras = canonicalize_name(wish.name), frozenset(wish.extras)
        heavy = re.match("nvidia|cuda|triton", name) and machine == "aarch64"  # there torch brings what it likes
        if (name, extras) in seen or heavy:
            continue
        seen.add((name, extras))
        if name not in locked or not wish.specifier.contains(next(iter(locked[name].specifier)).version):
            missing.add(str(wish))
            continue
        for line in needs(name):
            marker = line.marker
            if marker is None or any(marker.evaluate({**env, "extra": extra}) for extra in ("", *extras)):
                waiting.append(line)
    assert not missing


def needs(name: str) -> list[Requirement]:
    """What an installed package asks for; one for another machine is not installed and asks for nothing."""
    try:
        return [Requirement(line) for line in distribution(name).requires or []]
    except PackageNotFoundError:
        return []


def test_runtime_imports_are_declared():
    """Every package that `mmel` imports is a runtime dependency (or comes with the cluster extra)."""
    names = {"PIL": "pillow", "open_clip": "open-clip-torch", "skimage": "scikit-image", "yaml": "pyyaml"}
    wishes = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cluster"], "IPython"]
    wishes += ["ipywidgets", "anywidget", "traitlets"]  # asked for when a live widget is first used
    declared = {canonicalize_name(Requirement(wish).name) for wish in wishes}
    for path in lists("mmel"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {module.split(".")[0] for module in modules} - {"mmel"}:
                known = top in sys.stdlib_module_names or canonicalize_name(names.get(top, top)) in declared
                assert known, f"{path.relative_to(ROOT)} imports {top}, which pyproject.toml does not declare"


def test_make_lists_its_verbs():
    said = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in said.splitlines()] == VERBS
    assert all(len(line.split()) > 4 for line in said.splitlines())


@pytest.mark.parametrize("python", ["no-such-python", "old"])
def test_make_env_says_what_to_do(tmp_path, python):
    if python == "old":
        fake = tmp_path / "old"
        fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
        fake.chmod(0o755)
        python = str(fake)
    done = subprocess.run(
        ["make", "env", f"PYTHON={python}", f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "PYTHON=/path/to/python3.11" in done.stderr
    assert ("3.8.1" in done.stderr) == ("old" in python)
    assert not (tmp_path / "venv").exists()


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "exec make test"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_cells_of_a_chapter_are_short_and_define_nothing(path):
    """Not the exercises', whose starters are functions to write."""
    code = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if len(cell.splitlines()) > 12] == []
    assert [cell for cell in code if re.search(r"^\s*(async\s+)?def\s", cell, re.MULTILINE)] == []


def test_package_data_and_licences_are_there():
    texts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license-files"]
    assert all((ROOT / name).is_file() for name in texts)
    assert "MIT License" in (ROOT / "LICENSE").read_text() and "the mmel authors" in (ROOT / "LICENSE").read_text()
    assert "SIL OPEN FONT LICENSE" in (ROOT / "mmel" / "scenes" / "OFL.txt").read_text()
    sprites = ROOT / "mmel" / "scenes" / "sprites.png"
    assert 0 < sprites.stat().st_size <= 1_500_000


def test_vendored_material_names_a_licence_that_is_there():
    rows = [line.split("|") for line in (ROOT / "THIRD_PARTY.md").read_text().splitlines() if line.startswith("| ")][1:]
    cited = [re.findall("`([^`]+)`", row[2]) + re.findall("`([^`]+)`", row[5]) for row in rows]
    assert len(cited) > 5 and all(len(pair) == 2 for pair in cited)
    assert [path for pair in cited for path in pair if not (ROOT / path).exists()] == []
    covered = tuple(pair[0] for pair in cited)
    vendored = [str(p.relative_to(ROOT)) for p in (ROOT / "assets" / "vendor").rglob("*") if p.is_file()]
    ours = ("widgets-local.js",)
    assert [v for v in vendored if not v.startswith(covered) and "LICENSE" not in v and not v.endswith(ours)] == []


def test_no_registry_host_and_no_place_of_one_machine():
    wrong = []
    for path in tracked():
        if path.suffix not in TEXT or path == Path(__file__) or path.stat().st_size > 2_000_000 or path.is_symlink():
            continue
        text = path.read_text(errors="replace")
        wrong += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
        wrong += [
            f"{path.relative_to(ROOT)}: {hit}"
            for hit in re.findall(r"(?<![\w.])/(?:work|root|home/\w+|tmp/\w+)/", text)
        ]
    assert wrong == []


def test_files_functions_and_folders_stay_small():
    wrong = []
    for path in lists("mmel"):
        lines = path.read_text().splitlines()
        wrong += [f"{path.relative_to(ROOT)}: {len(lines)} lines"] * (len(lines) > 250)
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                length = node.end_lineno - body[0].lineno + 1  # settings with their sources may be many
                wrong += [f"{path.relative_to(ROOT)}: {node.name} has {length} lines"] * (length > 30)
    for folder in [
        ROOT / "mmel",
        *(p for p in (ROOT / "mmel").rglob("*") if p.is_dir() and p.name != "__pycache__"),
    ]:
        entries = [p for p in folder.iterdir() if p.name != "__pycache__"]
        wrong += [f"{folder.relative_to(ROOT)}: {len(entries)} entries"] * (len(entries) > 22)
    assert wrong == []
    assert not lists("mmel", "utils.py")


PLACED = {"executed/24_text"}  # chapters that stand where they belong, not where their number says


def test_the_book_lists_every_chapter_in_order():
    """`_toc.yml` names the notebooks as executed, all of those that exist and no others."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    chapters = [f"executed/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    named = [file for file in listed if file.startswith("executed/")]
    assert sorted(named) == chapters
    assert [file for file in named if file not in PLACED] == [file for file in chapters if file not in PLACED]
    assert all((ROOT / f"{file}.md").exists() for file in [toc["root"], *listed] if file not in chapters)
