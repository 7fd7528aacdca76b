"""Perturbation methods against the official code's arrays, their slow twins, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import reference_perturbation as reference
import torch
import torch.nn.functional as F
from captum.attr import Saliency
from hypothesis import given, settings
from hypothesis import strategies as some
from toy import arrays, toy_clip, toy_images, toy_tokens

from mmel.clip import embed_image, embed_text, similarity
from mmel.errors import BadSetting, ShapeMismatch, UnsupportedModality
from mmel.methods import cci, clip_surgery, kernel_shap, m2ib, rise, saliency
from mmel.methods.parts.insert import go_on, hidden_keys, replaced, tapped
from mmel.methods.parts.perturb import seeded

GOLDEN = 5e-5  # of the map's largest value
M2IB_PAIRS = ((0, 2), (1, 0), (4, 5))


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def exact():
    """The toy model in float64, where a twin has to agree to many digits."""
    return toy_clip(torch.float64)


@pytest.fixture(scope="module")
def twin(clip):
    return reference.Twin(clip.model)


def near(ours, theirs, tolerance=GOLDEN):
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 0
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def pixels(image, key="pp"):
    return toy_images(key, (image,))


def ids(prompt):
    return toy_tokens()[prompt][None]


def own_ids(prompt):
    row = toy_tokens()[prompt]
    return row[: int(row.argmax()) + 1]


# the twin itself


def test_the_twin_is_the_model(twin):
    stored = arrays("features")
    near(twin.image(pixels(0)[0]), stored["image_features"][0], 1e-5)
    near(twin.text(toy_tokens()[2]), stored["text_features"][1], 1e-5)


def test_the_twin_s_short_attention_is_its_long_one():
    draw = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 5, 8, generator=draw, dtype=torch.float64)
    allowed = torch.ones(5, 5, dtype=bool).tril()
    near(reference.attend_fast(q, k, v, 2, allowed), reference.attend(q, k, v, 2, allowed), 1e-12)


# RISE


def test_rise_equals_the_official_code(clip):
    golden = arrays("rise")
    masks = torch.tensor(golden["masks"])
    images = toy_images()
    for prompt in (0, 2):
        made = rise.explain(clip, images, ids(prompt), masks=masks, keep=0.5, modality="image")
        for row, image in enumerate((0, 1, 4)):
            near(made.image[row], golden[f"i{image}_p{prompt}__rise_gradecliprepo_cos"])


def test_rise_equals_its_twin(exact, twin):
    drawn = rise.PixelMasks((64, 96), 5, 3, 0.4, seeded(0, "rise image"))[:]
    masks = drawn[:, :, 10:74]
    made = rise.explain(exact, pixels(0).double(), ids(2), masks=masks, keep=0.4, modality="image")
    text = twin.text(toy_tokens()[2])
    theirs = reference.rise(lambda x: reference.cosine(twin.image(x), text), pixels(0)[0], masks, 0.4)
    near(made.image[0], theirs, 1e-6)


def test_rise_of_a_text_equals_its_twin(exact, twin):
    made = rise.explain(exact, pixels(0).double(), ids(2), n_masks=40, keep=0.7, seed=3, modality="text")
    image, row, end = twin.image(pixels(0)[0]), toy_tokens()[2], len(own_ids(2)) - 1
    masks = rise.drawn_words(40, 77, 0.7, 3)
    masks[:, 0] = masks[:, end:] = 1
    theirs = reference.rise(lambda x: reference.cosine(image, twin.text(x)), row, masks, 0.7)
    near(made.text[0, 1:end], theirs[1:end], 1e-6)
    assert not made.text[0, 0] and not made.text[0, end:].any()


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (70, 33)])
def test_drawn_masks_keep_the_share_that_was_asked_for(size):
    masks = rise.PixelMasks(size, 400, 5, 0.3, seeded(0, "rise image"))
    whole = masks[:]
    assert whole.shape == (400, *size)
    assert float(whole.min()) >= 0 and float(whole.max()) <= 1 + 1e-6
    assert abs(float(whole.mean()) - 0.3) < 0.02
    assert float((whole.mean(0) - 0.3).abs().max()) < 0.12  # everywhere, not only on average
    torch.testing.assert_close(masks[100:103], whole[100:103])


def test_rise_finds_the_corner_that_its_score_reads():
    """Sec. 3 of the paper on a score that is known: the mean of one corner."""
    masks = rise.PixelMasks((32, 32), 600, 4, 0.5, seeded(1, "rise image"))[:]
    found = rise.weighted_masks(masks, masks[:, :8, :8].mean((1, 2))) / 600 / 0.5
    assert found[:8, :8].mean() > found[16:, 16:].mean() + 0.1


def test_rise_takes_masks_for_each_modality(clip):
    both = {"image": torch.ones(2, 64, 64), "text": torch.ones(3, 77)}
    made = rise.explain(clip, pixels(0), ids(2), masks=both, keep=1.0)
    torch.testing.assert_close(made.image[0], made.score.expand(64, 64), rtol=1e-4, atol=1e-6)
    end = len(own_ids(2)) - 1
    torch.testing.assert_close(made.text[0, 1:end], made.score.expand(end - 1), rtol=1e-4, atol=1e-6)
    assert made.settings["masks"] is both


def test_batch_size_bounds_every_forward_pass(clip):
    seen = []
    encode = clip.model.encode_image

    def watch(images, **named):
        seen.append(len(images))
        return encode(images, **named)

    with replaced(clip.model, "encode_image", watch):
        rise.explain(clip, pixels(0), ids(2), n_masks=10, modality="image", batch_size=4)
        kernel_shap.explain(clip, pixels(0), ids(2), n_samples=20, modality="image", batch_size=4)
        cci.explain(clip, pixels(0), ids(2), batch_size=4)
    assert max(seen) == 4
    assert sum(seen) == (1 + 10) + (1 + 22) + (1 + 7)


# CLIP Surgery


@pytest.mark.parametrize("image", [0, 1, 4])
def test_surgery_equals_the_official_code(clip, image):
    golden = arrays("clip_surgery")
    texts = torch.tensor(golden["text_features_85"])
    for one in (0, 3, 9):
        others = texts[[row for row in range(10) if row != one]]
        made = clip_surgery.explain(clip, pixels(image, "pp_surgery"), texts[one : one + 1], contrast=others)
        near(made.image[0].flatten(), golden[f"i{image}__similarity_demo"][1:, one])
    made = clip_surgery.explain(clip, pixels(image, "pp_surgery"), texts[:1], **clip_surgery.OFFICIAL)
    near(made.image[0].flatten(), golden[f"i{image}__similarity_single_redundant_class0"][1:, 0])


def test_surgery_s_empty_text_is_the_official_one(clip):
    golden = torch.tensor(arrays("clip_surgery")["redundant_features_85"])[0]
    empty = clip_surgery.empty_text(clip)
    near(empty, golden, 1e-5)
    made = clip_surgery.explain(clip, pixels(0), ids(2), empty=empty)
    torch.testing.assert_close(made.image, clip_surgery.explain(clip, pixels(0), ids(2)).image)
    plain = clip_surgery.explain(clip, pixels(0), ids(2), templates=["{}"])
    assert (plain.image - made.image).abs().max() > 1e-3


def test_surgery_equals_its_twin(exact, twin):
    texts = F.normalize(torch.stack([twin.text(row) for row in toy_tokens().values()]), dim=-1)
    made = clip_surgery.explain(exact, pixels(0).double(), texts[:1], contrast=texts[1:])
    near(made.image[0].flatten(), reference.surgery(reference.surgery_tokens(twin, pixels(0)[0]), texts), 1e-9)
    made = clip_surgery.explain(exact, pixels(0).double(), texts[:1], contrast=texts[1:], layers=2)
    near(
        made.image[0].flatten(),
        reference.surgery(reference.surgery_tokens(twin, pixels(0)[0], 2), texts),
        1e-9,
    )


def test_surgery_takes_texts_as_contrast(clip):
    strings = [str(prompt) for prompt in arrays("inputs")["prompts"]]
    made = clip_surgery.explain(clip, pixels(0), strings[0], contrast=strings[1:])
    same = clip_surgery.explain(clip, pixels(0), strings[0], contrast=embed_text(clip, strings[1:]).detach())
    torch.testing.assert_close(made.image, same.image)


def test_surgery_of_a_text_that_is_its_own_contrast_is_nothing(clip):
    text = embed_text(clip, ids(2)).detach()
    assert clip_surgery.explain(clip, pixels(0), text, contrast=text).image.abs().max() < 1e-6


# M2IB


@pytest.mark.parametrize(("image", "prompt"), M2IB_PAIRS)
def test_m2ib_equals_the_official_code(clip, image, prompt):
    golden, key = arrays("m2ib"), f"i{image}_p{prompt}__hf"
    made = m2ib.explain(clip, pixels(image), ids(prompt), noise=0, **m2ib.OFFICIAL)
    near(made.image[0].flatten(), golden[f"{key}__vision__none__token_capacity_sum"][1:], 1e-3)
    near(made.text[0, : len(own_ids(prompt))], golden[f"{key}__text__none__token_capacity_sum"], 1e-3)
    assert not made.text[0, len(own_ids(prompt)) :].any()


def test_m2ib_equals_the_official_code_on_its_noise(clip):
    golden, key = arrays("m2ib"), "i0_p2__wrapper__{}__gauss__eps"
    noise = {ours: torch.tensor(golden[key.format(theirs)]) for ours, theirs in (("image", "vision"), ("text", "text"))}
    made = m2ib.explain(clip, pixels(0), ids(2), noise=noise)
    near(made.image[0].flatten(), golden["i0_p2__hf__vision__gauss__token_capacity_sum"][1:], 1e-3)
    near(made.text[0, : len(own_ids(2))], golden["i0_p2__hf__text__gauss__token_capacity_sum"], 1e-3)
    quiet = m2ib.explain(clip, pixels(0), ids(2), noise=0)
    assert (quiet.image - made.image).abs().max() > 1e-2 * made.image.abs().max()


@pytest.mark.parametrize(("layer", "steps", "samples"), [(9, 4, 2), (11, 3, 1)])
def test_m2ib_equals_its_twin(exact, twin, layer, steps, samples):
    shape = {"image": (steps, samples, 17, 128), "text": (steps, samples, len(own_ids(2)), 64)}
    draw = torch.Generator().manual_seed(5)
    noise = {name: torch.randn(size, generator=draw, dtype=torch.float64) for name, size in shape.items()}
    plan = {"beta": 0.3, "steps": steps, "lr": 0.5}
    made = m2ib.explain(exact, pixels(0).double(), ids(2), layer=layer, n_samples=samples, noise=noise, **plan)
    image, text = twin.image_start(pixels(0)[0]), twin.text_start(own_ids(2))
    everyone, before = torch.ones(17, 17, dtype=bool), torch.ones(len(text), len(text), dtype=bool).tril()
    for block in range(layer + 1):
        image, text = twin.block(image, "visual.", block, everyone), twin.block(text, "", block, before)
    embeds = twin.image_rest(image, layer + 1), twin.text_rest(text, layer + 1)
    theirs = reference.bottleneck(
        lambda x: twin.image_rest(x, layer + 1), image, embeds[1], noise=noise["image"], **plan
    )
    near(made.image[0].flatten(), theirs[1:], 1e-7)
    theirs = reference.bottleneck(lambda x: twin.text_rest(x, layer + 1), text, embeds[0], noise=noise["text"], **plan)
    near(made.text[0, : len(text)], theirs, 1e-7)


def test_m2ib_in_small_runs_is_the_same(clip):
    images, texts = toy_images(), torch.stack(list(toy_tokens().values()))
    want = m2ib.explain(clip, images, texts, steps=3, n_samples=4)
    for size in (1, 3, 8):
        made = m2ib.explain(clip, images, texts, steps=3, n_samples=4, batch_size=size)
        near(made.image, want.image, 1e-5)
        near(made.text, want.text, 1e-5)


def test_going_on_from_a_tapped_block_ends_where_the_tower_ends(clip):
    texts = torch.stack(list(toy_tokens().values()))
    for layer in (0, 9, 11):
        with torch.no_grad(), tapped(clip, "image", layer) as tap:
            whole = embed_image(clip, toy_images())
        torch.testing.assert_close(go_on(clip, "image", tap.hidden, layer), whole, rtol=1e-5, atol=1e-6)
        with torch.no_grad(), tapped(clip, "text", layer) as tap:
            whole = embed_text(clip, texts)
        again = go_on(clip, "text", tap.hidden, layer, mask=tap.mask, eos=texts.argmax(-1))
        torch.testing.assert_close(again, whole, rtol=1e-5, atol=1e-6)


def test_what_a_beta_of_zero_and_of_infinity_let_through(clip):
    """Without a price everything gets through; at a high one less does, in every token."""
    free = m2ib.explain(clip, pixels(0), ids(2), noise=0, beta=0.0, modality="image")
    dear = m2ib.explain(clip, pixels(0), ids(2), noise=0, beta=1e4, modality="image")
    assert (dear.image < free.image).all()


# Kernel SHAP


def test_shapley_values_of_words_are_those_of_the_definition(exact, twin):
    row, end = toy_tokens()[2], len(own_ids(2)) - 1
    made = kernel_shap.explain(exact, pixels(0).double(), ids(2), modality="text")
    image, known = twin.image(pixels(0)[0]), {}

    def game(present):
        if (key := frozenset(present)) not in known:
            shown = [int(row[i]) if i - 1 in present or not 0 < i < end else 0 for i in range(77)]
            known[key] = float(reference.cosine(image, twin.text(torch.tensor(shown))))
        return known[key]

    near(made.text[0, 1:end], reference.shapley(game, end - 1), 1e-4)
    assert not made.text[0, 0] and not made.text[0, end:].any()


def test_values_of_patches_add_up_to_what_the_picture_adds(clip):
    images = toy_images()
    for baseline in (None, 0.5, torch.tensor([1.0, 0.0, -1.0]), images[1]):
        made = kernel_shap.explain(clip, images[:1], ids(2), n_samples=60, baseline=baseline, modality="image")
        hidden = kernel_shap.hidden_pixels(baseline, images)[None]
        gone = similarity(embed_image(clip, hidden), embed_text(clip, ids(2)))
        assert float(made.image.sum()) == pytest.approx(float(made.score - gone.detach()), abs=1e-4)


def test_two_seeds_agree_better_with_more_samples(clip):
    def apart(samples):
        one, two = (
            kernel_shap.explain(clip, pixels(0), ids(2), n_samples=samples, seed=seed, modality="image").image
            for seed in (0, 1)
        )
        return float((one - two).abs().mean())

    assert 0 < apart(400) < apart(30) / 2


def test_a_text_of_one_word_has_the_whole_difference(clip):
    tokens = torch.zeros(1, 77, dtype=torch.long)
    tokens[0, :3] = torch.tensor([49406, int(toy_tokens()[2][1]), 49407])
    made = kernel_shap.explain(clip, pixels(0), tokens, modality="text")
    tokens[0, 1] = 0
    gone = similarity(embed_image(clip, pixels(0)), embed_text(clip, tokens))
    torch.testing.assert_close(made.text[0, 1], (made.score - gone)[0].detach(), rtol=1e-4, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    worth=some.lists(some.floats(-5, 5, width=32), min_size=2, max_size=14),
    floor=some.floats(-5, 5, width=32),
    seed=some.integers(0, 9),
)
def test_in_a_game_that_adds_up_each_feature_is_worth_itself(worth, floor, seed):
    """Exactly, whether the coalitions are all there (n <= 8) or drawn."""
    players, worth = len(worth), torch.tensor(worth)
    plan = kernel_shap.Plan(300, 0, seed, 64)
    game = kernel_shap.Coalitions(lambda x: x @ worth + floor, players, plan, "game")
    mask = torch.arange(players)[None]
    found = game.values(torch.ones(1, players), torch.zeros(1, players), mask, 64)
    torch.testing.assert_close(found, worth, rtol=1e-3, atol=1e-3)


def test_coalitions_come_in_the_sizes_of_the_kernel():
    drawn = kernel_shap.drawn_coalitions(6, 20000, seeded(0, "sizes")).sum(1)
    share = torch.bincount(drawn, minlength=7)[1:6] / 20000
    kernel = torch.tensor([kernel_shap.kernel(6, z) * n for z, n in ((1, 6), (2, 15), (3, 20), (4, 15), (5, 6))])
    near(share, kernel / kernel.sum(), 0.05)


# saliency


def test_pixel_slopes_are_differences_of_the_score(exact, twin):
    made = saliency.explain(exact, pixels(0).double(), ids(2), modality="image")
    text, image = twin.text(toy_tokens()[2]), pixels(0)[0].double()

    def score(x):
        return reference.cosine(twin.image(x), text)

    for row, column in [(0, 0), (5, 41), (33, 17), (63, 63)]:
        steepest = max(abs(reference.slope(score, image, (c, row, column))) for c in range(3))
        assert float(made.image[0, row, column]) == pytest.approx(steepest, rel=1e-5)


def test_pixel_slopes_are_those_of_captum(clip):
    """The whole of the last block there, its class token alone here: the same to the rounding of float32."""
    embed = embed_text(clip, ids(2))
    made = saliency.explain(clip, pixels(0), embed, modality="image").image
    by_captum = Saliency(lambda images: similarity(embed_image(clip, images), embed))
    want = by_captum.attribute(pixels(0).clone().requires_grad_()).amax(1)
    assert (made - want).abs().max() <= 1e-5 * want.max()


def test_token_slopes_are_differences_of_the_score(exact, twin):
    made = saliency.explain(exact, pixels(0).double(), ids(2), modality="text")
    image, start = twin.image(pixels(0)[0]), twin.text_start(own_ids(2))

    def score(x):
        return reference.cosine(image, twin.text_rest(x, 0))

    for token in (0, 2, len(start) - 1):
        total = sum(abs(reference.slope(score, start, (token, entry))) for entry in range(start.shape[1]))
        assert float(made.text[0, token]) == pytest.approx(total, rel=1e-5)


# CCI


def test_cci_equals_its_twin(exact, twin):
    made = cci.explain(exact, pixels(1).double(), ids(2), clusters=4)
    x, text = twin.image_start(pixels(1)[0]), twin.text(toy_tokens()[2])
    everyone = torch.ones(17, 17, dtype=bool)
    whole = reference.cosine(twin.image_rest(x, 0), text)
    for value in made.image.unique():
        allowed = everyone.clone()
        allowed[:, 1:][:, (made.image[0] == value).flatten()] = False
        assert float(value) == pytest.approx(
            float(whole - reference.cosine(twin.image_rest(x, 0, allowed), text)), abs=1e-9
        )
    assert len(made.image.unique()) == 4


def test_k_means_finds_what_lies_together():
    draw = torch.Generator().manual_seed(2)
    points = torch.randn(60, 5, generator=draw) + 20 * torch.arange(3).repeat(20)[:, None]
    labels = cci.k_means(points, 3, seeded(0, "cci"), 4)
    assert len(set(zip(labels.tolist(), (torch.arange(3).repeat(20)).tolist(), strict=True))) == 3


@settings(max_examples=20, deadline=None)
@given(count=some.integers(1, 30), clusters=some.integers(1, 8), seed=some.integers(0, 99))
def test_every_point_has_the_nearest_centre(count, clusters, seed):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)).double()
    clusters = min(count, clusters)
    labels = cci.k_means(points, clusters, seeded(seed, "cci"), 2)
    centres = {k: points[labels == k].mean(0) for k in labels.unique().tolist()}
    for point, label in zip(points, labels.tolist(), strict=True):
        distance = {k: float((point - centre).norm()) for k, centre in centres.items()}
        assert distance[label] <= min(distance.values()) + 1e-9


def test_k_means_of_equal_points_ends():
    assert len(cci.k_means(torch.ones(9, 4), 5, seeded(0, "cci"), 2)) == 9


def test_hidden_keys_that_hide_nothing_change_nothing(clip):
    whole = embed_image(clip, toy_images())
    with hidden_keys(clip, "image", torch.zeros(3, 17, dtype=bool)):
        same = embed_image(clip, toy_images())
    torch.testing.assert_close(same, whole, rtol=1e-5, atol=1e-6)


# what must hold for all of them


def test_patches_that_nothing_looks_at_explain_nothing():
    """With attention that adds nothing the class token never sees a patch: no method may see one either."""
    clip = toy_clip()
    for block in clip.model.visual.transformer.resblocks:
        block.attn.out_proj.weight.data.zero_()
        block.attn.out_proj.bias.data.zero_()
    for method, cheap in ((saliency, {}), (cci, {}), (kernel_shap, {"n_samples": 50})):
        made = method.explain(clip, pixels(0), ids(2), modality="image", **cheap)
        assert made.image.abs().max() < 1e-5


@pytest.mark.parametrize("method", [cci, clip_surgery])
@pytest.mark.parametrize("modality", ["text", "both"])
def test_methods_of_images_refuse_texts(clip, method, modality):
    with pytest.raises(UnsupportedModality, match="modality='image'"):
        method.explain(clip, pixels(0), ids(2), modality=modality)


@pytest.mark.parametrize("method", [saliency, rise, m2ib, kernel_shap])
def test_an_embedding_has_no_text_map(clip, method):
    cheap = {rise: {"n_masks": 4}, m2ib: {"steps": 2}, kernel_shap: {"n_samples": 20}}.get(method, {})
    text = embed_text(clip, ids(2)).detach()
    with pytest.raises(UnsupportedModality, match="embedding"):
        method.explain(clip, pixels(0), text, modality="text", **cheap)
    made = method.explain(clip, pixels(0), text, **cheap)
    assert made.text is None
    near(made.image, method.explain(clip, pixels(0), ids(2), modality="image", **cheap).image, 1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "error", "says"),
    [
        (rise, {"masks": torch.ones(3, 32, 32)}, ShapeMismatch, r"\[masks, 64, 64\]"),
        (rise, {"masks": torch.ones(3, 77), "modality": "image"}, ShapeMismatch, r"\[masks, 64, 64\]"),
        (rise, {"masks": torch.ones(0, 64, 64)}, ShapeMismatch, "got"),
        (rise, {"masks": {"text": torch.ones(3, 5)}, "n_masks": 2}, ShapeMismatch, r"\[masks, 77\]"),
        (rise, {"keep": 0.0}, BadSetting, "keep"),
        (rise, {"n_masks": 0}, BadSetting, "n_masks"),
        (rise, {"cells": 2.5}, BadSetting, "cells"),
        (rise, {"seed": "a"}, BadSetting, "seed"),
        (rise, {"batch_size": 0}, BadSetting, "batch_size"),
        (kernel_shap, {"n_samples": 0}, BadSetting, "n_samples"),
        (kernel_shap, {"baseline": torch.ones(2)}, ShapeMismatch, "baseline"),
        (m2ib, {"layer": 12}, BadSetting, "0 to 11"),
        (m2ib, {"layer": -1}, BadSetting, "0 to 11"),
        (m2ib, {"steps": 0}, BadSetting, "steps"),
        (m2ib, {"noise": 1}, BadSetting, "noise"),
        (m2ib, {"noise": torch.ones(2, 3)}, ShapeMismatch, "n_samples"),
        (clip_surgery, {"contrast": torch.ones(2, 9)}, ShapeMismatch, "64"),
        (clip_surgery, {"layers": 13}, BadSetting, "layers"),
        (cci, {"clusters": 0}, BadSetting, "clusters"),
    ],
)
def test_bad_settings_are_named(clip, method, settings, error, says):
    with pytest.raises(error, match=says):
        method.explain(clip, pixels(0), ids(2), **settings)


def test_passes_are_counted():
    clip = toy_clip()
    cci.explain(clip, toy_images(), ids(2))
    assert (clip.passes.image, clip.passes.text) == (3 * (1 + 7), 3)
    clip = toy_clip()
    m2ib.explain(clip, pixels(0), ids(2), steps=10, n_samples=10, modality="image")
    assert (clip.passes.image, clip.passes.text) == (1 + 9 * 2, 1)  # 10 samples, 2 of 12 blocks: 20 twelfths


@pytest.mark.parametrize("way", [hidden_keys, tapped])
def test_ways_in_are_closed_after_an_exception(clip, way):
    told = torch.zeros(1, 17, dtype=bool) if way is hidden_keys else 4
    before = [dict(vars(block)) for block in clip.model.visual.transformer.resblocks]
    with pytest.raises(ZeroDivisionError), way(clip, "image", told):
        embed_image(clip, pixels(0))
        raise ZeroDivisionError
    assert [dict(vars(block)) for block in clip.model.visual.transformer.resblocks] == before


@pytest.mark.parametrize("method", [saliency, m2ib, clip_surgery, rise, kernel_shap])
def test_half_precision_comes_close(clip, method):
    cheap = {rise: {"n_masks": 20}, kernel_shap: {"n_samples": 40}, m2ib: {"noise": 0, "steps": 3}}.get(method, {})
    ours, whole = (
        method.explain(model, pixels(0), ids(2), modality="image", **cheap).image
        for model in (toy_clip(torch.bfloat16), clip)
    )
    assert ours.dtype == torch.float32 and torch.isfinite(ours).all()
    assert float(torch.corrcoef(torch.stack([ours.flatten(), whole.flatten()]))[0, 1]) > 0.9


def test_half_precision_drops_come_close(clip):
    """One cluster, for in bfloat16 k-means may cut the patches elsewhere."""
    ours, whole = (
        cci.explain(model, toy_images(), ids(2), clusters=1).image for model in (toy_clip(torch.bfloat16), clip)
    )
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, whole, rtol=0, atol=0.03)
