"""The candidates of the chapter "Make it work": what each makes of the same traces. Nothing here sees a test split.

A candidate is a function of `Parts`. `CANDIDATES` is the whole list, in the order in which they were written down;
`CONTROLS` cannot be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from plus_learned import READINGS, Gate, block_weights, learned_gate, masked_scores
from torch import Tensor

import mmel
from mmel.evaluation.dials.search import Traced
from mmel.methods.grad_eclip import grad_eclip_map, min_max, sim_qk
from mmel.methods.mmel import layer_levels
from mmel.methods.mmel_plus import attended, content, fade
from mmel.methods.mmel_settings import MmelSettings
from mmel.trace import gradients, record

SCALES = (1.0, 0.75, 0.5, 0.25)
SIZES = (80, 144)  # pixels of a picture's side, beside the model's own: grids of 5 x 5 and 9 x 9 patches


class Parts:
    """What candidates are made of, each computed when it is first asked for; maps are [batch, patch]."""

    def __init__(self, traced: Traced, learned: Learned | None = None):
        self.traced, self.clip, self.pixels, self.embeds = traced, traced.clip, traced.pixels, traced.embeds
        self.layers = traced.trace.image_layers
        self.learned = learned

    @cached_property
    def scaled(self) -> list[dict]:
        """The four faded pictures, traced."""
        with torch.no_grad():
            empty = record(self.clip, fade(self.pixels, 0.0), self.embeds, modality="image").image_layers[0].block_in
        return [_scale(self.clip, fade(self.pixels, s), self.embeds, empty) for s in SCALES]

    @cached_property
    def pattern(self) -> Tensor:
        """Attention-weighed values, [scale, layer, batch, patch]."""
        return torch.stack([each["pattern"] for each in self.scaled])

    @cached_property
    def cosine(self) -> Tensor:
        """Grad-ECLIP's own summands, [scale, layer, batch, patch]."""
        return torch.stack([each["cosine"] for each in self.scaled])

    @cached_property
    def content(self) -> Tensor:
        """What the patches' content gives to the score, [scale, batch, patch]."""
        return torch.stack([each["content"] for each in self.scaled])

    @property
    def signed(self) -> Tensor:
        """Grad-ECLIP's summands without their ReLU, [layer, batch, patch]."""
        return self.scaled[0]["signed"]

    @property
    def base(self) -> Tensor:
        """Grad-ECLIP over all blocks."""
        return self.cosine[0].sum(0)

    @cached_property
    def keys(self) -> Tensor:
        """Cosines of the keys, mean of the blocks, [batch, patch, patch]."""
        return _likeness([layer.k.detach()[:, 1:] for layer in self.layers])

    @cached_property
    def queries(self) -> Tensor:
        """Cosines of the queries, mean of the blocks, [batch, patch, patch]."""
        return _likeness([layer.q.detach()[:, 1:] for layer in self.layers])

    @cached_property
    def level(self) -> Tensor:
        """Literal Eq. 9's sum of semantic levels, mean of the blocks."""
        counted = torch.ones_like(self.base, dtype=torch.bool)
        with torch.no_grad():
            levels = [layer_levels(a.q[:, 1:], counted, self.base, 1.0, mmel.LITERAL).sum(0) for a in self.layers]
        return torch.stack(levels).mean(0)

    @cached_property
    def contrast(self) -> Tensor:
        """Attention-weighed values of what this caption has and the mean of the batch's other captions has not."""
        others = (self.embeds.sum(0, keepdim=True) - self.embeds) / max(len(self.embeds) - 1, 1)
        apart = F.normalize(self.embeds - others, dim=-1)
        return _scale(self.clip, self.pixels, apart, None)["pattern"].sum(0)

    @cached_property
    def sizes(self) -> Tensor:
        """Real scales: the picture at other sizes, with its own grid of tokens each, brought to the model's grid."""
        total = self.pattern[0].sum(0)
        grid = self.traced.trace.grid
        for size in SIZES:
            other = F.interpolate(self.pixels, size=(size, size), mode="bilinear", antialias=True)
            made = _scale(self.clip, other, self.embeds, None)
            map = made["pattern"].sum(0).unflatten(1, made["grid"])[:, None]
            total = total + F.interpolate(map, size=grid, mode="bilinear", antialias=True).flatten(1)
        return total


@torch.enable_grad()
def _scale(clip: mmel.Clip, pixels: Tensor, embeds: Tensor, empty: Tensor | None) -> dict:
    trace = record(clip, pixels, embeds, modality="image")
    layers = trace.image_layers
    *grads, entry = gradients(trace.score, [*(layer.attn_out for layer in layers), layers[0].block_in])
    with torch.no_grad():
        found = {"grid": trace.grid}
        found["pattern"] = torch.stack([attended(a, g[:, 0]) for a, g in zip(layers, grads, strict=True)])
        sims = [sim_qk(layer.q, layer.k) for layer in layers]
        triples = list(zip(grads, layers, sims, strict=True))
        found["cosine"] = torch.stack([grad_eclip_map(g[:, 0], a.v[:, 1:], s) for g, a, s in triples])
        found["signed"] = torch.stack([(g[:, :1] * a.v[:, 1:]).sum(-1) * s for g, a, s in triples])
        if empty is not None:
            found["content"] = content(layers[0].block_in, empty, entry)
    return found


