"""`python -m mmel.training`: train (an option for a field of `Recipe`), `--export` or `--score` a model."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

from ..clip import load_clip
from ..errors import MmelError
from ..loading import device_of
from . import RECIPES, Recipe, export, folder_of, record_scores, scores, train


def recipe_of(options: dict) -> Recipe:
    """The shipped recipe of this seed, or the first one with this seed; the options given go before both."""
    given = {field.name: options[field.name] for field in fields(Recipe) if options[field.name] is not None}
    recipes = {recipe.seed: recipe for recipe in reversed(RECIPES.values())}
    return replace(recipes.get(given.get("seed", 0), RECIPES["bundled"]), **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mmel.training", description=__doc__)
    for name, default in asdict(Recipe()).items():
        kind = {"true": True, "false": False}.__getitem__ if isinstance(default, bool) else type(default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--folder", type=Path, help="of the checkpoint and its log")
    parser.add_argument("--export", action="store_true", help="write the files of the package from the checkpoint")
    parser.add_argument("--score", action="store_true", help="measure a shipped model, and put its scores on the card")
    parser.add_argument("--name", choices=RECIPES, default="bundled", help="which model to export or to score")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Train, export or score; what was measured goes to standard output as JSON."""
    options = vars(_parser().parse_args(arguments))
    device, folder, name = options["device"], options["folder"], options["name"]
    if options["export"]:
        print(export((folder or folder_of(RECIPES[name])) / "checkpoint.pt", name))
    if options["score"]:
        measured = scores(load_clip(name, device=device))
        record_scores(name, measured)
        print(json.dumps(measured, indent=1))
    if not options["export"] and not options["score"]:
        train(recipe_of(options), device=str(device_of(device)), folder=folder, every=options["every"])


if __name__ == "__main__":
    try:
        main()
    except MmelError as error:
        sys.exit(f"mmel.training: {error}")
