"""The protocol transform: MMEL's own network T drawn anew, and nothing else. The sanity check of the module alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...clip import Clip, embed_text
from ...errors import BadSetting, DatasetError, FlatMap
from ...methods.mmel_settings import MmelSettings
from ...sanity.likeness import flat, on_grid, second_moment, spearman
from ...sanity.swaps import distance
from ..protocol import FATAL, Batch, Findings, Measurement, Row
from ..rows import check_row
from .checking import check_data, check_protocol
from .making import image_maps
from .scoring import pixels_of

ANOTHER, NO_GATE = "another T", "no gate"


@dataclass(frozen=True)
class Transform:
    """How far a map of MMEL is from that with another T, and from that without a gate (alpha = 0).

    Distances are between maps over the root of their second moment, as a share; rank correlations beside them. The
    `steps` of "another T" are the draws, its value their mean.
    """

    draws: tuple[int, ...] = tuple(range(1, 11))  # seeds of T
    name: str = "transform"
    wants_pixels = True

    def __post_init__(self) -> None:
        check_protocol(self)
        if not self.draws or len(set(self.draws)) < len(self.draws):
            raise BadSetting(f"draws of transform has seeds, each of them once; got {self.draws!r}.")

    def check_row(self, row: Row) -> None:
        """Raise for a method without a T, and for a row whose own T is among those to compare it with."""
        check_row(row)
        if row.method != "mmel":
            raise BadSetting(f"transform draws the network of mmel anew, which {row.method} of row {row.name} lacks.")
        if (own := MmelSettings(**row.settings).seed) in self.draws:
            raise BadSetting(f"row {row.name} has T of seed {own}, and another one was to be drawn: take other draws.")

    def prepare(self, clip: Clip, data) -> None:
        """Nothing: every sample stands by itself. Raises `DatasetError` where none has a caption."""
        check_data("transform", data)

    def measure_batches(self, clip: Clip, state: None, batches: Sequence[Batch]) -> Iterator[list[Findings]]:
        """A group has one call of the method for each draw; one whose maps fail has no numbers."""
        for batch in batches:
            try:
                yield self._found(clip, batch)
            except FATAL:
                raise
            except Exception as error:
                yield [[error]] * len(batch.examples)

    def _found(self, clip: Clip, batch: Batch) -> list[Findings]:
        if bare := [each.key for each in batch.examples if not each.captions]:
            raise DatasetError(f"a map of MMEL is made for a picture's caption, and {bare[0]} has none.")
        pixels = torch.cat([pixels_of(clip, each) for each in batch.examples])
        texts = embed_text(clip, [each.captions[0] for each in batch.examples]).detach()
        changes = {ANOTHER: [{"seed": each} for each in self.draws], NO_GATE: [{"alpha": 0.0}]}
        first = _map(clip, batch.row, {}, pixels, texts)
        found: list[Findings] = [[] for _ in batch.examples]
        for title, some in changes.items():
            others = [_map(clip, batch.row, change, pixels, texts) for change in some]
            for name, measure in {"distance": _apart, "spearman": spearman}.items():
                values = torch.stack([measure(first, each) for each in others], 1)  # sample draw
                for own, line in zip(found, values.tolist(), strict=True):
                    own.append(Measurement("image", f"{name} {title}", sum(line) / len(line), line))
        for i in torch.nonzero(flat(first)).flatten().tolist():
            found[i] = [FlatMap("the map is flat: no other can be near it.")]
        return found


def _map(clip: Clip, row: Row, change: Mapping[str, object], pixels: Tensor, texts: Tensor) -> Tensor:
    settings = {"seed": MmelSettings().seed, **row.settings, **change}  # T is the same for all samples
    made = image_maps(clip, Row(row.name, row.method, settings), pixels, texts, seed=0)
    return on_grid(made, made.shape[1:])


def _apart(first: Tensor, other: Tensor) -> Tensor:
    return distance(second_moment(first), second_moment(other))
