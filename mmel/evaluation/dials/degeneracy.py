"""How far a gate can move a map: bounds that follow from Eq. 5 to 9, and what a map leaves to be moved."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadSetting
from ...methods.mmel import layer_weight


def level_bound(width: int, theta: float = 1.0, scales: int = 3) -> float:
    r"""Largest absolute sum of semantic levels that a mean over patches can reach: $S \cdot w / \sqrt d$.

    Eq. 5 divides cosines by the root of the width, Eq. 6 weighs with Softplus(theta), Eq. 9 adds the scales.
    """
    return scales * float(layer_weight(theta)) / width**0.5


def gate_ratio(bound: float, alpha: float = 2.0) -> float:
    r"""Largest over smallest gate of Eq. 9 with levels within $\pm$ `bound`; for large alpha $e^{bound}$ at most."""
    if bound < 0 or alpha < 0:
        raise BadSetting(f"a bound and alpha of 0 or more were expected; got {bound} and {alpha}.")
    low, high = torch.tensor([-bound, bound], dtype=torch.float64).sigmoid().tolist()
    return (1 + alpha * high) / (1 + alpha * low)


def safe_pairs(base: Float[Tensor, "batch patch"], ratio: float) -> Float[Tensor, " batch"]:
    """Share of the pairs of patches that no gate with this ratio can bring into the other order.

    A pair is safe when the larger value is more than `ratio` times the smaller one; so is one with a 0 in it, since a
    gate leaves 0 at 0. Two patches of the same value are not.
    """
    if ratio < 1 or bool((base < 0).any()):
        raise BadSetting("a ratio of 1 or more and a map without negative values were expected.")
    high, low = torch.maximum(base[:, :, None], base[:, None]), torch.minimum(base[:, :, None], base[:, None])
    safe = (high > ratio * low) | (high == 0)
    upper = torch.ones(safe.shape[1:], dtype=torch.bool).triu(1)
    return safe[:, upper].double().mean(1)


def monotone(base: Float[Tensor, "batch patch"], ratio: float) -> Bool[Tensor, " batch"]:
    """Whether every gate with this ratio leaves the whole order as it is: all pairs are safe."""
    return safe_pairs(base, ratio) == 1
