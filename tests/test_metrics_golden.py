"""Curves and confidence against what the official scripts gave on the small CLIP."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from toy import arrays, toy_clip, toy_images, toy_tokens

from mmel import metrics
from mmel.clip import embed_image, embed_text, similarity
from mmel.metrics.fills import blur_kernel

OFFICIAL = {**metrics.PROTOCOLS["official"], "seed": 77}
CURVES = {"del": metrics.deletion_curve, "ins": metrics.insertion_curve}
METHODS = ("eclip_gt", "gradcam_gt", "game_gt", "selfattn")


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def golden():
    return arrays("deletion_insertion_gradeclip")


def label_of(image):
    return int(arrays("deletion_insertion_gradeclip")["gt_labels"][image])


def zero_shot(clip, pixels):
    """Class probabilities [batch, class]."""
    with torch.no_grad():
        return (100 * embed_image(clip, pixels) @ torch.tensor(arrays("features")["zero_shot_weights"])).softmax(1)


def prepared(clip, pictures):
    return torch.stack([clip.preprocess(Image.fromarray(picture)) for picture in pictures])


def source_score(clip, label):
    """Probability of the label, hit at 1 and hit at 5, of pictures as they come from a file."""

    def score(pictures):
        probability = zero_shot(clip, prepared(clip, pictures))
        best = probability.topk(5).indices == label
        return torch.stack([probability[:, label], best[:, 0].float(), best.any(1).float()], 1)

    return score


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image", [0, 1])
def test_official_curves(clip, golden, image, method, kind):
    key, picture = f"i{image}__{method}__", arrays("inputs")[f"i{image}__rgb"]
    score, order = source_score(clip, label_of(image)), golden[key + "order"]
    curve = CURVES[kind](score, picture, golden[key + "heatmap"], **OFFICIAL, order=order)
    assert curve.values.shape == (3, 11)
    np.testing.assert_allclose(curve.values[0], golden[f"{key}{kind}_prob_curve"], atol=1e-5)
    np.testing.assert_array_equal(curve.values[1], golden[f"{key}{kind}_top1_curve"])
    np.testing.assert_array_equal(curve.values[2], golden[f"{key}{kind}_top5_curve"])
    area = metrics.step_auc(curve.values)[0]
    np.testing.assert_allclose(area, golden[f"{key}{kind}_prob_auc_trapz01"], atol=1e-5)


def test_a_map_without_ties_needs_no_order(clip, golden):
    key, picture = "i1__eclip_gt__", arrays("inputs")["i1__rgb"]
    ranks = np.empty(picture.shape[:2])
    ranks.flat[golden[key + "order"]] = np.arange(ranks.size)[::-1]
    curve = metrics.deletion_curve(source_score(clip, label_of(1)), picture, ranks, **OFFICIAL)
    np.testing.assert_allclose(curve.values[0], golden[key + "del_prob_curve"], atol=1e-5)


@pytest.mark.parametrize(("image", "kind"), [(0, "del"), (1, "del"), (1, "ins")])
def test_official_pictures_pixel_by_pixel(clip, golden, image, kind):
    key, picture = f"i{image}__eclip_gt__", arrays("inputs")[f"i{image}__rgb"]
    make = {"del": metrics.deletion_edits, "ins": metrics.insertion_edits}[kind]
    edits = make(picture, golden[key + "heatmap"], **OFFICIAL, order=golden[key + "order"])
    scored = edits[1:] if kind == "del" else edits[:-1]
    expected = golden[f"{key}{kind}_steps_preprocessed"]
    np.testing.assert_array_equal(prepared(clip, scored).half().numpy(), expected)


@pytest.mark.parametrize("image", [0, 1])
def test_official_noise_is_drawn_pixel_by_pixel_in_the_order_of_editing(golden, image):
    key, picture = f"i{image}__eclip_gt__", arrays("inputs")[f"i{image}__rgb"]
    order = golden[key + "order"]
    edits = metrics.deletion_edits(picture, golden[key + "heatmap"], **OFFICIAL, order=order)
    noise, half = golden[f"i{image}__random_values"], edits[10:][0].reshape(-1, 3)
    assert len(noise) == 100 * golden[f"i{image}__pixels_per_step"]
    np.testing.assert_array_equal(half[order[: len(noise)]], noise.astype(np.uint8))
    np.testing.assert_array_equal(half[order[len(noise) :]], picture.reshape(-1, 3)[order[len(noise) :]])


@pytest.mark.parametrize("method", ["eclip_gt", "gradcam_gt"])
@pytest.mark.parametrize("image", [0, 1])
def test_rise_curves(clip, image, method):
    rise, key, pixels = arrays("deletion_insertion_rise"), f"i{image}__{method}__", toy_images("pp", (image,))[0]
    label = int(zero_shot(clip, pixels[None]).argmax())
    settings = {"steps": 64, "fraction": 1.0, "ends": "both", "order": rise[key + "salient_order"], "batch_size": 13}
    for kind, fill in (("del", "black"), ("ins", "blur")):  # 64 x 64 pixels: 64 at a step
        curve = CURVES[kind](
            lambda batch: zero_shot(clip, batch)[:, label], pixels, rise[key + "explanation"], fill=fill, **settings
        )
        np.testing.assert_allclose(curve.values, rise[key + kind], atol=1e-5)
        np.testing.assert_allclose(metrics.auc(*curve[:2]), rise[f"{key}{kind}_auc"], atol=1e-5)
        np.testing.assert_allclose(metrics.step_auc(curve.values), rise[f"{key}{kind}_auc"], atol=1e-5)


def test_rise_blur_kernel():
    kernel = np.outer(blur_kernel(), blur_kernel())
    np.testing.assert_allclose(kernel, arrays("deletion_insertion_rise")["gkern_11_5"], atol=1e-7)


PAIRS = [(0, 2), (1, 0)]


def masked_scores(clip, image, prompt, mask):
    """Cosines of the pair, before and after the image mask."""
    pixels, text = toy_images("pp", (image,)), embed_text(clip, toy_tokens()[prompt][None])
    both = torch.cat([pixels, metrics.masked_image(pixels, mask[None])])
    return similarity(embed_image(clip, both), text.expand(2, -1))


@torch.no_grad()
@pytest.mark.parametrize("which", ["hf", "wrapper"])
@pytest.mark.parametrize(("image", "prompt"), PAIRS)
def test_confidence_of_images(clip, image, prompt, which):
    golden, key = arrays("confidence_m2ib"), f"i{image}_p{prompt}__{which}__"
    map = torch.tensor(golden[key + "vmap"])
    kinds = (("fullmap", "img_fullmap", map), ("aswritten", "img_row0", metrics.first_row(map[None])[0]))
    for name, scored, mask in kinds:
        cosines = golden[key + "cos_full"], golden[f"{key}cos_{scored}"]
        before, after = masked_scores(clip, image, prompt, mask).split(1)
        if which == "hf":  # the wrapper's own text tower is another model
            np.testing.assert_allclose([before, after], cosines, atol=1e-6)
            drop, increase = metrics.confidence_drop(before, after), metrics.confidence_increase(before, after)
            np.testing.assert_allclose(100 * drop, golden[f"{key}{name}_vdrop"], atol=1e-4)
            assert 100 * float(increase) == golden[f"{key}{name}_vincr"]
        np.testing.assert_allclose(100 * metrics.confidence_drop(*cosines), golden[f"{key}{name}_vdrop"], atol=1e-5)
        assert 100 * float(metrics.confidence_increase(*cosines)) == golden[f"{key}{name}_vincr"]


@torch.no_grad()
@pytest.mark.parametrize(("image", "prompt"), PAIRS)
def test_the_m2ib_protocol_is_its_soft_mask(clip, image, prompt):
    key, text = f"i{image}_p{prompt}__hf__", embed_text(clip, toy_tokens()[prompt][None])
    map = arrays("confidence_m2ib")[key + "vmap"]
    curve = metrics.insertion_curve(
        lambda batch: similarity(embed_image(clip, batch), text.expand(len(batch), -1)),
        toy_images("pp", (image,))[0], map, **metrics.PROTOCOLS["m2ib"],
    )  # fmt: skip
    after, before = curve.values
    np.testing.assert_allclose(after, arrays("confidence_m2ib")[key + "cos_img_fullmap"][0], atol=1e-6)
    np.testing.assert_allclose(before, arrays("confidence_m2ib")[key + "cos_full"][0], atol=1e-6)
    np.testing.assert_allclose(curve.fractions, [map.mean(), 1], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("which", ["hf", "wrapper"])
@pytest.mark.parametrize(("image", "prompt"), PAIRS)
def test_confidence_of_texts(clip, image, prompt, which):
    golden, key = arrays("confidence_m2ib"), f"i{image}_p{prompt}__{which}__"
    map, ids = torch.tensor(golden[key + "tmap"])[None], toy_tokens()[prompt][None]
    ids = ids[:, : map.shape[1]]
    eos = torch.tensor([map.shape[1] - 1])
    bare = metrics.bare_words(ids)[:, :-2]
    masked = metrics.bare_words(metrics.masked_tokens(ids, map, fill=0), eos=eos)[:, :-2]
    np.testing.assert_array_equal(bare, golden[key + "ids_stripped"])
    np.testing.assert_array_equal(masked, golden[key + "ids_masked"])
    before, after = golden[key + "cos_txt_stripped"], golden[key + "cos_txt_masked"]
    if which == "hf":
        picture = embed_image(clip, toy_images("pp", (image,)))
        before = similarity(picture, embed_text(clip, bare))
        after = similarity(picture, embed_text(clip, masked))
        np.testing.assert_allclose(before, golden[key + "cos_txt_stripped"], atol=1e-6)
        np.testing.assert_allclose(after, golden[key + "cos_txt_masked"], atol=1e-6)
    np.testing.assert_allclose(100 * metrics.confidence_drop(before, after), golden[key + "fullmap_tdrop"], atol=1e-4)
    assert 100 * float(metrics.confidence_increase(before, after)) == golden[key + "fullmap_tincr"]
