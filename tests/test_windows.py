"""Where a map lies on a picture that is not square, and what the protocols make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor
from toy import arrays, toy_clip

import mmel
from mmel import metrics
from mmel.data import open_dataset
from mmel.errors import BadSetting, DatasetError, UnsupportedModel
from mmel.evaluation import rows
from mmel.evaluation.protocols import editing, localisation, microscope, scoring, table2
from mmel.evaluation.protocols.seeing import cropped, uncropped
from mmel.loading.images import seen
from mmel.loading.windows import SHORTEST, own_size_pixels, resized, smaller, window_of
from mmel.types import Example, Window

SIZES = [(375, 500), (500, 333), (64, 128), (129, 64), (63, 101), (227, 226), (226, 227), (112, 112), (1, 3)]
SHAPES = {"wide": (64, 128), "tall": (128, 64)}
SEEN = {"wide": Window(0, 32, 64, 96), "tall": Window(32, 0, 96, 64)}  # the middle square, by hand
THING = {"wide": Window(40, 76, 56, 92), "tall": Window(76, 40, 92, 56)}  # 16 x 16 pixels, off the middle
BEYOND = {"wide": Window(8, 100, 24, 116), "tall": Window(100, 8, 116, 24)}  # where the model never looks


@pytest.fixture(scope="module")
def clip():
    return replace(mmel.load_clip(device="cpu"), vocabulary=None)  # no warnings of pictures out of its world


@pytest.fixture(scope="module")
def toy():
    return toy_clip()


@pytest.fixture(scope="module")
def world():
    return open_dataset("scenes/classes", count=1)


def mask_of(size, window):
    mask = np.zeros(size, bool)
    mask[window.top : window.bottom, window.left : window.right] = True
    return mask


def sample(shape, **more):
    """Grey noise with a red thing."""
    pixels = np.random.default_rng(0).integers(90, 160, (*SHAPES[shape], 3), dtype=np.uint8)
    pixels[mask_of(SHAPES[shape], THING[shape])] = (230, 20, 30)
    return Example(shape, Image.fromarray(pixels), label=3, **more)


def perfect(shape):
    """A method's map that has 1 on the thing, in what the model sees, and 0 elsewhere."""
    map = torch.from_numpy(SEEN[shape].cut(mask_of(SHAPES[shape], THING[shape]))).float()
    return lambda clip, row, images, texts, seed: map.expand(len(texts), -1, -1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [64, 112, 224])
def test_the_window_is_that_of_the_transform_itself(clip, size, side):
    """Sizes and offsets as torchvision's own steps have them, and each pixel looked at by itself."""
    transform = open_clip.image_transform(side, is_train=False)
    resize, crop = transform.transforms[:2]
    columns, rows_now = resize(Image.new("L", size[::-1])).size
    assert resized(resize, size) == (rows_now, columns)
    kept = crop(torch.arange(rows_now * columns).view(rows_now, columns)[None])[0]
    offsets = divmod(int(kept[0, 0]), columns)
    inside = [
        [i for i in range(most) if first * most <= (i + 0.5) * now < (first + side) * most]
        for most, now, first in zip(size, (rows_now, columns), offsets, strict=True)
    ]
    window = window_of(replace(clip, preprocess=transform), size)
    assert window == (inside[0][0], inside[1][0], inside[0][-1] + 1, inside[1][-1] + 1)


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (63, 101)])
def test_nothing_but_the_window_reaches_the_model(toy, size):
    window = window_of(toy, size)
    for inside in (0, 255):
        pixels = np.full(size, 255 - inside, np.uint8)
        pixels[mask_of(size, window)] = inside
        shown = toy.preprocess(Image.fromarray(pixels).convert("RGB"))[:, 2:-2, 2:-2]  # bicubic filters are wide
        assert torch.allclose(shown, toy.preprocess(Image.new("RGB", size[::-1], (inside,) * 3))[:, :1, :1], atol=0.1)


def test_transforms_of_other_steps(clip):
    def see(*steps):
        return replace(clip, preprocess=Compose(steps))

    assert window_of(see(Resize((50, 50))), (10, 30)) == (0, 0, 10, 30)  # squashed, not cut
    assert window_of(see(Resize(80), CenterCrop(60)), (40, 40)) == (5, 5, 35, 35)
    assert window_of(see(Resize(80, max_size=100)), (40, 160)) == (0, 0, 40, 160)
    odd = replace(clip, preprocess=lambda picture: picture)
    assert window_of(odd, (30, 30)) == (0, 0, 30, 30)
    for model in (odd, see(CenterCrop(60))):
        with pytest.raises(UnsupportedModel, match="not square"):
            window_of(model, (30, 40))
    with pytest.raises(UnsupportedModel, match="is not made of steps"):
        window_of(odd, (30, 40))
    with pytest.raises(UnsupportedModel, match="Identity"):
        own_size_pixels(see(Resize(3), torch.nn.Identity()), Image.new("RGB", (32, 48)))


