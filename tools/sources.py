"""What a notebook depends on: the package's files, found by reading imports, and one fingerprint of it all.

Importing `mmel` brings in every public name, so `mmel/__init__.py` would tie each notebook to each file. It
is read as an index instead: `mmel.explain` depends on the file that `__init__` takes `explain` from. Where
the code cannot be followed (it passes `mmel` itself around, or is no plain Python), everything counts.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "mmel"


def module_files(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name; a folder's name stands for its `__init__.py`."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from` import names, dots resolved against the importing file's package."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def names(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names under the package that a piece of code uses; the bare package where that is unclear."""
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    bound.add(alias.asname or PACKAGE)
                    if alias.name != PACKAGE:
                        yield alias.name
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, package)
            if module.split(".")[0] == PACKAGE:
                yield from (f"{module}.{alias.name}" if alias.name != "*" else module for alias in node.names)
    yield from uses(tree, bound)


def uses(tree: ast.AST, bound: set[str]) -> Iterator[str]:
    """`mmel.scenes.split` for each chain of attributes on a name bound to the package, else `mmel`."""
    inner = set()
    for node in ast.walk(tree):  # from the outside in: the longest chain comes first
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            chain, value = [], node
            while isinstance(value, ast.Attribute):
                inner.add(id(value))
                chain.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name) and value.id in bound:
                inner.add(id(value))
                yield ".".join([PACKAGE, *reversed(chain)])
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in bound and id(node) not in inner:
            yield PACKAGE


def public_names(index: Path) -> dict[str, str]:
    """Where `mmel/__init__.py` takes each of its names from: its imports, and its table `_HOMES` of lazy ones."""
    found = {}
    for node in ast.walk(ast.parse(index.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            homes = ast.literal_eval(node.value)
            found |= {name: f"{PACKAGE}.{home}.{name}" for home, names in homes.items() for name in names}
        if isinstance(node, ast.ImportFrom):
            module = absolute(node, PACKAGE)
            found |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
    return found


def modules_of(name: str, files: dict[str, Path], public: dict[str, str]) -> set[str]:
    """Modules that a dotted name stands for: the longest prefix that is one, and the packages around it."""
    parts = name.split(".")
    if len(parts) > 1 and f"{PACKAGE}.{parts[1]}" not in files:
        source = public.get(parts[1])
        return modules_of(source, files, {}) if source else set(files)
    if len(parts) == 1:
        return set(files)
    prefixes = {".".join(parts[:end]) for end in range(2, len(parts) + 1)}
    return prefixes & set(files)


def loaded(text: str, module: str, files: dict[str, Path]) -> list[str]:
    """What a folder's index loads by names that stand in a table: anything in that folder."""
    mine = files[module].name == "__init__.py" and "import_module(" in text
    return [name for name in files if mine and module != PACKAGE and name.startswith(f"{module}.")]


def closure(code: str, root: Path) -> set[Path]:
    """The package's files that a piece of code depends on, through imports of imports."""
    files = module_files(root)
    public = public_names(files[PACKAGE]) if PACKAGE in files else {}
    try:
        waiting = {module for name in names(ast.parse(code), "") for module in modules_of(name, files, public)}
    except SyntaxError:
        return set(files.values())
    seen = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        package = module if files[module].name == "__init__.py" else module.rpartition(".")[0]
        text = files[module].read_text()
        used = [*names(ast.parse(text), package), *loaded(text, module, files)]
        waiting |= {found for name in used for found in modules_of(name, files, public)} - seen
    return {files[module] for module in seen}


def package_data(read: set[Path], root: Path) -> set[Path]:
    """Files of the package that are no Python (weights, sprites, scripts) and whose own package is among those `read`.

    Those of no inner package, as the weights are, belong to all.
    """
    whole, found = root / PACKAGE, set()
    for path in whole.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts:
            owner = next(folder for folder in path.parents if folder == whole or (folder / "__init__.py").exists())
            found |= {path} if owner == whole or owner / "__init__.py" in read else set()
    return found


def package_hashes(root: Path) -> dict[str, str]:
    """SHA-256 of what every page was made from and no source shows: the weights, and the digests of all scenes."""
    weights = sorted((root / PACKAGE / "weights").glob("*.safetensors"))
    files = [*weights, root / PACKAGE / "scenes" / "digests.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.exists()}


def versions(root: Path) -> dict[str, str]:
    """Python, and what the package needs at run time, as installed."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = sorted(Requirement(line).name for line in project["dependencies"])
    return {"python": ".".join(map(str, sys.version_info[:3])), **{name: version(name) for name in needed}}


def named_files(cells: list[str], folder: Path) -> dict[str, str]:
    """Digests of the files that code in a folder names by a path that starts with `../`, of those that are there."""
    names = sorted(set(re.findall(r"""["'](\.\./[\w./-]+\.(?:json|csv))["']""", "\n".join(cells))))
    there = [name for name in names if (folder / name).is_file()]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in there}


def fingerprint(cells: list[str], settings: dict[str, object], root: Path) -> str:
    """One hash of a notebook's code, parameters and settings, the files it depends on, and the versions."""
    code = "\n".join(cells)
    read = closure(code, root)
    files = sorted(read | package_data(read, root))
    digests = {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    whole = {"cells": cells, "settings": settings, "files": digests, "versions": versions(root)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
