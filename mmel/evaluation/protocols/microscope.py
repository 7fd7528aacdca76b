"""The protocol microscope: the same maps judged under every fill, score, fraction and choice of end points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...clip import Clip
from ..protocol import Measurement, Row
from .checking import check_data, check_protocol
from .editing import Question, embedded_curves
from .looking import STEPS, areas_of, asks_of, check_steps
from .making import image_maps
from .scoring import PATHS
from .seeing import cropped
from .table2 import Classes, classes_of


@dataclass(frozen=True)
class Microscope:
    """A map for the true label, and the area of each of `looking.VIEWS`: of 156 pictures a map with 20 steps.

    The map lies on what the model sees of the picture; pixels outside of that are edited last, in reading order.
    """

    path: str = "device"
    steps: int = STEPS
    name: str = "microscope"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        check_protocol(self, {"path": PATHS})
        check_steps(self.steps)

    def prepare(self, clip: Clip, data) -> Classes:
        """The class ensembles, as of Table 2."""
        check_data("microscope", data)
        return classes_of("microscope", clip, data)

    def measure(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Iterator[Measurement]:
        """One area a view."""
        asked = self.ask(clip, state, example, row, seed)
        yield from asked.read(embedded_curves(clip, asked.image, asked.asks, path=self.path))

    def ask(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Question:
        """The curves to embed, alone or together with those of other pictures, and how they are read."""
        look = cropped(clip, example)
        (map,) = image_maps(clip, row, look.pixels, state.embeds[[example.label]], seed).cpu()

        def read(curves) -> Iterator[Measurement]:
            for name, area in areas_of(curves, state.embeds, example.label, state.scale, self.steps).items():
                yield Measurement("image", name, area, [])

        return Question(example.image, asks_of(map, seed, self.steps, look.window), read)
