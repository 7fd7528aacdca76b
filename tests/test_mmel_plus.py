"""mmel_plus: every formula equals its slow twin in float64, and its switches lead back to Grad-ECLIP."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from reference import cosine, dot, softplus_slow
from toy import pair_batch, toy_clip

from mmel.errors import BadSetting, UnsupportedModality
from mmel.methods import explain
from mmel.methods.mmel_plus import attended, content, fade, relate, relations
from mmel.trace import gradients, record
from mmel.types import LayerTrace

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def pairs():
    images, tokens = pair_batch()
    return images[:2], tokens[:2]


@pytest.fixture()
def bench(monkeypatch):
    """The benchmark's modules, by name, gone again afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("plus", "plus_readings", "plus_confirm", "plus_candidates", "plus_learned")
    yield {name: importlib.import_module(name) for name in names}
    [sys.modules.pop(name) for name in names]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attended_slow(pattern, values, grad, heads):
    """For each patch: over heads, attention of the class token times gradient times value; negative sums are cut."""
    width = len(grad) // heads
    out = []
    for i in range(1, len(values)):
        total = 0.0
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            total += pattern[h][0][i] * dot(grad[part], values[i][part])
        out.append(max(0.0, total))
    return out


def test_attended_equals_its_twin():
    v, grad, pattern = drawn(1, 5, 8), drawn(1, 8, seed=1), drawn(1, 2, 5, 5, seed=2).softmax(-1)
    layer = LayerTrace(v, v, v, pattern, v, v)
    slow = attended_slow(pattern[0].tolist(), v[0].tolist(), grad[0].tolist(), 2)
    assert attended(layer, grad)[0].tolist() == pytest.approx(slow, rel=1e-12)
    assert min(slow) == 0 < max(slow)


def test_content_equals_its_twin():
    token, empty, grad = drawn(1, 5, 4), drawn(1, 5, 4, seed=1), drawn(1, 5, 4, seed=2)
    slow = [
        max(0.0, sum(g * (x - e) for g, x, e in zip(*rows, strict=True)))
        for rows in zip(grad[0].tolist(), token[0].tolist(), empty[0].tolist(), strict=True)
    ]
    assert content(token, empty, grad)[0].tolist() == pytest.approx(slow[1:], rel=1e-12)


def test_relations_equal_their_twin():
    blocks = [drawn(1, 4, 3, seed=seed) for seed in (0, 1)]
    rows = [[sum(cosine(b[0].tolist()[i], b[0].tolist()[j]) for b in blocks) / 2 for j in range(4)] for i in range(4)]
    powers = [[math.exp(value / 0.1) for value in row] for row in rows]
    slow = [[value / sum(row) for value in row] for row in powers]
    ours = relations(blocks, 0.1)
    torch.testing.assert_close(ours[0], torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=0)
    map = drawn(1, 4).abs()
    assert relate(ours, map)[0].tolist() == pytest.approx([dot(row, map[0].tolist()) for row in slow], rel=1e-9)


def test_fading_keeps_the_mean_and_ends_at_it():
    pixels = drawn(2, 3, 4, 4)
    assert torch.equal(fade(pixels, 1.0), pixels) or torch.allclose(fade(pixels, 1.0), pixels, atol=1e-12)
    torch.testing.assert_close(fade(pixels, 0.3).mean((2, 3)), pixels.mean((2, 3)))
    assert float(fade(pixels, 0.0).std((2, 3)).max()) < 1e-12


