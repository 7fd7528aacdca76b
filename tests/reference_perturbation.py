"""Slow twins of the methods that perturb: float64, loops, their own forward pass, no code of `mmel`."""

from __future__ import annotations

from itertools import combinations
from math import factorial, sqrt

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, gelu


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, allowed: Tensor) -> Tensor:
    """Attention written per head and per query; `allowed[query, key]` is True where the query may look."""
    tokens, width = q.shape
    size = width // heads
    rows = []
    for i in range(tokens):
        parts = []
        for head in range(heads):
            cut = slice(head * size, (head + 1) * size)
            keys = [j for j in range(tokens) if allowed[i, j]]
            weight = torch.softmax(torch.stack([(q[i, cut] @ k[j, cut]) / sqrt(size) for j in keys]), 0)
            parts.append(sum(w * v[j, cut] for w, j in zip(weight, keys, strict=True)))
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def attend_fast(q: Tensor, k: Tensor, v: Tensor, heads: int, allowed: Tensor) -> Tensor:
    """The same, one head at a time: for twins that need hundreds of passes (a test holds it to `attend`)."""
    outputs = []
    for qh, kh, vh in zip(q.chunk(heads, 1), k.chunk(heads, 1), v.chunk(heads, 1), strict=True):
        logits = (qh @ kh.T / sqrt(qh.shape[1])).masked_fill(~allowed, float("-inf"))
        outputs.append(torch.softmax(logits, 1) @ vh)
    return torch.cat(outputs, 1)


