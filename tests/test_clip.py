"""Embeddings against the golden ones, preparation of every kind of input, and what both leave behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toy import IMAGES, PAIRS, PROMPTS, arrays, toy_clip, toy_images, toy_tokens

import mmel.clip
import mmel.loading.inputs
from mmel.clip import (
    Clip,
    embed_image,
    embed_text,
    end_of_text,
    evaluating,
    normalize_pixels,
    positions,
    prepare,
    prepare_images,
    prepare_texts,
    similarity,
)
from mmel.errors import ShapeMismatch, UnsupportedModel

TEXTS = ["a dog", "a red car behind two traffic lights", "cat"]


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(autouse=True)
def fresh(clip):
    clip.passes.image = clip.passes.text = 0


def unit(rows):
    return rows / np.sqrt((rows.astype(np.float64) ** 2).sum(1, keepdims=True))


def test_embeddings_are_the_golden_ones(clip):
    golden = arrays("features")
    with torch.no_grad():
        image = embed_image(clip, toy_images())
        text = embed_text(clip, torch.stack(list(toy_tokens().values())))
    np.testing.assert_allclose(image, unit(golden["image_features"]), atol=1e-6, rtol=0)
    np.testing.assert_allclose(text, unit(golden["text_features"]), atol=1e-6, rtol=0)
    for row in range(len(IMAGES)):
        cosine = similarity(image[row].expand(len(PROMPTS), -1), text)
        np.testing.assert_allclose(cosine, golden["cosine"][row], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("image", "prompt"), PAIRS)
def test_cosines_of_images_of_their_own_size_are_the_golden_ones(clip, image, prompt):
    """Image 1 is 64 x 96: positional embeddings interpolated as the official code does."""
    with torch.no_grad():
        pixels, tokens = toy_images("keepsize", (image,)), toy_tokens()[prompt]
        cosine = similarity(embed_image(clip, pixels), embed_text(clip, tokens))
    golden = arrays("grad_eclip_image")[f"i{image}_p{prompt}__hH__cosine"]
    assert float(cosine) == pytest.approx(float(golden), abs=1e-6)


def test_the_golden_source_pictures_give_the_golden_pixels(clip):
    for image_id in IMAGES:
        picture = Image.fromarray(arrays("inputs")[f"i{image_id}__rgb"])
        pixels = prepare_images(clip, picture)
        np.testing.assert_allclose(pixels[0], arrays("inputs")[f"i{image_id}__pp"], atol=1e-6)


# formulae


def test_normalize_pixels_in_a_loop():
    pixels = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    ours = normalize_pixels(pixels, mean, std)
    for image in range(2):
        for channel in range(3):
            for row in range(4):
                for column in range(5):
                    wanted = (float(pixels[image, channel, row, column]) - mean[channel]) / std[channel]
                    assert float(ours[image, channel, row, column]) == pytest.approx(wanted, abs=1e-12)
    assert normalize_pixels(pixels.half(), mean, std).dtype == torch.float16


def test_normalize_pixels_is_what_the_models_transform_does(clip):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    normalize = clip.preprocess.transforms[-1]
    scaled = torch.tensor(pixels).permute(2, 0, 1)[None] / 255
    ours = normalize_pixels(scaled, normalize.mean, normalize.std)
    torch.testing.assert_close(ours[0], clip.preprocess(Image.fromarray(pixels)), atol=1e-6, rtol=0)


def test_similarity_in_a_loop():
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn(3, 7, generator=generator), 5 * torch.randn(3, 7, generator=generator)
    ours = similarity(image, text)
    assert ours.shape == (3,)
    for row in range(3):
        dot = math.fsum(float(a) * float(b) for a, b in zip(image[row], text[row], strict=True))
        lengths = [math.sqrt(math.fsum(float(a) ** 2 for a in each[row])) for each in (image, text)]
        assert float(ours[row]) == pytest.approx(dot / lengths[0] / lengths[1], abs=1e-6)


def test_similarity_of_half_precision_is_computed_in_single():
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(4, 64, generator=generator).bfloat16() for _ in range(2))
    ours = similarity(image, text)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, similarity(image.double(), text.double()).float(), atol=1e-6, rtol=0)
    assert similarity(image.double(), text).dtype == torch.float64


# images of another size


def test_the_models_own_size_keeps_its_own_positions(clip):
    own = clip.model.visual.positional_embedding
    assert positions(clip, torch.zeros(1, 3, 64, 64)) is own


def cubic(x):
    """The kernel of bicubic interpolation, a = -0.75."""
    x = abs(x)
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_positions_in_a_loop(clip):
    own = clip.model.visual.positional_embedding.detach().double()
    ours = positions(clip, torch.zeros(2, 3, 96, 48)).detach()
    rows, columns = 6, 3
    assert ours.shape == (1 + rows * columns, 128)
    assert torch.equal(ours[0], own[0].float())
    for row in range(rows):
        for column in range(columns):
            down, right = (row + 0.5) * 4 / rows - 0.5, (column + 0.5) * 4 / columns - 0.5
            wanted = torch.zeros(128, dtype=torch.float64)
            for i in range(math.floor(down) - 1, math.floor(down) + 3):
                for j in range(math.floor(right) - 1, math.floor(right) + 3):
                    patch = own[1 + 4 * min(max(i, 0), 3) + min(max(j, 0), 3)]
                    wanted += cubic(down - i) * cubic(right - j) * patch
            torch.testing.assert_close(ours[1 + row * columns + column].double(), wanted, atol=5e-6, rtol=0)


@pytest.mark.parametrize("size", [(64, 96), (112, 80), (16, 16), (128, 64)])
def test_another_size_equals_a_model_of_that_size(clip, size):
    """Its own forward with the positional embeddings put in place: nothing else depends on the size."""
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    other = toy_clip()
    changed = nn.Parameter(positions(clip, pixels).detach().clone())
    other.model.visual.positional_embedding = changed
    with torch.no_grad():
        wanted = other.model.visual(pixels)
        ours = embed_image(clip, pixels)
    torch.testing.assert_close(ours, wanted / wanted.norm(dim=-1, keepdim=True), atol=1e-6, rtol=0)


def test_embeddings_of_an_image_of_another_size_have_a_graph_to_the_pixels(clip):
    pixels = torch.zeros(1, 3, 64, 96, requires_grad=True)
    (grad,) = torch.autograd.grad(embed_image(clip, pixels)[0, 0], pixels)
    assert grad.shape == pixels.shape and grad.abs().sum() > 0


def test_a_model_without_patch_positions_says_so(clip):
    class Pooled(nn.Module):
        image_size, patch_size = 64, 16

        def __init__(self):
            super().__init__()
            self.positional_embedding = nn.Parameter(torch.zeros(16, 8))  # no class token

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = Pooled()

    odd = Clip(Model(), None, None)
    with pytest.raises(UnsupportedModel, match=r"4 x 4 patches, which this Pooled has not: resize"):
        positions(odd, torch.zeros(1, 3, 64, 96))


@pytest.mark.parametrize(("name", "value"), [("image_size", (64, 96)), ("patch_size", (16, 8))])
def test_a_model_that_is_not_square_says_so(name, value):
    clip = toy_clip()
    setattr(clip.model.visual, name, value)
    with pytest.raises(UnsupportedModel, match=rf"its {name} is \({value[0]}, {value[1]}\)"):
        getattr(clip, name)


def test_a_model_without_patches_says_so():
    clip = toy_clip()
    del clip.model.visual.patch_size
    with pytest.raises(UnsupportedModel, match="VisionTransformer: load a plain ViT"):
        _ = clip.patch_size


# texts


def test_a_text_cut_at_its_end_equals_the_full_text(clip):
    tokens = clip.tokenizer(TEXTS)
    with torch.no_grad():
        full = clip.model.encode_text(tokens, normalize=True)
        torch.testing.assert_close(embed_text(clip, tokens), full, atol=1e-6, rtol=0)
        torch.testing.assert_close(embed_text(clip, TEXTS[1]), full[1:2], atol=1e-6, rtol=0)
        torch.testing.assert_close(embed_text(clip, tokens[:, :12]), full, atol=1e-6, rtol=0)


def test_only_the_needed_positions_go_through_the_tower(clip):
    seen = []
    handle = clip.model.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    try:
        tokens = clip.tokenizer(TEXTS)
        embed_text(clip, tokens)
    finally:
        handle.remove()
    assert seen == [(3, int(tokens.argmax(-1).max()) + 1, 64)]


def test_a_full_text_is_cut_nowhere(clip):
    tokens = torch.full((1, 77), 320)
    tokens[0, 0], tokens[0, -1] = 49406, 49407
    with torch.no_grad():
        full = clip.model.encode_text(tokens, normalize=True)
        torch.testing.assert_close(embed_text(clip, tokens), full, atol=1e-6, rtol=0)


def test_a_text_tower_without_a_causal_mask_reads_all():
    clip = toy_clip()
    clip.model.attn_mask = None
    tokens = clip.tokenizer(TEXTS)
    with torch.no_grad():
        ours, full = embed_text(clip, tokens), clip.model.encode_text(tokens, normalize=True)
        causal = embed_text(toy_clip(), tokens)
    assert torch.equal(ours, full)
    assert (ours - causal).abs().max() > 1e-3


@pytest.mark.parametrize("output_dict", [False, True])
def test_a_model_that_answers_with_a_dictionary(output_dict):
    clip = toy_clip()
    clip.model.output_dict = output_dict
    with torch.no_grad():
        torch.testing.assert_close(embed_text(clip, TEXTS), embed_text(toy_clip(), TEXTS), atol=0, rtol=0)


def test_embeddings_come_back_with_unit_length(clip):
    given = 3 * torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    ours = embed_text(clip, given)
    torch.testing.assert_close(ours, given / given.norm(dim=-1, keepdim=True), atol=1e-6, rtol=0)
    assert clip.passes.total == 0


def test_where_a_text_is_read_from():
    clip = toy_clip()
    tokens = torch.tensor([[49406, 5, 49407, 49407, 0], [49406, 49407, 0, 0, 0]])
    assert end_of_text(clip, tokens).tolist() == [2, 1]
    clip.model.text_pool_type, clip.model.text_eos_id = "eos", 7
    assert end_of_text(clip, torch.tensor([[9, 3, 7, 8], [9, 7, 7, 1]])).tolist() == [2, 1]
    clip.model.text_pool_type = "first"
    with pytest.raises(UnsupportedModel, match="pools by 'first'"):
        end_of_text(clip, tokens)


# preparation


def picture(seed, size=(64, 64)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_all_forms_of_the_same_images(clip, tmp_path):
    pictures = [picture(0), picture(1, (100, 70))]
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for each, path in zip(pictures, paths, strict=True):
        each.save(path)
    wanted = torch.stack([clip.preprocess(each) for each in pictures])
    for form in (pictures, tuple(pictures), paths, [str(path) for path in paths], [pictures[0], paths[1]],
                 wanted, list(wanted), wanted.double()):  # fmt: skip
        assert torch.equal(prepare_images(clip, form), wanted)
    for one in (pictures[0], paths[0], str(paths[0]), wanted[0], [wanted[0]]):
        assert torch.equal(prepare_images(clip, one), wanted[:1])


def test_all_forms_of_the_same_texts(clip):
    tokens = clip.tokenizer(TEXTS)
    for form in (TEXTS, tuple(TEXTS), tokens, tokens.int(), tokens[:, :20]):
        ours = prepare_texts(clip, form)
        assert torch.equal(ours, tokens) and ours.dtype == torch.int64
    for one in (TEXTS[0], [TEXTS[0]], tokens[0], tokens[:1]):
        assert torch.equal(prepare_texts(clip, one), tokens[:1])


@pytest.mark.parametrize(("images", "texts"), [(3, 1), (1, 3), (3, 3), (1, 1)])
@pytest.mark.parametrize("embedded", [False, True])
def test_one_of_either_is_repeated(clip, images, texts, embedded):
    pixels, tokens = torch.randn(images, 3, 64, 64), clip.tokenizer(TEXTS[:texts])
    text = nn.functional.normalize(torch.randn(texts, 64)) if embedded else tokens
    pairs = prepare(clip, pixels, text)
    size = max(images, texts)
    assert len(pairs) == size
    assert torch.equal(pairs.images, pixels.expand(size, -1, -1, -1))
    assert (pairs.tokens is None) == embedded and (pairs.text_embed is None) != embedded
    ready = pairs.text_embed if embedded else pairs.tokens
    torch.testing.assert_close(ready, text.expand(size, -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("images", "texts"), [(2, 3), (3, 2)])
def test_sizes_that_do_not_fit(clip, images, texts):
    with pytest.raises(ShapeMismatch, match=f"{images} images and {texts} texts came: repeat or drop"):
        prepare(clip, torch.randn(images, 3, 64, 64), TEXTS[:texts])


def test_prepared_inputs_come_back_as_they_are(clip):
    first = prepare(clip, [picture(0), picture(1)], TEXTS[:2])
    again = prepare(clip, first.images, first.tokens)
    assert again.images is first.images and torch.equal(again.tokens, first.tokens)
    assert clip.passes.total == 0


def test_pixels_keep_their_graph(clip):
    pixels = torch.zeros(1, 3, 64, 64, requires_grad=True)
    pairs = prepare(clip, pixels, TEXTS)
    assert pairs.images.requires_grad
    (grad,) = torch.autograd.grad(similarity(embed_image(clip, pairs.images), embed_text(clip, TEXTS)).sum(), pixels)
    assert grad.abs().sum() > 0


def test_pixels_of_inference_mode_can_be_differentiated(clip):
    with torch.inference_mode():
        pixels = torch.zeros(1, 3, 64, 64)
    ours = prepare_images(clip, pixels).requires_grad_()
    assert torch.autograd.grad(embed_image(clip, ours)[0, 0], ours)[0].abs().sum() > 0


def test_pixels_take_the_models_number_type():
    half = toy_clip(torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert prepare_images(half, picture(0)).dtype == torch.bfloat16
    assert prepare_texts(half, torch.ones(1, 64)).dtype == torch.bfloat16
    assert embed_image(half, picture(0)).dtype == torch.bfloat16


def test_the_names_stand_in_both_places():
    for name in ("prepare", "prepare_images", "prepare_texts"):
        assert getattr(mmel.clip, name) is getattr(mmel.loading.inputs, name)


# what it leaves behind


def test_passes_count_images_and_texts(clip):
    embed_image(clip, torch.zeros(3, 3, 64, 64))
    assert (clip.passes.image, clip.passes.text, clip.passes.total) == (3, 0, 3)
    embed_image(clip, torch.zeros(1, 3, 64, 96))
    embed_text(clip, TEXTS)
    assert (clip.passes.image, clip.passes.text, clip.passes.total) == (4, 3, 7)


def watched():
    clip = toy_clip()
    clip.model.transformer.resblocks[3].train()
    clip.model.visual.transformer.resblocks[2].mlp.train()
    return clip


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def test_evaluating_gives_each_module_its_own_mode_back():
    model = watched().model
    before = modes(model)
    assert True in before.values() and False in before.values()
    with evaluating(model):
        assert set(modes(model).values()) == {False}
    assert modes(model) == before
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert modes(model) == before


def snapshot(model):
    hooks = {name: sum(len(v) for k, v in vars(m).items() if k.endswith("_hooks")) for name, m in model.named_modules()}
    values = {name: (id(p), p.requires_grad, p.grad, p.detach().clone()) for name, p in model.named_parameters()}
    return modes(model), hooks, {name: sorted(vars(m)) for name, m in model.named_modules()}, values


def assert_same(one, other):
    assert one[:3] == other[:3]
    for name, (place, flag, grad, value) in one[3].items():
        assert other[3][name][:3] == (place, flag, grad)
        assert torch.equal(value, other[3][name][3])


def test_embedding_leaves_the_model_as_it_was():
    clip = watched()
    before = snapshot(clip.model)
    for size in ((64, 64), (64, 96)):
        embed_image(clip, torch.zeros(1, 3, *size, requires_grad=True))
    embed_text(clip, TEXTS)
    assert_same(snapshot(clip.model), before)
    clip.model.visual.ln_post.forward = clip.model.ln_final.forward = None
    broken = snapshot(clip.model)
    for embed, inputs in ((embed_image, torch.zeros(1, 3, 64, 96)), (embed_text, TEXTS)):
        with pytest.raises(TypeError):
            embed(clip, inputs)
    assert_same(snapshot(clip.model), broken)


def test_dropout_does_not_act_while_embedding():
    clip = toy_clip()
    clip.model.visual.patch_dropout = nn.Dropout(0.5)
    clip.model.train()
    pixels = torch.ones(1, 3, 64, 64)
    assert torch.equal(embed_image(clip, pixels), embed_image(clip, pixels))
    assert clip.model.visual.patch_dropout.training
