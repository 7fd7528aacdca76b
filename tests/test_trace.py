"""The trace equals hooks on the original model, its gradients are true, and it leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_contract import fingerprint
from toy import arrays, toy_clip, toy_images, toy_tokens

from mmel.clip import embed_image, embed_text, similarity
from mmel.errors import BadSetting, UnsupportedModel
from mmel.trace import attend, blocks, gradients, image_readout, project_qkv, record, text_readout

GOLDEN = {"q": "q", "k": "k", "v": "v", "pattern": "probs", "attn_out": "attn_output"}


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


def golden_pair():
    stored = arrays("layers")
    image, prompt = int(stored["image_id"]), int(stored["prompt_id"])
    return toy_images("pp", (image,)), toy_tokens()[prompt][None]


def close(ours: torch.Tensor, theirs: np.ndarray, tolerance: float):
    assert ours.shape == theirs.shape
    assert np.abs(ours.detach().numpy() - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("name", GOLDEN)
def test_every_block_equals_the_original_model(clip, name):
    trace, stored = record(clip, *golden_pair()), arrays("layers")
    assert len(trace.image_layers) == len(trace.text_layers) == 12
    for layer in range(12):
        close(getattr(trace.image_layers[layer], name)[0], stored[f"v_l{layer:02d}_{GOLDEN[name]}"], 1e-5)
        close(getattr(trace.text_layers[layer], name)[0], stored[f"t_l{layer:02d}_{GOLDEN[name]}"], 1e-5)


def test_a_block_starts_where_the_one_before_ended(clip):
    trace, stored = record(clip, *golden_pair()), arrays("layers")
    for layer in range(11):
        close(trace.image_layers[layer + 1].block_in[0], stored[f"v_l{layer:02d}_block_output"], 1e-5)
        close(trace.text_layers[layer + 1].block_in[0], stored[f"t_l{layer:02d}_block_output"], 1e-5)


def test_the_whole_context_can_be_recorded(clip):
    short, whole = (record(clip, *golden_pair(), full_context=full) for full in (False, True))
    eos = int(short.eos)
    assert short.text_layers[0].q.shape[1] == eos + 1 and whole.text_layers[0].q.shape[1] == 77
    for one, other in zip(short.text_layers, whole.text_layers, strict=True):
        torch.testing.assert_close(one.attn_out, other.attn_out[:, : eos + 1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short.score, whole.score, atol=1e-6, rtol=0)


@pytest.mark.parametrize("key", ["pp", "keepsize"])
def test_the_score_is_that_of_the_untouched_model(clip, key):
    images = toy_images(key, (1,))
    tokens = torch.stack(list(toy_tokens().values()))
    trace = record(clip, images, tokens)
    with torch.no_grad():
        cosine = similarity(embed_image(clip, images).expand(3, -1), embed_text(clip, tokens))
    torch.testing.assert_close(trace.score, cosine, atol=1e-6, rtol=0)
    assert trace.grid == tuple(side // 16 for side in images.shape[-2:])


def test_only_what_is_asked_for_is_recorded(clip):
    images, tokens = golden_pair()
    image = record(clip, images, tokens, layers=2, modality="image")
    assert len(image.image_layers) == 2 and image.text_layers == ()
    text = record(clip, images, tokens, text_layers=3, modality="text")
    assert len(text.text_layers) == 3 and text.image_layers == ()
    embedded = record(clip, images, embed_text(clip, tokens))
    assert embedded.text_layers == () and embedded.eos is None
    torch.testing.assert_close(embedded.score, image.score, atol=1e-6, rtol=0)


def test_few_blocks_are_the_last_ones_of_many(clip):
    few, many = (record(clip, *golden_pair(), layers=n, text_layers=n) for n in (2, None))
    for one, other in zip(few.image_layers, many.image_layers[-2:], strict=True):
        torch.testing.assert_close(one.attn_out, other.attn_out, atol=1e-5, rtol=1e-5)


def test_gradients_are_slopes():
    """The gradient at a block's input predicts how the score changes, in float64."""
    clip = toy_clip(torch.float64)
    images, tokens = (part.double() if part.is_floating_point() else part for part in golden_pair())
    trace = record(clip, images, tokens, layers=2)
    (grad,) = gradients(trace.score, [trace.image_layers[0].block_in])
    step = torch.randn(grad.shape, dtype=grad.dtype, generator=torch.Generator().manual_seed(0))
    block, size = clip.model.visual.transformer.resblocks[10], 1e-6

    def moved(sign: float) -> torch.Tensor:
        hidden = trace.image_layers[0].block_in.detach() + sign * size * step
        token = clip.model.visual.transformer.resblocks[11](block(hidden))[:, 0]
        image = torch.nn.functional.normalize(image_readout(clip, token), dim=-1)
        return similarity(image, embed_text(clip, tokens))

    with torch.no_grad():
        slope = (moved(1) - moved(-1)) / (2 * size)
    torch.testing.assert_close((grad * step).sum().view(1), slope, rtol=1e-6, atol=1e-9)


