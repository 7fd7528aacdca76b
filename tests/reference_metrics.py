"""Slow twins of the metrics and of the statistics: loops over Python numbers, and nothing from `mmel`."""

from __future__ import annotations

from itertools import combinations, product

Grid = list[list[float]]


def falling_places(values: list[float]) -> list[int]:
    """Places by falling value; of equal ones the first comes first."""
    left, order = list(range(len(values))), []
    while left:
        best = left[0]
        for place in left:
            if values[place] > values[best]:
                best = place
        left.remove(best)
        order.append(best)
    return order


def edited_slow(picture: list, filled: list, map: Grid, count: int, inserting: bool) -> list:
    """A picture [rows][columns] of colours after `count` pixels were taken away, or put back."""
    columns = len(map[0])
    result = [list(row) for row in (filled if inserting else picture)]
    for place in falling_places([value for row in map for value in row])[:count]:
        row, column = place // columns, place % columns
        result[row][column] = (picture if inserting else filled)[row][column]
    return result


def auc_slow(fractions: list[float], values: list[float]) -> float:
    area = 0.0
    for i in range(len(values) - 1):
        area += (fractions[i + 1] - fractions[i]) * (values[i] + values[i + 1]) / 2
    return area


def text_slow(ids: list[int], end: int, kept: set[int]) -> list[int]:
    """Words that are not kept go; the later ones move up, zeros behind."""
    left = [token for place, token in enumerate(ids) if place in kept or place in (0, end)]
    return left + [0] * (len(ids) - len(left))


def recall_slow(similarities: Grid, targets: list[list[int]], k: int) -> float:
    hits = 0
    for row, right in zip(similarities, targets, strict=True):
        hits += any(place in right for place in falling_places(row)[:k])
    return hits / len(similarities)


def upsample_slow(map: Grid, height: int, width: int) -> Grid:
    """Bilinear, corners not aligned: pixel centres at halves, borders held."""
    rows, columns = len(map), len(map[0])

    def parts(place: int, size: int, cells: int) -> tuple[int, int, float]:
        at = max(0.0, (place + 0.5) * cells / size - 0.5)
        low = min(int(at), cells - 1)
        return low, min(low + 1, cells - 1), at - low

    large = []
    for i in range(height):
        top, bottom, down = parts(i, height, rows)
        line = []
        for j in range(width):
            left, right, along = parts(j, width, columns)
            upper = map[top][left] * (1 - along) + map[top][right] * along
            lower = map[bottom][left] * (1 - along) + map[bottom][right] * along
            line.append(upper * (1 - down) + lower * down)
        large.append(line)
    return large


def pointing_slow(map: Grid, mask: list[list[bool]]) -> float:
    highest = max(value for row in map for value in row)
    inside = [mask[i][j] for i, row in enumerate(map) for j, value in enumerate(row) if value == highest]
    return sum(inside) / len(inside)


def energy_slow(map: Grid, mask: list[list[bool]]) -> float:
    total = inside = 0.0
    for i, row in enumerate(map):
        for j, value in enumerate(row):
            total += max(0.0, value)
            inside += max(0.0, value) if mask[i][j] else 0.0
    return inside / total if total else 0.0


def segmentation_slow(map: Grid, mask: list[list[bool]]) -> dict[str, float]:
    values = [value for row in map for value in row]
    inside = [bool(yes) for row in mask for yes in row]
    low, high = min(values), max(values)
    values = [(value - low) / (high - low) for value in values]
    cut = sum(values) / len(values)
    found = [value > cut + 1e-9 for value in values]  # a value that is the mean is not above it
    pairs = list(zip(found, inside, strict=True))
    both, either = sum(f and m for f, m in pairs), sum(f or m for f, m in pairs)
    neither, not_both = sum(not f and not m for f, m in pairs), sum(not f or not m for f, m in pairs)
    scores = [1 - value for value in values] + values
    labels = [not yes for yes in inside] + inside
    return {
        "pixel_accuracy": sum(f == m for f, m in pairs) / len(pairs),
        "iou": both / either,
        "mean_iou": (both / either + neither / not_both) / 2,
        "average_precision": average_precision_slow(scores, labels),
    }


def average_precision_slow(values: list[float], labels: list[bool]) -> float:
    area, before = 0.0, 0.0
    for threshold in sorted(set(values), reverse=True):
        shown = [label for value, label in zip(values, labels, strict=True) if value >= threshold]
        recall = sum(shown) / sum(labels)
        area += (recall - before) * sum(shown) / len(shown)
        before = recall
    return area


def sign_flip_slow(gaps: list[float]) -> float:
    """All flips of signs, in exact arithmetic for whole numbers."""
    seen, far = abs(sum(gaps)), 0
    for signs in product((1, -1), repeat=len(gaps)):
        far += abs(sum(sign * gap for sign, gap in zip(signs, gaps, strict=True))) >= seen
    return far / 2 ** len(gaps)


def holm_slow(p: list[float]) -> list[float]:
    """By closed testing with Bonferroni: the largest corrected p of all sets of tests that hold this one."""
    adjusted = []
    for test in range(len(p)):
        worst = 0.0
        for size in range(1, len(p) + 1):
            for group in combinations(range(len(p)), size):
                if test in group:
                    worst = max(worst, min(1.0, size * min(p[i] for i in group)))
        adjusted.append(worst)
    return adjusted
