"""What follows from numbers that the paper prints: each function returns whether the claim holds, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

TOKENS = 196  # patches of ViT-B/16, whose 197 tokens Sec. 3.1 prints


class Finding(NamedTuple):
    """Whether it holds, and the numbers that show it."""

    holds: bool
    shows: str


def token_count(size: int, patch: int, claimed: int) -> Finding:
    """A square picture of this size in square patches, and the class token."""
    tokens = (size // patch) ** 2 + 1
    return Finding(tokens == claimed, f"({size} / {patch})² + 1 = {tokens}; printed: {claimed}")


def product(factors: Sequence[float], claimed: float) -> Finding:
    """The factors make the printed number."""
    made = math.prod(factors)
    return Finding(made == claimed, f"{' x '.join(f'{each:g}' for each in factors)} = {made:g}; printed: {claimed:g}")


def numbered(numbers: Sequence[int]) -> Finding:
    """Equation numbers without a gap."""
    gaps = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    return Finding(not gaps, f"no equation has the number {', '.join(map(str, gaps))}" if gaps else "no gap")


def counted(listed: int, claimed: int) -> Finding:
    """As many are listed as are announced."""
    return Finding(listed == claimed, f"{claimed} announced, {listed} listed")


def softplus(theta: float) -> float:
    return math.log1p(math.exp(theta))


def weights_differ(thetas: Sequence[float]) -> Finding:
    """Eq. 6 gives the layers different weights."""
    weights = [softplus(theta) for theta in thetas]
    spread = max(weights) - min(weights)
    return Finding(
        spread > 0, f"{len(weights)} layers, all of weight {weights[0]:.4f}" if not spread else f"spread {spread:.4f}"
    )


def gate_factor(width: int, scales: int, theta: float, alpha: float, needed: float) -> Finding:
    """The largest factor by which Eq. 9 can change the ratio of two patches (mean over patches) reaches `needed`."""
    largest = scales * softplus(theta) / math.sqrt(width)
    low, high = (1 + alpha / (1 + math.exp(-each)) for each in (-largest, largest))
    shown = f"Eq. 9 multiplies by {low:.3f} to {high:.3f}: two patches change by a factor of {high / low:.3f} at most"
    return Finding(high / low >= needed, shown)


@cache
def scales_differ(width: int, tokens: int, scale: float, needed: float) -> Finding:
    """Eq. 5 of tokens and of `scale` times the same tokens differ: their correlation is below `needed`."""
    import torch

    from ..methods.mmel import FeatureTransform, scale_tokens, semantic_attention

    x = torch.randn(tokens, width, generator=torch.Generator().manual_seed(0))
    transform = FeatureTransform(width)
    maps = [semantic_attention(transform(scale_tokens(x, s))).flatten() for s in (1.0, scale)]
    likeness = float(torch.corrcoef(torch.stack(maps))[0, 1])
    return Finding(likeness < needed, f"correlation of A at scales 1 and {scale:g}, synthetic tokens: {likeness:.3f}")


def overhead(width: int, layers: int, scales: int, claimed: float) -> Finding:
    """T of Eq. 3 for all layers and scales costs at most `claimed` per cent of the most that Grad-ECLIP can cost.

    That is a forward and a whole backward pass of the image tower, which costs twice a forward pass.
    """
    transform = layers * scales * TOKENS * 2 * width * 2 * width
    most = 3 * layers * TOKENS * (12 * width * width + 2 * TOKENS * width)
    share = 100 * transform / most
    shown = f"T alone: {transform / 1e9:.1f} of at most {most / 1e9:.1f} billion products, {share:.0f} %"
    return Finding(share <= claimed, shown)


def spread_possible(percent: float, deviation: float, available: int) -> Finding:
    """A share's deviation over runs on independent samples can be this small with the samples that there are."""
    share = percent / 100
    needed = share * (1 - share) / (deviation / 100) ** 2
    return Finding(
        needed <= available,
        f"±{deviation:g} at {percent:g} % needs {needed:,.0f} samples a run; there are {available:,}",
    )


def setting(setting: str, value: object) -> Finding:
    """Our literal reading has this default: taken over from the text, so that agreement shows nothing more."""
    from ..methods.mmel_settings import LITERAL

    held = LITERAL[setting]
    held = list(held) if isinstance(held, tuple) else held
    return Finding(held == value, f"our reading, mmel.LITERAL, has {setting} = {held}")


def enters(setting: str) -> Finding:
    """Our literal reading of the equations uses this setting anywhere."""
    from ..methods.mmel_settings import LITERAL

    place = LITERAL[f"{setting}_place"]
    return Finding(place != "none", f"no equation has {setting}: mmel.LITERAL places it nowhere")


def official(method: str, setting: str, value: object) -> Finding:
    """The official code of a method has this setting."""
    from ..methods import OFFICIAL

    return Finding(OFFICIAL[method][setting] == value, f"the official code: {setting} = {OFFICIAL[method][setting]}")


FUNCTIONS: dict[str, Callable[..., Finding]] = {
    each.__name__: each
    for each in (
        token_count, product, numbered, counted, weights_differ, gate_factor, scales_differ, overhead, spread_possible,
        setting, enters, official,
    )
}  # fmt: skip
