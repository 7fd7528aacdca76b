"""Slow twins: every formula in loops over Python floats, from the paper's page and from nothing in `mmel`."""

from __future__ import annotations

import math

Vector = list[float]
Matrix = list[Vector]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: Vector, b: Vector) -> float:
    return dot(a, b) / math.sqrt(dot(a, a)) / math.sqrt(dot(b, b))


def min_max(values: Vector) -> Vector:
    low, high = min(values), max(values)
    return [(value - low) / (high - low) for value in values]


def sim_qk_slow(q: Matrix, k: Matrix) -> Vector:
    return min_max([cosine(q[0], key) for key in k[1:]])


def combined_similarity_slow(q: Matrix, k: Matrix) -> Vector:
    values = []
    for key in k[1:]:
        patches = [cosine(query, key) for query in q[1:]]
        values.append((cosine(q[0], key) + sum(patches) / len(patches)) / 2)
    return min_max(values)


def grad_eclip_map_slow(grad: Vector, v: Matrix, sim: Vector) -> Vector:
    return [max(0.0, sum(g * x for g, x in zip(grad, value, strict=True)) * s) for value, s in zip(v, sim, strict=True)]


def transform_slow(x: Vector, first: tuple[Matrix, Vector], second: tuple[Matrix, Vector], eps: float) -> Vector:
    """Eq. 3: linear, ReLU, linear, layer norm."""
    inner = [max(0.0, dot(row, x) + b) for row, b in zip(*first, strict=True)]
    outer = [dot(row, inner) + b for row, b in zip(*second, strict=True)]
    mean = sum(outer) / len(outer)
    variance = sum((value - mean) ** 2 for value in outer) / len(outer)
    return [(value - mean) / math.sqrt(variance + eps) for value in outer]


def semantic_attention_slow(tokens: Matrix) -> Matrix:
    """Eq. 5."""
    return [[cosine(one, other) / math.sqrt(len(one)) for other in tokens] for one in tokens]


def softplus_slow(theta: float) -> float:
    """Eq. 6."""
    return math.log(1 + math.exp(theta))


def enhance_slow(base: Vector, levels: Matrix, alpha: float) -> Vector:
    """Eq. 9; `levels` holds one row a scale."""
    gates = [1 + alpha / (1 + math.exp(-sum(row[i] for row in levels))) for i in range(len(base))]
    return [e * gate for e, gate in zip(base, gates, strict=True)]
