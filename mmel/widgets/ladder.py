"""The randomisation ladder: maps that dissolve while the model loses its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import BadSetting
from ..figures import grid
from ..figures.frame import array_of
from .packing import maps_of, pack, sprite
from .playable import Playable, alike, colours, first_state


def ladder(
    pictures: Sequence,
    steps: Mapping[str, Sequence[str]],
    maps: Mapping[str, Mapping[str, object]],
    likeness: Mapping[str, Mapping[str, object]],
    *,
    shares: Mapping[str, Sequence[float]] | None = None,
    texts: Sequence[str] = (),
    measure: str = "rank correlation",
    title: str = "Draw the weights anew, step by step",
) -> Playable:
    """Drag down the ladder: all methods' maps at once, and how much of each is left.

    Orders are names, such as "from the top"; `steps[order]` are the rungs, the trained model first; `maps[order]` has
    for each method [scene, rung, rows, columns], `likeness[order]` [scene, rung], by `measure`; `shares[order]` is the
    share of the numbers that are drawn anew at each rung. A flat trained map has no order: its likeness may be NaN,
    and the page says so. Errors: ShapeMismatch, NotANumber (in maps), BadSetting.
    """
    if not steps or set(steps) != set(maps) or set(steps) != set(likeness):
        raise BadSetting(f"steps, maps and likeness of the same orders expected; got {list(steps)} and {list(maps)}.")
    if texts:
        alike("texts", len(texts), len(pictures))
    orders = []
    for order, rungs in steps.items():
        sizes = {"scene": len(pictures), "rung": len(rungs)}
        share = list(map(float, (shares or {}).get(order, ())))
        if share:
            alike(f"shares of {order}", len(share), len(rungs))
        orders.append({"name": order, "steps": list(rungs), "shares": share, "methods": [
            {"name": name, "maps": _maps(name, each, sizes), "likeness": _likeness(likeness[order], name, sizes)}
            for name, each in maps[order].items()
        ]})  # fmt: skip
    data = {
        "sprite": sprite(pictures), "orders": orders, "texts": list(texts), "measure": measure, "colours": colours(),
    }  # fmt: skip
    alt = "Maps of several methods in rows; from left to right the model loses its weights, and the maps dissolve."
    return Playable("ladder", title, alt, data, first_state(_sheet(pictures[0], *next(iter(maps.items())), steps)))


def _maps(name: str, values, sizes: Mapping[str, int]) -> dict[str, object]:
    return pack(maps_of(values, ("scene", "rung", "rows", "columns"), sizes, f"maps of {name}"), rows=2)


def _likeness(found: Mapping[str, object], name: str, sizes: Mapping[str, int]) -> list[list[float | None]]:
    if name not in found:
        raise BadSetting(f"a likeness of each method's maps expected; none of {name} came.")
    values = np.asarray(found[name], float)
    missing = np.isnan(values)
    values = maps_of(np.where(missing, 0, values), ("scene", "rung"), sizes, f"likeness of {name}")
    return [[None if gone else round(value, 4) for value, gone in zip(*pair, strict=True)]
            for pair in zip(values.tolist(), missing.tolist(), strict=True)]  # fmt: skip


def _sheet(picture, order: str, maps: Mapping[str, object], steps: Mapping[str, Sequence[str]]):
    marks = sorted({round(i * (len(steps[order]) - 1) / 4) for i in range(5)})
    rows = [[array_of(each, name)[0, mark] for mark in marks] for name, each in maps.items()]
    titles, labels = [steps[order][mark] for mark in marks], [name.replace(" ", "\n", 1) for name in maps]
    return grid([picture] * len(rows), rows, row_titles=labels, column_titles=titles, side=1.05)
