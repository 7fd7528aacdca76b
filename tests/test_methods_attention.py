"""Attention and gradient methods against the official code's arrays, and against their slow twins."""

from __future__ import annotations

import numpy as np
import pytest
import reference_attention as reference
import torch
import torch.nn.functional as F
from toy import IMAGES, PAIRS, PROMPTS, arrays, pair_batch, toy_clip, toy_images, toy_tokens

from mmel.errors import BadSetting, UnsupportedModality
from mmel.methods import METHODS, OFFICIAL, explain
from mmel.methods.controls import random as random_map

GOLDEN = 5e-5  # of the map's largest value


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def exact():
    return toy_clip(torch.float64)


def near(ours, theirs, tolerance=GOLDEN):
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * max(np.abs(theirs).max(), 1e-12)


def ends():
    return {prompt: int(tokens.argmax()) for prompt, tokens in toy_tokens().items()}


@pytest.mark.parametrize(("name", "start_layer"), [("last", -1), ("all", 0)])
def test_chefer_equals_the_official_code(clip, name, start_layer):
    golden = arrays("attention_methods")
    maps = explain(clip, *pair_batch(), method="chefer", start_layer=start_layer)
    for row, (image, prompt) in enumerate(PAIRS):
        end, key = ends()[prompt], f"i{image}_p{prompt}__game"
        near(maps.image[row], golden[f"{key}_image_{name}"])
        near(maps.text[row, : end + 1], golden[f"{key}_text_{name}_row"])
        inner = maps.text[row, 1:end]
        near(inner / inner.sum(), golden[f"{key}_text_{name}"])


def test_chefer_of_a_batch_equals_the_official_batch(clip):
    golden = arrays("game_batched")
    tokens = torch.stack([toy_tokens()[int(prompt)] for prompt in golden["prompt_ids"]])
    maps = explain(clip, toy_images("pp", (int(golden["image_id"]),)), tokens, method="chefer", **OFFICIAL["chefer"])
    near(maps.image, golden["image"])


@pytest.mark.parametrize(("name", "start_layer"), [("last", -1), ("all", 0)])
def test_rollout_equals_the_official_code(clip, name, start_layer):
    golden = arrays("attention_methods")
    maps = explain(clip, *pair_batch(), method="attention_rollout", start_layer=start_layer)
    for row, (image, prompt) in enumerate(PAIRS):
        near(maps.image[row], golden[f"i{image}__rollout_{name}"])
        near(maps.text[row, : ends()[prompt] + 1], golden[f"p{prompt}__rollout_text_{name}_row"])


def test_official_rollout_has_one_factor(clip):
    golden = arrays("attention_methods")
    maps = explain(clip, *pair_batch(), method="attention_rollout", **OFFICIAL["attention_rollout"])
    near(maps.image[0], golden["i0__rollout_last"])


def test_raw_attention_equals_the_official_code(clip):
    golden, stored = arrays("attention_methods"), arrays("grad_eclip_image")
    maps = explain(clip, *pair_batch(), method="raw_attention", **OFFICIAL["raw_attention"])
    for row, (image, _) in enumerate(PAIRS):
        near(maps.image[row], golden[f"i{image}__rawattn_lastlayer_headmean"])
    for image in IMAGES:
        picture = toy_images("keepsize", (image,))
        for name, heads in (("h1", 1), ("hH", None)):
            own = explain(clip, picture, toy_tokens()[0], method="raw_attention", heads=heads, modality="image")
            near(own.image[0], stored[f"i{image}__{name}__selfattn"])


@pytest.mark.parametrize(("name", "heads"), [("h1", 1), ("hH", None)])
@pytest.mark.parametrize("image", IMAGES)
def test_grad_cam_and_mask_clip_equal_the_official_code(clip, image, name, heads):
    golden, picture = arrays("grad_eclip_image"), toy_images("keepsize", (image,))
    tokens = torch.stack([toy_tokens()[prompt] for prompt in PROMPTS])
    for method, key in (("grad_cam", "gradcam"), ("mask_clip", "maskclip")):
        settings = {**OFFICIAL[method], "heads": heads, "modality": "image"}
        maps = explain(clip, picture, tokens, method=method, **settings)
        for row, prompt in enumerate(PROMPTS):
            near(maps.image[row], golden[f"i{image}_p{prompt}__{name}__{key}"])
            assert abs(float(maps.score[row]) - float(golden[f"i{image}_p{prompt}__{name}__cosine"])) < 1e-6


