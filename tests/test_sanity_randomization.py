"""Sec. 4.7: every parameter is reached, drawn as open_clip draws it, and comes back bit by bit."""

from __future__ import annotations

import math

import open_clip
import pytest
import torch
from reference_sanity import dissolve
from toy import pair_batch, toy_clip

from mmel import sanity
from mmel.clip import Clip, embed_image, embed_text
from mmel.errors import BadSetting, UnknownName, UnsupportedModel
from mmel.methods import METHODS, explain
from mmel.sanity.fresh import draw, is_text

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 2, "width": 96, "head_width": 32, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 20, "vocab_size": 900, "width": 64, "heads": 2, "layers": 3},
}


def small(kind: str = "plain", seed: int = 0) -> Clip:
    """A fresh model of each family: CLIP, CLIP with a text object, its own attention, SigLIP's loss."""
    torch.manual_seed(seed)
    vision, text = dict(SMALL["vision_cfg"]), dict(SMALL["text_cfg"])
    named = {"quick_gelu": False}
    if kind == "own attention":
        vision |= {"scale_heads": True, "scale_attn": True, "scale_fc": True, "block_type": "custom"}
    if kind == "siglip":
        named |= {"init_logit_bias": -10.0, "init_logit_scale": math.log(10)}
    made = open_clip.CustomTextCLIP if kind == "custom text" else open_clip.CLIP
    network = made(SMALL["embed_dim"], open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text), **named)
    return Clip(network.eval(), None, None, kind)


KINDS = ("plain", "custom text", "siglip", "own attention")


