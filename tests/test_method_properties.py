"""What must hold for any input: patches without influence, permuted batches, clusters without effect."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from test_contract import CHEAP
from toy import toy_clip, toy_images, toy_tokens

from mmel.methods import METHODS, cci, explain

ONE = toy_images("pp", (1,)), toy_tokens()[2][None]
BLOCKS = 12


def cut(first: int):
    """A model whose blocks from `first` on add nothing of their attention: no patch reaches the score through them."""
    clip = toy_clip()
    with torch.no_grad():
        for block in clip.model.visual.transformer.resblocks[first:]:
            block.attn.out_proj.weight.zero_()
            block.attn.out_proj.bias.zero_()
    return clip


@settings(max_examples=6, deadline=None, derandomize=True)
@given(first=some.integers(0, BLOCKS - 1))
def test_patches_without_influence_get_nothing_from_gradients(first):
    """Grad-CAM pools its gradient over the class token too (as its official code), so it is asked without pooling."""
    clip, layers = cut(first), BLOCKS - first
    asked = {
        "grad_eclip": {"layers": layers},
        "mmel": {"layers": layers},
        "chefer": {"start_layer": first},
        "legrad": {"layers": layers},
        "grad_cam": {"layer": max(first - 1, 0) if first < BLOCKS - 1 else None, "pooled": False},
        **({"saliency": {}} if first == 0 else {}),
    }
    if first == 0:
        del asked["grad_cam"]  # what enters the first block is no block's output
    for method, how in asked.items():
        assert explain(clip, *ONE, method, modality="image", **how).image.abs().max() == 0, method


@pytest.fixture(scope="module")
def made():
    clip, pairs, kept = toy_clip(), (toy_images(), torch.stack(list(toy_tokens().values()))), {}

    def of(method, order=(0, 1, 2)):
        if (method, order) not in kept:
            images, tokens = (part[list(order)] for part in pairs)
            kept[method, order] = explain(clip, images, tokens, method, modality="image", **CHEAP.get(method, {})).image
        return kept[method, order]

    return of


@settings(max_examples=30, deadline=None, derandomize=True)
@given(method=some.sampled_from(sorted(METHODS)), order=some.permutations([0, 1, 2]))
def test_permuting_a_batch_permutes_the_maps(made, method, order):
    whole, turned = made(method), made(method, tuple(order))
    torch.testing.assert_close(turned, whole[list(order)], rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


@settings(max_examples=5, deadline=None, derandomize=True)
@given(clusters=some.integers(1, 17), seed=some.integers(0, 99))
def test_an_ablated_cluster_without_effect_scores_zero(clusters, seed):
    made = explain(cut(0), *ONE, "cci", clusters=clusters, seed=seed, restarts=2)
    assert made.image.abs().max() < 1e-6


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    score=some.floats(-1, 1, width=32), drops=some.lists(some.sampled_from([0.0, 0.25, -0.5]), min_size=1, max_size=6)
)
def test_each_patch_has_the_drop_of_its_cluster(score, drops):
    labels = torch.arange(12)[None] % len(drops)
    masked = torch.tensor([score]).double()[:, None] - torch.tensor([drops]).double()
    found = cci.cluster_drops(torch.tensor([score]).double(), masked, labels)
    torch.testing.assert_close(found[0], torch.tensor(drops).double()[labels[0]])