def test_an_unknown_step_does_not_keep_a_picture_from_being_drawn(clip):
    """`seen` shows the middle square, for which no map has to lie exactly."""
    steps = (Resize(64), CenterCrop(64), ToTensor(), torch.nn.Identity())
    pixels = np.zeros((100, 160, 3), np.uint8)
    pixels[:, 30:130] = 200
    shown = seen(replace(clip, preprocess=Compose(steps)), Image.fromarray(pixels))
    assert shown.size == (100, 100) and np.asarray(shown).min() == 200
    known = seen(replace(clip, preprocess=Compose(steps[:3])), Image.fromarray(pixels))
    assert np.array_equal(np.asarray(known), np.asarray(shown))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [table2, microscope])
def test_deleting_what_is_hottest_deletes_the_thing(clip, world, monkeypatch, module, shape):
    monkeypatch.setattr(module, "image_maps", perfect(shape))
    protocol = table2.Table2(protocols=("full",)) if module is table2 else microscope.Microscope()
    state, example = protocol.prepare(clip, world), sample(shape)
    ask = protocol.ask(clip, state, example, rows.row_of("random"), 0).asks[0]
    assert ask.kind == "deletion" and ask.window == SEEN[shape]
    ask = ask._replace(settings={"steps": 32, "fill": "black", "fraction": 1.0, "ends": "both"})  # 256 pixels each
    bare = np.array(example.image)
    bare[mask_of(SHAPES[shape], THING[shape])] = 0
    wanted = scoring.embed_pictures(clip, torch.from_numpy(np.stack([np.array(example.image), bare])), "exact")
    (curve,) = editing.embedded_curves(clip, example.image, [ask], path="exact")
    assert torch.allclose(curve.embeds[:2], wanted, atol=1e-5)
    assert float((wanted[0] - wanted[1]).norm()) > 1e-2
    last = metrics.deletion_edits(example.image, ask.map, window=ask.window).order[64 * 64 :]
    assert torch.equal(last, torch.from_numpy(np.flatnonzero(~mask_of(SHAPES[shape], SEEN[shape]))))  # reading order
    (stretched,) = editing.embedded_curves(clip, example.image, [ask._replace(window=None)], path="exact")
    assert not torch.allclose(stretched.embeds[1], wanted[1], atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perfect_map_localises_perfectly(clip, world, monkeypatch, shape):
    monkeypatch.setattr(localisation, "image_maps", perfect(shape))
    protocol, row = localisation.Localisation(), rows.row_of("random")
    state, names = protocol.prepare(clip, world), list(world.classes[:2])
    both = [mask_of(SHAPES[shape], each[shape]) for each in (THING, BEYOND)]
    example = sample(shape, masks=dict(zip(names, both, strict=True)), captions=("a dog and a car",))
    found = {each.metric: each.value for each in protocol.measure(clip, state, example, row, 0)}
    assert found["pointing_game"] == found["energy_pointing_game"] == found["mean_iou"] == 1
    assert found["average_precision"] == pytest.approx(1) and found["multi_object_recall"] == 1  # of what can be seen
    unseen = replace(example, masks={names[1]: both[1]})
    with pytest.raises(DatasetError, match="that the model sees"):
        list(protocol.measure(clip, state, unseen, row, 0))


def test_the_official_protocol_shows_whole_pictures_as_the_scripts_do(toy):
    """From the picture to the hits: pixels, map, order of editing, and what the edits do.

    Neighbours in the order swap places by the last digits of their values, and the noise of a deletion goes with the
    order: its hits are the golden ones in the golden order.
    """
    golden, picture = arrays("deletion_insertion_gradeclip"), Image.fromarray(arrays("inputs")["i1__rgb"])
    classes = torch.tensor(arrays("features")["zero_shot_weights"].T)
    example = Example("1", picture, label=int(golden["gt_labels"][1]))
    assert np.array_equal(own_size_pixels(toy, picture)[0].numpy(), arrays("inputs")["i1__keepsize"])
    protocol = table2.Table2(("official",), ("true",), path="exact")
    state = table2.Classes(classes, 100.0)
    asked = protocol.ask(toy, state, example, rows.row_of("grad_eclip_one_head"), 77)
    assert {ask.window for ask in asked.asks} == {(0, 0, 64, 96)} and asked.asks[0].map.shape == (4, 6)
    raised = mmel.maps.upsample(mmel.maps.normalize(asked.asks[0].map[None]), (64, 96))[0]
    np.testing.assert_allclose(raised, golden["i1__eclip_gt__heatmap"], atol=1e-4)
    order = golden["i1__eclip_gt__order"].copy()
    ours = metrics.deletion_edits(picture, asked.asks[0].map).order.numpy()
    assert min(np.isin(ours[:count], order[:count]).mean() for count in range(300, 3001, 300)) > 0.99
    asks = [ask._replace(settings={**ask.settings, "order": order}) for ask in asked.asks]
    curves = editing.embedded_curves(toy, picture, asks, path="exact")
    found = {each.metric: each.steps for each in asked.read(curves)}
    for kind in ("deletion", "insertion"):
        for k in (1, 5):
            assert found[f"{kind} true @{k}"] == golden[f"i1__eclip_gt__{kind[:3]}_top{k}_curve"].tolist()


def test_other_methods_and_protocols_see_the_crop(toy):
    golden, picture = arrays("deletion_insertion_gradeclip"), Image.fromarray(arrays("inputs")["i1__rgb"])
    classes = torch.tensor(arrays("features")["zero_shot_weights"].T)
    example, state = Example("1", picture, label=int(golden["gt_labels"][1])), table2.Classes(classes, 100.0)
    both = table2.Table2(targets=("true",))
    for row, official in (("chefer", (0, 16, 64, 80)), ("grad_cam", (0, 0, 64, 96))):
        asks = both.ask(toy, state, example, rows.row_of(row), 0).asks
        assert [ask.window for ask in asks] == [official] * 2 + [(0, 16, 64, 80)] * 2
        assert [ask.map.shape for ask in asks[2:]] == [(4, 4)] * 2
    crop = replace(both, own_size=()).ask(toy, state, example, rows.row_of("grad_cam"), 0)
    assert {ask.window for ask in crop.asks} == {(0, 16, 64, 80)}


def test_a_square_picture_is_seen_as_before(clip, world):
    example = world[0]
    own = cropped(clip, example)
    assert own.window == (0, 0, 112, 112) and uncropped(clip, example, own) is own
    map = torch.rand(7, 7, generator=torch.Generator().manual_seed(0))
    for make in editing.EDITS.values():
        for how in metrics.PROTOCOLS.values():
            one, other = (make(example.image, map, **how, window=window) for window in (None, own.window))
            assert torch.equal(one.order, other.order) and torch.equal(one.fractions, other.fractions)
            assert [each.tobytes() for each in one[:]] == [each.tobytes() for each in other[:]]


def test_pixels_at_their_own_size(toy):
    for size, wanted in (((70, 100), (64, 96)), ((5, 40), (16, 48)), ((1000, 1300), (640, 832))):
        assert own_size_pixels(toy, Image.new("RGB", size[::-1])).shape == (1, 3, *wanted)


def test_a_soft_mask_is_empty_around_its_window():
    edits = metrics.insertion_edits(
        np.full((4, 8, 3), 200, np.uint8), torch.eye(4), **metrics.PROTOCOLS["m2ib"], window=(0, 2, 4, 6)
    )
    assert edits.soft.view(4, 8)[:, 2:6].equal(torch.eye(4)) and float(edits.soft.sum()) == 4
    for wrong in ((0, 2, 4, 9), (2, 2, 2, 6), (-1, 0, 4, 4), (0, 2, 4), (0, 2, 4, 6.0), 4, (0, 2, 4, True)):
        with pytest.raises(BadSetting, match="window"):
            metrics.deletion_edits(np.zeros((4, 8, 3), np.uint8), torch.eye(4), window=wrong)


def test_the_official_protocol_makes_a_large_picture_smaller_first(toy):
    """As if the smaller picture were the sample's own; `full` goes on with the picture itself."""
    picture, classes = arrays("inputs")["i1__rgb"], torch.tensor(arrays("features")["zero_shot_weights"].T)
    picture = Image.fromarray(np.kron(picture, np.ones((3, 3, 1), np.uint8)))  # 192 x 288
    small = picture.resize((int(288 / (192 / 100)), 100))
    state, row = table2.Classes(classes, 100.0), rows.row_of("grad_eclip_one_head")

    def found(protocol, image):
        return [each for each in protocol.measure(toy, state, Example("1", image, label=3), row, 5)]

    both = table2.Table2(path="exact", shorter_side=100)
    asks = both.ask(toy, state, Example("1", picture, label=3), row, 5).asks
    assert {(ask.image.size, ask.window) for ask in asks} == {
        ((150, 100), (0, 0, 100, 150)),
        ((288, 192), (0, 48, 192, 240)),
    }
    apart = {name: replace(both, protocols=(name,), shorter_side=None) for name in both.protocols}
    wanted = {each[:2]: each for each in [*found(apart["official"], small), *found(apart["full"], picture)]}
    assert {each[:2]: each for each in found(both, picture)} == wanted
    whole = found(apart["official"], picture)
    assert [each.steps for each in whole] != [wanted[each[:2]].steps for each in whole]
    assert [each[:2] for each in found(both, picture)] == [each[:2] for each in found(both, small)]


def test_pictures_of_the_scripts_size_stay_as_they_are():
    for size, wanted in (((640, 900), (640, 900)), ((1300, 1000), (832, 640)), ((641, 641), (640, 640))):
        picture = Image.new("RGB", size)
        made = smaller(picture, SHORTEST)
        assert made.size == wanted and (made is picture) == (size == wanted)
    assert table2.Table2().shorter_side == SHORTEST == 640
    with pytest.raises(BadSetting, match="shorter_side of table2 is from 1 on"):
        table2.Table2(shorter_side=0)
