"""Confidence, retrieval and localisation: slow twins, known answers, laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import energy_slow, pointing_slow, recall_slow, segmentation_slow, upsample_slow

from mmel import metrics

seeds = st.integers(0, 2**16)


def draw(seed):
    return np.random.default_rng(seed)


def test_drop_and_increase_by_hand():
    before, after = torch.tensor([0.3, 0.2, -0.1, 0.2]), torch.tensor([0.1, 0.25, -0.4, 0.2])
    assert metrics.confidence_drop(before, after).tolist() == pytest.approx([0.2, 0, 0.3, 0])
    assert metrics.confidence_increase(before, after).tolist() == [0, 1, 0, 0]
    assert float(metrics.confidence_drop(0.3, 0.2)) == pytest.approx(0.1, abs=1e-15)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=9))
def test_drop_and_increase_exclude_each_other(pairs):
    before, after = zip(*pairs, strict=True)
    drop, increase = metrics.confidence_drop(before, after), metrics.confidence_increase(before, after)
    assert ((drop == 0) | (increase == 0)).all() and (drop >= 0).all()
    gain = metrics.confidence_drop(after, before)
    assert (gain - drop).tolist() == pytest.approx([new - old for old, new in pairs])


def test_masked_image_upsamples_and_fades_to_zero():
    pixels = torch.ones(2, 3, 4, 4)
    map = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    masked = metrics.masked_image(pixels, map)
    assert masked[0, :, 0].tolist() == [[0, 0.25, 0.75, 1]] * 3 and torch.equal(masked[1], pixels[1])


def test_the_first_row_all_the_way_down():
    map = torch.arange(6.0).view(1, 2, 3)
    assert metrics.first_row(map).tolist() == [[[0, 1, 2], [0, 1, 2]]]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 7), st.integers(1, 8), st.booleans())
def test_recall_equals_its_slow_twin(seed, k, queries, ties):
    rng = draw(seed)
    similarities = rng.normal(size=(queries, 7))
    similarities = np.round(similarities) if ties else similarities
    targets = [sorted(rng.choice(7, size=rng.integers(1, 4), replace=False).tolist()) for _ in range(queries)]
    marks = np.zeros((queries, 7), dtype=bool)
    for row, right in zip(marks, targets, strict=True):
        row[right] = True
    expected = recall_slow(similarities.tolist(), targets, k)
    for form in (targets, marks, torch.from_numpy(marks)):
        assert float(metrics.recall_at_k(similarities, form, k)) == pytest.approx(expected)


def test_recall_in_both_directions_with_several_captions():
    similarities = torch.tensor([[0.9, 0.1, 0.8, 0.2], [0.3, 0.4, 0.6, 0.5]])  # image caption; captions 0 1 | 2 3
    captions = torch.tensor([[0, 1], [2, 3]])
    assert float(metrics.recall_at_k(similarities, captions, 1)) == 1
    assert float(metrics.recall_at_k(similarities.T, [0, 0, 1, 1], 1)) == 0.5
    assert metrics.hits_at_k(similarities.T, [0, 0, 1, 1], 1).tolist() == [1, 0, 0, 1]
    assert metrics.best_rank(similarities, [1, 0]).tolist() == [3, 3]
    assert float(metrics.recall_at_k(similarities, captions, 10)) == 1


def test_a_score_that_says_nothing_is_right_by_chance():
    for count, k in ((5, 1), (5, 5), (3000, 10)):
        nothing, right = torch.zeros(count, count), torch.arange(count)
        assert float(metrics.recall_at_k(nothing, right, k)) == pytest.approx(k / count)


def sample(seed, size=(5, 6), ties=False):
    rng = draw(seed)
    map = rng.normal(size=size)
    mask = rng.random(size) < 0.4
    mask[rng.integers(size[0]), rng.integers(size[1])] = True
    return np.round(map) if ties else map, mask


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_localisation_equals_its_slow_twins(seed, ties):
    map, mask = sample(seed, ties=ties)
    assert float(metrics.pointing_game(map, mask)) == pytest.approx(pointing_slow(map.tolist(), mask.tolist()))
    assert float(metrics.energy_pointing_game(map, mask)) == pytest.approx(energy_slow(map.tolist(), mask.tolist()))
    scores = metrics.segmentation_scores(map, mask)
    expected = segmentation_slow(map.tolist(), mask.tolist())
    assert {name: float(value) for name, value in scores._asdict().items()} == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_patch_map_is_upsampled_to_its_mask(seed):
    map, mask = sample(seed, (3, 4))[0], sample(seed, (12, 20))[1]
    large = upsample_slow(map.tolist(), 12, 20)
    positive = upsample_slow(np.maximum(map, 0).tolist(), 12, 20)
    assert float(metrics.energy_pointing_game(map, mask)) == pytest.approx(energy_slow(positive, mask), abs=1e-6)
    expected = segmentation_slow(large, mask.tolist())
    assert float(metrics.segmentation_scores(map, mask).iou) == pytest.approx(expected["iou"])


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_batch_equals_one_by_one_and_monotone_maps_point_alike(seed):
    pairs = [sample(seed + i) for i in range(3)]
    maps, masks = (np.stack(each) for each in zip(*pairs, strict=True))
    for metric in (metrics.pointing_game, metrics.energy_pointing_game):
        assert metric(maps, masks).tolist() == pytest.approx([float(metric(*pair)) for pair in pairs])
    together = torch.stack(metrics.segmentation_scores(maps, masks))
    assert torch.allclose(together, torch.cat([torch.stack(metrics.segmentation_scores(*p)) for p in pairs], 1))
    assert torch.equal(metrics.pointing_game(np.exp(maps), masks), metrics.pointing_game(maps, masks))
    assert torch.allclose(metrics.energy_pointing_game(7e-9 * maps, masks), metrics.energy_pointing_game(maps, masks))


def test_perfect_flat_and_empty_maps():
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 1:3] = True
    share = mask.mean()
    assert metrics.segmentation_scores(mask.astype(float), mask) == (1, 1, 1, 1)
    assert metrics.segmentation_scores(-mask.astype(float), mask).iou == 0
    for map, pointing, energy in ((mask, 1, 1), (~mask, 0, 0), (np.ones((4, 5)), share, share), (0 * mask, share, 0)):
        assert float(metrics.pointing_game(map.astype(float), mask)) == pytest.approx(pointing)
        assert float(metrics.energy_pointing_game(map.astype(float), mask)) == pytest.approx(energy)
    flat = metrics.segmentation_scores(np.ones((4, 5)), mask)
    assert float(flat.iou) == 0 and float(flat.pixel_accuracy) == pytest.approx(1 - share)


def test_multi_object_recall_by_hand():
    map = np.zeros((4, 4))
    map[0, 0], map[0, 3], map[3, 3] = 9, 1, 4
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[0, :2, :2], masks[1, 0, 3], masks[2, 3] = True, True, True
    # the picture's mean is 14 / 16, the objects' means are 9 / 4, 1 and 1
    assert float(metrics.multi_object_recall(map, masks)) == 1
    assert float(metrics.multi_object_recall(map - map[3, 3] * (masks[2] & (map == 4)), masks)) == pytest.approx(2 / 3)
    assert float(metrics.multi_object_recall(map, masks, top=1 / 16)) == pytest.approx(1 / 3)
    assert float(metrics.multi_object_recall(map, masks, top=2 / 16)) == pytest.approx(2 / 3)
    both = metrics.multi_object_recall(np.stack([map, 0 * map]), [masks, list(masks[:1])])
    assert both.tolist() == [1, 0]  # a flat map finds nothing
    assert float(metrics.multi_object_recall(np.full((4, 4), 0.1), masks)) == 0


@pytest.mark.parametrize("top", [None, 0.3])
def test_multi_object_recall_upsamples(top):
    coarse = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 6:, 6:], masks[1, :2, :2] = True, True
    assert float(metrics.multi_object_recall(coarse, masks, top=top)) == 0.5


def test_every_metric_has_a_direction():
    assert not metrics.HIGHER_IS_BETTER["deletion_auc"] and metrics.HIGHER_IS_BETTER["insertion_auc"]
    assert not metrics.HIGHER_IS_BETTER["confidence_drop"] and metrics.HIGHER_IS_BETTER["confidence_increase"]
    single = {"recall_at_k", "pointing_game", "energy_pointing_game", "multi_object_recall"}
    assert single | set(metrics.SegmentationScores._fields) <= set(metrics.HIGHER_IS_BETTER)
    with pytest.raises(TypeError):
        metrics.HIGHER_IS_BETTER["deletion_auc"] = True
    with pytest.raises(TypeError):
        metrics.PROTOCOLS["full"]["fill"]["text"] = 0