class Twin:
    """A float64 copy of a CLIP's parameters and a forward pass for one sample."""

    def __init__(self, model):
        self.w = {name: p.detach().double() for name, p in model.state_dict().items()}
        self.heads = {"visual.": model.visual.transformer.resblocks[0].attn.num_heads,
                      "": model.transformer.resblocks[0].attn.num_heads}  # fmt: skip
        self.depth = len(model.transformer.resblocks)
        self.quick = type(model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        spread = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(spread + 1e-5) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def qkv(self, x: Tensor, tower: str, layer: int) -> tuple[Tensor, ...]:
        name = f"{tower}transformer.resblocks.{layer}."
        inside = self.norm(x, name + "ln_1") @ self.w[name + "attn.in_proj_weight"].T
        return (inside + self.w[name + "attn.in_proj_bias"]).chunk(3, -1)

    def out(self, x: Tensor, tower: str, layer: int) -> Tensor:
        name = f"{tower}transformer.resblocks.{layer}.attn.out_proj."
        return x @ self.w[name + "weight"].T + self.w[name + "bias"]

    def block(self, x: Tensor, tower: str, layer: int, allowed: Tensor, attend=attend_fast) -> Tensor:
        name = f"{tower}transformer.resblocks.{layer}."
        x = x + self.out(
            attend(*self.qkv(x, tower, layer), self.heads[tower], allowed), tower, layer
        )  # fmt: skip
        inside = self.norm(x, name + "ln_2") @ self.w[name + "mlp.c_fc.weight"].T
        inside = inside + self.w[name + "mlp.c_fc.bias"]
        inside = inside * torch.sigmoid(1.702 * inside) if self.quick else gelu(inside)
        return x + inside @ self.w[name + "mlp.c_proj.weight"].T + self.w[name + "mlp.c_proj.bias"]

    def image_start(self, pixels: Tensor) -> Tensor:
        kernel = self.w["visual.conv1.weight"]
        side = kernel.shape[-1]
        rows, columns = pixels.shape[1] // side, pixels.shape[2] // side
        tokens = [self.w["visual.class_embedding"]]
        for row in range(rows):
            for column in range(columns):
                piece = pixels[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
                tokens.append((kernel * piece.double()).sum((1, 2, 3)))
        x = torch.stack(tokens) + self.w["visual.positional_embedding"]
        return self.norm(x, "visual.ln_pre")

    def text_start(self, ids: Tensor) -> Tensor:
        return self.w["token_embedding.weight"][ids.long()] + self.w["positional_embedding"][: len(ids)]

    def image_end(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens, "visual.ln_post") @ self.w["visual.proj"]

    def text_end(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens, "ln_final") @ self.w["text_projection"]

    def image(self, pixels: Tensor, allowed: Tensor | None = None) -> Tensor:
        return self.image_rest(self.image_start(pixels), 0, allowed)

    def image_rest(self, x: Tensor, first: int, allowed: Tensor | None = None) -> Tensor:
        allowed = torch.ones(len(x), len(x), dtype=bool) if allowed is None else allowed
        for layer in range(first, self.depth):
            x = self.block(x, "visual.", layer, allowed)
        return self.image_end(x[0])

    def text(self, ids: Tensor) -> Tensor:
        ids = ids[: int(ids.argmax()) + 1]
        return self.text_rest(self.text_start(ids), 0)

    def text_rest(self, x: Tensor, first: int) -> Tensor:
        allowed = torch.ones(len(x), len(x), dtype=bool).tril()
        for layer in range(first, self.depth):
            x = self.block(x, "", layer, allowed)
        return self.text_end(x[-1])


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / a.norm() / b.norm()


def slope(score, x: Tensor, index: tuple[int, ...], step: float = 1e-4) -> float:
    """Central difference of `score` in one entry of `x`."""
    up, down = x.clone(), x.clone()
    up[index] += step
    down[index] -= step
    return float(score(up) - score(down)) / (2 * step)


def rise(score, x: Tensor, masks: Tensor, keep: float) -> Tensor:
    """Petsiuk et al., 2018, Eq. 6: one mask at a time."""
    total = torch.zeros(masks.shape[1:], dtype=torch.float64)
    for mask in masks:
        total += float(score(x * mask)) * mask.double()
    return total / len(masks) / keep


def shapley(game, players: int) -> Tensor:
    """Shapley values by their definition: the weighted marginal contribution to every coalition."""
    values = torch.zeros(players, dtype=torch.float64)
    for player in range(players):
        others = [i for i in range(players) if i != player]
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for coalition in combinations(others, size):
                values[player] += weight * (game({*coalition, player}) - game(set(coalition)))
    return values


def bottleneck(rest, hidden: Tensor, target: Tensor, *, beta: float, steps: int, lr: float, noise) -> Tensor:
    """Wang et al., 2023: Adam by hand on the gates of one layer; the divergence at the last pass.

    `rest` takes the hidden states to the embedding; `noise[step][sample]` has the shape of `hidden`.
    """
    alpha = torch.full_like(hidden, 5.0)
    first, second = torch.zeros_like(alpha), torch.zeros_like(alpha)
    for step in range(steps):
        alpha = alpha.detach().requires_grad_()
        gate = 1 / (1 + torch.exp(-alpha))
        spread = (1 - gate) ** 2
        divergence = -0.5 * (1 + torch.log(spread) - (gate * hidden) ** 2 - spread)
        fit = [cosine_similarity(rest(gate * hidden + (1 - gate) * eps), target, dim=0) for eps in noise[step]]
        loss = beta * divergence.mean() - sum(fit) / len(fit)
        (slope,) = torch.autograd.grad(loss, alpha)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        ahead = first / (1 - 0.9 ** (step + 1))
        size = second / (1 - 0.999 ** (step + 1))
        alpha = alpha - lr * ahead / (torch.sqrt(size) + 1e-8)
    return divergence.detach().sum(-1)


def surgery_tokens(twin: Twin, pixels: Tensor, last: int = 6) -> Tensor:
    """Li et al., 2023: a path of value-value attention beside the model's own, whose class token stays."""
    x, beside = twin.image_start(pixels), None
    everyone = torch.ones(len(x), len(x), dtype=bool)
    for layer in range(twin.depth):
        if layer == twin.depth - last:
            beside = x.clone()
        if layer >= twin.depth - last:
            v = twin.qkv(x, "visual.", layer)[2]
            beside = beside + twin.out(
                attend(v, v, v, twin.heads["visual."], everyone), "visual.", layer
            )  # fmt: skip
        x = twin.block(x, "visual.", layer, everyone)
    return twin.image_end(torch.cat([x[:1], beside[1:]]))


def surgery(tokens: Tensor, texts: Tensor) -> Tensor:
    """Feature surgery for the first of several unit texts, entry by entry."""
    unit = tokens / tokens.norm(dim=1, keepdim=True)
    odds = torch.stack([torch.exp(2 * (unit[0] @ text)) for text in texts])
    weight = odds / odds.sum() * len(texts)
    values = []
    for token in unit[1:]:
        products = [w * token * text for w, text in zip(weight, texts, strict=True)]
        common = sum(products) / len(products)
        values.append((products[0] - common).sum())
    return torch.stack(values)
