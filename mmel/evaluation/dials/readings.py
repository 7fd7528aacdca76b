"""How far apart two maps are, and models to compare readings on that nobody has trained."""

from __future__ import annotations

import open_clip
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from ...clip import Clip, embed_image
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