def test_the_whole_written_out(clip, pairs):
    """The method by the slow twins, for one pair, two scales."""
    images, tokens = pairs[0][:1], pairs[1][:1]
    weighed, owed = torch.zeros(16, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
    empty = record(clip, fade(images, 0.0), tokens, modality="image").image_layers[0].block_in.detach()
    for s in (1.0, 0.5):
        trace = record(clip, fade(images, s), tokens, modality="image")
        layers = trace.image_layers
        *grads, entry = gradients(trace.score, [*(layer.attn_out for layer in layers), layers[0].block_in])
        for layer, grad in zip(layers, grads, strict=True):
            one = attended_slow(*(x[0].detach().tolist() for x in (layer.pattern, layer.v)), grad[0, 0].tolist(), 4)
            weighed += softplus_slow(1.0) * torch.tensor(one, dtype=torch.float64)
        owed += content(layers[0].block_in.detach().double(), empty.double(), entry.double())[0]
        keys = [layer.k[:, 1:].detach().double() for layer in layers] if s == 1 else keys
    expected = relate(relations(keys, 0.1), (weighed * owed)[None]).view(1, 4, 4)
    made = explain(clip, images, tokens, "mmel_plus", scales=(1.0, 0.5), relation="keys", temperature=0.1).image
    torch.testing.assert_close(made.double(), expected, rtol=2e-4, atol=1e-4 * float(expected.max()))


def test_its_switches_lead_back_to_grad_eclip(clip, pairs):
    bare = {"scales": (1.0,), "weighing": "cosine", "use_content": False, "relation": "none"}
    made = explain(clip, *pairs, "mmel_plus", **bare).image
    eclip = explain(clip, *pairs, "grad_eclip", modality="image", layers=None, projected_keys=False).image
    torch.testing.assert_close(made, softplus_slow(1.0) * eclip, rtol=1e-4, atol=1e-5 * float(eclip.max()))


def test_every_setting_acts(clip, pairs):
    changes = [
        {}, {"scales": (1.0,)}, {"weighing": "cosine"}, {"use_content": False}, {"relation": "none"},
        {"relation": "queries"}, {"relation": "keys"}, {"temperature": 0.5}, {"theta": (9.0,) + (1.0,) * 11},
    ]  # fmt: skip
    made = [explain(clip, pairs[0][:1], pairs[1][:1], "mmel_plus", **change).image for change in changes]
    same = [
        (i, j) for i, one in enumerate(made) for j, other in enumerate(made[:i]) if torch.allclose(one, other, 1e-6, 0)
    ]
    assert len(same) == 1  # one of the two relations is the default


def test_a_picture_of_one_colour_owes_nothing(clip, pairs):
    flat = torch.full_like(pairs[0][:1], 0.3)
    made = explain(clip, flat, pairs[1][:1], "mmel_plus").image
    whole = explain(clip, pairs[0][:1], pairs[1][:1], "mmel_plus").image
    assert torch.isfinite(made).all() and float(made.max()) < 1e-4 * float(whole.max())


@pytest.mark.parametrize(
    "wrong", [{"scales": ()}, {"scales": (0.5,)}, {"scales": (1.0, 2.0)}, {"weighing": "x"}, {"relation": "x"},
              {"temperature": 0.0}, {"theta": (1.0, 2.0)}],
)  # fmt: skip
def test_bad_settings(clip, pairs, wrong):
    with pytest.raises(BadSetting, match=r"expected|one of|shares|has one number"):
        explain(clip, *pairs, "mmel_plus", **wrong)


def test_texts_have_no_map(clip, pairs):
    with pytest.raises(UnsupportedModality, match="no text map"):
        explain(clip, *pairs, "mmel_plus", modality="text")


def test_the_defaults_are_what_the_validation_split_chose(bench):
    """benchmarks/plus.json holds the choice; the rule gives the same again from the tables that it holds."""
    plus = bench["plus"]
    kept = BENCHMARKS / ("plus.json" if (BENCHMARKS / "plus.json").exists() else "plus_choice.json")
    result = json.loads(kept.read_text())
    assert list(plus.CANDIDATES) == result["candidates"] and plus.choose(result["validation"]) == result["chosen"]
    import inspect

    from mmel.methods.mmel_plus import explain as method

    defaults = {name: parameter.default for name, parameter in inspect.signature(method).parameters.items()}
    assert {name: defaults[name] for name in plus.SETTINGS[result["chosen"]]} == plus.SETTINGS[result["chosen"]]


ENTRY = {"time": "2026-01-01T00:00:00Z", "kind": "test", "again": "", "chosen": "x", "candidates": 3, "scenes": 4,
         "scenes_hash": {"crowded": "c"}, "weights": {"bundled": "a" * 9}}  # fmt: skip


def test_a_second_reading_is_refused(bench, monkeypatch, tmp_path, capsys):
    readings, log = bench["plus_readings"], tmp_path / "log.jsonl"
    other = {"bundled": "b" * 9}
    assert readings.refused("test", ENTRY["weights"], "", log) == ""
    readings.begin(ENTRY, log)
    assert "--again" in readings.refused("test", other, "", log)  # the same scenes, whatever the weights
    assert readings.refused("test", other, "the weights changed", log) == ""
    assert readings.refused("confirmation", ENTRY["weights"], "", log) == ""
    readings.begin(ENTRY | {"kind": "confirmation"}, log)
    assert "on these weights" in readings.refused("confirmation", ENTRY["weights"], "", log)
    assert readings.refused("confirmation", other, "", log) == ""  # other weights meet other scenes
    monkeypatch.setattr(bench["plus"], "refused", lambda kind, *rest: f"{kind}: give --again")
    monkeypatch.setattr(sys, "argv", ["plus.py", "--test", "--rehearse"])
    with pytest.raises(SystemExit, match="2"):
        bench["plus"].main()
    assert "--rehearse goes with --confirm" in capsys.readouterr().err
    for way, kind in {"--test": "test", "--confirm": "confirmation"}.items():
        monkeypatch.setattr(sys, "argv", ["plus.py", way])
        assert bench["plus"].main() == 2 and kind in capsys.readouterr().err


def test_the_log_holds_the_outcome_of_every_reading(bench):
    """Of the last one of the test splits, and of the last confirmation, it is that of the values kept beside it.

    A reading that broke off has none, and left no values.
    """
    plus, readings = bench["plus"], bench["plus_readings"]
    log = readings.readings()
    assert all({*ENTRY} <= {*each} for each in log) and "outcome" in log[0]
    for kind, kept in {"test": plus.RESULT, "confirmation": plus.CONFIRMED}.items():
        own = [each for each in log if each["kind"] == kind and "outcome" in each]
        assert bool(own) == kept.exists()
        if own:
            value = json.loads(kept.read_text())
            assert own[-1]["outcome"] == readings.outcome(value["test"]) and own[-1]["weights"] == value["weights"]


def test_what_the_readings_say(bench, tmp_path):
    readings, log = bench["plus_readings"], tmp_path / "log.jsonl"
    gaps = {"deletion_auc": [-2, -3, -1], "insertion_auc": [2, -0.1, 3], "energy_pointing_game": [2, 1, 3]}
    found = readings.outcome({"bundled": {"crowded": {"to_grad_eclip": {"chosen": gaps}}}})
    assert found == {"won": 2, "of": 3, "missed": ["bundled, crowded, insertion_auc"]}
    won, shipped = {"won": 3, "of": 3, "missed": []}, {"bundled": "b" * 9}
    assert "not been read" in readings.verdict([], shipped)[0]
    for entry, outcome in ((ENTRY, found), (ENTRY | {"again": "why", "weights": shipped}, won)):
        readings.begin(entry, log)
        readings.end(outcome, log)
    said = " ".join(readings.verdict(readings.readings(log), shipped))
    assert "2 of 3 comparisons, no win" in said and "other weights, the same scenes: 3 of 3" in said
    assert said.count("a win by the rule") == 0 and "not been confirmed" in said
    rows = [readings.told(each, shipped) for each in readings.readings(log)]
    other = readings.verdict([ENTRY, ENTRY | {"chosen": "another"}], shipped)[1]
    assert "the same scenes, another candidate (*another*): broke off" in other
    assert rows[0]["candidate"].endswith(f"(of {ENTRY['candidates']})")
    assert [row["won"] for row in rows] == ["2 of 3", "3 of 3"] and rows[1]["weights"].startswith("shipped")
    readings.begin(ENTRY | {"kind": "confirmation", "weights": shipped}, log)
    assert "broke off, which is no win" in readings.verdict(readings.readings(log), shipped)[-1]
    readings.end(won, log)
    assert "3 of 3 comparisons, a win" in readings.verdict(readings.readings(log), shipped)[-1]
    assert "not been confirmed" in readings.verdict(readings.readings(log), ENTRY["weights"])[-1]


def test_losses_against_chefer_are_told(bench):
    gaps = {"deletion_auc": [-2, -3, -1], "insertion_auc": [-2, -3, -1], "energy_pointing_game": [2, -1, 3]}
    said = bench["plus_readings"].beside_chefer({"bundled": {"crowded": {"chosen_to_chefer": gaps}}})
    assert "better in 1, worse in 1, undecided in 1 of 3. Worse: bundled, crowded, insertion_auc." in said


def test_fresh_scenes_are_fresh(bench):
    from mmel.scenes import splits

    confirm = bench["plus_confirm"]
    firsts = {confirm.FRESH, confirm.REHEARSAL}
    assert len(firsts) == 2 and not firsts & {*splits._SEEDS.values(), 999} and max(firsts) < splits._TRAIN
    known = {number for numbers in splits._digests().values() for number in numbers}
    made = {}
    for weights in ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}):
        for kind in confirm.KINDS:
            made[kind, weights["b"]] = [splits.digest(scene) for scene in confirm.fresh_scenes(kind, 3, weights)]
    every = [number for numbers in made.values() for number in numbers]
    assert len(set(every)) == len(every) and not known & set(every)
    again = confirm.fresh_scenes("crowded", 3, {"b": "2", "a": "1"})
    assert [splits.digest(scene) for scene in again] == made["crowded", "2"]
    assert [len(scene.objects) for scene in again] == [1, 6, 11]


def test_winning_needs_every_interval(bench):
    plus = bench["plus"]
    good = {"deletion_auc": [-2, -3, -1], "insertion_auc": [2, 1, 3], "energy_pointing_game": [2, 1, 3]}
    assert plus.wins(good)
    for metric, gap in {
        "deletion_auc": [-2, -3, 0.1],
        "insertion_auc": [2, -0.1, 3],
        "energy_pointing_game": [-2, -3, -1],
    }.items():
        assert not plus.wins(good | {metric: gap})


def test_its_price_is_what_its_docstring_says(clip, pairs):
    """For each scale a pass of the image tower, one more for the content; the text tower once."""
    clip.passes.image = clip.passes.text = 0
    explain(clip, *(part[:1] for part in pairs), method="mmel_plus")
    assert (clip.passes.image, clip.passes.text) == (5, 1)
