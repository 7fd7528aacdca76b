"""Edited pictures and texts of the protocols against the golden hits, and against slow ways to the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from toy import arrays, toy_clip

import mmel
from mmel import metrics
from mmel.evaluation.protocols import editing, retrieval, scoring

METHODS = ("eclip_gt", "gradcam_gt", "game_gt", "selfattn")
OFFICIAL = metrics.PROTOCOLS["official"]


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


@pytest.fixture(scope="module")
def toy():
    return toy_clip()


def golden_asks(image, **more):
    golden = arrays("deletion_insertion_gradeclip")
    for method in METHODS:
        key = f"i{image}__{method}__"
        how = {**OFFICIAL, **more, "order": golden[key + "order"].copy()}
        for kind in ("deletion", "insertion"):
            yield key, editing.Ask(kind, torch.tensor(golden[key + "heatmap"]), how, seed=77)


def hits(curve, label):
    similarities = curve.embeds @ torch.tensor(arrays("features")["zero_shot_weights"])
    return torch.stack([metrics.hits_at_k(similarities, [label] * len(similarities), k) for k in (1, 5)])


@pytest.mark.parametrize("image", [0, 1])
def test_the_exact_path_gives_the_golden_hits_and_the_device_path_nearly(toy, image):
    golden = arrays("deletion_insertion_gradeclip")
    label, picture = int(golden["gt_labels"][image]), Image.fromarray(arrays("inputs")[f"i{image}__rgb"])
    keys, asks = zip(*golden_asks(image), strict=True)
    exact, device = (editing.embedded_curves(toy, picture, asks, path=path) for path in scoring.PATHS)
    for key, ask, curve in zip(keys, asks, exact, strict=True):
        want = [golden[f"{key}{ask.kind[:3]}_top{k}_curve"] for k in (1, 5)]
        assert np.array_equal(hits(curve, label).numpy(), np.stack(want))
    same = [(hits(a, label) == hits(b, label)).double() for a, b in zip(exact, device, strict=True)]
    assert torch.stack(same).mean() >= 0.995


def test_the_device_path_agrees_where_pictures_are_resized_and_cropped(toy):
    """Many pictures of other shapes than the model's: at least 99.5 % of the hits of ten classes."""
    classes = torch.tensor(arrays("features")["zero_shot_weights"])
    draw, same = np.random.default_rng(5), []
    for index, (width, height) in enumerate(((150, 90), (83, 200), (64, 64), (240, 180), (130, 131))):
        scene = mmel.scenes.split("pairs", 5)[index].image.resize((width, height), Image.Resampling.BICUBIC)
        map = torch.tensor(draw.random((4, 4)))
        asks = [editing.Ask(kind, map, OFFICIAL, seed=index) for kind in editing.EDITS]
        exact, device = (editing.embedded_curves(toy, scene, asks, path=path) for path in scoring.PATHS)
        for a, b in zip(exact, device, strict=True):
            for k in (1, 5):
                one, other = ((each.embeds @ classes).topk(k).indices.sort().values for each in (a, b))
                same.append((one == other).double().mean())
    assert torch.stack(same).mean() >= 0.995


def test_shared_points_are_embedded_once(clip):
    """A whole curve of each kind with 20 steps: 19 pictures each of their own; whole and empty are shared."""
    scene, draw = mmel.scenes.split("pairs", 1)[0], torch.Generator().manual_seed(0)
    maps = torch.rand(3, 7, 7, generator=draw)
    asks = [editing.Ask(kind, map, metrics.PROTOCOLS["full"]) for map in maps for kind in editing.EDITS]
    before = clip.passes.image
    curves = editing.embedded_curves(clip, scene.image, asks)
    assert clip.passes.image - before == 6 * 19 + 2
    text = mmel.embed_text(clip, "a dog")[0]
    for ask, curve in zip(asks, curves, strict=True):
        draw_curve = {"deletion": metrics.deletion_curve, "insertion": metrics.insertion_curve}[ask.kind]

        def score(pictures):
            return mmel.embed_image(clip, pictures).detach() @ text

        slow = draw_curve(score, scene.image, ask.map, **ask.settings)
        assert torch.allclose(slow.values, (curve.embeds @ text).double(), atol=1e-5)
        assert torch.equal(slow.fractions, curve.fractions)


