"""The protocol microscope: the same maps judged under every fill, score, fraction and choice of end points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...clip import Clip
from ..protocol import Measurement, Row
from .editing import embedded_curves
from .looking import areas_of, asks_of
from .making import image_maps
from .table2 import Classes, Table2


@dataclass(frozen=True)
class Microscope:
    """A map for the true label, and the area of each of `looking.VIEWS`: 156 pictures a map, however many views."""

    path: str = "device"
    name: str = "microscope"

    def prepare(self, clip: Clip, data) -> Classes:
        """The class ensembles, as of Table 2."""
        return Table2().prepare(clip, data)

    def measure(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Iterator[Measurement]:
        """One area a view."""
        (map,) = image_maps(clip, row, example.image, state.embeds[[example.label]], seed)
        curves = embedded_curves(clip, example.image, asks_of(map, seed), path=self.path)
        for name, area in areas_of(curves, state.embeds, example.label, state.scale).items():
            yield Measurement("image", name, area, [])
