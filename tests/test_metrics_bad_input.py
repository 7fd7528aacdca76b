"""What metrics refuse, and what the refusal says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmel import metrics
from mmel.errors import BadSetting, MmelError, NotANumber, ShapeMismatch, TextError, UnknownName

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
MAP = np.arange(20.0).reshape(4, 5)
TOKENS, WORDS = torch.tensor([900, 5, 6, 7, 901, 0]), torch.arange(6.0)


def ones(batch):
    return np.ones(len(batch))


def with_nan(array):
    array = np.asarray(array, dtype=np.float64).copy()
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"steps": 0}, BadSetting, "steps is a whole number"),
        ({"steps": 2.5}, BadSetting, "2.5"),
        ({"every": 0}, BadSetting, "every"),
        ({"steps": 4, "every": 5}, BadSetting, "none would be scored"),
        ({"fraction": 0}, BadSetting, "fraction"),
        ({"fraction": 1.5}, BadSetting, "1.5"),
        ({"fraction": float("nan")}, BadSetting, "nan"),
        ({"ends": "first"}, UnknownName, "'first'"),
        ({"fill": "blurr"}, UnknownName, "did you mean blur"),
        ({"fill": None}, BadSetting, "fill is one of"),
        ({"fill": (1, 2)}, ShapeMismatch, "three values"),
        ({"fill": 300}, BadSetting, "0..255"),
        ({"fill": float("nan")}, NotANumber, "fill"),
        ({"fill": PICTURE[:3]}, ShapeMismatch, "as large"),
        ({"fill": torch.zeros(3, 4, 5)}, ShapeMismatch, "bytes or floats"),
        ({"fill": {"insertion": 0}}, BadSetting, "'deletion'"),
        ({"fill": "noise", "seed": -1}, BadSetting, "seed"),
        ({"fill": "noise", "seed": 0.5}, BadSetting, "seed"),
        ({"batch_size": 0}, BadSetting, "batch_size"),
        ({"order": np.arange(19)}, ShapeMismatch, "20 places"),
        ({"order": np.zeros(20, dtype=int)}, BadSetting, "once"),
        ({"order": np.arange(20.0)}, BadSetting, "indices"),
        ({"map": with_nan(MAP)}, NotANumber, "maps"),
        ({"map": np.stack([MAP, MAP])}, ShapeMismatch, "one by one"),
        ({"map": MAP[0]}, ShapeMismatch, "rows, columns"),
        ({"image": np.stack([PICTURE, PICTURE])}, ShapeMismatch, "one by one"),
        ({"image": PICTURE[..., :2]}, ShapeMismatch, "a picture is"),
        ({"image": PICTURE.astype(np.float64)}, ShapeMismatch, "a picture is"),
        ({"image": PICTURE.transpose(2, 0, 1).astype(np.int64)}, ShapeMismatch, "int64"),
        ({"image": with_nan(np.zeros((3, 4, 5)))}, NotANumber, "pixels"),
        ({"score": lambda batch: with_nan(np.ones(len(batch)))}, NotANumber, "scores"),
        ({"score": lambda batch: 1.0}, ShapeMismatch, "to give"),
        ({"score": lambda batch: np.ones(2)}, ShapeMismatch, "to give 21"),
        ({"score": lambda batch: ["a"] * len(batch)}, ShapeMismatch, "numbers"),
    ],
)
def test_curves_refuse(change, error, says):
    given = {"score": ones, "image": PICTURE, "map": MAP, **change}
    with pytest.raises(error, match=says):
        metrics.deletion_curve(given.pop("score"), given.pop("image"), given.pop("map"), **given)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"fill": "black"}, UnknownName, "fill of a text"),
        ({"fill": 0.5}, BadSetting, "whole number"),
        ({"fill": -1}, BadSetting, "-1"),
        ({"ends": "all"}, UnknownName, "end points"),
        ({"map": WORDS[:5]}, ShapeMismatch, "context"),
        ({"map": with_nan(WORDS)}, NotANumber, "maps"),
        ({"tokens": TOKENS.float()}, ShapeMismatch, "ids"),
        ({"tokens": torch.stack([TOKENS, TOKENS])}, ShapeMismatch, "one text"),
        ({"tokens": torch.tensor([900, 901, 0, 0, 0, 0])}, TextError, "with words"),
        ({"eos": 6}, TextError, "position 6"),
        ({"order": [1, 2, 3]}, BadSetting, "0 to 2"),
    ],
)
def test_text_curves_refuse(change, error, says):
    given = {"tokens": TOKENS, "map": WORDS, **change}
    with pytest.raises(error, match=says):
        metrics.text_insertion_curve(ones, given.pop("tokens"), given.pop("map"), **given)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: metrics.protocol("offical"), UnknownName),
        (lambda: metrics.confidence_drop([0.1, 0.2], [0.1]), ShapeMismatch),
        (lambda: metrics.confidence_increase([0.1], [np.nan]), NotANumber),
        (lambda: metrics.masked_image(torch.ones(1, 3, 4, 4), 2 * torch.ones(1, 4, 4)), BadSetting),
        (lambda: metrics.masked_image(torch.ones(2, 3, 4, 4), torch.ones(1, 4, 4)), ShapeMismatch),
        (lambda: metrics.masked_tokens(TOKENS[None], WORDS), ShapeMismatch),
        (lambda: metrics.auc([0, 1], [1, np.inf]), NotANumber),
        (lambda: metrics.auc([0, 1, 0.5], [1, 1, 1]), BadSetting),
        (lambda: metrics.auc([0, 1], [1, 1, 1]), ShapeMismatch),
        (lambda: metrics.auc([0], [1]), ShapeMismatch),
        (lambda: metrics.step_auc(3.0), ShapeMismatch),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], [0], 0), BadSetting),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], [2], 1), BadSetting),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], [-1], 1), BadSetting),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], [[]], 1), BadSetting),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], [0, 1], 1), ShapeMismatch),
        (lambda: metrics.recall_at_k([[0.1, 0.2]], torch.ones(1, 3, dtype=torch.bool), 1), ShapeMismatch),
        (lambda: metrics.recall_at_k([[0.1, np.nan]], [0], 1), NotANumber),
        (lambda: metrics.recall_at_k([0.1, 0.2], [0], 1), ShapeMismatch),
        (lambda: metrics.pointing_game(MAP, np.zeros((4, 5), bool)), metrics.EmptyMask),
        (lambda: metrics.energy_pointing_game(with_nan(MAP), MAP > 3), NotANumber),
        (lambda: metrics.segmentation_scores(MAP, MAP), BadSetting),
        (lambda: metrics.pointing_game(np.stack([MAP, MAP]), MAP > 3), ShapeMismatch),
        (lambda: metrics.multi_object_recall(MAP, []), ShapeMismatch),
        (lambda: metrics.multi_object_recall(MAP[None], [[MAP > 3], [MAP > 3]]), ShapeMismatch),
        (lambda: metrics.multi_object_recall(MAP, [MAP > 3], top=0), BadSetting),
        (lambda: metrics.multi_object_recall(MAP, [MAP > 3, MAP > 99]), metrics.EmptyMask),
    ],
)
def test_the_others_refuse(call, error):
    with pytest.raises(error) as raised:
        call()
    assert isinstance(raised.value, MmelError) and len(str(raised.value)) > 40
