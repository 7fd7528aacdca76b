"""Do text maps point at the words that name what can be seen? The grammar of the bundled world knows which they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from ...clip import Clip
from ...errors import DatasetError
from ..protocol import Measurement, Row
from .checking import check_data, check_protocol
from .making import text_maps
from .scoring import pixels_of
from .wording import ROLES, SCORES, judged_words, word_truth


@dataclass(frozen=True)
class Words:
    """The text map of each caption against its words of the given roles; positions of start and end are left out."""

    captions: int = 5  # of each picture
    roles: tuple[str, ...] = ("object",)
    name: str = "words"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        check_protocol(self, {"roles": ROLES}, least={"captions": 1})

    def prepare(self, clip: Clip, data) -> None:
        """Nothing: every sample stands by itself. Raises `DatasetError` where none is of the bundled world."""
        check_data("words", data)

    def measure(self, clip: Clip, state: None, example, row: Row, seed: int) -> Iterator[Measurement]:
        """Each score's mean over the captions of one picture; `steps` are the captions."""
        scene = getattr(example, "scene", None)
        if scene is None:
            raise DatasetError(f"{example.key} has no words of known meaning: take a dataset of the bundled world.")
        captions = scene.captions[: self.captions]
        texts = [caption.text for caption in captions]
        maps = text_maps(clip, row, pixels_of(clip, example), texts, seed).cpu()
        found = []
        for caption, map in zip(captions, maps, strict=True):
            truth = word_truth(clip, caption, self.roles)
            if truth.any():
                found.append(judged_words(map[1 : len(truth) + 1], truth))
        if not found:
            raise DatasetError(f"no caption of {example.key} has a word of the roles {', '.join(self.roles)}.")
        for metric in SCORES:
            values = [each[metric] for each in found]
            yield Measurement("text", metric, fmean(values), values)
