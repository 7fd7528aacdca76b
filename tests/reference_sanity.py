"""Slow twins of the sanity checks: loops over Python floats, from the papers' pages and from nothing in `mmel`."""

from __future__ import annotations

import itertools
import math

Vector = list[float]
Matrix = list[Vector]


def pearson_slow(a: Vector, b: Vector) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    over = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return over / math.sqrt(sum((x - mean_a) ** 2 for x in a)) / math.sqrt(sum((y - mean_b) ** 2 for y in b))


def ranks_slow(values: Vector) -> Vector:
    """Each value's rank from 1, equal ones share their mean rank."""
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]


def spearman_slow(a: Vector, b: Vector) -> float:
    return pearson_slow(ranks_slow(a), ranks_slow(b))


def second_moment_slow(map: Matrix) -> Matrix:
    values = [value for row in map for value in row]
    size = math.sqrt(sum(value**2 for value in values) / len(values))
    return [[value / size for value in row] for row in map]


def ssim_slow(a: Matrix, b: Matrix, window: int) -> float:
    """Wang et al. 2004, with means over square windows, sample variances, K1 = 0.01 and K2 = 0.03."""
    a, b = second_moment_slow(a), second_moment_slow(b)
    everything = [value for row in [*a, *b] for value in row]
    reach = max(everything) - min(everything)
    c1, c2, seen = (0.01 * reach) ** 2, (0.03 * reach) ** 2, []
    for row, column in itertools.product(range(len(a) - window + 1), range(len(a[0]) - window + 1)):
        at = [(row + i, column + j) for i in range(window) for j in range(window)]
        x, y = [a[i][j] for i, j in at], [b[i][j] for i, j in at]
        mx, my, count = sum(x) / len(x), sum(y) / len(y), len(x) - 1
        vx, vy = sum((v - mx) ** 2 for v in x) / count, sum((v - my) ** 2 for v in y) / count
        cov = sum((v - mx) * (w - my) for v, w in zip(x, y, strict=True)) / count
        seen.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return sum(seen) / len(seen)


def top_overlap_slow(a: Vector, b: Vector, count: int) -> float:
    """Mean overlap over every way to break ties at the edge of the top, both maps on their own."""

    def tops(values: Vector) -> list[set[int]]:
        best = sorted(values, reverse=True)[:count]
        found = [set(c) for c in itertools.combinations(range(len(values)), count)]
        return [c for c in found if sorted((values[i] for i in c), reverse=True) == best]

    pairs = list(itertools.product(tops(a), tops(b)))
    return sum(len(x & y) / count for x, y in pairs) / len(pairs)


def entropy_slow(values: Vector, bins: int) -> float:
    low, high = min(values), max(values)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    return -sum(c / len(values) * math.log(c / len(values)) for c in counts if c)


def solve_slow(matrix: Matrix, right: Vector) -> Vector:
    """Gauss's elimination with the largest pivot."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        best = max(range(i, len(rows)), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(len(rows)):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def fit_slow(design: Matrix, y: Vector) -> tuple[Vector, float]:
    """Least squares by the normal equations: coefficients, and what is left."""
    width = len(design[0])
    normal = [[sum(row[i] * row[j] for row in design) for j in range(width)] for i in range(width)]
    right = [sum(row[i] * value for row, value in zip(design, y, strict=True)) for i in range(width)]
    found = solve_slow(normal, right)
    fits = [sum(c * v for c, v in zip(found, row, strict=True)) for row in design]
    return found, sum((value - fit) ** 2 for value, fit in zip(y, fits, strict=True))


def broken_line_slow(x: Vector, y: Vector, breaks: Vector) -> tuple[float, Vector, float]:
    """(break, height and slope and change, what is left) of the best break, each tried in turn."""
    tried = []
    for at in breaks:
        found, left = fit_slow([[1.0, value, max(0.0, value - at)] for value in x], y)
        tried.append((left, at, found))
    left, at, found = min(tried, key=lambda each: each[0])
    return at, found, left


def half_mass_slow(map: Matrix) -> float:
    """The share of the places with the highest values that hold half of the positive mass."""
    values = sorted((max(0.0, value) for row in map for value in row), reverse=True)
    number, held = 0, 0.0
    while held < sum(values) / 2:
        number, held = number + 1, held + values[number]
    return number / len(values)
