"""The living figure of the first page, from the maps that the first chapter noted."""

from __future__ import annotations

import json
from pathlib import Path

from mmel.errors import MmelError
from mmel.scenes import split
from mmel.widgets.living import ask

CHAPTER, VALUE = "01_welcome", "living figure"


def figure(root: Path, profile: str) -> str:
    """The figure as HTML. The picture and the truth are made again from the scene; the maps are the run's."""
    path = root / "runs" / profile / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    noted = results.get(CHAPTER, {}).get(VALUE)
    if noted is None:
        raise MmelError(
            f"runs/{profile}/results.json holds no {VALUE!r} of {CHAPTER}: run `make notebooks PROFILE={profile}`."
        )
    return ask(split("figures")[noted["example"]], noted["methods"], noted["maps"]).html