def test_a_transform_that_is_not_known_is_refused_on_the_device(toy):
    odd = mmel.Clip(toy.model, lambda picture: toy.preprocess(picture), toy.tokenizer)
    pictures = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    assert scoring.embed_pictures(odd, pictures, "exact").shape == (1, 64)
    with pytest.raises(mmel.MmelError, match="path='exact'"):
        scoring.embed_pictures(odd, pictures, "device")


def test_class_embeddings_are_ensembles(clip):
    prompts = mmel.scenes.class_prompts()[:3]
    made = scoring.class_embeds(clip, prompts)
    for one, texts in zip(made, prompts, strict=True):
        mean = torch.stack([mmel.embed_text(clip, text)[0] for text in texts]).mean(0)
        assert torch.allclose(one, mean / mean.norm(), atol=1e-6)


@pytest.mark.parametrize("reading", retrieval.READINGS)
def test_edited_texts_go_from_whole_to_empty_and_back(clip, reading):
    text, map = "a cat to the left of a dog", torch.arange(77).float()
    falling = retrieval.edited_texts(clip, text, map, "deletion", reading=reading)
    rising = retrieval.edited_texts(clip, text, map, "insertion", reading=reading)
    down, up = retrieval.embed_edited(clip, [falling, rising])
    whole = mmel.embed_text(clip, text)[0]
    assert torch.allclose(down[0], whole, atol=1e-5) and torch.allclose(up[-1], whole, atol=1e-5)
    assert torch.allclose(down[-1], up[0], atol=1e-5)
    assert not torch.allclose(down[-1], whole, atol=1e-2)


def test_a_hidden_word_changes_nothing_before_it_and_is_never_read(clip):
    """Another word at a hidden place gives the same embedding; at a place that is seen it does not."""
    one, other = clip.tokenizer(["a cat and a dog", "a cat and a tree"])
    place = int((one != other).nonzero()[0, 0])
    kept = torch.ones(2, 77, dtype=torch.long)
    seen = retrieval.embed_hidden(clip, torch.stack([one, other]), kept)
    kept[:, place] = 0
    hidden = retrieval.embed_hidden(clip, torch.stack([one, other]), kept)
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
    assert torch.allclose(hidden[0], hidden[1], atol=1e-5)


def gallery(pictures=4, captions=2, width=6):
    draw = torch.Generator().manual_seed(1)

    def unit(count):
        return torch.nn.functional.normalize(torch.randn(count, width, generator=draw), dim=1)

    owner = torch.arange(pictures).repeat_interleave(captions)
    return retrieval.Gallery(unit(pictures), unit(pictures * captions), owner)


def test_retrieval_of_one_picture_by_loops():
    """Ranks counted one by one: captions look for their picture, and the picture for one of its captions."""
    all, draw = gallery(), torch.Generator().manual_seed(2)
    edited = [torch.nn.functional.normalize(torch.randn(3, 6, generator=draw), dim=1) for _ in range(2)]
    for image in range(4):
        got = retrieval.retrieved(all, image, edited)
        for row, k in enumerate(retrieval.KS):
            for point in range(3):
                forward = 0.0
                for one in edited:
                    own = float(one[point] @ all.images[image])
                    forward += sum(float(one[point] @ each) > own for each in all.images) < k
                assert got.image_retrieval[row, point] == forward / 2
                best = max(float(one[point] @ all.images[image]) for one in edited)
                others = [float(t @ all.images[image]) for t, o in zip(all.texts, all.owner, strict=True) if o != image]
                assert got.text_retrieval[row, point] == float(sum(other > best for other in others) < k)


def test_all_captions_edited_together_start_at_the_recall_of_the_gallery():
    all = gallery(8, 2)
    edited = torch.stack([all.texts, all.texts.flip(0)], 1)
    got = retrieval.retrieved_together(all, edited, 1)
    every = [(all.owner == image).nonzero()[:, 0].tolist() for image in range(8)]
    assert got[0, 0] == metrics.recall_at_k(all.texts @ all.images.T, all.owner, 1)
    assert got[1, 0] == metrics.recall_at_k(all.images @ all.texts.T, every, 1)
