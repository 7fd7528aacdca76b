"""What methods share that look at many edited copies of a pair: seeds, slices, one tower held fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zlib import crc32

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...clip import Clip, embed_image, embed_pixels, embed_text, end_of_text, similarity
from ...errors import BadSetting
from ...types import Pairs
from . import texts_of, whole, wide
from .insert import only_first_token

COPIES = 64  # edited copies in one forward pass where `batch_size` says nothing
CACHED = 400_000  # pixels, the same for a processor
Score = Callable[[Tensor], Float[Tensor, " copies"]]


def seeded(seed: int, method: str) -> torch.Generator:
    """A fresh generator for one sample: the same draws whatever its batch, and on any device."""
    return torch.Generator("cpu").manual_seed(crc32(f"{method} {whole('seed', seed)}".encode()))


def at_least(name: str, value: int, least: int = 1) -> int:
    """`value`, a whole number that is large enough."""
    if whole(name, value) < least:
        raise BadSetting(f"{name} is a whole number from {least} on; got {value}.")
    return value


def at_once(images: Float[Tensor, "batch 3 height width"], batch_size: int | None) -> int:
    """Edited copies of an image in one forward pass: `batch_size`, or what suits the device.

    A processor is fastest where activations stay in its cache: 8 copies of 224 x 224 pixels, more if smaller.
    """
    if batch_size is not None:
        return at_least("batch_size", batch_size)
    return COPIES if images.is_cuda else max(8, CACHED // images[0, 0].numel())


def slices(count: int, size: int | None) -> Iterator[slice]:
    """`count` things in runs of at most `size`."""
    size = COPIES if size is None else at_least("batch_size", size)
    return (slice(start, start + size) for start in range(0, count, size))


@torch.no_grad()
def embeds(clip: Clip, pairs: Pairs) -> tuple[Float[Tensor, "batch embed"], Float[Tensor, "batch embed"]]:
    """Unit embeddings of the images and of the texts, without a graph."""
    return embed_pixels(clip, pairs.images), embed_text(clip, texts_of(pairs))


def image_score(clip: Clip, text_embed: Float[Tensor, " embed"]) -> Score:
    """Cosine of edited images with one text that stays as it is."""

    @torch.no_grad()
    def score(images: Float[Tensor, "copies 3 height width"]) -> Float[Tensor, " copies"]:
        with only_first_token(clip):
            embed = embed_image(clip, images)
        return wide(similarity(embed, text_embed.expand(len(images), -1)))

    return score


def text_score(clip: Clip, image_embed: Float[Tensor, " embed"]) -> Score:
    """Cosine of edited texts with one image that stays as it is."""

    @torch.no_grad()
    def score(tokens: Int[Tensor, "copies context"]) -> Float[Tensor, " copies"]:
        return wide(similarity(image_embed.expand(len(tokens), -1), embed_text(clip, tokens)))

    return score


def words(clip: Clip, tokens: Int[Tensor, "batch context"]) -> list[Int[Tensor, " words"]]:
    """Positions of each text's own tokens: after the beginning of text, before its end."""
    return [torch.arange(1, max(1, int(end)), device=tokens.device) for end in end_of_text(clip, tokens)]
