"""Texts with words taken away or put back, and whether they still find their picture in a whole gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call

from ...clip import Clip, end_of_text, evaluating, prepare_images
from ...errors import UnknownName, UnsupportedModel
from ...loading.inputs import token_ids
from ...metrics import hits_at_k, text_deletion_edits, text_insertion_edits
from ...metrics.canvas import sent
from ...metrics.retrieval import first_right
from ..protocol import Row
from .making import text_maps
from .scoring import embed_tokens

READINGS = ("remove", "mask", "attention")
MASK = 0  # the id that takes a word's place under "mask": CLIP has none of its own, and 0 is what pads its texts
KS = (1, 5, 10)
DECIMALS = 6  # of cosines, so that the last bits of a batched product decide no rank
EDITS = {"deletion": text_deletion_edits, "insertion": text_insertion_edits}


@dataclass(frozen=True, eq=False)
class Gallery:
    """Every picture and every caption that can be found. `owner[c]` is the picture of caption c."""

    images: Float[Tensor, "image embed"]
    texts: Float[Tensor, "caption embed"]
    owner: Int[Tensor, " caption"]  # on the CPU


class Retrieved(NamedTuple):
    """Hits at 1, 5 and 10, [3, point], each from 0 to 1: the mean over the queries of one picture."""

    image_retrieval: Float[Tensor, "kinds points"]
    text_retrieval: Float[Tensor, "kinds points"]


class EditedTexts(NamedTuple):
    """Copies of one text, and the positions of it that can be seen."""

    tokens: Int[Tensor, "points context"]
    kept: Bool[Tensor, "points context"]


def edited_texts(
    clip: Clip, text: str, map: Float[Tensor, " context"], kind: str, *, reading: str = "remove", steps: int = 10
) -> EditedTexts:
    """A text at 0, 1 / steps, ... of its words taken away (or put back), both ends included.

    `reading`: "remove" takes words out and moves the rest together, "mask" puts an id in their place, "attention"
    leaves the text as it is and lets no position look at them. All of it happens on the CPU: no GPU is waited for.
    """
    if reading not in READINGS:
        raise UnknownName("reading of an edited text", reading, READINGS)
    tokens = token_ids(clip, text)
    end = int(end_of_text(clip, tokens)[0])
    fill = MASK if reading == "mask" else "remove"
    edits = EDITS[kind](tokens[0], map.cpu(), steps=steps, ends="both", fill=fill, eos=end)
    if reading != "attention":
        return EditedTexts(edits.tokens, torch.ones_like(edits.kept))
    return EditedTexts(tokens.expand_as(edits.kept), edits.kept)


@torch.no_grad()
def embed_edited(
    clip: Clip, edited: Sequence[EditedTexts], memo: dict[bytes, Tensor] | None = None
) -> list[Float[Tensor, "points embed"]]:
    """Embeddings of edited texts, each different one embedded once whichever method made it.

    `memo` remembers them from call to call, so that the rows of a table share what they have in common.
    """
    memo = {} if memo is None else memo
    both = torch.cat([torch.cat([each.tokens, each.kept.long()], 1) for each in edited])
    keys = [line.tobytes() for line in both.numpy()]
    new = [places[0] for key, places in _places(keys).items() if key not in memo]
    if new:
        tokens, kept = both[new].chunk(2, 1)
        made = embed_tokens(clip, tokens) if bool(kept.all()) else embed_hidden(clip, tokens, kept)
        memo |= {keys[place]: embed for place, embed in zip(new, made, strict=True)}
    return list(torch.stack([memo[key] for key in keys]).split([len(each.tokens) for each in edited]))


def _places(keys: Sequence[bytes]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return found


def embed_hidden(
    clip: Clip, tokens: Int[Tensor, "batch context"], kept: Int[Tensor, "batch context"]
) -> Float[Tensor, "batch embed"]:
    """Embeddings of texts (on the CPU) of which only the `kept` positions can be attended to, at their own places."""
    model = clip.model
    mask, heads = getattr(model, "attn_mask", None), getattr(model, "transformer", None)
    if not isinstance(mask, Tensor) or heads is None:
        raise UnsupportedModel(
            f"the text tower of {clip.name!r} has no mask to hide words with: take reading='remove'."
        )
    length = int(end_of_text(clip, tokens).max()) + 1
    count = heads.resblocks[0].attn.num_heads
    hidden = torch.zeros(len(tokens), length).masked_fill(kept[:, :length] == 0, -torch.inf)
    masks = (mask[:length, :length] + sent(hidden, mask.device)[:, None]).repeat_interleave(
        count, 0
    )  # batch x heads, query, key
    changed = {"positional_embedding": model.positional_embedding[:length], "attn_mask": masks.to(mask.dtype)}
    clip.passes.text += len(tokens)
    with evaluating(model):
        out = functional_call(model, changed, (None, sent(tokens[:, :length], mask.device)))
    return (out["text_features"] if isinstance(out, dict) else out[1]).float()


def retrieved(gallery: Gallery, image: int, captions: Sequence[Float[Tensor, "points embed"]]) -> Retrieved:
    """Do the edited captions of picture `image` find it, and does it find one of them?

    All else in the gallery stays whole: each point asks about this picture alone. The hits stay on the device.
    """
    own = (gallery.owner == image).nonzero()[:, 0]
    found = []
    for edited in captions:
        similarities = (edited @ gallery.images.T).round(decimals=DECIMALS)
        found.append(_hits(similarities, torch.tensor([image])))
    similarities = (gallery.images[image] @ gallery.texts.T).repeat(len(captions[0]), 1)  # points caption
    changed = torch.stack([edited @ gallery.images[image] for edited in captions], 1)
    similarities = similarities.index_copy(1, sent(own, similarities.device), changed)
    return Retrieved(torch.stack(found).mean(0), _hits(similarities.round(decimals=DECIMALS), own))


def edited_gallery(
    clip: Clip, examples, row: Row, kind: str, seed: int, *, steps: int = 10, memo: dict[bytes, Tensor] | None = None
) -> Float[Tensor, "caption points embed"]:
    """Every caption of some samples, edited in the order of its own map: what `retrieved_together` looks among."""
    made = []
    for example in examples:
        texts = list(example.captions)
        maps = text_maps(clip, row, prepare_images(clip, example.image), texts, seed).cpu()
        made += [edited_texts(clip, text, map, kind, steps=steps) for text, map in zip(texts, maps, strict=True)]
    return torch.stack(embed_edited(clip, made, memo))


def retrieved_together(
    gallery: Gallery, edited: Float[Tensor, "caption points embed"], k: int
) -> Float[Tensor, "2 points"]:
    """Recall at `k` of both directions (pictures found, texts found) where *all* captions are edited alike."""
    recalls = []
    every = [(gallery.owner == image).nonzero()[:, 0].tolist() for image in range(len(gallery.images))]
    for point in edited.unbind(1):
        similarities = (point @ gallery.images.T).round(decimals=DECIMALS)  # caption image
        forward = hits_at_k(similarities, gallery.owner, k).mean()
        recalls.append(torch.stack([forward, hits_at_k(similarities.T, every, k).mean()]))
    return torch.stack(recalls, 1)


def _hits(
    similarities: Float[Tensor, "points candidate"], right: Int[Tensor, " target"]
) -> Float[Tensor, "kinds points"]:
    """`hits_at_k` for each k without waiting for a GPU; NaN for what is no number."""
    mask = torch.zeros(similarities.shape[1], dtype=torch.bool)
    mask[right] = True
    rank = first_right(similarities, sent(mask, similarities.device).expand_as(similarities))
    hits = torch.stack([rank < k for k in KS]).double()
    return hits.masked_fill(~similarities.isfinite().all(1), torch.nan)