@pytest.mark.parametrize(("key", "layers"), [("layerindex-2", 2), ("layerindex0", 12)])
@pytest.mark.parametrize("image", IMAGES)
def test_legrad_equals_the_official_code(clip, image, key, layers):
    tokens = torch.stack([toy_tokens()[prompt] for prompt in arrays("legrad")["prompt_ids"]])
    maps = explain(clip, toy_images("pp", (image,)), tokens, method="legrad", layers=layers)
    large = F.interpolate(maps.image[:, None], scale_factor=16, mode="bilinear")[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    near((large - low) / (high - low), arrays("legrad")[f"i{image}__{key}"], 1e-4)


def test_official_legrad_is_its_default(clip):
    official = explain(clip, *pair_batch(), method="legrad", **OFFICIAL["legrad"])
    near(official.image, explain(clip, *pair_batch(), method="legrad", layers=2).image, 0)


@pytest.fixture(scope="module")
def pair():
    return toy_images("pp", (1,)), toy_tokens()[2][None]


@pytest.fixture(scope="module")
def stories(exact, pair):
    return reference.pair_stories(exact.model, pair[0][0], pair[1][0])


def twin_near(ours, theirs):
    near(ours.flatten(), np.asarray(theirs).flatten(), 1e-8)


def test_the_twin_model_is_the_model(exact, pair, stories):
    score = explain(exact, *pair, method="raw_attention").score
    assert abs(float(score[0]) - float(stories[2].detach())) < 1e-9


def test_raw_attention_equals_its_twin(exact, pair, stories):
    maps, end = explain(exact, *pair, method="raw_attention"), ends()[2]
    twin_near(maps.image[0], reference.raw_attention(stories[0][-1], 0)[1:])
    twin_near(maps.text[0, : end + 1], reference.raw_attention(stories[1][-1], end))


@pytest.mark.parametrize("start_layer", [0, -1, 5])
def test_rollout_equals_its_twin(exact, pair, stories, start_layer):
    maps, end = explain(exact, *pair, method="attention_rollout", start_layer=start_layer), ends()[2]
    twin_near(maps.image[0], reference.attention_rollout(stories[0][start_layer:], 0)[1:])
    twin_near(maps.text[0, : end + 1], reference.attention_rollout(stories[1][start_layer:], end))


def test_flow_equals_its_twin(exact, pair, stories):
    maps, end = explain(exact, *pair, method="attention_flow", start_layer=-3), ends()[2]
    near(maps.image[0].flatten(), reference.attention_flow(stories[0][-3:], 0)[1:], 1e-6)
    near(maps.text[0, : end + 1], reference.attention_flow(stories[1][-3:], end), 1e-6)


def test_all_that_flows_to_the_inputs_is_counted_once(clip):
    maps = explain(clip, *pair_batch(), method="attention_flow", modality="both", start_layer=6)
    assert torch.all(maps.image.sum((1, 2)) < 1)
    torch.testing.assert_close(maps.text.sum(1), torch.ones(len(PAIRS)))


@pytest.mark.parametrize("start_layer", [0, -1, 7])
def test_chefer_equals_its_twin(exact, pair, stories, start_layer):
    seen, read, cosine = stories
    logit, end = cosine * exact.model.logit_scale.exp().detach(), ends()[2]
    maps = explain(exact, *pair, method="chefer", start_layer=start_layer)
    twin_near(maps.image[0], reference.chefer(seen[start_layer:], logit, 0)[1:])
    twin_near(maps.text[0, : end + 1], reference.chefer(read[start_layer:], logit, end))


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize(("layer", "block"), [(None, -1), (9, 10), (-4, -3)])
def test_grad_cam_equals_its_twin(exact, pair, stories, pooled, layer, block):
    seen, read, cosine = stories
    maps = explain(exact, *pair, method="grad_cam", layer=layer, pooled=pooled)
    twin_near(maps.image[0], reference.grad_cam(seen[block]["x_in"], cosine, pooled)[1:])
    twin_near(maps.text[0, : ends()[2] + 1], reference.grad_cam(read[block]["x_in"], cosine, pooled))


def test_grad_cam_with_one_head_equals_its_twin(exact, pair):
    maps = explain(exact, *pair, method="grad_cam", layer=9, heads=1)
    seen, _, cosine = reference.pair_stories(exact.model, pair[0][0], pair[1][0], image_single=2)
    twin_near(maps.image[0], reference.grad_cam(seen[-2]["x_in"], cosine, True)[1:])
    _, read, cosine = reference.pair_stories(exact.model, pair[0][0], pair[1][0], text_single=2)
    twin_near(maps.text[0, : ends()[2] + 1], reference.grad_cam(read[-2]["x_in"], cosine, True))


@pytest.mark.parametrize("version", ["grad_eclip", "original", "original_code"])
def test_mask_clip_equals_its_twin(exact, pair, stories, version):
    maps = explain(exact, *pair, method="mask_clip", version=version)
    text_embed = reference.read_text(exact.model, stories[1][-1]["x_out"][-1])
    twin_near(maps.image[0], reference.mask_clip(exact.model, stories[0], text_embed, version))


@pytest.mark.parametrize("layers", [1, 3])
def test_legrad_equals_its_twin(exact, pair, stories, layers):
    maps = explain(exact, *pair, method="legrad", layers=layers)
    text_embed = reference.read_text(exact.model, stories[1][-1]["x_out"][-1]).detach()
    twin_near(maps.image[0], reference.legrad(exact.model, stories[0][-layers:], text_embed))


def test_legrad_of_all_blocks_is_layers_none(clip, pair):
    every = explain(clip, *pair, method="legrad", layers=None).image
    torch.testing.assert_close(every, explain(clip, *pair, method="legrad", layers=12).image)


def test_controls_equal_their_twins(exact, pair):
    picture = toy_images("keepsize", (1,))
    gauss = explain(exact, picture, pair[1], method="centre_gaussian", sigma=0.3)
    twin_near(gauss.image[0], reference.centre_gaussian(4, 6, 0.3))
    twin_near(explain(exact, picture, pair[1], method="edges").image[0], reference.edges(picture[0], 16))


def test_random_is_uniform_and_differs_by_seed_and_modality():
    draws = {(seed, name): random_map.uniform(seed, name, (4000,)) for seed in (0, 1) for name in ("image", "text")}
    for draw in draws.values():
        assert draw.min() >= 0 and draw.max() < 1
        assert abs(float(draw.mean()) - 0.5) < 0.03 and abs(float(draw.std()) - 12**-0.5) < 0.01
    values = torch.stack(list(draws.values()))
    assert (torch.corrcoef(values) - torch.eye(4)).abs().max() < 0.1


@pytest.mark.parametrize("method", ["attention_rollout", "attention_flow", "chefer"])
@pytest.mark.parametrize("start_layer", [12, -13, 1.5, True, None])
def test_start_layer_out_of_range(clip, pair, method, start_layer):
    with pytest.raises(BadSetting, match="start_layer"):
        explain(clip, *pair, method=method, start_layer=start_layer)


@pytest.mark.parametrize("layers", [0, 13, -1, 2.0])
def test_layers_out_of_range(clip, pair, layers):
    with pytest.raises(BadSetting, match="layers"):
        explain(clip, *pair, method="legrad", layers=layers)


@pytest.mark.parametrize("layer", [11, -1, 12, -13, "last"])
def test_layer_of_grad_cam_out_of_range(clip, pair, layer):
    with pytest.raises(BadSetting, match="layer"):
        explain(clip, *pair, method="grad_cam", layer=layer)


@pytest.mark.parametrize(
    ("method", "settings"),
    [("mask_clip", {"version": "new"}), ("centre_gaussian", {"sigma": 0}), ("random", {"seed": "a"})],
)
def test_other_settings_out_of_range(clip, pair, method, settings):
    with pytest.raises(BadSetting, match=next(iter(settings))):
        explain(clip, *pair, method=method, **settings)


@pytest.mark.parametrize("method", ["legrad", "mask_clip", "centre_gaussian", "edges"])
def test_image_methods_have_no_text_map(clip, pair, method):
    with pytest.raises(UnsupportedModality, match="modality='image'"):
        explain(clip, *pair, method=method, modality="text")


def test_a_patch_that_cannot_matter_gets_nothing(clip, pair):
    """With the last block's attention output cut off, gradient methods on attention see no patch."""
    with torch.no_grad():
        clip = toy_clip()
        clip.model.visual.transformer.resblocks[-1].attn.out_proj.weight.zero_()
        clip.model.visual.transformer.resblocks[-1].attn.out_proj.bias.zero_()
    assert explain(clip, *pair, method="chefer").image.abs().max() == 0
    assert explain(clip, *pair, method="grad_cam", pooled=False).image.abs().max() == 0
    assert explain(clip, *pair, method="legrad", layers=1).image.abs().max() == 0


def test_every_method_of_this_file_is_registered():
    assert {"raw_attention", "attention_rollout", "attention_flow", "grad_cam", "mask_clip"} <= set(METHODS)
    assert {"chefer", "legrad", "random", "centre_gaussian", "edges"} <= set(METHODS)
