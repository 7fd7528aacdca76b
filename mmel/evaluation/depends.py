"""The sources that a number depends on, found by reading imports, as one hash: edits elsewhere change nothing.

The index of the package (`mmel/__init__.py`) and the registries of methods and protocols load everything. Of them
only what is asked for is followed: the protocol at hand, the methods of its rows (`mmel.methods` loads them by their
names, so that reading its imports finds none).
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ..methods import MODULES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT.name
ALWAYS = (f"{PACKAGE}.evaluation.measuring", f"{PACKAGE}.evaluation.inline")  # failures and seeds; not followed
CODE = (".py", ".pyc")


def sources_of(protocol: object, methods: Iterable[str], data: object) -> str:
    """SHA-256 over the files behind a protocol, the methods of its rows and its dataset.

    A protocol or dataset from outside the package brings its own file, and stands on all of the package.
    """
    kinds = [type(protocol), type(data), *(type(each) for each in list(getattr(data, "records", ())[:1]))]
    inside = [kind.__module__ for kind in kinds if _is_ours(kind)]
    outside = [text for kind in kinds if not _is_ours(kind) and (text := _text(kind)) is not None]
    files = set() if _is_ours(kinds[0]) else {path for path in modules().values() if path.parent.name != "cli"}
    wanted = {MODULES[name].__name__ for name in methods if name in MODULES}
    files |= closure([*inside, *(name for name in wanted if name in modules())])
    files |= {modules()[name] for name in ALWAYS}
    files |= {path for folder in {each.parent for each in files} for path in folder.iterdir() if _is_data(path)}
    whole = hashlib.sha256()
    for path in sorted(files):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(ROOT).as_posix()} {digest}\n".encode())
    for text in sorted(outside):
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


def reducers() -> str:
    """SHA-256 over the files that make cells out of parts."""
    files = closure([f"{PACKAGE}.evaluation.cells"]) | {modules()[f"{PACKAGE}.evaluation.reducing"]}
    digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files))
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a folder's name stands for its `__init__.py`."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def closure(names: Iterable[str]) -> set[Path]:
    """The files of these modules, and of all that they import from the package."""
    waiting, seen = set(names), set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= imports_of(name) - seen
    return {modules()[name] for name in seen}


@cache
def imports_of(name: str) -> frozenset[str]:
    """The package's modules that one of them imports, wherever in its file."""
    path, found = modules()[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            found |= {each if (each := f"{base}.{alias.name}") in modules() else base for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(each for each in found if each in modules() and each != PACKAGE)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _is_ours(kind: type) -> bool:
    return kind.__module__ in modules()


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in CODE and path.parent != ROOT


def _text(kind: type) -> str | None:
    """The source of the file that defines a class; None where it is built in, or typed into a console."""
    try:
        return Path(inspect.getsourcefile(kind) or "").read_text(encoding="utf-8")
    except (TypeError, OSError):
        return None
