"""Small playable figures of made-up arrays, as the tests of `mmel.widgets` share them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from mmel import LITERAL, WORKING, metrics, widgets
from mmel.figures import Words

DRAW = np.random.default_rng(0)
PICTURES = [Image.fromarray(DRAW.integers(0, 256, (24, 24, 3), np.uint8)) for _ in range(2)]
TEXTS = [["a dog behind a car", "a dog"], ["a cat <b>&</b> a car", "a cat"]]
NAMES = ["grad_eclip", "mmel", "chefer", "edges", "random"]
SIDE, DEPTH, WIDTH, HEADS = 4, 3, 16, 4
QUERIES, KEYS = (DRAW.normal(size=(2, DEPTH, SIDE**2 + 1, WIDTH)) for _ in range(2))
VALUES = DRAW.normal(size=(2, 2, DEPTH, SIDE**2)) + 1.0
EACH = replace(LITERAL, gate="each", temperature_place="attention", beta_place="base", theta=(0.5, -1.0, 2.0))
HEADED = replace(EACH, head_wise=True, contrast_share=0.05, reduction="relevance")
PRESETS = {"LITERAL": LITERAL, "WORKING": WORKING, "EACH": EACH, "SUM": replace(LITERAL, gate="sum", reduction="sum"),
           "HEADS": replace(LITERAL, head_wise=True), "HEADS, WORKING": replace(WORKING, head_wise=True),
           "HEADS, EACH": HEADED, "CONTRAST": replace(LITERAL, contrast_share=0.1)}  # fmt: skip


def explorer(**more) -> widgets.Playable:
    maps = {name: DRAW.normal(size=(2, 2, 1 if name == "edges" else 2, 4, 4)) for name in NAMES[:4]}
    words = {"mmel": [Words(("a", "dog"), (0.1, 0.4)), Words(("a", "cat"), (-0.2, 0.3))]}
    given = {"scores": [[0.3, 0.2], [0.1, 0.4]], "layers": ["all", "the last"], "words": words} | more
    return widgets.explorer(PICTURES, TEXTS, given.pop("maps", maps), **given)


def dials(**more) -> widgets.Playable:
    given = {"queries": QUERIES, "keys": KEYS, "values": VALUES, "heads": HEADS, "presets": PRESETS} | more
    return widgets.dials(PICTURES, TEXTS, **given)


def curves() -> dict[tuple[str, str], metrics.Curve]:
    score = lambda pictures: torch.tensor([np.asarray(each, float).mean() / 255 for each in pictures])  # noqa: E731
    maps = {name: torch.as_tensor(DRAW.random((4, 4))) for name in NAMES[:2]}
    draw = {"deletion": metrics.deletion_curve, "insertion": metrics.insertion_curve}
    return {(name, kind): curve(score, PICTURES[0], map, steps=6, fill="black")
            for name, map in maps.items() for kind, curve in draw.items()}  # fmt: skip


def scrubber(**more) -> widgets.Playable:
    return widgets.scrubber(more.pop("curves", None) or curves(), maps={"mmel": DRAW.random((4, 4))}, text="a dog")


def ladder(**more) -> widgets.Playable:
    steps = {"down": ["trained", "block 2", "block 1"], "up": ["trained", "block 1"]}
    maps = {order: {name: DRAW.random((2, len(rungs), 4, 4)) for name in NAMES[:3]} for order, rungs in steps.items()}
    like = {order: {name: np.linspace([1, 1], [0, np.nan], len(rungs)).T for name in NAMES[:3]}
            for order, rungs in steps.items()}  # fmt: skip
    given = {"shares": {"down": [0, 0.5, 1], "up": [0, 1]}} | more
    return widgets.ladder(PICTURES, steps, given.pop("maps", maps), given.pop("likeness", like), **given)


def quiz(**more) -> widgets.Playable:
    given = {"maps": {name: DRAW.random((2, 4, 4)) for name in NAMES}, "questions": 3} | more
    return widgets.quiz(PICTURES, [each[0] for each in TEXTS], families={"edges": "a control"}, **given)


MAKERS = {"explorer": explorer, "dials": dials, "scrubber": scrubber, "ladder": ladder, "quiz": quiz}
