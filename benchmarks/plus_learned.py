"""What the chapter "Make it work" learns on scenes of `validation`: weights of the blocks, and the gate of Eq. 9.

Both learn from the same stand-in for the curves: random masks of patches, each with the true score of the picture that
it leaves. A map is good where the sum of its kept patches follows that score within a scene.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

import mmel
from mmel.evaluation.dials.search import Traced
from mmel.methods.grad_eclip import sum_layers
from mmel.methods.mmel import FeatureTransform, enhance, layer_levels
from mmel.methods.mmel_settings import MmelSettings

MASKED = 24  # random masks a scene
STEPS, BATCH = 160, 8  # of Adam; scenes a step
RATES = {"transform": 3e-3, "dials": 3e-2}  # of T, and of theta and alpha
READINGS = {  # of Eq. 5 to 9 whose T and theta are learned; Grad-ECLIP's maps of all blocks below both
    "literal": MmelSettings(**mmel.LITERAL),
    "relevance": MmelSettings(**{**mmel.WORKING, "layers": None}),
}


class Masked(NamedTuple):
    """Which patches each mask keeps, [scene, mask, patch], and the scores of what it leaves, [scene, mask]."""

    kept: Tensor
    scores: Tensor


def masked_scores(traced: Traced, patches: int, seed: int = 0) -> Masked:
    """Each scene under random masks; what is not kept gets the mean colour. Both less their mean in a scene."""
    draw = torch.Generator().manual_seed(seed)
    kept = torch.rand(len(traced), MASKED, patches, generator=draw) < torch.rand(len(traced), MASKED, 1, generator=draw)
    side, size, scores = int(patches**0.5), traced.clip.patch_size, []
    for pixels, score, keep in zip(traced.pixels, traced.scores, kept, strict=True):
        seen = keep.view(MASKED, 1, side, side).repeat_interleave(size, 2).repeat_interleave(size, 3)
        scores.append(score(torch.where(seen, pixels, pixels.mean((1, 2), keepdim=True))))
    kept, scores = kept.double(), torch.stack(scores)
    return Masked(kept - kept.mean(1, keepdim=True), scores - scores.mean(1, keepdim=True))


def block_weights(masked: Masked, pattern: Tensor) -> np.ndarray:
    """Non-negative weights of the blocks by least squares, from maps [layer, scene, patch]; they sum to 1."""
    features = pattern / pattern.sum((0, 2), keepdim=True).clamp(min=1e-12)
    inputs = torch.einsum("bmp,lbp->bml", masked.kept, features.double())
    found, _ = nnls(inputs.flatten(0, 1).numpy(), masked.scores.flatten().numpy())
    return found / max(found.sum(), 1e-12)


class Gate(nn.Module):
    """MMEL's own equations with T, one theta a block and alpha free to learn. Starts from the reading's own values."""

    def __init__(self, settings: MmelSettings, width: int, blocks: int):
        super().__init__()
        self.settings = settings
        self.transform = FeatureTransform(width, settings.seed, bias=settings.bias).requires_grad_(True)
        self.theta = nn.Parameter(torch.tensor(settings.thetas(blocks)))
        self.alpha = nn.Parameter(torch.tensor(float(settings.alpha)).log())

    def forward(self, bases: list[Tensor], queries: list[Tensor]) -> Tensor:
        """Eq. 9, [batch, patch]: levels are averaged over the blocks, and the sum of their maps is gated."""
        whole, settings = sum_layers(bases), self.settings
        counted = torch.ones_like(whole, dtype=torch.bool)
        pairs = zip(queries, self.theta, strict=True)
        levels = [layer_levels(q, counted, whole, theta, settings, self.transform) for q, theta in pairs]
        return enhance(whole, torch.stack(levels).mean(0), self.alpha.exp())


def agreement(map: Tensor, masked: Masked) -> Tensor:
    """Correlation over masks of the kept patches' sum with the true score, mean of the scenes: what is made large."""
    said = torch.einsum("bmp,bp->bm", masked.kept.to(map.dtype), map)
    true = masked.scores.to(map.dtype)
    return ((said * true).sum(1) / (said.norm(dim=1) * true.norm(dim=1)).clamp(min=1e-12)).mean()


@torch.enable_grad()
def learned_gate(reading: str, bases: list[Tensor], queries: list[Tensor], masked: Masked) -> tuple[Gate, dict]:
    """A gate learned on the first two thirds of the scenes; the report has `agreement` before and after on the rest."""
    gate, cut = Gate(READINGS[reading], queries[0].shape[-1], len(bases)), 2 * len(masked.kept) // 3
    groups = {"transform": gate.transform.parameters(), "dials": [gate.theta, gate.alpha]}
    optimizer = torch.optim.Adam([{"params": list(group), "lr": RATES[name]} for name, group in groups.items()])

    def of(part: Tensor) -> Tensor:
        some = Masked(masked.kept[part], masked.scores[part])
        return agreement(gate([base[part] for base in bases], [q[part] for q in queries]), some)

    shown, rest = torch.arange(cut), torch.arange(cut, len(masked.kept))
    with torch.no_grad():
        before = {"learned_on": float(of(shown)), "held_out": float(of(rest))}
    best, kept, draw = before["held_out"], copy.deepcopy(gate.state_dict()), torch.Generator().manual_seed(0)
    for step in range(STEPS):
        optimizer.zero_grad()
        (-of(torch.randperm(cut, generator=draw)[:BATCH])).backward()
        optimizer.step()
        if step % 20 == 19:
            with torch.no_grad():
                now = float(of(rest))
            if now > best:  # what did best on scenes that it does not learn from
                best, kept = now, copy.deepcopy(gate.state_dict())
    gate.load_state_dict(kept)
    with torch.no_grad():
        after = {"learned_on": float(of(shown)), "held_out": float(of(rest))}
    return gate.requires_grad_(False), {
        "before": before, "after": after, "alpha": float(gate.alpha.exp()), "theta": gate.theta.tolist(),
    }  # fmt: skip
