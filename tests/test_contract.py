"""What every method of METHODS keeps to, whatever it computes."""

from __future__ import annotations

import inspect
from contextlib import suppress

import pytest
import torch
from toy import toy_clip, toy_images, toy_tokens

from mmel.clip import embed_image, embed_text, similarity
from mmel.errors import BadSetting, UnsupportedModality
from mmel.methods import METHODS, OFFICIAL, explain

# small budgets for the methods that have one; a setting that a method lacks fails in `explain`
CHEAP = {
    "rise": {"n_masks": 12, "cells": 4},
    "kernel_shap": {"n_samples": 24},
    "m2ib": {"steps": 2, "n_samples": 2},
    "cci": {},
    "attention_flow": {"start_layer": -3},
}


def keywords(method):
    """The settings of a method with their defaults."""
    named = inspect.signature(METHODS[method]).parameters.values()
    return {p.name: p.default for p in named if p.kind is p.KEYWORD_ONLY}


HAS_TEXT = [method for method in METHODS if keywords(method)["modality"] == "both"]
IMAGE_ONLY = [method for method in METHODS if keywords(method)["modality"] == "image"]
SEEDED = [method for method in METHODS if "seed" in keywords(method)]


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def pairs():
    return toy_images(), torch.stack(list(toy_tokens().values()))


@pytest.fixture(scope="module")
def make(clip):
    def run(method, images, texts, **settings):
        return explain(clip, images, texts, method=method, **{**CHEAP.get(method, {}), **settings})

    return run


@pytest.fixture(scope="module")
def batch_maps(make, pairs):
    """Each method's maps of the three pairs, made once."""
    made = {}
    return lambda method: made.setdefault(method, make(method, *pairs))


def maps_of(attribution):
    return [each for each in (attribution.image, attribution.text, attribution.score) if each is not None]


def assert_close(ours, theirs, tolerance=1e-5):
    """Same kinds of maps, the same to `tolerance` of each sample's largest value."""
    assert (ours.image is None, ours.text is None) == (theirs.image is None, theirs.text is None)
    for one, other in zip(maps_of(ours), maps_of(theirs), strict=True):
        assert one.shape == other.shape
        apart, size = (one - other).abs().flatten(1 - (one.ndim == 1)), other.abs()
        assert float(apart.max()) <= tolerance * float(size.max().clamp(min=1e-6))


def pick(attribution, row):
    cut = {name: None if (v := getattr(attribution, name)) is None else v[row : row + 1] for name in ("image", "text")}
    return type(attribution)(**cut, score=attribution.score[row : row + 1], method="", settings={})