def bits(model) -> dict[str, bytes]:
    return {name: value.detach().numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tower", ["image", "text", "both"])
def test_every_parameter_stands_on_one_step(kind, tower):
    model = small(kind).model
    steps = sanity.ladder(small(kind), tower)
    names = [name for step in steps for name in step.parameters]
    scale = {"logit_scale", "logit_bias"}
    every = {name for name, _ in model.named_parameters()}
    expected = every if tower == "both" else {n for n in every - scale if n.startswith("visual.") == (tower == "image")}
    assert len(names) == len(set(names)) and set(names) == expected
    assert steps[-1].name.endswith("embedding") and "readout" in steps[tower == "both"].name


def test_the_ladder_goes_down_block_by_block(clip):
    blocks = [f"image block {i}" for i in range(11, -1, -1)]
    assert [s.name for s in sanity.ladder(clip)] == ["image readout", *blocks, "image embedding"]
    top = dict(sanity.ladder(clip))
    assert set(top["image readout"]) == {"visual.proj", "visual.ln_post.weight", "visual.ln_post.bias"}
    assert "visual.class_embedding" in top["image embedding"] and len(top["image block 3"]) == 12
    assert "text_projection" in dict(sanity.ladder(clip, "text"))["text readout"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_laws_are_those_of_the_architecture(kind):
    """Many fresh models of open_clip: the law's mean and spread, its bound, and constants to the bit."""
    models, clip = [small(kind, seed) for seed in range(3)], small(kind)
    for name, _ in clip.model.named_parameters():
        law = sanity.law_of(clip, name)
        values = torch.cat([dict(one.model.named_parameters())[name].detach().flatten().double() for one in models])
        spread = law.spread / math.sqrt(3) if law.kind == "uniform" else law.spread
        if law.kind == "constant":
            assert torch.equal(values, torch.full_like(values, torch.tensor(law.centre).float().item())), name
            continue
        slack = 5 / math.sqrt(len(values))
        assert abs(values.mean()) < slack * spread and abs(values.std() / spread - 1) < slack, name
        if law.kind == "uniform":
            assert values.abs().max() <= law.spread * (1 + 1e-6) and values.abs().max() > 0.8 * law.spread, name
        elif len(values) > 300:
            assert values.abs().max() > math.sqrt(3) * spread, f"{name} has no tails"


@pytest.mark.parametrize("kind", ["normal", "uniform", "constant"])
def test_draws_follow_their_law(kind):
    law = sanity.Law(kind, 0.0 if kind == "constant" else 0.3, 2.0 if kind == "constant" else 0.0)
    values = draw(law, torch.zeros(40_000), 0, "a").double()
    assert float(values.mean()) == pytest.approx(law.centre, abs=0.01)
    expected = {"normal": 0.3, "uniform": 0.3 / math.sqrt(3), "constant": 0.0}[kind]
    assert float(values.std()) == pytest.approx(expected, abs=0.005)
    assert torch.equal(values, draw(law, torch.zeros(40_000), 0, "a").double())
    assert kind == "constant" or not torch.equal(values, draw(law, torch.zeros(40_000), 0, "b").double())


def test_no_two_blocks_get_the_same_numbers(clip):
    """Seeding each step alike would make all blocks one and the same."""
    with sanity.randomize(clip, tower="both"):
        random = [v.detach().clone() for n, v in clip.model.named_parameters() if sanity.law_of(clip, n).spread]
    seen = {value.numpy().tobytes() for value in random}
    assert len(seen) == len(random) > 90
    with sanity.randomize(clip, tower="both", seed=1):
        again = [v.detach().clone() for n, v in clip.model.named_parameters() if sanity.law_of(clip, n).spread]
    assert not seen & {value.numpy().tobytes() for value in again}


@pytest.mark.parametrize("tower", ["image", "text", "both"])
def test_all_of_a_tower_changes_and_comes_back(clip, tower):
    before = bits(clip.model)
    with sanity.randomize(clip, tower=tower) as share:
        changed = bits(clip.model)
        for name in before:
            inside = tower == "both" or (name not in ("logit_scale",) and is_text(name) == (tower == "text"))
            if not inside or name == "attn_mask":
                assert changed[name] == before[name]
            elif sanity.law_of(clip, name).spread:
                assert changed[name] != before[name]
        assert share.tower == 1.0 and (share.model == 1.0) == (tower == "both")
    assert bits(clip.model) == before


def test_shares_are_counted_by_hand(clip):
    sizes = {name: value.numel() for name, value in clip.model.named_parameters()}
    step = sanity.ladder(clip)[1]
    with sanity.randomize(clip, [step, "image embedding"]) as share:
        pass
    own = sum(n for k, n in sizes.items() if "visual.transformer.resblocks.11." in k)
    rest = ("visual.conv1.weight", "visual.class_embedding", "visual.positional_embedding")
    own += sum(sizes[name] for name in (*rest, "visual.ln_pre.weight", "visual.ln_pre.bias"))
    assert share.tower == own / sum(n for k, n in sizes.items() if k.startswith("visual."))
    assert share.model == own / sum(sizes.values())


def test_weights_come_back_after_an_exception_and_within_another_context(clip):
    before = bits(clip.model)
    with pytest.raises(RuntimeError, match="in the middle"), sanity.randomize(clip):
        raise RuntimeError("in the middle")
    assert bits(clip.model) == before

    def fails(_):
        raise RuntimeError("as a method would")

    with pytest.raises(RuntimeError):
        sanity.cascade(clip, fails)
    with sanity.randomize(clip, seed=3):
        outer = bits(clip.model)
        with sanity.randomize(clip, tower="both"):
            pass
        assert bits(clip.model) == outer
    assert bits(clip.model) == before


def test_half_precision_comes_back_too():
    clip = toy_clip(torch.bfloat16)
    before = {name: value.clone() for name, value in clip.model.state_dict().items()}
    with sanity.randomize(clip, tower="both"):
        assert clip.model.visual.proj.dtype == torch.bfloat16
        assert not torch.equal(clip.model.visual.proj, before["visual.proj"])
    assert all(torch.equal(value, before[name]) for name, value in clip.model.state_dict().items())


def test_cascades_meet_where_all_is_random(clip):
    images, tokens = pair_batch()

    def look(clip):
        return torch.cat([embed_image(clip, images), embed_text(clip, tokens)]).detach()

    down, up = (sanity.cascade(clip, look, order=order, tower="both") for order in ("top_down", "bottom_up"))
    assert torch.equal(down[0].seen, up[0].seen) and torch.equal(down[-1].seen, up[-1].seen)
    assert [r.step for r in down[1:]] == [r.step for r in up[1:]][::-1]
    assert down[-1].share == up[-1].share == (1.0, 1.0) and down[0].share == (0.0, 0.0)
    for rungs in (down, up):
        shares = [rung.share.tower for rung in rungs]
        assert shares == sorted(set(shares))
    alone = sanity.cascade(clip, look, order="independent", tower="both")
    assert sum(rung.share.model for rung in alone) == pytest.approx(1)
    assert torch.equal(alone[1].seen, down[1].seen) and torch.equal(alone[-1].seen, up[1].seen)
    some = sanity.cascade(clip, look, tower="both", steps=[down[4].step, down[-1].step])
    assert [r.step for r in some] == ["trained", down[4].step, down[-1].step]
    assert torch.equal(some[1].seen, down[4].seen)


CHEAP = {"rise": {"n_masks": 6}, "kernel_shap": {"n_samples": 20}, "m2ib": {"steps": 2, "n_samples": 2}}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_the_ladder_and_leaves_the_model_alone(clip, method):
    images, tokens = (each[:2] for each in pair_batch())
    before = bits(clip.model)
    rows = {method: (method, CHEAP.get(method, {}))}
    found = dissolve(clip, images, tokens, rows, seeds=(0,), steps=["image block 11", "image embedding"])
    own = explain(clip, images, tokens, method, modality="image", **CHEAP.get(method, {})).image
    assert torch.equal(found.maps[method][0, 0], sanity.on_grid(own, (4, 4)))
    assert found.maps[method].shape == (1, 3, 2, 4, 4) and bits(clip.model) == before
    knows_nothing = method in ("random", "centre_gaussian", "edges")
    same = torch.equal(found.maps[method][0, 0], found.maps[method][0, 2])
    assert same == knows_nothing


def test_rows_see_the_same_weights_and_drawn_rows_their_own_seeds(clip):
    images, tokens = (each[:2] for each in pair_batch())
    rows = {name: ("random", {}) for name in ("still", "drawn")} | {"a": ("chefer", {}), "b": ("chefer", {})}
    found = dissolve(clip, images, tokens, rows, drawn={"drawn": [3, 4]}, seeds=(0, 1), steps=["image embedding"])
    assert torch.equal(found.maps["a"], found.maps["b"])
    assert torch.equal(found.maps["still"][0, 0], found.maps["still"][1, 1])
    drawn = found.maps["drawn"].flatten(0, 2).flatten(1)
    assert len(drawn.unique(dim=0)) == 8  # of every state, rung and picture another noise
    assert torch.equal(found.maps["a"][0, 0], found.maps["a"][1, 0])
    assert not torch.equal(found.maps["a"][0, 1], found.maps["a"][1, 1])


def test_text_maps_count_words_only(clip):
    images, tokens = (each[3:6] for each in pair_batch())
    found = dissolve(
        clip,
        images,
        tokens,
        {"row": ("chefer", {})},
        tower="text",
        modality="text",
        seeds=(0,),
        steps=["text block 11"],
    )
    ends = tokens.argmax(-1)
    values = found.likeness("row", sanity.spearman, ends)
    assert found.maps["row"].shape == (1, 2, 3, 1, 77) and values.shape == (1, 2, 3)
    one, other = (found.maps["row"][0, rung, 1, :, 1 : int(ends[1])][None] for rung in (0, 1))
    assert float(values[0, 1, 1]) == float(sanity.spearman(one, other))


def test_smooth_maps_are_means_over_noisy_pictures(clip):
    images, tokens = (each[:2] for each in pair_batch())
    how = {"rows": {"row": ("saliency", {})}, "seeds": (0,), "steps": ["image embedding"]}
    plain, still, noisy = (
        dissolve(clip, images, tokens, **how, smooth=smooth, noise=noise).maps["row"]
        for smooth, noise in ((0, 0.1), (2, 0.0), (3, 0.1))
    )
    torch.testing.assert_close(still, plain)
    assert not torch.allclose(noisy[0, 0], plain[0, 0], rtol=0.05)

    def look(pixels):
        return sanity.on_grid(explain(clip, pixels, tokens, "saliency", modality="image").image, (4, 4))

    torch.testing.assert_close(noisy[0, 0], sanity.smoothed(look, images, samples=3, noise=0.1))


def test_bad_input_says_what_to_do(clip):
    with pytest.raises(UnknownName, match="image block 11"), sanity.randomize(clip, ["image block 111"]):
        pass
    with pytest.raises(UnknownName, match="tower"):
        sanity.ladder(clip, "sound")
    with pytest.raises(UnknownName, match="top_down"):
        sanity.cascade(clip, lambda c: 0, order="top-down")
    with pytest.raises(BadSetting, match="seed"), sanity.randomize(clip, seed=-1):
        pass
    strange = small()
    strange.model.visual.extra = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(UnsupportedModel, match=r"visual\.extra"), sanity.randomize(strange):
        pass
