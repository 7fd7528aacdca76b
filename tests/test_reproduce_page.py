"""Every command on the page "Reproduce it yourself" exists, and its Python runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from ray.scripts.scripts import cli as ray

from mmel.cli import app
from mmel.data import open_dataset
from mmel.data.tables import TABLES
from mmel.evaluation.rows import rows

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "reproduce.md").read_text()
LINES = [
    line.partition(" # ")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def known(line: str) -> None:
    """Raise if a command, a target, a variable, a profile or an option is not there."""
    first, *rest = shlex.split(line)
    if first == "make":
        targets = [word for word in rest if "=" not in word]
        subprocess.run(["make", "-n", *targets], cwd=ROOT, check=True, capture_output=True)
        for word in rest:
            name, equals, value = word.partition("=")
            assert not equals or re.search(rf"^{name} \?=", (ROOT / "Makefile").read_text(), re.MULTILINE), word
            assert name != "PROFILE" or (ROOT / "profiles" / f"{value}.yaml").exists(), word
            assert name != "DEVICE" or value in ("auto", "cpu", "cuda"), word
    elif first == "mmel":
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context("mmel", list(rest))  # raises for an option or argument that is not there
        if "--methods" in rest:
            rows(rest[rest.index("--methods") + 1])
    elif first == "ray":
        ray.commands[rest[0]].make_context("ray", rest[1:])
    elif first == "cp":
        assert (ROOT / rest[0]).exists() and rest[1] in (ROOT / ".gitignore").read_text().split(), line
    else:
        assert line.startswith("export PATH="), line


@pytest.mark.parametrize("line", LINES)
def test_every_command_exists(line):
    known(line)


@pytest.mark.parametrize(
    "line",
    [
        "make reproduced", "make book PROFILE=ful", "make book PROFIL=full", "mmel explian a b", "cp a b", "mmle data",
        "mmel data check folder --roots x", "mmel data check", "ray begin", "ray start --heads",
    ],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_seen(line):
    with pytest.raises(Exception):  # noqa: B017 - each kind has its own
        known(line)


def test_options_and_names_in_the_text_exist():
    commands = typer.main.get_command(app).commands
    options = {
        word
        for command in (commands["explain"], commands["evaluate"], *commands["data"].commands.values())
        for parameter in command.params
        for word in parameter.opts
    }
    mentioned = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert mentioned and mentioned <= options
    for profile in re.findall(r"`?PROFILE=([a-z-]+)", PAGE):
        assert (ROOT / "profiles" / f"{profile}.yaml").exists()
    assert all(f"{name}.csv" in PAGE for name in TABLES[:2])
    tomllib.loads((ROOT / "profiles" / "paper.toml.example").read_text())


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my-pictures"
    folder.mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png")
    (folder / "captions.csv").write_text("image,caption\na.png,a dark night\nb.png,gone\n")
    monkeypatch.chdir(tmp_path)
    assert len(PYTHON) == 2
    for code in PYTHON:
        exec(compile(code, "reproduce.md", "exec"), {})
    out = capsys.readouterr().out
    assert "('a dark night',)" in out and "0 a.png" in out and "b.png' does not exist" in out
    for code in re.findall(r"`(open_dataset\(.*?\))`", PAGE):
        assert len(eval(code, {"open_dataset": open_dataset})) > 100
