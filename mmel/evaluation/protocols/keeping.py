"""Confidence drop and increase of pictures and texts of which a map decides what is kept, as meant and as written."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ... import maps
from ...clip import Clip, end_of_text
from ...loading.inputs import token_ids
from ...metrics import bare_words, confidence_drop, confidence_increase, first_row, masked_tokens
from ...metrics.canvas import sent
from .scoring import embed_pixels, embed_tokens

MASKS = ("", "first row")  # the whole map; its first row all the way down, as eval.py really does
WORDS = ("", "id 0")  # a proper text without the other words; their ids 0 and no ends, as eval.py does


def image_scores(
    clip: Clip,
    pixels: Float[Tensor, "1 3 height width"],
    text_embed: Float[Tensor, " embed"],
    given: Sequence[Float[Tensor, "rows columns"]],
) -> Float[Tensor, " scores"]:
    """Cosines of a whole picture and, for each of its maps, of M2IB's soft mask on normalised pixels.

    After these the masks that scripts/eval.py ends up with: its map lacks a batch axis, so that the first row of the
    map is stretched over the picture. For maps that lie on the CPU no GPU is waited for; the scores stay on it.
    """
    size = tuple(pixels.shape[-2:])
    soft = [maps.upsample(maps.normalize(map[None].cpu()), size) for map in given]
    soft = torch.cat(soft + [first_row(each) for each in soft]).clamp(0, 1)  # map, then first rows
    seen = embed_pixels(clip, torch.cat([pixels, pixels * sent(soft, pixels.device).to(pixels)[:, None]]))
    return seen @ text_embed.to(seen)


def text_scores(
    clip: Clip, text: str, image_embed: Float[Tensor, " embed"], given: Sequence[Float[Tensor, " context"]]
) -> Float[Tensor, " scores"]:
    """Cosines of a text whole and as scripts/eval.py takes it, then of what each map leaves of both.

    The words above the median of their values stay. Theirs has no start and no end, and id 0 in the place of every
    word that goes. For maps that lie on the CPU no GPU is waited for; the scores stay on it.
    """
    tokens = token_ids(clip, text)  # 1 context
    eos = end_of_text(clip, tokens)
    many, ends = tokens.expand(len(given), -1), eos.expand(len(given))
    values = torch.stack(list(given)).cpu()
    zeroed = bare_words(masked_tokens(many, values, eos=ends, fill=0), eos=ends)
    proper = masked_tokens(many, values, eos=ends)
    seen = embed_tokens(clip, torch.cat([tokens, bare_words(tokens, eos=eos), proper, zeroed]))
    return seen @ image_embed.to(seen)


def image_confidence(scores: Float[Tensor, " scores"]) -> list[dict[str, float]]:
    """Drop and increase for each map, from `image_scores`: as meant, and with the first row alone."""
    after = scores[1:].view(len(MASKS), -1).T  # map kind
    return [_named(scores[0].expand(len(MASKS)), each, MASKS) for each in after]


def text_confidence(scores: Float[Tensor, " scores"]) -> list[dict[str, float]]:
    """Drop and increase for each map, from `text_scores`: as meant, and with id 0."""
    after = scores[2:].view(len(WORDS), -1).T
    return [_named(scores[:2], each, WORDS) for each in after]


def _named(before: Float[Tensor, " kind"], after: Float[Tensor, " kind"], kinds: Sequence[str]) -> dict[str, float]:
    """The two metrics of each kind; the kind as meant has no suffix."""
    drop, gain = confidence_drop(before, after), confidence_increase(before, after)
    found = {}
    for place, kind in enumerate(kinds):
        suffix = f" {kind}" if kind else ""
        found[f"confidence_drop{suffix}"] = float(drop[place])
        found[f"confidence_increase{suffix}"] = float(gain[place])
    return found
