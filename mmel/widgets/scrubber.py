"""Deletion and insertion, step by step: the picture, the point on the curve, the score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..errors import BadSetting, ShapeMismatch
from ..figures import scenes
from ..figures.frame import array_of
from ..metrics import auc
from ..metrics.curves import Curve
from .packing import pack, raw, sprite
from .playable import Playable, alike, colours, first_state

KINDS = ("deletion", "insertion")


def scrubber(
    curves: Mapping[tuple[str, str], Curve], *, maps: Mapping[str, object] | None = None, text: str = "",
    title: str = "Take pixels away, put them back",
) -> Playable:  # fmt: skip
    """Curves of one picture, (method, "deletion" or "insertion") -> curve: drag the step and see what was scored.

    Every curve holds its edits, so the page shows exactly the pictures that the model saw. All have one number of
    points, both ends included. `maps[method]` [rows, columns] stands beside its picture; `text` is what was asked.
    """
    if not curves or any(len(key) != 2 or key[1] not in KINDS for key in curves):
        raise BadSetting(f"curves are named (method, kind), with a kind of {KINDS}; got {list(curves)}.")
    methods = list(dict.fromkeys(method for method, _ in curves))
    counts = {len(each.fractions) for each in curves.values()}
    if len(counts) != 1 or max(counts) > 255:
        raise ShapeMismatch(f"curves of one number of points, at most 255, expected; got {sorted(counts)}.")
    pictures, stored = [], []
    for (method, kind), curve in curves.items():
        places = [_place(pictures, each) for each in (curve.edits.start, curve.edits.finish)]
        stored.append({"method": method, "kind": kind, "start": places[0], "finish": places[1], **_stored(curve)})
    for name in maps or {}:
        alike(f"curves of {name}", sum(method == name for method, _ in curves), len(curves) // len(methods))
    shown = {name: pack(array_of(each, name)) for name, each in (maps or {}).items()}
    data = {
        "sprite": sprite(pictures), "curves": stored, "methods": methods, "maps": shown, "text": text,
        "colours": colours(),
    }  # fmt: skip
    (method, kind), curve = next(iter(curves.items()))
    asked = f" for the text \u201c{text}\u201d" if text else ""
    alt = f"Pictures of the {kind} by {method}{asked}, with the share of the pixels and the score below each."
    return Playable("scrubber", title, alt, data, first_state(_sheet(curve)))


def _stored(curve: Curve) -> dict[str, object]:
    values = array_of(curve.values, "values of a curve")
    if values.ndim != 1 or getattr(curve.edits, "soft", None) is not None:
        raise ShapeMismatch(f"a curve with one score a point, made in steps, expected; got {list(values.shape)}.")
    fractions = array_of(curve.fractions, "fractions")
    reached = np.rint(fractions * len(curve.edits.order))  # pixels that are edited at each point
    rank = np.asarray(curve.edits.rank.cpu())
    point = np.searchsorted(reached, rank, side="right")  # at which point a pixel is edited first
    return {
        "fractions": fractions.round(6).tolist(), "values": values.round(6).tolist(),
        "area": round(float(auc(fractions, values)), 6), "point": raw(point),
    }  # fmt: skip


def _place(pictures: list, canvas) -> int:
    """Where a picture stands in the sprite; equal ones stand there once."""
    height, width = canvas.size
    pixels = torch.as_tensor(canvas.pixels).cpu().reshape(height, width, 3)
    pixels = pixels.numpy() if pixels.dtype == torch.uint8 else (pixels.float().clamp(0, 1) * 255).byte().numpy()
    for place, each in enumerate(pictures):
        if np.array_equal(each, pixels):
            return place
    pictures.append(pixels)
    return len(pictures) - 1


def _sheet(curve: Curve):
    marks = sorted({round(i * (len(curve.fractions) - 1) / 4) for i in range(5)})
    captions = [f"{float(curve.fractions[i]):.0%}: score {float(curve.values[i]):.3f}" for i in marks]
    return scenes([curve.edits[i : i + 1][0] for i in marks], captions, columns=len(marks), side=1.5)
