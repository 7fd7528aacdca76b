"""What a model still knows: is a picture's own caption the nearest of all?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_image, embed_text
from ..errors import DatasetError

NEAREST = "nearest"


class Gallery:
    """The first captions of all samples of a run. They are embedded once, or again whenever the text tower changes."""

    def __init__(self, clip: Clip, data, changes: bool):
        keys, told = data.keys, data.captions
        if bare := [key for key, captions in zip(keys, told, strict=True) if not captions]:
            raise DatasetError(f"the nearest caption is sought among those of all samples, and {bare[0]} has none.")
        self.texts = [captions[0] for captions in told]
        self._embeds = None if changes else self._embedded(clip)
        self._last: tuple[Hashable, Tensor | None] = (None, None)

    def nearest(self, clip: Clip, pixels: Tensor, own: Sequence[str], when: Hashable) -> Float[Tensor, " batch"]:
        """1 where the caption with the largest cosine reads as the own one does; asked again `when` it was, no pass."""
        if self._last[0] != when or self._last[1] is None:
            embeds = self._embedded(clip) if self._embeds is None else self._embeds
            with torch.no_grad():
                found = (embed_image(clip, pixels) @ embeds.T).argmax(1).tolist()
            right = [float(self.texts[place] == text) for place, text in zip(found, own, strict=True)]
            self._last = (when, torch.tensor(right, dtype=torch.float64))
        return self._last[1]

    @torch.no_grad()
    def _embedded(self, clip: Clip) -> Float[Tensor, "text embed"]:
        return torch.cat([embed_text(clip, self.texts[at : at + 256]) for at in range(0, len(self.texts), 256)])
