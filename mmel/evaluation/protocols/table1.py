"""Table 1: Confidence Drop and Increase of pictures and texts, as scripts/eval.py of M2IB measures them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from ...clip import Clip, embed_text
from ..protocol import Measurement, Row
from ..rows import draws, has_text_map
from .keeping import image_confidence, text_confidence
from .making import image_maps, text_maps
from .scoring import embed_pixels, pixels_of


@dataclass(frozen=True)
class Table1:
    """Each caption with its picture; `runs` seeds for a method that draws, a single run for one that does not."""

    runs: int = 10
    captions: int = 1  # of each picture
    name: str = "table1"
    wants_pixels = True  # of each sample, made once for all rows

    def prepare(self, clip: Clip, data) -> None:
        """Nothing: every sample stands by itself."""

    def measure(self, clip: Clip, state: None, example, row: Row, seed: int) -> Iterator[Measurement]:
        """The two metrics of the picture, and those of its captions; `steps` are the runs, `value` is their mean."""
        texts = list(example.captions[: self.captions])
        pixels = pixels_of(clip, example)
        embeds = embed_text(clip, texts).detach()
        seen = embed_pixels(clip, pixels)[0]
        image_runs, text_runs = [], []
        for run in range(self.runs if draws(row) else 1):
            maps = image_maps(clip, row, pixels, embeds, seed, run)
            image_runs.append(
                _mean([image_confidence(clip, pixels, e, [m])[0] for e, m in zip(embeds, maps, strict=True)])
            )
            if has_text_map(row):
                maps = text_maps(clip, row, pixels, texts, seed, run)
                text_runs.append(
                    _mean([text_confidence(clip, t, seen, [m])[0] for t, m in zip(texts, maps, strict=True)])
                )
        for modality, runs in (("image", image_runs), ("text", text_runs)):
            for metric in runs[0] if runs else ():
                values = [run[metric] for run in runs]
                yield Measurement(modality, metric, fmean(values), values)


def _mean(found: list[dict[str, float]]) -> dict[str, float]:
    """Each metric's mean over the captions of one picture."""
    return {metric: fmean(each[metric] for each in found) for metric in found[0]}
