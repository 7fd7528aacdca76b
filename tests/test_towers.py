"""Towers of another kind: a ResNet, attention pooling, average pooling, a tower of timm, a text without an end.

What a method's definition allows works; the rest is refused by name, with something that works instead.
"""

from __future__ import annotations

from itertools import product

import open_clip
import pytest
import torch

import mmel
from mmel.clip import embed_image, embed_text, similarity
from mmel.errors import UnsupportedModel
from mmel.methods import METHODS, explain
from mmel.methods.catalogue import catalogue

TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 2}
VIT = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
RESNET = {"layers": (1, 1, 1, 1), "width": 8, "head_width": 64, "image_size": 64}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "image_size": 224, "timm_pool": "token", "timm_proj": "linear"}
CHEAP = {
    "rise": {"n_masks": 6, "cells": 3},
    "kernel_shap": {"n_samples": 12},
    "m2ib": {"steps": 2, "n_samples": 2, "layer": 0},
    "clip_surgery": {"layers": 1, "empty": torch.ones(32) / 32**0.5},
    "legrad": {"layers": 1},
}
BOTH = [row.method for row in catalogue() if row.maps == "image, text"]
PIXELS = {"rise", "saliency"}  # they look at the picture from outside
OUTSIDE = PIXELS | {"kernel_shap", "random", "centre_gaussian", "edges"}  # and these at its patches


def towers(kind: str) -> mmel.Clip:
    """A small model with random weights."""
    torch.manual_seed(0)
    made = {
        "resnet": lambda: open_clip.CLIP(32, RESNET, TEXT),
        "attention pooling": lambda: open_clip.CustomTextCLIP(
            32, {**VIT, "attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}, TEXT
        ),
        "average": lambda: open_clip.CustomTextCLIP(32, {**VIT, "pool_type": "avg"}, TEXT),
        "timm": lambda: open_clip.CustomTextCLIP(32, TIMM, TEXT),
        "last": lambda: open_clip.CustomTextCLIP(32, VIT, {**TEXT, "pool_type": "last", "no_causal_mask": True}),
    }[kind]()
    return mmel.Clip(made.eval().requires_grad_(False), None, None, kind)


# the methods that make an image map on each kind of image tower; text maps need the text tower only
WORKS = {
    "resnet": PIXELS,
    "attention pooling": OUTSIDE,
    "average": OUTSIDE,
    "timm": PIXELS,
    "last": set(METHODS),
}


@pytest.fixture(scope="module", params=WORKS)
def clip(request):
    return towers(request.param)


@pytest.fixture
def pair(request):
    tokens = torch.zeros(1, 16, dtype=torch.long)
    tokens[0, :4] = torch.tensor([98, 5, 6, 99])
    side = 224 if "timm" in request.node.name else 64
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)), tokens


def test_image_maps_of_what_the_definition_allows(clip, pair):
    made = set()
    images, texts = pair[0], embed_text(clip, pair[1]).detach()
    for method in METHODS:
        try:
            one = explain(clip, images, texts, method, modality="image", **CHEAP.get(method, {}))
        except UnsupportedModel as error:
            assert "rise" in str(error) and "saliency" in str(error), (method, str(error))
            continue
        made.add(method)
        assert torch.isfinite(one.image).all() and one.image.shape[1:] in {(4, 4), (64, 64), (224, 224)}
        torch.testing.assert_close(one.score, similarity(embed_image(clip, images), texts).detach())
    assert made == WORKS[clip.name]


def test_text_maps_need_no_blocks_of_the_image_tower(clip, pair):
    for method in BOTH:
        if clip.name == "last" and method != "saliency":
            with pytest.raises(UnsupportedModel, match="ask for modality='image'"):
                explain(clip, *pair, method, modality="text", **CHEAP.get(method, {}))
            continue
        made = explain(clip, *pair, method, modality="text", **CHEAP.get(method, {}))
        assert made.image is None and made.text.shape == (1, 16) and torch.isfinite(made.text).all()
        assert not made.text[0, 4:].any() or clip.name == "last"


@pytest.mark.parametrize(("kind", "method"), list(product(["attention pooling", "average"], ["m2ib", "cci"])))
def test_what_would_explain_another_readout_is_refused(pair, kind, method):
    """They go on from a block, or hide patches from tokens: both mean nothing where the patches are pooled."""
    with pytest.raises(UnsupportedModel, match="read from its class token"):
        explain(towers(kind), *pair, method, modality="image", **CHEAP.get(method, {}))
