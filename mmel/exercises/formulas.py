"""Exercises whose answer is a function of a few lines: one equation each, checked against the package's own."""

from __future__ import annotations

from types import SimpleNamespace

import torch
import torch.nn.functional as F

from ..clip import normalize_pixels, similarity
from ..methods.grad_eclip import combined_similarity, grad_eclip_map, min_max, sim_qk
from ..methods.mmel import enhance, layer_weight, scale_tokens, semantic_attention, spatial_tokens
from ..trace import project_qkv
from .kinds import Coded, Exercise, drawn


def projections(weight, bias, hidden):
    """`project_qkv` with the weights as plain arguments."""
    return tuple(project_qkv(SimpleNamespace(in_proj_weight=weight, in_proj_bias=bias), hidden))


def bare_cosine(q, k):
    return F.cosine_similarity(q[:, :1], k[:, 1:], dim=-1)


def every_cosine(q, k):
    return F.normalize(q, dim=-1) @ F.normalize(k[:, 1:], dim=-1).mT


def function(name: str, title: str, minutes: int, question: str, answer: Coded, equation: str, praise: str) -> Exercise:
    return Exercise(name, title, minutes, question, answer, (equation,), praise)


FORMULAS = (
    function(
        "3.1", "Normalise", 5,
        "Write `normalize(pixels, mean, std)` for {eq}`eq-3.1`: `pixels` is [batch, 3, rows, columns], the others "
        "hold a number a channel.",
        Coded(normalize_pixels, lambda: [(drawn(2, 3, 4, 5), (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))], {
            "The mean is subtracted before the division, not after it.":
                lambda x, m, s: x / torch.tensor(s)[:, None, None] - torch.tensor(m)[:, None, None],
            "The same number went to all channels: give mean and std two more axes, [3, 1, 1].":
                lambda x, m, s: (x - m[0]) / s[0],
        }, "Each channel has its own mean and its own deviation."), "3.1",
        "Shapes are half of every such line.",
    ),
    function(
        "3.2a", "Queries, keys and values", 10,
        "Write `qkv(weight, bias, hidden)` for {eq}`eq-3.2a`: `weight` is [3 width, width], `hidden` [batch, token, "
        "width]. Return q, k and v.",
        Coded(projections, lambda: [(drawn(12, 4), drawn(12, seed=1), drawn(2, 5, 4, seed=2))], {
            "The bias is missing.": lambda w, b, h: tuple((h @ w.mT).chunk(3, -1)),
            "The order is q, k, v.": lambda w, b, h: tuple((h @ w.mT + b).chunk(3, -1)[::-1]),
        }, "One product with the transposed weight, then three equal parts of the last axis."), "3.2a",
        "768 becomes 2304 and apart again, as Sec. 3.2 prints.",
    ),
    function(
        "3.2b", "The score", 5,
        "Write `score(image_embed, text_embed)` for {eq}`eq-3.2b`: the cosine of row i of one with row i of the "
        "other, both [batch, embed].",
        Coded(similarity, lambda: [(drawn(3, 7), 5 * drawn(3, 7, seed=1))], {
            "That is the product. Divide by both lengths.": lambda a, b: (a * b).sum(-1),
            "That is every row with every row; the pairs are on its diagonal.":
                lambda a, b: F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).mT,
        }), "3.2b", "This is the c whose gradient everything else is made of.",
    ),
    function(
        "1a", "Patches in their places", 5,
        "Write `spatial(q, grid)` for {eq}`eq-1a`: without the class token, [batch, rows, columns, 1, width].",
        Coded(spatial_tokens, lambda: [(drawn(2, 7, 4), (2, 3))], {
            "The class token is token 0, not the last one.": lambda q, g: q[:, :-1].unflatten(1, g).unsqueeze(3),
            "Eq. 1 has an axis of length 1 before the width.": lambda q, g: q[:, 1:].unflatten(1, g),
        }), "1a", "A text has no such grid, so Eq. 1 cannot be written for it.",
    ),
    function(
        "1b", "A scale that is a factor", 5,
        "Write `scaled(tokens, s)` for {eq}`eq-1b`. Before you do: is it a change of resolution?",
        Coded(scale_tokens, lambda: [(drawn(2, 2, 3, 1, 4), 0.75)], {
            "That divides. The equation multiplies.": lambda x, s: x / s,
        }, "The equation has one sign between its two symbols. The shape stays."), "1b",
        "The number of tokens stays the same, whatever the section's title says.",
    ),
    function(
        "5", "Self-attention of the semantic module", 10,
        "Write `attention(x)` for {eq}`eq-5`: `x` is [batch, token, width], already transformed.",
        Coded(semantic_attention, lambda: [(drawn(2, 5, 4),)], {
            "F_norm is missing: rows of unit length first.": lambda x: x @ x.mT / x.shape[-1] ** 0.5,
            "The division by the root of d is missing.": lambda x: F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).mT,
            "By the root of d, not by d.": lambda x: F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).mT / x.shape[-1],
            "There is no softmax in Eq. 5.": lambda x: semantic_attention(x).softmax(-1),
        }), "5", "Its diagonal is 1 / √d everywhere: each patch is most like itself.",
    ),
    function(
        "6", "Layer weight", 5,
        "Write `weight(theta)` for {eq}`eq-6`. What is it for θ = 1?",
        Coded(layer_weight, lambda: [(-2.0,), (1.0,), (0.0,)], {
            "That is ReLU; Softplus is its smooth relative, log(1 + eˣ).": lambda t: max(t, 0.0),
            "That is a sigmoid, the derivative of Softplus.": lambda t: torch.sigmoid(torch.tensor(t)),
            "The 1 inside the logarithm is missing.": lambda t: t,
        }, "Softplus(x) = log(1 + eˣ)."), "6", "1.3133 for every layer, as long as every θ is 1.",
    ),
    function(
        "8-sim", "The loosened attention", 10,
        "Write `sim(q, k)` for $\\text{sim}_{qk}$ of {eq}`eq-8`: cosine of the class token's query with each "
        "patch's key, then min-max "
        "over the patches of each sample.",
        Coded(sim_qk, lambda: [(drawn(2, 6, 4), drawn(2, 6, 4, seed=1))], {
            "The min-max over the patches is missing.": bare_cosine,
            "The class token's own key is not among the patches.":
                lambda q, k: min_max(F.cosine_similarity(q[:, :1], k, dim=-1)),
            "That stretches the whole batch at once; each sample has its own smallest and largest value.":
                lambda q, k: min_max(bare_cosine(q, k).flatten()[None]).view(len(q), -1),
            "A cosine divides by both lengths.": lambda q, k: min_max((q[:, :1] * k[:, 1:]).sum(-1)),
        }), "8", "The paper prints no formula for it; this is the official code's.",
    ),
    function(
        "8", "Grad-ECLIP in a line", 15,
        "Write `layer_map(grad, v, sim)` for one layer of {eq}`eq-8`: `grad` [batch, width], `v` [batch, patch, "
        "width], `sim` [batch, patch].",
        Coded(grad_eclip_map, lambda: [(drawn(2, 4), drawn(2, 6, 4, seed=1), drawn(2, 6, seed=2).abs())], {
            "The ReLU is missing.": lambda g, v, s: (g[:, None] * v).sum(-1) * s,
            "The ReLU comes after the sum over channels, not before it.":
                lambda g, v, s: (g[:, None] * v).relu().sum(-1) * s,
            "sim is missing.": lambda g, v, s: (g[:, None] * v).sum(-1).relu(),
            "Channels are summed, not averaged.": lambda g, v, s: ((g[:, None] * v).mean(-1) * s).relu(),
        }), "8", "Gradient times value, times a heuristic weight, cut at zero.",
    ),
    function(
        "9", "The enhancement", 10,
        "Write `enhanced(base, levels, alpha)` for {eq}`eq-9`: `base` [batch, patch], `levels` [scale, batch, patch].",
        Coded(enhance, lambda: [(drawn(2, 5).abs(), drawn(3, 2, 5, seed=1), 2.0)], {
            "The sum over scales is inside the sigmoid.": lambda e, x, a: e * (1 + a * x.sigmoid().sum(0)),
            "The bracket begins with 1.": lambda e, x, a: e * a * x.sum(0).sigmoid(),
            "The bracket multiplies the map; it is not added.": lambda e, x, a: e + 1 + a * x.sum(0).sigmoid(),
            "The sigmoid is missing.": lambda e, x, a: e * (1 + a * x.sum(0)),
        }), "9", "E ≤ E_MMEL ≤ (1 + alpha) E, whatever the levels are.",
    ),
    function(
        "3.5", "A term without an equation", 15,
        "Write `combined(q, k)` for our reading of Sec. 3.5, {eq}`eq-3.5`: half the class token's cosine, half the "
        "mean of the "
        "patches' queries' cosines with the same key, then min-max over the patches.",
        Coded(combined_similarity, lambda: [(drawn(2, 6, 4), drawn(2, 6, 4, seed=1))], {
            "That is sim_qk: the other half is missing.": sim_qk,
            "The mean runs over the queries of the patches; the class token's is not among them.":
                lambda q, k: min_max((bare_cosine(q, k) + every_cosine(q, k).mean(1)) / 2),
        }), "3.5", "Eq. 8 and 9 have no place for it, and no table shows what it does.",
    ),
)  # fmt: skip
