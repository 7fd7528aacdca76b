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


def half(q, k):
    """Sec. 3.5 before its min-max."""
    return (bare_cosine(q, k) + every_cosine(q, k)[:, 1:].mean(1)) / 2


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
            "The deviation divides; it does not multiply.":
                lambda x, m, s: (x - torch.tensor(m)[:, None, None]) * torch.tensor(s)[:, None, None],
            "The mean is missing.": lambda x, m, s: x / torch.tensor(s)[:, None, None],
            "The deviation is missing.": lambda x, m, s: x - torch.tensor(m)[:, None, None],
        }, "Each channel has its own mean and its own deviation: make tensors of both, of the shape [3, 1, 1]."), "3.1",
        "Shapes are half of every such line.",
    ),
    function(
        "3.2a", "Queries, keys and values", 10,
        "Write `qkv(weight, bias, hidden)` for {eq}`eq-3.2a`: `weight` is [3 width, width], `hidden` [batch, token, "
        "width]. Return q, k and v.",
        Coded(projections, lambda: [(drawn(12, 4), drawn(12, seed=1), drawn(2, 5, 4, seed=2))], {
            "The bias is missing.": lambda w, b, h: tuple((h @ w.mT).chunk(3, -1)),
            "The order is q, k, v.": lambda w, b, h: tuple((h @ w.mT + b).chunk(3, -1)[::-1]),
            "That is the product in one piece: cut its last axis into three equal parts, q, k and v.":
                lambda w, b, h: h @ w.mT + b,
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
            "That divides by one of the two lengths; the cosine divides by both.":
                lambda a, b: (a * F.normalize(b, dim=-1)).sum(-1),
            "A score for each pair: sum over the last axis, not over all.":
                lambda a, b: similarity(a, b).sum(),
        }, "Multiply the two entry by entry, sum over the last axis, and divide by the lengths of both rows."),
        "3.2b", "This is the c whose gradient everything else is made of.",
    ),
    function(
        "1a", "Patches in their places", 5,
        "Write `spatial(q, grid)` for {eq}`eq-1a`: `q` is [batch, token, width] with the class token first, `grid` is "
        "(rows, columns). Return the patches as [batch, rows, columns, 1, width].",
        Coded(spatial_tokens, lambda: [(drawn(2, 7, 4), (2, 3))], {
            "The class token is token 0, not the last one.": lambda q, g: q[:, :-1].unflatten(1, g).unsqueeze(3),
            "Eq. 1 has an axis of length 1 before the width.": lambda q, g: q[:, 1:].unflatten(1, g),
            "Rows come before columns: a row of patches is read from left to right, then the next one.":
                lambda q, g: q[:, 1:].unflatten(1, g[::-1]).unsqueeze(3).transpose(1, 2),
        }, "Leave token 0 out, then cut the token axis into rows and columns, and put in an axis of length 1."),
        "1a", "A text has no such grid, so Eq. 1 cannot be written for it.",
    ),
    function(
        "1b", "The scale", 5,
        "Write `scaled(tokens, s)` for {eq}`eq-1b`. Before you do: is it a change of resolution?",
        Coded(scale_tokens, lambda: [(drawn(2, 2, 3, 1, 4), 0.75)], {
            "That divides. The equation multiplies.": lambda x, s: x / s,
            "That adds. The equation multiplies.": lambda x, s: x + s,
            "Nothing has changed yet: multiply by s.": lambda x, s: x,
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
            "By the root of the width, not of the number of tokens.":
                lambda x: semantic_attention(x) * (x.shape[-1] / x.shape[1]) ** 0.5,
        }, "Make each token's vector as long as 1, take all products of two of them, and divide by the root of d."),
        "5", "Its diagonal is 1 / √d everywhere: each patch is most like itself.",
    ),
    function(
        "6", "Layer weight", 5,
        "Write `weight(theta)` for {eq}`eq-6`. What is it for θ = 1?",
        Coded(layer_weight, lambda: [(-2.0,), (1.0,), (0.0,)], {
            "That is ReLU; Softplus is its smooth relative, log(1 + eˣ).": lambda t: max(t, 0.0),
            "That is a sigmoid, the derivative of Softplus.": lambda t: torch.sigmoid(torch.tensor(t)),
            "The 1 inside the logarithm is missing.": lambda t: t,
            "The logarithm is missing.": lambda t: 1 + torch.tensor(t).exp(),
            "The logarithm is the natural one.": lambda t: layer_weight(t) / torch.tensor(2.0).log(),
        }, "Softplus(x) = log(1 + eˣ), with `math` or with `torch`: θ comes as a plain number."),
        "6", "1.3133 for every layer, as long as every θ is 1.",
    ),
    function(
        "8-sim", "The loosened attention", 10,
        "Write `sim(q, k)` for $\\text{sim}_{qk}$ of {eq}`eq-8`: cosine of the class token's query with each "
        "patch's key, then min-max over the patches of each sample. Both are [batch, token, width], token 0 is the "
        "class token; the result is [batch, patch].",
        Coded(sim_qk, lambda: [(drawn(2, 6, 4), drawn(2, 6, 4, seed=1))], {
            "The min-max over the patches is missing.": bare_cosine,
            "The class token's own key is not among the patches.":
                lambda q, k: min_max(F.cosine_similarity(q[:, :1], k, dim=-1)),
            "That stretches the whole batch at once; each sample has its own smallest and largest value.":
                lambda q, k: min_max(bare_cosine(q, k).flatten()[None]).view(len(q), -1),
            "A cosine divides by both lengths.": lambda q, k: min_max((q[:, :1] * k[:, 1:]).sum(-1)),
            "That is every query with every key; only the class token's query, token 0, takes part.":
                lambda q, k: min_max(every_cosine(q, k).flatten(1)).unflatten(1, (q.shape[1], -1)),
            "That compares each patch's query with its own key; the query is the class token's, token 0.":
                lambda q, k: min_max(F.cosine_similarity(q[:, 1:], k[:, 1:], dim=-1)),
        }, "Token 0 of q against tokens 1 and up of k, a cosine each; then (x - lowest) / (highest - lowest) in each "
           "sample."), "8", "The paper prints no formula for it; this is the official code's.",
    ),
    function(
        "8", "Grad-ECLIP in a line", 15,
        "Write `layer_map(grad, v, sim)` for one layer of {eq}`eq-8`: `grad` [batch, width], `v` [batch, patch, "
        "width], `sim` [batch, patch]. The result is [batch, patch].",
        Coded(grad_eclip_map, lambda: [(drawn(2, 4), drawn(2, 6, 4, seed=1), drawn(2, 6, seed=2).abs())], {
            "The ReLU is missing.": lambda g, v, s: (g[:, None] * v).sum(-1) * s,
            "The ReLU comes after the sum over channels, not before it.":
                lambda g, v, s: (g[:, None] * v).relu().sum(-1) * s,
            "sim is missing.": lambda g, v, s: (g[:, None] * v).sum(-1).relu(),
            "Channels are summed, not averaged.": lambda g, v, s: ((g[:, None] * v).mean(-1) * s).relu(),
            "That has one value a channel still: sum over the last axis, then cut at zero.":
                lambda g, v, s: (g[:, None] * v * s[..., None]).relu(),
        }, "Give grad an axis for the patches, multiply by v, sum over the width, multiply by sim, cut at zero."),
        "8", "Gradient times value, times a heuristic weight, cut at zero.",
    ),
    function(
        "9", "The enhancement", 10,
        "Write `enhanced(base, levels, alpha)` for {eq}`eq-9`: `base` [batch, patch], `levels` [scale, batch, patch], "
        "`alpha` a number.",
        Coded(enhance, lambda: [(drawn(2, 5).abs(), drawn(3, 2, 5, seed=1), 2.0)], {
            "The sum over scales is inside the sigmoid.": lambda e, x, a: e * (1 + a * x.sigmoid().sum(0)),
            "The bracket begins with 1.": lambda e, x, a: e * a * x.sum(0).sigmoid(),
            "The bracket multiplies the map; it is not added.": lambda e, x, a: e + 1 + a * x.sum(0).sigmoid(),
            "The sigmoid is missing.": lambda e, x, a: e * (1 + a * x.sum(0)),
            "The scales are summed, not averaged.": lambda e, x, a: e * (1 + a * x.mean(0).sigmoid()),
            "That leaves alpha out.": lambda e, x, a: e * (1 + x.sum(0).sigmoid()),
        }, "Sum the levels over their first axis, take the sigmoid, and put it into the bracket that multiplies base."),
        "9", "E ≤ E_MMEL ≤ (1 + alpha) E, whatever the levels are.",
    ),
    function(
        "3.5", "A term without an equation", 15,
        "Write `combined(q, k)` for our reading of Sec. 3.5, {eq}`eq-3.5`: half the class token's cosine, half the "
        "mean of the patches' queries' cosines with the same key, then min-max over the patches of each sample. Shapes "
        "as in `8-sim`.",
        Coded(combined_similarity, lambda: [(drawn(2, 6, 4), drawn(2, 6, 4, seed=1))], {
            "That is sim_qk: the other half is missing.": sim_qk,
            "The mean runs over the queries of the patches; the class token's is not among them.":
                lambda q, k: min_max((bare_cosine(q, k) + every_cosine(q, k).mean(1)) / 2),
            "The min-max over the patches is missing.": half,
            "That is the patches' half alone; the class token's cosine is the other one.":
                lambda q, k: min_max(every_cosine(q, k)[:, 1:].mean(1)),
            "The two halves are put together first; the min-max comes last, once.":
                lambda q, k: (sim_qk(q, k) + min_max(every_cosine(q, k)[:, 1:].mean(1))) / 2,
        }, "Take the cosines of all queries with the patches' keys at once, [batch, token, patch]: row 0 is the class "
           "token's, the others are averaged."),
        "3.5", "Eq. 8 and 9 have no place for it, and no table shows what it does.",
    ),
)  # fmt: skip