def test_gradients_reach_every_recorded_block(clip):
    trace = record(clip, *golden_pair())
    layers = [*trace.image_layers, *trace.text_layers]
    for grad in gradients(trace.score, [tensor for layer in layers for tensor in (layer.attn_out, layer.pattern)]):
        assert torch.isfinite(grad).all() and grad.abs().max() > 0


def test_no_gradients_where_none_are_wanted(clip):
    with torch.no_grad():
        trace = record(clip, *golden_pair())
    assert not trace.score.requires_grad and not trace.image_layers[0].q.requires_grad
    with torch.inference_mode():
        inside = record(clip, *golden_pair())
    torch.testing.assert_close(inside.score, trace.score)


def test_one_head_moves_the_score(clip):
    own, one = (record(clip, *golden_pair(), layers=1, heads=heads, modality="image") for heads in (None, 1))
    assert own.image_layers[0].pattern.shape[1] == 4 and one.image_layers[0].pattern.shape[1] == 1
    assert not torch.allclose(own.score, one.score, atol=1e-5)
    four = record(clip, *golden_pair(), layers=1, heads=4, modality="image")
    torch.testing.assert_close(four.score, own.score)


def test_attention_written_out_in_loops(clip):
    """`attend` against loops over heads, queries and keys in float64."""
    block, rng = blocks(toy_clip(torch.float64), "text")[3], torch.Generator().manual_seed(1)
    hidden = torch.randn(1, 5, 64, dtype=torch.float64, generator=rng)
    mask = torch.full((5, 5), -torch.inf, dtype=torch.float64).triu(1)
    _, seen = attend(block.attn, hidden, mask, 4)
    q, k, v = (x.detach() for x in project_qkv(block.attn, hidden))
    for head in range(4):
        part = slice(16 * head, 16 * head + 16)
        for query in range(5):
            weights = [float((q[0, query, part] @ k[0, key, part] / 4).exp()) for key in range(query + 1)]
            out = sum(w / sum(weights) * v[0, key, part] for key, w in enumerate(weights))
            torch.testing.assert_close(seen.attn_out[0, query, part].detach(), out)
            assert float(seen.pattern[0, head, query, 0].detach()) == pytest.approx(weights[0] / sum(weights))


def test_the_model_is_untouched(clip):
    before = fingerprint(clip.model)
    trace = record(clip, *golden_pair())
    gradients(trace.score, [trace.image_layers[0].q])
    assert fingerprint(clip.model) == before


@pytest.mark.parametrize("where", ["visual.transformer.resblocks.7.mlp.c_fc", "transformer.resblocks.7.ln_2"])
def test_the_model_is_untouched_after_an_exception(clip, where):
    before, module = fingerprint(clip.model), clip.model.get_submodule(where)

    def broken(*_):
        raise KeyError(where)

    module.forward = broken
    try:
        with pytest.raises(KeyError):
            record(clip, *golden_pair())
    finally:
        del module.forward
    assert fingerprint(clip.model) == before and torch.is_grad_enabled()


def test_readouts_end_in_the_embeddings(clip):
    images, tokens = golden_pair()
    with torch.no_grad():
        trace = record(clip, images, tokens)
        last = blocks(clip, "image")[-1](trace.image_layers[-1].block_in)
        text = clip.model.transformer(trace.text_layers[0].block_in, attn_mask=clip.model.attn_mask[:9, :9])
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(image_readout(clip, last[:, 0]), dim=-1), embed_image(clip, images))
    torch.testing.assert_close(unit(text_readout(clip, text[:, int(trace.eos)]), dim=-1), embed_text(clip, tokens))


@pytest.mark.parametrize(
    "setting", [{"layers": 0}, {"layers": 13}, {"layers": True}, {"text_layers": -1}, {"heads": 3}]
)
def test_settings_out_of_range(clip, setting):
    with pytest.raises(BadSetting, match="got"):
        record(clip, *golden_pair(), **setting)


def test_a_text_without_tokens_cannot_be_recorded(clip):
    images, tokens = golden_pair()
    with pytest.raises(BadSetting, match="no tokens"):
        record(clip, images, embed_text(clip, tokens), modality="text")
    with pytest.raises(BadSetting, match="modality"):
        record(clip, images, tokens, modality="sound")


def test_towers_without_blocks_or_class_token(clip):
    other = toy_clip()
    other.model.visual.pool_type = "avg"
    with pytest.raises(UnsupportedModel, match="class token"):
        record(other, *golden_pair())
    other = toy_clip()
    del other.model.visual.transformer.resblocks
    with pytest.raises(UnsupportedModel, match="no residual attention blocks"):
        record(other, *golden_pair())
