"""What the protocols share: edited pictures and texts as embeddings, class ensembles, labels, words of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from ... import clip as clips
from ...clip import Clip, normalize_pixels, prepare_images, prepare_texts, scoring
from ...errors import TextError, UnsupportedModel
from ...loading.windows import GEOMETRY, VALUES
from ...metrics.canvas import sent
from ...types import PLAIN

PATHS = ("exact", "device")


def pixels_of(clip: Clip, example) -> Float[Tensor, "1 3 height width"]:
    """A sample's picture as pixels on the model's device: those that a reader made ahead, or made here."""
    if example.pixels is None:
        return prepare_images(clip, example.image)
    return sent(example.pixels, clip.device).to(clip.dtype)


def device_pixels(clip: Clip, pictures: UInt8[Tensor, "batch rows columns 3"]) -> Float[Tensor, "batch 3 height width"]:
    """`clip.preprocess` of many pictures at once, without PIL: resize and crop as pixels on the model's device.

    Notes
    -----
    Where pictures are resized, a channel may differ from PIL's by one step of 255, for PIL rounds after each axis.
    """
    pixels = sent(pictures, clip.device).permute(0, 3, 1, 2).contiguous()  # batch 3 rows columns
    for step in getattr(clip.preprocess, "transforms", (None,)):
        name = type(step).__name__
        if name in GEOMETRY:
            pixels = step(pixels)
        elif name == "Normalize":
            mean, std = (sent(torch.as_tensor(each, dtype=clip.dtype), clip.device) for each in (step.mean, step.std))
            pixels = normalize_pixels(pixels.to(clip.dtype).div_(255), mean, std)  # the step itself would wait
        elif name not in VALUES:
            raise UnsupportedModel(
                f"the picture transform of {clip.name!r} has a step {name!r} that is not known to work on pixels: "
                "score by path='exact', which sends every picture through the transform itself."
            )
    return pixels


def embed_pictures(
    clip: Clip, pictures: UInt8[Tensor, "batch rows columns 3"], path: str = "device"
) -> Float[Tensor, "batch embed"]:
    """Embeddings of edited pictures; `path` "exact" sends each through PIL and the transform, as official code does."""
    return torch.cat([embed_pixels(clip, ready(clip, some, path)) for some in pictures.split(clip.scoring.batch)])


def ready(
    clip: Clip, pictures: UInt8[Tensor, "batch rows columns 3"], path: str
) -> Float[Tensor, "batch 3 height width"]:
    """Pictures of one size as the model's pixels, by one of `PATHS`."""
    if path == "exact":
        return prepare_images(clip, [Image.fromarray(one) for one in pictures.cpu().numpy()])
    return device_pixels(clip, pictures)


def embed_pixels(clip: Clip, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
    """Embeddings of pixels that are prepared already, some at a time."""
    with scoring(clip):
        return torch.cat([clips.embed_pixels(clip, some).float() for some in pixels.split(clip.scoring.batch)])


def embed_tokens(clip: Clip, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
    """Embeddings of texts, each different one embedded once. For ids that lie on the CPU no GPU is waited for."""
    different, which = torch.unique(tokens.cpu(), dim=0, return_inverse=True)
    parts = different.split(4 * clip.scoring.batch)
    with scoring(clip):
        made = torch.cat([clips.embed_ids(clip, sent(some, clip.device), some).float() for some in parts])
    return made[sent(which, clip.device)]


@torch.no_grad()
def class_embeds(clip: Clip, prompts: Sequence[Sequence[str]]) -> Float[Tensor, "class embed"]:
    """One unit embedding a class: the mean of its prompts' unit embeddings, as build_zero_shot_classifier makes it."""
    clip = replace(clip, scoring=PLAIN)  # once for a whole run
    flat = embed_tokens(clip, torch.cat([prepare_texts(clip, list(each)) for each in prompts]))
    means = torch.stack([each.mean(0) for each in flat.split([len(each) for each in prompts])])
    return F.normalize(means, dim=-1)


def spans_of(clip: Clip, text: str) -> list[tuple[int, int]]:
    """Where in `text` the characters of each of its tokens stand, in order, start and end of text left out."""
    spans, place, low = [], 0, text.lower()
    for index in clip.tokenizer.encode(text):
        piece = clip.tokenizer.decode([index]).strip()
        start = low.find(piece, place)
        if start < 0:
            raise TextError(f"the token {piece!r} is not found in {text!r}: its words cannot be told apart.")
        place = start + len(piece)
        spans.append((start, place))
    return spans
