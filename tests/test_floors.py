"""The floors of the house: a file imports from lower floors only, or from its own folder."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "types": 0, "errors": 0, "maps": 0, "stats": 0,
    "clip": 1, "loading": 1,
    "trace": 2,
    "methods": 3, "metrics": 3, "scenes": 3, "data": 3, "training": 3,
    "sanity": 4, "evaluation": 4, "figures": 4,
    "ledger": 5, "widgets": 5, "exercises": 5, "results": 5,
    "cli": 6,
}  # fmt: skip
SIDEWAYS = {  # stated exceptions, each one way only
    ("clip", "loading"),  # parts of `load_clip` and of the embeddings
    ("maps", "errors"),
    ("stats", "errors"),
    ("training", "scenes"),  # the recipe needs its world
    ("data", "scenes"),  # the bundled world is a dataset too
    ("evaluation", "sanity"),  # its checks and its error analysis are protocols too
}
NO_MODEL = {"metrics", "figures"}  # they take callables and maps, never a model
MODEL = {"clip", "trace", "methods", "training", "scenes", "data"}


class Running(ast.NodeTransformer):
    """A file without what it imports for its annotations only."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        for_annotations = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if for_annotations else self.generic_visit(node)


def targets(tree: ast.AST, package: tuple[str, ...]) -> set[str]:
    """First-floor names (`clip`, `methods`, ...) that a file of `package` imports, wherever in the file.

    `from mmel import explain` names no floor, for the public names stand above all: it is reported as itself.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            paths = [[*base, alias.name] for alias in node.names] if base == ["mmel"] else [base]
        else:
            continue
        found |= {".".join(path[1:2]) or "mmel" for path in paths if path[0] == "mmel"}
    return found


def violations(root: Path) -> list[str]:
    """One sentence for each import that climbs, and for each file without a floor.

    What is imported for annotations only may stand on the same floor, for it makes no circle when the file runs.
    """
    wrong = []
    for path in sorted((root / "mmel").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts == ("mmel", "__init__"):
            continue
        own = parts[1]
        if own not in FLOORS:
            wrong.append(f"{path.relative_to(root)} is on no floor: add it to FLOORS")
            continue
        running = targets(Running().visit(ast.parse(path.read_text())), parts[:-1])
        for name in sorted(targets(ast.parse(path.read_text()), parts[:-1]) - {own}):
            if name not in FLOORS:
                wrong.append(f"{path.relative_to(root)} imports mmel.{name}, which is on no floor")
            elif FLOORS[name] == FLOORS[own] and name not in running:
                continue
            elif FLOORS[name] >= FLOORS[own] and (own, name) not in SIDEWAYS:
                wrong.append(f"{path.relative_to(root)} (F{FLOORS[own]}) imports {name} (F{FLOORS[name]})")
            elif own in NO_MODEL and name in MODEL:
                wrong.append(f"{path.relative_to(root)} knows a model: it imports {name}")
    return wrong


def test_every_file_imports_from_lower_floors():
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("where", "line", "says"),
    [
        ("maps.py", "from mmel.clip import Clip", "imports clip"),
        ("clip.py", "from .trace import record", "imports trace"),
        ("clip.py", "if TYPE_CHECKING:\n    from .trace import record", "imports trace"),
        ("loading/inputs.py", "from ..clip import Clip", "imports clip"),
        ("methods/rise.py", "from ..metrics import auc", "imports metrics"),
        ("methods/rise.py", "def f():\n    import mmel.figures", "imports figures"),
        ("figures.py", "from . import clip", "knows a model"),
        ("metrics.py", "from mmel import explain", "on no floor"),
        ("cli.py", "import mmel", "on no floor"),
        ("helpers.py", "", "on no floor"),
    ],
)
def test_a_climbing_import_is_seen(tmp_path, where, line, says):
    path = tmp_path / "mmel" / where
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(violations(tmp_path)) == 1
    assert says in violations(tmp_path)[0]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (
            "methods/rise.py",
            "from ..trace import record\nfrom .saliency import explain\nfrom mmel.clip import Clip",
        ),
        ("loading/inputs.py", "from .images import read_image\nif TYPE_CHECKING:\n    from ..clip import Clip"),
        ("cli.py", "import numpy\nfrom . import figures, methods"),
        ("__init__.py", "from .cli import main"),
    ],
)
def test_a_falling_import_is_fine(tmp_path, where, line):
    path = tmp_path / "mmel" / where
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert violations(tmp_path) == []
