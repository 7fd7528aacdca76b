"""The stage of the scene editor, where emoji are dragged: what ipywidgets alone has nothing for."""

from __future__ import annotations

from importlib.resources import files

import anywidget
import traitlets as T

from ...scenes import SIZE, Plan, Scene
from .draw import png


class Stage(anywidget.AnyWidget):
    """Shows a plan. What a reader does on it comes as a `wish`: choose, move, size, remove or drop."""

    _esm = files(__package__).joinpath("stage.js").read_text(encoding="utf-8")
    size = T.Int(SIZE).tag(sync=True)
    picture = T.Bytes().tag(sync=True)  # PNG
    objects = T.List().tag(sync=True)  # name, and x, y and size in pixels of the scene, of each from back to front
    chosen = T.Int(-1).tag(sync=True)
    wish = T.Dict({"number": 0}).tag(sync=True)

    def show(self, plan: Plan, chosen: int) -> None:
        """Draw a plan, with a frame around the chosen object."""
        objects = [{"name": each.name, "x": each.x, "y": each.y, "size": each.size} for each in plan.objects]
        with self.hold_sync():
            self.picture, self.objects, self.chosen = png(Scene(plan).image), objects, chosen
