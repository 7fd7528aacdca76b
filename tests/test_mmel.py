"""MMEL: every equation equals its twin, and what the paper's words imply is true of the code."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import reference_attention as slow
import torch
from reference import cosine, enhance_slow, min_max, semantic_attention_slow, softplus_slow, transform_slow
from toy import pair_batch, toy_clip

from mmel.errors import BadSetting, ShapeMismatch, UnsupportedModality
from mmel.maps import enhance_contrast
from mmel.methods import explain
from mmel.methods import mmel as module
from mmel.methods.mmel import (
    FeatureTransform,
    enhance,
    layer_weight,
    scale_tokens,
    semantic_attention,
    semantic_level,
    spatial_tokens,
    weight_attention,
)
from mmel.methods.mmel_settings import CHOICES, LITERAL, WORKING, MmelSettings, temper


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def pairs():
    return pair_batch()


@pytest.fixture(scope="module")
def base(clip, pairs):
    """Grad-ECLIP over the same blocks with the same choices: what Eq. 9 multiplies."""
    return explain(clip, *pairs, layers=None, projected_keys=False)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_spatial_tokens_are_the_patches_in_order():
    q = drawn(2, 7, 4)
    tokens = spatial_tokens(q, (2, 3))
    assert tokens.shape == (2, 2, 3, 1, 4)
    torch.testing.assert_close(tokens[1, 1, 2, 0], q[1, 6])
    with pytest.raises(ShapeMismatch, match="class token"):
        spatial_tokens(q, (2, 4))


def test_scales_are_factors():
    torch.testing.assert_close(scale_tokens(drawn(3), 0.75), 0.75 * drawn(3))


def test_the_transform_equals_its_twin():
    transform = FeatureTransform(4, seed=3).double()
    first = (transform.linear_1.weight.tolist(), transform.linear_1.bias.tolist())
    second = (transform.linear_2.weight.tolist(), transform.linear_2.bias.tolist())
    assert np.shape(first[0]) == (8, 4) and np.shape(second[0]) == (4, 8)
    for x in drawn(5, 4):
        np.testing.assert_allclose(transform(x), transform_slow(x.tolist(), first, second, 1e-5), rtol=1e-10)


def test_the_transform_comes_from_its_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (FeatureTransform(8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.linear_1.weight, same.linear_1.weight)
    assert not torch.equal(one.linear_1.weight, other.linear_1.weight)
    assert one.linear_1.weight.abs().max() <= 8**-0.5 and one.linear_2.weight.abs().max() <= 16**-0.5
    assert not any(parameter.requires_grad for parameter in one.parameters())


@pytest.mark.parametrize("s", [0.5, 0.75, 3.0])
def test_without_biases_a_scale_changes_nothing(s):
    x = drawn(6, 16)
    bare, biased = (FeatureTransform(16, bias=bias, eps=0).double() for bias in (False, True))
    torch.testing.assert_close(bare(scale_tokens(x, s)), bare(x), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(biased(scale_tokens(x, s)), biased(x), atol=1e-3)


def test_semantic_attention_equals_its_twin():
    x = drawn(5, 4)
    ours = semantic_attention(x)
    np.testing.assert_allclose(ours, semantic_attention_slow(x.tolist()), rtol=1e-12)
    assert float(ours.abs().max()) == pytest.approx(1 / math.sqrt(4))


@pytest.mark.parametrize("theta", [-2.0, 0.0, 1.0])
def test_layer_weight_equals_its_twin(theta):
    assert float(layer_weight(theta)) == pytest.approx(softplus_slow(theta), rel=1e-6)
    attention = drawn(3, 3)
    torch.testing.assert_close(weight_attention(attention, 0.5), attention / 2)


def test_enhance_equals_its_twin():
    base, levels = drawn(1, 5).abs(), drawn(3, 1, 5)
    ours = enhance(base, levels, 2.0)
    np.testing.assert_allclose(ours[0], enhance_slow(base[0].tolist(), levels[:, 0].tolist(), 2.0), rtol=1e-12)


def test_levels_by_hand():
    attention = torch.tensor([[[1.0, 2.0, 9.0], [4.0, 6.0, 9.0], [9.0, 9.0, 9.0]]])
    counted = torch.tensor([[True, True, False]])
    assert semantic_level(attention, counted, "mean").tolist() == [[1.5, 5.0, 0.0]]
    assert semantic_level(attention, counted, "sum").tolist() == [[3.0, 10.0, 0.0]]
    base = torch.tensor([[10.0, 30.0, 99.0]])  # min-max of what counts: 0, 1
    assert semantic_level(attention, counted, "relevance", base).tolist() == [[2.0, 6.0, 0.0]]


def test_temperatures_by_hand():
    attention = torch.tensor([[[0.5, 0.25]]])
    assert torch.equal(temper(attention, 0.1, "none", 4), attention)
    torch.testing.assert_close(temper(attention, 0.5, "attention", 4), 2 * attention)
    odds = math.exp((1.0 - 0.5) / 0.1)  # cosines are twice the attention where the width is 4
    torch.testing.assert_close(temper(attention, 0.1, "softmax", 4)[0, 0, 0], torch.tensor(odds / (1 + odds)))


def test_literal_eq_9_written_out(clip, pairs, base):
    """The whole of Eq. 1 to 9 in float64 for one pair, by the pieces above, against `explain`."""
    from mmel.trace import record

    trace = record(clip, pairs[0][:1], pairs[1][:1])
    levels = torch.zeros(3, 1, 16, dtype=torch.float64)
    transform = FeatureTransform(128).double()
    for layer in trace.image_layers:
        tokens = layer.q[:, 1:].detach().double()
        for index, s in enumerate((1.0, 0.75, 0.5)):
            attention = semantic_attention(transform(tokens * s))
            levels[index] += softplus_slow(1.0) * attention.mean(-1) / 12
    expected = enhance(base.image[:1].flatten(1).double(), levels).view(1, 4, 4)
    made = explain(clip, pairs[0][:1], pairs[1][:1], "mmel", **LITERAL).image
    torch.testing.assert_close(made.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.max()))


READINGS = [
    LITERAL,
    WORKING,
    replace(LITERAL, reduction="sum"),
    replace(LITERAL, gate="sum"),
    replace(LITERAL, gate="each"),
    replace(LITERAL, head_wise=True),
    replace(LITERAL, temperature_place="attention"),
    replace(LITERAL, temperature_place="softmax", reduction="relevance"),
    replace(LITERAL, alpha=7.0, theta=3.0),
    replace(LITERAL, bias=False),
]


@pytest.mark.parametrize("settings", READINGS, ids=range(len(READINGS)))
def test_the_gate_is_bounded(clip, pairs, base, settings):
    """E <= E_MMEL <= (1 + alpha) E, whatever is read into Eq. 9."""
    if settings.similarity != "class" or settings.projected_keys or settings.layers is not None:
        changed = {name: settings[name] for name in ("projected_keys", "layers")}
        low = explain(clip, *pairs, modality="image", **changed).image
    else:
        low = base.image
    made = explain(clip, *pairs, "mmel", modality="image", **settings).image
    slack = 1e-5 * low.amax((1, 2), keepdim=True)
    assert (made >= low - slack).all() and (made <= (1 + settings.alpha) * low + slack).all()
    assert (made > low + slack).any()


def test_literally_it_hardly_reorders_grad_eclip(clip, pairs, base):
    made = explain(clip, *pairs, "mmel", **LITERAL).image
    for ours, theirs in zip(made.flatten(1), base.image.flatten(1), strict=True):
        ratios = (ours / theirs)[theirs > 1e-3 * theirs.max()]
        assert float(ratios.min()) > 1.9 and float(ratios.max() / ratios.min()) < 1.08


def test_settings_differ_in_what_they_do(clip, pairs):
    """No two readings give the same map: none of the settings is inert."""
    changes = {
        "scales": (1.0,),
        "theta": 0.0,
        "beta_place": "base",
        "seed": 1,
        "key_similarity": False,
        "projected_keys": True,
        "similarity": "combined",
        "layers": 2,
        "heads": 1,
        "contrast_share": 0.1,
    }
    readings = [*READINGS, *(replace(LITERAL, **{name: value}) for name, value in changes.items())]
    pair = pairs[0][:1], pairs[1][:1]
    made = [explain(clip, *pair, "mmel", modality="image", **settings).image for settings in readings]
    for index, one in enumerate(made):
        for other in made[:index]:
            assert not torch.allclose(one, other, rtol=1e-6, atol=0)


def test_theta_may_differ_by_layer(clip, pairs):
    pair = pairs[0][:1], pairs[1][:1]
    one, same, other = (
        explain(clip, *pair, "mmel", modality="image", theta=theta).image
        for theta in (1.0, (1.0,) * 12, (5.0,) + (1.0,) * 11)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    last = explain(clip, *pair, "mmel", modality="image", layers=1, theta=(5.0,) + (1.0,) * 11).image
    assert torch.equal(last, explain(clip, *pair, "mmel", modality="image", layers=1).image)
    with pytest.raises(BadSetting, match="12"):
        explain(clip, *pair, "mmel", theta=(1.0, 2.0))


def test_contrast_is_for_display_and_keeps_the_order(clip, pairs):
    raw = explain(clip, *pairs, "mmel", modality="image")
    shown = explain(clip, *pairs, "mmel", modality="image", contrast_share=0.05)
    torch.testing.assert_close(shown.image, enhance_contrast(raw.image, 0.05))
    assert shown.image.min() == 0 and shown.image.max() == 1


def test_the_literal_preset_has_no_text_map(clip, pairs):
    made = explain(clip, *pairs, "mmel", **LITERAL)
    assert made.text is None and made.image is not None
    with pytest.raises(UnsupportedModality, match="no text map"):
        explain(clip, *pairs, "mmel", modality="text", **LITERAL)


def test_the_text_gate_counts_words_only(clip, pairs):
    made = explain(clip, *pairs, "mmel", modality="text")
    low = explain(clip, *pairs, modality="text", layers=None, projected_keys=False).text
    slack = 1e-5 * low.amax(1, keepdim=True)
    assert (made.text >= low - slack).all() and (made.text <= 3 * low + slack).all()
    ends = pairs[1].argmax(-1)
    torch.testing.assert_close(made.text[range(9), ends], 2 * low[range(9), ends])  # sigma(0) = 1/2


def test_settings_are_a_mapping_and_match_explain():
    keywords = {
        name: p.default for name, p in inspect.signature(module.explain).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    assert keywords.pop("modality") == "both"
    assert keywords == asdict(MmelSettings()) == dict(MmelSettings())
    assert len(LITERAL) == len(keywords) and LITERAL["alpha"] == 2.0
    with pytest.raises(KeyError):
        LITERAL["gamma"]


def test_paper_defaults():
    paper = MmelSettings()
    assert (paper.alpha, paper.temperature, paper.theta, paper.beta) == (2.0, 0.1, 1.0, 2.0)
    assert paper.scales == (1.0, 0.75, 0.5) and paper.layers is None
    assert replace(LITERAL, text="words") == paper


@pytest.mark.parametrize("name", CHOICES)
def test_unknown_choices(name):
    with pytest.raises(BadSetting, match=name):
        MmelSettings(**{name: "median"})


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"temperature": 0}, {"scales": ()}, {"scales": (0.0,)}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(BadSetting, match=r"expected|positive"):
        MmelSettings(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"alpha": "x"}, {"alpha": float("nan")}, {"seed": 1.5}, {"scales": 1.0}, {"bias": 1}, {"layers": True}]
)
def test_settings_of_another_kind(wrong):
    (name,) = wrong
    with pytest.raises(BadSetting, match=f"^{name} of mmel is "):
        MmelSettings(**wrong)


def test_numbers_of_numpy_are_numbers():
    assert MmelSettings(theta=np.float32(2), layers=np.int64(1)).thetas(2) == [2.0, 2.0]


def test_working_is_what_the_validation_split_chose():
    """benchmarks/working.json is the table of choose_working.py; its text setting is that of image maps."""
    table = json.loads((Path(__file__).parents[1] / "benchmarks" / "working.json").read_text())
    base = ("layers", "heads", "key_similarity", "projected_keys", "similarity")  # Grad-ECLIP's own map is not chosen
    rows = {n: row for n, row in table["readings"].items() if all(row["settings"][k] == LITERAL[k] for k in base)}
    gains = {name: row["gain"] for name, row in rows.items()}
    assert table["chosen"] == max(gains, key=gains.get) and table["scenes"] >= 60 and len(table["readings"]) >= 12
    chosen = rows[table["chosen"]]["settings"]
    assert {**chosen, "scales": tuple(chosen["scales"]), "text": "words"} == dict(WORKING)


def test_the_whole_method_equals_its_twin():
    """Eq. 1 to 9 for one pair in float64, by nothing of the module: its own towers, its own T, loops."""
    exact, (images, tokens) = toy_clip(torch.float64), pair_batch()
    seen, _, score = slow.pair_stories(exact.model, images[0], tokens[0])

    def similar(query, keys):
        return [0.0, *min_max([cosine(query, key) for key in keys[1:]])]

    base = np.maximum(slow.grad_eclip(exact.model, seen[-2:], score, 0, False, similar), 0).sum(0)[1:]
    first, second = slow.drawn_transform(128, 3)
    levels = np.zeros((2, 16))
    for block in seen[-2:]:
        for row, s in enumerate((1.0, 0.5)):
            scaled = [[s * x for x in token] for token in slow.as_array(block["q"])[1:].tolist()]
            attention = semantic_attention_slow([transform_slow(x, first, second, 1e-5) for x in scaled])
            levels[row] += [softplus_slow(1.0) * sum(values) / 16 / 2 for values in attention]
    twin = enhance_slow(base.tolist(), levels.tolist(), 2.0)
    asked = {**LITERAL, "layers": 2, "scales": (1.0, 0.5), "seed": 3}
    made = explain(exact, images[:1], tokens[:1], "mmel", **asked).image.flatten()
    np.testing.assert_allclose(made, twin, atol=1e-6 * max(twin))


def test_without_biases_one_product_stands_for_all_scales(clip, pairs):
    """What is left out changes nothing: three scales weigh three times as much as one, as they would one by one."""
    x = drawn(2, 5, 16)
    transform = FeatureTransform(16, bias=False).double()
    (one,) = transform.of_scales(x, (1.0, 0.75, 0.5))
    for s in (1.0, 0.75, 0.5):
        torch.testing.assert_close(semantic_attention(one), semantic_attention(transform(scale_tokens(x, s))))
    biased = FeatureTransform(16, seed=1).double()
    for made, s in zip(biased.of_scales(x, (0.75, 0.5)), (0.75, 0.5), strict=True):
        torch.testing.assert_close(made, biased(scale_tokens(x, s)))
    three, single = (
        explain(clip, pairs[0][:1], pairs[1][:1], "mmel", **replace(LITERAL, bias=False, gate="sum", scales=scales))
        for scales in ((1.0, 0.75, 0.5), (1.0,))
    )
    assert not torch.allclose(three.image, single.image)