def test_every_method_says_its_modality():
    assert sorted(HAS_TEXT + IMAGE_ONLY) == sorted(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_shapes_and_numbers(clip, pairs, batch_maps, method):
    made, (images, tokens) = batch_maps(method), pairs
    assert made.method == method
    assert made.image.shape in {(3, 4, 4), (3, 64, 64)}
    assert (made.text is None) == (method in IMAGE_ONLY)
    assert all(torch.isfinite(each).all() and not each.requires_grad for each in maps_of(made))
    assert all(float(image.max()) > float(image.min()) for image in made.image)
    cosine = similarity(embed_image(clip, images), embed_text(clip, tokens))
    torch.testing.assert_close(made.score, cosine.detach(), atol=2e-6, rtol=0)
    if made.text is not None:
        assert made.text.shape == (3, 77)
        for text, ids in zip(made.text, tokens, strict=True):
            end = int(ids.argmax())
            assert not text[end + 1 :].any() and (end < 2 or text[: end + 1].any())


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_equals_its_samples(make, pairs, batch_maps, method):
    for row in range(3):
        alone = make(method, pairs[0][row : row + 1], pairs[1][row : row + 1])
        assert_close(pick(batch_maps(method), row), alone)


@pytest.mark.parametrize("method", METHODS)
def test_small_batches_equal_one_batch(make, pairs, batch_maps, method):
    assert_close(make(method, *pairs, batch_size=2), batch_maps(method))


@pytest.mark.parametrize("method", METHODS)
def test_one_text_and_many_images_and_the_reverse(make, pairs, batch_maps, method):
    images, tokens = pairs
    many_images, many_texts = make(method, images, tokens[:1]), make(method, images[1:2], tokens)
    assert_close(pick(many_images, 0), pick(batch_maps(method), 0))
    assert_close(pick(many_texts, 1), pick(batch_maps(method), 1))
    assert_close(pick(many_images, 1), pick(many_texts, 0))


@pytest.mark.parametrize("method", METHODS)
def test_an_image_that_is_not_square(make, method):
    made = make(method, toy_images("keepsize", (1,)), toy_tokens()[2][None])
    assert made.image.shape in {(1, 4, 6), (1, 64, 96)}
    assert all(torch.isfinite(each).all() for each in maps_of(made))


def fingerprint(model):
    """All that a method could leave behind on a model: values, flags, hooks, attributes, gradients."""
    seen = {}
    for name, module in model.named_modules():
        own = {k: len(v) if k.endswith("_hooks") else None for k, v in vars(module).items()}
        seen[name] = (module.training, sorted(own.items(), key=str), module.forward.__func__)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        seen[f"value {name}"] = (
            hash(value.detach().numpy().tobytes()),
            value.requires_grad,
            value.grad,
            id(value),
            value.dtype,
        )
    return seen


LEFT_BEHIND = {
    "hook": lambda block: block.register_forward_hook(lambda *_: None),
    "backward hook": lambda block: block.ln_1.register_full_backward_hook(lambda *_: None),
    "attribute": lambda block: setattr(block, "attention", block.attention),
    "seen": lambda block: setattr(block.attn, "pattern", 1),
    "flag": lambda block: block.ln_1.weight.requires_grad_(False),
    "mode": lambda block: block.mlp.train(),
    "weight": lambda block: block.ln_1.bias.data[0].add_(1e-6),
    "gradient": lambda block: setattr(block.ln_1.bias, "grad", torch.zeros(128)),
    "parameter": lambda block: setattr(block.ln_1, "bias", torch.nn.Parameter(block.ln_1.bias.data.clone())),
}


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_what_is_left_behind_would_be_seen(what):
    clip = toy_clip()
    before = fingerprint(clip.model)
    assert fingerprint(clip.model) == before
    LEFT_BEHIND[what](clip.model.visual.transformer.resblocks[4])
    assert fingerprint(clip.model) != before


@pytest.fixture(scope="module")
def watched():
    """A model whose flags differ from module to module, so that a method that sets them all is seen."""
    clip = toy_clip()
    clip.model.logit_scale.requires_grad_(False)
    clip.model.visual.conv1.weight.requires_grad_(False)
    clip.model.transformer.resblocks[3].train()
    return clip


@pytest.mark.parametrize("method", METHODS)
def test_the_model_stays_as_it_was(watched, pairs, method):
    before, grad = fingerprint(watched.model), torch.is_grad_enabled()
    explain(watched, *pairs, method=method, **CHEAP.get(method, {}))
    assert fingerprint(watched.model) == before
    assert torch.is_grad_enabled() == grad


class Broken(Exception):
    pass


@pytest.mark.parametrize("where", ["visual.ln_post", "ln_final", "visual.transformer.resblocks.11.mlp.c_proj"])
@pytest.mark.parametrize("method", METHODS)
def test_the_model_stays_as_it_was_after_an_exception(watched, pairs, method, where):
    module, calls = watched.model.get_submodule(where), []
    before = fingerprint(watched.model)

    def broken(*inputs):
        calls.append(len(inputs))
        raise Broken

    module.forward = broken
    try:
        with pytest.raises(Broken) if where != "ln_final" else suppress(Broken):
            explain(watched, *pairs, method=method, **CHEAP.get(method, {}))
    finally:
        del module.forward
    assert calls
    assert fingerprint(watched.model) == before


@pytest.mark.parametrize("method", METHODS)
def test_it_works_inside_no_grad_too(clip, pairs, batch_maps, method):
    with torch.no_grad():
        made = explain(clip, pairs[0][:1], pairs[1][:1], method=method, **CHEAP.get(method, {}))
    assert_close(made, pick(batch_maps(method), 0))


@pytest.fixture(scope="module")
def half():
    return toy_clip(torch.bfloat16)


HALF = {"grad_cam": 0.979}  # one map of 4 x 4 patches lies at 0.97997 or above 0.98, as the processor rounds


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_close_to_single(half, pairs, batch_maps, method):
    made = explain(half, *pairs, method=method, **CHEAP.get(method, {}))
    for ours, theirs in zip(maps_of(made)[:-1], maps_of(batch_maps(method)), strict=False):
        for one, other in zip(ours.double(), theirs.double(), strict=True):
            assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > HALF.get(method, 0.98)
    torch.testing.assert_close(made.score.float(), batch_maps(method).score, atol=0.01, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_a_batch_changes_nothing(make, pairs, batch_maps, method):
    turned = make(method, pairs[0].flip(0), pairs[1].flip(0))
    for row in range(3):
        assert_close(pick(turned, row), pick(batch_maps(method), 2 - row))


@pytest.mark.parametrize("method", SEEDED)
def test_a_seed_decides_the_map(make, pairs, batch_maps, method):
    again = make(method, *pairs, seed=0)
    assert all(torch.equal(*both) for both in zip(maps_of(again), maps_of(batch_maps(method)), strict=True))
    torch.manual_seed(1)
    assert torch.equal(make(method, *pairs).image, again.image)
    other = make(method, *pairs, seed=1)
    assert not torch.allclose(other.image, again.image)


@pytest.mark.parametrize("method", METHODS)
def test_the_generator_of_torch_is_left_alone(make, pairs, method):
    before = torch.random.get_rng_state()
    make(method, pairs[0][:1], pairs[1][:1])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("method", METHODS)
def test_settings_are_enough_to_redo_the_map(clip, pairs, batch_maps, method):
    made = batch_maps(method)
    assert set(keywords(method)) - {"batch_size"} <= set(made.settings)
    for name, value in CHEAP.get(method, {}).items():
        assert made.settings[name] == value
    again = explain(clip, *pairs, method=made.method, **made.settings)
    assert_close(again, made)
    assert dict(again.settings) == dict(made.settings)


@pytest.mark.parametrize("method", METHODS)
def test_official_settings_are_settings(make, pairs, method):
    official = OFFICIAL[method]
    assert set(official) <= set(keywords(method))
    made = make(method, pairs[0][:1], pairs[1][:1], **{**official, **CHEAP.get(method, {})})
    assert torch.isfinite(made.image).all()


@pytest.mark.parametrize("method", HAS_TEXT)
def test_each_modality_alone_equals_both(make, pairs, batch_maps, method):
    image, text = make(method, *pairs, modality="image"), make(method, *pairs, modality="text")
    assert image.text is None and text.image is None
    both = batch_maps(method)
    torch.testing.assert_close(image.image, both.image, rtol=1e-4, atol=1e-5 * float(both.image.abs().max()))
    torch.testing.assert_close(text.text, both.text, rtol=1e-4, atol=1e-5 * float(both.text.abs().max()))


@pytest.mark.parametrize("method", [method for method in HAS_TEXT if "heads" in keywords(method)])
def test_each_modality_alone_equals_both_with_one_head(make, pairs, method):
    """The tower that is not explained keeps its own heads, whatever else was asked for."""
    one, two, both = (make(method, *pairs, heads=1, modality=name) for name in ("image", "text", "both"))
    torch.testing.assert_close(one.image, both.image, rtol=1e-4, atol=1e-5 * float(both.image.abs().max()))
    torch.testing.assert_close(two.text, both.text, rtol=1e-4, atol=1e-5 * float(both.text.abs().max()))


@pytest.mark.parametrize("modality", ["text", "both"])
@pytest.mark.parametrize("method", IMAGE_ONLY)
def test_a_modality_that_it_lacks(make, pairs, method, modality):
    with pytest.raises(UnsupportedModality, match="image"):
        make(method, *pairs, modality=modality)


@pytest.mark.parametrize("method", METHODS)
def test_a_modality_that_nobody_has(make, pairs, method):
    with pytest.raises(BadSetting, match="modality"):
        make(method, *pairs, modality="sound")


@pytest.mark.parametrize("method", METHODS)
def test_texts_given_as_embeddings(clip, make, pairs, batch_maps, method):
    with torch.no_grad():
        embedded = 3 * embed_text(clip, pairs[1])
    made = make(method, pairs[0], embedded)
    assert made.text is None
    assert_close(made, pick_image(batch_maps(method)))
    if method in HAS_TEXT:
        with pytest.raises(UnsupportedModality, match="embedding"):
            make(method, pairs[0], embedded, modality="text")


def pick_image(attribution):
    return type(attribution)(attribution.image, None, attribution.score, "", {})
