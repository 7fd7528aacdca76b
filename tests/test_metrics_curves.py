"""Deletion and insertion of pixels: slow twins, laws that hold for every picture, bad input."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference_metrics import auc_slow, edited_slow

from mmel import metrics
from mmel.metrics.plan import even_counts

KINDS = {"deletion": metrics.deletion_curve, "insertion": metrics.insertion_curve}
EDITS = {"deletion": metrics.deletion_edits, "insertion": metrics.insertion_edits}
SIZE = (6, 8)


def picture(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def floats(seed=0, size=SIZE):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *size)))


def a_map(seed=1, size=SIZE, ties=False):
    values = np.random.default_rng(seed).normal(size=size)
    return np.round(values) if ties else values


def brightness(batch):
    return np.array([np.asarray(each, dtype=np.float64).mean() for each in batch])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("fill", [7, (1, 2, 3), "black"])
def test_edits_equal_their_slow_twin(kind, ties, fill):
    image, map = picture(), a_map(ties=ties)
    edits = EDITS[kind](image, map, steps=5, fraction=0.7, fill=fill, ends="none")
    colour = {"black": (0, 0, 0), 7: (7, 7, 7)}.get(fill, fill)
    empty = [[list(colour)] * SIZE[1]] * SIZE[0]
    each = int(48 * 0.7 / 5)
    assert [round(float(f) * 48) for f in edits.fractions] == [each * k for k in range(1, 6)]
    for k, edited in enumerate(edits[:], 1):
        expected = edited_slow(image.tolist(), empty, map.tolist(), each * k, kind == "insertion")
        np.testing.assert_array_equal(edited, expected)


@pytest.mark.parametrize(
    ("ends", "deletion", "insertion"),
    [
        ("none", [0.25, 0.5], [0.25, 0.5]),
        ("original", [0, 0.25, 0.5], [0.25, 0.5, 1]),
        ("empty", [0.25, 0.5, 1], [0, 0.25, 0.5]),
        ("both", [0, 0.25, 0.5, 1], [0, 0.25, 0.5, 1]),
    ],
)
def test_end_points(ends, deletion, insertion):
    for kind, expected in (("deletion", deletion), ("insertion", insertion)):
        curve = KINDS[kind](brightness, picture(), a_map(), steps=2, fraction=0.5, fill="black", ends=ends)
        assert curve.fractions.tolist() == expected
        whole = brightness([picture()])[0]
        at = {"deletion": 0, "insertion": 1}[kind]
        for fraction, value in zip(curve.fractions, curve.values, strict=True):
            assert fraction != at or value == whole
            assert fraction != 1 - at or value == 0


def test_full_reaches_every_pixel_once():
    for size in ((6, 8), (7, 9), (3, 5)):  # more pixels than steps, a remainder, fewer than steps
        image, colour = picture(size=size), np.round(picture(size=size).mean((0, 1)))
        curve = metrics.deletion_curve(brightness, image, a_map(size=size), **metrics.PROTOCOLS["full"])
        assert len(curve.fractions) == 21
        assert curve.fractions[0] == 0 and curve.fractions[-1] == 1
        np.testing.assert_array_equal(curve.edits[20:][0], np.broadcast_to(colour, (*size, 3)))


@pytest.mark.parametrize(("area", "each"), [(4096, 20), (6144, 30), (187500, 937), (150, 1), (90, 1)])
def test_official_counts(area, each):
    counts = even_counts(area, 100, 10, 0.5)
    assert counts == [min(area, 10 * k * max(1, int(area / 200))) for k in range(1, 11)]
    assert counts[0] == 10 * each


def test_equal_edits_are_scored_once_and_chunks_change_nothing():
    seen = []

    def score(batch):
        seen.append(len(batch))
        return brightness(batch)

    curves = [
        metrics.deletion_curve(score, picture(size=(2, 3)), a_map(size=(2, 3)), steps=20, batch_size=size)
        for size in (None, 1, 4)
    ]
    assert seen == [7] + [1] * 7 + [4, 3]
    assert all(torch.equal(curve.values, curves[0].values) and len(curve.values) == 21 for curve in curves)


@pytest.mark.parametrize("fill", ["noise", "black", "mean", "blur"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_of_picture_gives_the_same_and_comes_back_as_it_was(kind, fill):
    image, expected = picture(), None
    forms = {
        Image.Image: Image.fromarray(image),
        np.ndarray: image,
        torch.Tensor: torch.from_numpy(image),
        "channels first": torch.from_numpy(image).permute(2, 0, 1),
    }
    for form, given_as in forms.items():
        edits = EDITS[kind](given_as, a_map(), steps=3, fill=fill, seed=5)
        first = edits[1:3][0]
        if form == "channels first":
            assert first.shape == (3, *SIZE)
            first = first.permute(1, 2, 0)
        else:
            assert isinstance(first, form)
        expected = np.asarray(first) if expected is None else expected
        assert np.asarray(first).dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(first), expected)


def test_a_batch_of_one_is_a_picture():
    one = metrics.deletion_curve(brightness, floats()[None], a_map()[None])
    assert torch.equal(one.values, metrics.deletion_curve(brightness, floats(), a_map()).values)


def test_noise_depends_on_the_seed_and_stays_in_range():
    for image in (picture(), floats()):
        empty = [metrics.deletion_edits(image, a_map(), fill="noise", seed=seed)[20:][0] for seed in (3, 3, 4)]
        same, again, other = (torch.as_tensor(each) for each in empty)
        assert torch.equal(same, again) and not torch.equal(same, other)
    assert all(floats()[c].min() <= empty[0][c].min() <= empty[0][c].max() <= floats()[c].max() for c in range(3))
    assert empty[0].dtype == floats().dtype


def test_blur_is_smooth_and_has_no_dark_frame_in_bytes():
    flat = np.full((20, 20, 3), 90, dtype=np.uint8)
    assert (metrics.deletion_edits(flat, a_map(size=(20, 20)), fill="blur")[20:][0] == 90).all()
    dot = torch.zeros(3, 21, 21)
    dot[:, 10, 10] = 1
    spread = metrics.deletion_edits(dot, a_map(size=(21, 21)), fill="blur")[20:][0]
    assert torch.allclose(spread.sum((1, 2)), torch.ones(3)) and int((spread > 0).sum()) == 3 * 121


def test_a_small_map_is_upsampled():
    coarse = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    half = metrics.deletion_edits(np.full((8, 8, 3), 255, np.uint8), coarse, steps=2, fill="black")[1:2][0]
    assert (half[4:] == 0).all() and (half[:4] == 255).all()


def test_the_soft_mask_of_m2ib():
    pixels, map = floats(), torch.from_numpy(a_map())
    weight = (map - map.min()) / (map.max() - map.min())
    for kind, kept in (("insertion", weight), ("deletion", 1 - weight)):
        edits = EDITS[kind](pixels, map, **metrics.PROTOCOLS["m2ib"])
        masked, original = edits[:] if kind == "insertion" else edits[:].flip(0)
        assert torch.allclose(masked, pixels * kept) and torch.equal(original, pixels)


seeds = st.integers(0, 2**16)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 8), st.booleans())
def test_deleting_the_first_leaves_what_inserting_the_last_shows(seed, steps, noisy):
    image, map = floats(seed), a_map(seed)
    fill = floats(seed + 1) if noisy else 0.0
    steps = {5: 4, 7: 6}.get(steps, steps)  # 48 pixels
    deleted = metrics.deletion_edits(image, map, steps=steps, fill=fill)
    inserted = metrics.insertion_edits(image, -map, steps=steps, fill=fill)
    assert torch.equal(deleted[:], inserted[:].flip(0))
    assert torch.allclose(deleted.fractions, 1 - inserted.fractions.flip(0))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["deletion", "insertion"]))
def test_only_the_order_of_a_map_counts(seed, kind):
    image, map = picture(seed), a_map(seed)
    curves = [KINDS[kind](brightness, image, m, fill="noise").values for m in (map, np.exp(map), 3 * map - 7, map**3)]
    assert all(torch.equal(curve, curves[0]) for curve in curves)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_of_an_additive_score_both_curves_sum_to_its_ends(seed):
    image, weights = floats(seed), floats(seed + 1)
    score = lambda batch: (batch * weights).sum((1, 2, 3))  # noqa: E731
    down, up = (KINDS[kind](score, image, a_map(seed), fill="mean") for kind in KINDS)
    assert torch.allclose(down.values + up.values, down.values[0] + down.values[-1])
    best = metrics.insertion_curve(score, image, ((image - image.mean((1, 2))[:, None, None]) * weights).sum(0))
    assert metrics.auc(*best[:2]) >= metrics.auc(*up[:2]) - 1e-9  # ranked by what each pixel adds


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.floats(-5, 5), st.floats(-5, 5))
def test_the_area_under_a_line(inside, start, slope):
    fractions = np.array([0, *sorted(inside), 1])
    assert float(metrics.auc(fractions, start + slope * fractions)) == pytest.approx(start + slope / 2, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=2, max_size=12))
def test_areas_equal_their_slow_twin(points):
    fractions, values = sorted(f for f, _ in points), [v for _, v in points]
    assert float(metrics.auc(fractions, values)) == pytest.approx(auc_slow(fractions, values), abs=1e-12)
    both = metrics.auc(fractions, [values, [1.0] * len(values)])
    assert both.tolist() == pytest.approx([auc_slow(fractions, values), fractions[-1] - fractions[0]], abs=1e-12)
    evenly = [i / (len(values) - 1) for i in range(len(values))]
    assert float(metrics.step_auc(values)) == pytest.approx(auc_slow(evenly, values), abs=1e-12)


@pytest.mark.parametrize("name", ["deletion", "insertion", "text_deletion", "text_insertion"])
def test_protocols_go_to_every_curve(name):
    keywords = set(inspect.signature(getattr(metrics, f"{name}_curve")).parameters)
    for protocol in metrics.PROTOCOLS.values():
        assert {"steps", "fraction", "fill", "ends"} <= set(protocol) <= keywords - {"seed"}
