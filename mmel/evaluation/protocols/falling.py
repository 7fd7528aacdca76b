"""What a run of the protocol sanity says of one order of steps: curves with intervals, and the maps that it kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip
from ...errors import UnknownName
from ...sanity.randomization import Share, share_of
from ...sanity.runs import Band, interval_of
from .sanity import Sanity


@dataclass(frozen=True, eq=False)
class Falling:
    """One order of steps; rung 0 is the trained model. Curves are of samples whose trained map is not flat."""

    frame: pd.DataFrame
    states: tuple[int, ...]
    order: str
    steps: tuple[str, ...]
    shares: tuple[Share, ...]

    def flat(self, row: str) -> int:
        """How many samples have a flat map to begin with, of which no likeness can be asked."""
        return int(self.frame.loc[(self.frame.row == row) & (self.frame.kind == "FlatMap"), "sample"].nunique())

    def count(self, row: str, measure: str = "spearman") -> int:
        """How many samples have curves."""
        return len(self._lines(row, measure, self.states[0]))

    def likeness(self, row: str, measure: str = "spearman") -> Float[Tensor, "seed rung sample"]:
        """Each map against the trained model's, in the order of the samples."""
        found = [np.stack(list(self._lines(row, measure, seed)["steps"])).T for seed in self.states]
        return torch.tensor(np.stack(found))

    def band(self, row: str, measure: str = "spearman") -> Band:
        """The mean likeness at every rung over samples and seeds, with 95 % intervals."""
        values = self.likeness(row, measure)
        found = [interval_of(values[:, rung]) for rung in range(len(self.steps))]
        return Band(*([getattr(each, name) for each in found] for name in ("mean", "low", "high")))

    def maps(self, row: str) -> Float[Tensor, "sample rung rows columns"]:
        """The maps of the first random state, of the samples for which they were kept."""
        lines = self._lines(row, "map", self.states[0])
        return torch.stack([
            torch.tensor(steps).view(len(self.steps), -1, int(columns))
            for steps, columns in zip(lines["steps"], lines["value"], strict=True)
        ])  # fmt: skip

    def _lines(self, row: str, measure: str, seed: int) -> pd.DataFrame:
        frame, metric = self.frame, f"{measure} {self.order} {seed}"
        return frame[(frame.row == row) & (frame.metric == metric) & (frame.kind == "")]


def falling(protocol: Sanity, frame: pd.DataFrame, clip: Clip, order: str) -> Falling:
    """The lines of one order, out of what `mmel.evaluate(protocol, ...)` gave for this model."""
    if order not in protocol.orders:
        raise UnknownName("order of this sanity check", order, protocol.orders)
    coming = protocol.rungs(clip)[order]
    shares = (Share(0.0, 0.0), *(share_of(clip, climb.drawn, protocol.tower) for climb in coming))
    return Falling(frame, protocol.states, order, ("trained", *(climb.step for climb in coming)), shares)
