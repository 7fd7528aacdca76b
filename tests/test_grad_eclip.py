"""Grad-ECLIP equals its official code, and its formulae equal loops."""

from __future__ import annotations

import numpy as np
import pytest
import reference_attention as slow
import torch
from reference import combined_similarity_slow, cosine, grad_eclip_map_slow, min_max, sim_qk_slow
from toy import IMAGES, PAIRS, PROMPTS, arrays, toy_clip, toy_images, toy_tokens

from mmel.errors import BadSetting
from mmel.methods import OFFICIAL, explain
from mmel.methods.grad_eclip import combined_similarity, grad_eclip_map, query_similarity, sim_qk, sum_layers

HEADS = {"h1": 1, "hH": None}


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


def close(ours, theirs, tolerance=5e-5):
    ours = np.asarray(ours, dtype=np.float64)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


IMAGE_CASES = {
    "gradeclip_ksim": {},
    "gradeclip_noksim": {"key_similarity": False},
    **{f"nb_n{n}_gradeclip": {"layers": n, "projected_keys": False} for n in (1, 2, 6)},
}


@pytest.mark.parametrize("case", IMAGE_CASES)
@pytest.mark.parametrize("heads", HEADS)
def test_image_maps_equal_the_official_code(clip, case, heads):
    stored = arrays("grad_eclip_image")
    for image in IMAGES:
        for prompt in PROMPTS:
            made = explain(
                clip, toy_images("keepsize", (image,)), toy_tokens()[prompt], "grad_eclip", modality="image",
                heads=HEADS[heads], **IMAGE_CASES[case],
            )  # fmt: skip
            close(made.image[0], stored[f"i{image}_p{prompt}__{heads}__{case}"])


@pytest.mark.parametrize("heads", HEADS)
def test_scores_of_the_official_code(clip, heads):
    stored = arrays("grad_eclip_image")
    for image, prompt in PAIRS:
        one = explain(
            clip, toy_images("keepsize", (image,)), toy_tokens()[prompt], modality="image", heads=HEADS[heads]
        )
        assert float(one.score) == pytest.approx(float(stored[f"i{image}_p{prompt}__{heads}__cosine"]), abs=1e-6)


TEXT_CASES = {
    f"{prefix}n{n}_{name}": {"layers": n, "projected_keys": not prefix, "key_similarity": name == "ksim"}
    for n in (1, 8)
    for prefix, name in (("", "ksim"), ("", "noksim"), ("nb_", "ksim"))
}


@pytest.mark.parametrize("case", TEXT_CASES)
@pytest.mark.parametrize("heads", HEADS)
def test_text_maps_equal_the_official_code(clip, case, heads):
    stored = arrays("grad_eclip_text")
    compared = 0
    for image, prompt in PAIRS:
        tokens = toy_tokens()[prompt]
        end = int(tokens.argmax())
        made = explain(
            clip, toy_images("pp", (image,)), tokens, modality="text", heads=HEADS[heads], **TEXT_CASES[case]
        )
        words, theirs = made.text[0, 1:end], stored[f"i{image}_p{prompt}__{heads}__{case}"]
        if np.isnan(theirs).any():  # they divide 0 by 0 where no word has a positive score
            assert not words.any()
            continue
        compared += 1
        close(words / words.sum(), theirs)
    assert compared


def test_official_settings_are_those_of_the_golden_maps(clip):
    made = explain(clip, toy_images("keepsize", (1,)), toy_tokens()[2], modality="image", **OFFICIAL["grad_eclip"])
    close(made.image[0], arrays("grad_eclip_image")["i1_p2__h1__gradeclip_ksim"])


@pytest.fixture(scope="module")
def tensors():
    draw = torch.Generator().manual_seed(0)
    shapes = {"q": (2, 7, 6), "k": (2, 7, 6), "v": (2, 7, 6), "grad": (2, 6)}
    return {name: torch.randn(shape, generator=draw, dtype=torch.float64) for name, shape in shapes.items()}


def test_sim_qk_equals_its_twin(tensors):
    ours = sim_qk(tensors["q"], tensors["k"])
    for row in range(2):
        np.testing.assert_allclose(ours[row], sim_qk_slow(tensors["q"][row].tolist(), tensors["k"][row].tolist()))


def test_combined_similarity_equals_its_twin(tensors):
    ours = combined_similarity(tensors["q"], tensors["k"])
    for row in range(2):
        twin = combined_similarity_slow(tensors["q"][row].tolist(), tensors["k"][row].tolist())
        np.testing.assert_allclose(ours[row], twin)


def test_grad_eclip_map_equals_its_twin(tensors):
    sim = sim_qk(tensors["q"], tensors["k"])
    ours = grad_eclip_map(tensors["grad"], tensors["v"][:, 1:], sim)
    for row in range(2):
        twin = grad_eclip_map_slow(tensors["grad"][row].tolist(), tensors["v"][row, 1:].tolist(), sim[row].tolist())
        np.testing.assert_allclose(ours[row], twin)
    assert (ours > 0).any() and (ours == 0).any()


def test_layers_have_the_same_weight(tensors):
    maps = [tensors["grad"], 2 * tensors["grad"]]
    torch.testing.assert_close(sum_layers(maps), 3 * tensors["grad"])


def test_equal_similarities_count_nothing():
    keys = torch.ones(1, 4, 3)
    assert not query_similarity(torch.ones(1, 3), keys).any()


def test_layers_are_checked(clip):
    with pytest.raises(BadSetting, match="layers"):
        explain(clip, toy_images("pp", (0,)), toy_tokens()[0], layers=13)


@pytest.mark.parametrize(("layers", "projected"), [(1, True), (3, False)])
def test_the_whole_method_equals_its_twin(layers, projected):
    """Both towers in float64, block by block and head by head, then Eq. 8 in loops."""
    exact, image, tokens = toy_clip(torch.float64), toy_images("pp", (1,)), toy_tokens()[2]
    seen, read, score = slow.pair_stories(exact.model, image[0], tokens)

    def of_patches(query, keys):
        return [0.0, *min_max([cosine(query, key) for key in keys[1:]])]

    rows = slow.grad_eclip(exact.model, seen[-layers:], score, 0, projected, of_patches)
    made = explain(exact, image, tokens, layers=layers, projected_keys=projected, modality="image")
    close(made.image[0].flatten(), np.maximum(rows, 0).sum(0)[1:], 1e-7)
    end = int(tokens.argmax())
    rows = slow.grad_eclip(exact.model, read[-layers:], score, end, projected, None)
    made = explain(exact, image, tokens, layers=layers, key_similarity=False, modality="text")
    close(made.text[0, : end + 1], np.maximum(rows.sum(0), 0), 1e-7)