def _likeness(vectors: Sequence[Tensor]) -> Tensor:
    unit = [F.normalize(each, dim=-1) for each in vectors]
    return torch.stack([each @ each.mT for each in unit]).mean(0)


def spread(cosines: Tensor, map: Tensor, temperature: float = 0.1) -> Tensor:
    """A @ E with a softmax of likeness."""
    return ((cosines / temperature).softmax(-1) @ map[..., None])[..., 0]


def standardised(map: Tensor, level: Tensor, alpha: float = 2.0) -> Tensor:
    """Eq. 9 with its levels brought to mean 0 and deviation 1 in each picture, so that the sigmoid has a range."""
    level = (level - level.mean(1, keepdim=True)) / level.std(1, keepdim=True).clamp(min=1e-12)
    return map * (1 + alpha * level.sigmoid())


def blurred(map: Tensor, near: float = 0.3) -> Tensor:
    """A 3 x 3 blur: neighbours in the picture in place of patches that are alike."""
    side = int(map.shape[1] ** 0.5)
    line = torch.tensor([near, 1.0, near])
    kernel = (line[:, None] * line)[None, None] / line.sum() ** 2
    return F.conv2d(F.pad(map.view(-1, 1, side, side), (1,) * 4, mode="replicate"), kernel).flatten(1)


class Learned(NamedTuple):
    """What was learned on scenes of `validation` for one model: a weight a block, and a gate for each reading."""

    weights: np.ndarray
    gates: Mapping[str, Gate]


def gate_inputs(traced: Traced) -> tuple[list[Tensor], list[Tensor]]:
    """Grad-ECLIP's map and the patches' queries of every block: what Eq. 9 is made of."""
    bases = [base.detach() for base in traced.bases(MmelSettings(**mmel.LITERAL))]
    return bases, [layer.q.detach()[:, 1:] for layer in traced.trace.image_layers]


def learn(traced: Traced, parts: Parts) -> tuple[Learned, dict]:
    """Weights and gates of one model from traced scenes, and how well the gates did on those kept back."""
    masked = masked_scores(traced, parts.base.shape[1])
    made = {name: learned_gate(name, *gate_inputs(traced), masked) for name in READINGS}
    weights = block_weights(masked, parts.pattern.sum(0))
    return Learned(weights, {name: gate for name, (gate, _) in made.items()}), {
        n: said for n, (_, said) in made.items()
    }


def learned_mmel(reading: str) -> Callable[[Parts], Tensor]:
    """Eq. 9 by a reading, with the T, theta and alpha that were learned."""
    return lambda p: p.learned.gates[reading](*gate_inputs(p.traced))


def weighed(p: Parts) -> Tensor:
    """Attention-weighed values over all scales with the learned weights of the blocks."""
    return torch.einsum("slbp,l->bp", p.pattern, torch.as_tensor(p.learned.weights, dtype=p.pattern.dtype))


def product(p: Parts, scales: slice = slice(None)) -> Tensor:
    """Attention-weighed values times content."""
    return p.pattern[scales].sum((0, 1)) * p.content[scales].sum(0)


CANDIDATES: Mapping[str, Callable[[Parts], Tensor]] = {
    "no ReLU within the sum": lambda p: p.signed.sum(0).relu(),
    "standardised gate": lambda p: standardised(p.base, p.level),
    "standardised gate of relevance": lambda p: standardised(p.base, spread(p.queries, min_max(p.base))),
    "A @ E of Grad-ECLIP": lambda p: spread(p.keys, p.base),
    "faded scales": lambda p: p.cosine.sum((0, 1)),
    "attention for the cosine": lambda p: p.pattern[0].sum(0),
    "attention, against other captions": lambda p: p.contrast,
    "attention, three sizes of tokens": lambda p: p.sizes,
    "attention, A @ E": lambda p: spread(p.keys, p.pattern[0].sum(0)),
    "attention, faded scales": lambda p: p.pattern.sum((0, 1)),
    "attention, faded scales, learned block weights": weighed,
    "content, faded scales": lambda p: p.content.sum(0),
    "attention x content, one scale, A @ E": lambda p: spread(p.keys, product(p, slice(1))),
    "attention x content, faded scales": product,
    "attention x content, the paper's three scales, A @ E": lambda p: spread(p.keys, product(p, slice(3))),
    "attention x content, faded scales, A @ E by keys": lambda p: spread(p.keys, product(p)),
    "attention x content, faded scales, A @ E by queries": lambda p: spread(p.queries, product(p)),
    "attention x content, faded scales, A @ E, softer": lambda p: spread(p.keys, product(p), 0.2),
    "learned block weights x content, A @ E": lambda p: spread(p.keys, weighed(p) * p.content.sum(0)),
    "Eq. 9 literally, T and theta learned": learned_mmel("literal"),
    "Eq. 9 by relevance, T and theta learned": learned_mmel("relevance"),
}
CONTROLS: Mapping[str, Callable[[Parts], Tensor]] = {
    "Grad-ECLIP, cubed": lambda p: p.base**3,
    "Grad-ECLIP, blurred": lambda p: blurred(p.base),
    "attention x content, faded scales, blurred": lambda p: blurred(product(p)),
}
