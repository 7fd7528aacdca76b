"""How far apart two maps are, and models to compare readings on that nobody has trained."""

from __future__ import annotations

from collections.abc import Sequence

import open_clip
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from ...clip import Clip, embed_image, end_of_text
from ...errors import ShapeMismatch
from ...maps import normalize
from ...metrics import confidence_drop, confidence_increase, masked_image
from .search import Traced

SMALL = 1e-3  # of a map's largest value: below it a quotient of two maps says nothing


def rank_correlation(
    maps: Float[Tensor, "batch rows columns"], others: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, " batch"]:
    """Spearman's correlation of the patches of each pair of maps; equal values share a rank.

    A flat map has 0 with any other, and two flat maps have 1.
    """
    if maps.shape != others.shape:
        raise ShapeMismatch(f"two maps of each sample, of one shape; got {list(maps.shape)} and {list(others.shape)}.")
    ranks = [torch.as_tensor(rankdata(each.detach().cpu().flatten(1).numpy(), axis=1)) for each in (maps, others)]
    apart = [each - each.mean(1, keepdim=True) for each in ranks]
    size = apart[0].norm(dim=1) * apart[1].norm(dim=1)
    flat = (apart[0].abs().amax(1) == 0) & (apart[1].abs().amax(1) == 0)
    found = (apart[0] * apart[1]).sum(1) / torch.where(size > 0, size, torch.ones_like(size))
    return torch.where(flat, torch.ones_like(found), found)


def gate_range(
    maps: Float[Tensor, "batch rows columns"], base: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, " batch"]:
    """Largest over smallest quotient of a gated map and its base, over patches that are not nearly 0; 1 is no gate."""
    seen = base > SMALL * base.amax((1, 2), keepdim=True)
    quotient = maps / torch.where(seen, base, torch.ones_like(base))
    high = quotient.masked_fill(~seen, -torch.inf).amax((1, 2))
    low = quotient.masked_fill(~seen, torch.inf).amin((1, 2))
    return torch.where(seen.any(2).any(1), high / low, torch.ones_like(high))


def of_words(clip: Clip, maps: Float[Tensor, "batch context"], texts: Sequence[str]) -> list[Float[Tensor, "1 1 word"]]:
    """Each text's map over its words alone, as a map of one row.

    The start, the end and the padding are no words: padding is 0 in all maps, so that they agree there whatever they
    say, and the start and the end have the gate of no word.
    """
    ends = end_of_text(clip, clip.tokenizer(list(texts))).tolist()
    if len(maps) != len(ends):
        raise ShapeMismatch(f"a map for each text was expected; got {len(maps)} maps and {len(ends)} texts.")
    return [map[None, None, 1:end] for map, end in zip(maps, ends, strict=True)]


def words_apart(
    clip: Clip, maps: Float[Tensor, "batch context"], base: Float[Tensor, "batch context"], texts: Sequence[str]
) -> dict[str, Float[Tensor, " batch"]]:
    """`rank_correlation` and `gate_range` of text maps and their base, over the words of each text."""
    pairs = list(zip(of_words(clip, maps, texts), of_words(clip, base, texts), strict=True))
    measures = {"rank": rank_correlation, "gate range": gate_range}
    return {name: torch.cat([measure(*pair) for pair in pairs]) for name, measure in measures.items()}


@torch.no_grad()
def confidence(traced: Traced, maps: Float[Tensor, "batch rows columns"]) -> dict[str, Float[Tensor, " batch"]]:
    """Sec. 4.2's drop and increase of each pair, by the soft mask of the min-max map; one pass a pair."""
    shown = masked_image(traced.pixels, normalize(maps))
    after = (embed_image(traced.clip, shown) * traced.embeds).sum(-1).double()
    before = traced.trace.score.detach().double()
    return {
        "confidence_drop": confidence_drop(before, after),
        "confidence_increase": confidence_increase(before, after),
    }


def random_vit(name: str, seed: int = 0) -> Clip:
    """One of open_clip's ViTs as it is before any training: weights as the architecture draws them, from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(name, load_weights=False).eval().requires_grad_(False)
    preprocess = open_clip.image_transform(model.visual.image_size, is_train=False)
    return Clip(model, preprocess, open_clip.get_tokenizer(name), name=f"{name}, untrained")
