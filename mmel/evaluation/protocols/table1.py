"""Table 1: Confidence Drop and Increase of pictures and texts, as scripts/eval.py of M2IB measures them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from ...clip import Clip, embed_text
from ..protocol import Measurement, Row
from ..rows import draws, has_text_map
from .checking import check_data, check_protocol
from .keeping import image_confidence, image_scores, text_confidence, text_scores
from .making import image_maps, text_maps
from .scoring import embed_pixels, pixels_of


@dataclass(frozen=True)
class Table1:
    """Each caption with its picture; `runs` seeds for a method that draws, a single run for one that does not."""

    runs: int = 10
    captions: int = 1  # of each picture
    name: str = "table1"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        check_protocol(self, least={"runs": 1, "captions": 1})

    def prepare(self, clip: Clip, data) -> None:
        """Nothing: every sample stands by itself. Raises `DatasetError` where none has a caption."""
        check_data("table1", data)

    def measure(self, clip: Clip, state: None, example, row: Row, seed: int) -> Iterator[Measurement]:
        """The two metrics of the picture, and those of its captions; `steps` are the runs, `value` is their mean."""
        texts = list(example.captions[: self.captions])
        pixels = pixels_of(clip, example)
        embeds = embed_text(clip, texts).detach()
        seen = embed_pixels(clip, pixels)[0]
        image_runs, text_runs = [], []
        for run in range(self.runs if draws(row) else 1):
            maps = image_maps(clip, row, pixels, embeds, seed, run).cpu()
            image_runs.append([image_scores(clip, pixels, e, [m]) for e, m in zip(embeds, maps, strict=True)])
            if has_text_map(row):
                maps = text_maps(clip, row, pixels, texts, seed, run).cpu()
                text_runs.append([text_scores(clip, t, seen, [m]) for t, m in zip(texts, maps, strict=True)])
        yield from _read("image", image_runs, image_confidence)
        yield from _read("text", text_runs, text_confidence)


def _read(modality: str, runs: Sequence[Sequence[Tensor]], confidence: Callable) -> Iterator[Measurement]:
    """All scores in one transfer; of each run every metric's mean over the captions of one picture."""
    if not runs:
        return
    scores = torch.stack([torch.stack(list(run)) for run in runs]).cpu()  # run caption score
    found = [[confidence(each)[0] for each in run] for run in scores]
    for metric in found[0][0]:
        values = [fmean(each[metric] for each in run) for run in found]
        yield Measurement(modality, metric, fmean(values), values)
