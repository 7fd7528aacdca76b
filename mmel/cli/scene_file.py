"""`mmel explain --scene`: a scene that the book's playground saved, drawn and explained again."""

from __future__ import annotations

import json
from pathlib import Path

from ..clip import Clip
from ..figures import explanations, save
from ..methods import explain
from ..scenes import State, read_state
from .plan import Ask, Job, chosen
from .work import panel


def read(path: Path, methods: list[str], written: list[str]) -> tuple[State, list[Ask]]:
    """The state, and what is to be shown: the methods of the command line, or else those of the file."""
    state = read_state(path)
    if methods or not state.methods:
        return state, chosen(methods or ["mmel"], written)
    asks = []
    for title, method, settings in state.methods:
        own = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
        asks += [ask._replace(title=title) for ask in chosen([method], [*own, *written])]
    return state, asks


def run_scene(clip: Clip, job: Job, state: State, asks: list[Ask]) -> str:
    """Draw the scene, explain it by each method and write the result; returns the line that says so."""
    found = [explain(clip, state.image, state.text, method=method, **settings) for _, method, settings in asks]
    panels = [panel(clip, state.text, each)._replace(name=title) for (title, *_), each in zip(asks, found, strict=True)]
    save(explanations(state.image, panels, text=state.text), job.target)
    return f"{job.target}  score {panels[0].score:.3f}"
