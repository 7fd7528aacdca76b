"""Bad pictures, texts and tensors: each a named error that says what came and what to do, or a warning."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from toy import toy_clip

from mmel import explain
from mmel.cli import main
from mmel.clip import prepare, prepare_images, prepare_texts
from mmel.errors import (
    BadSetting,
    ImageError,
    MmelError,
    MmelWarning,
    NotANumber,
    OutOfWorld,
    ShapeMismatch,
    TextCut,
    TextError,
    UnknownName,
    UnseenWord,
)
from mmel.loading.images import MOST_PIXELS, read_image

PIXELS = torch.zeros(1, 3, 64, 64)


@pytest.fixture(scope="module")
def clip():
    return replace(toy_clip(), tokenizer=open_clip.SimpleTokenizer())


@pytest.fixture(scope="module")
def small(clip):
    """A model that knows few words and one world, as the bundled one."""
    return replace(clip, name="bundled", vocabulary=frozenset({"a", "dog", "behind", "two", "cars"}))


@pytest.fixture(autouse=True)
def no_other_warnings():
    """A warning that a test does not ask for is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", MmelWarning)
        yield


def noise(size=(64, 64), mode="RGB"):
    shape = (size[1], size[0]) + ((len(mode),) if mode != "L" else ())
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def png(path, width, height):
    """A PNG file that says it is this large and has no pixels."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


# pictures that cannot be read


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.png", b"", r"empty\.png is empty \(0 bytes\): save or download it again"),
        ("page.jpg", b"<html>404</html>", r"page\.jpg cannot be read as a picture.*PNG, JPEG"),
        ("noise.png", bytes(range(256)), r"noise\.png cannot be read as a picture"),
    ],
)
def test_a_file_that_is_no_picture(clip, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    for form in (tmp_path / name, str(tmp_path / name), [noise(), tmp_path / name]):
        with pytest.raises(ImageError, match=says):
            prepare_images(clip, form)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
@pytest.mark.parametrize("keep", [0.1, 0.6])
def test_a_truncated_picture(clip, tmp_path, kind, keep):
    path = tmp_path / f"cut.{kind}"
    noise().save(path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ImageError, match=rf"cut\.{kind} cannot be"):
        prepare_images(clip, path)


def test_a_picture_that_is_not_there(clip, tmp_path):
    with pytest.raises(ImageError, match=r"no\.png' does not exist: check the path"):
        prepare_images(clip, tmp_path / "no.png")
    with pytest.raises(ImageError, match="is a folder"):
        prepare_images(clip, tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1)])
def test_a_picture_of_one_pixel(clip, tmp_path, size):
    noise(size).save(tmp_path / "dot.png")
    for form in (tmp_path / "dot.png", noise(size)):
        with pytest.raises(ImageError, match=rf"has {size[0]} x {size[1]} pixels; at least 2 x 2"):
            prepare_images(clip, form)
    assert prepare_images(clip, noise((2, 2))).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2)])
def test_a_decompression_bomb(clip, tmp_path, size):
    path = png(tmp_path / "bomb.png", *size)
    assert path.stat().st_size < 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=rf"bomb\.png is too large.*{MOST_PIXELS:,} pixels\): scale it down"):
            prepare_images(clip, path)


def test_a_picture_too_thin_to_be_scaled(clip):
    with pytest.raises(ImageError, match=r"2 x 60000 pixels is too thin to be scaled to 64 pixels: crop it"):
        prepare_images(clip, Image.new("RGB", (2, 60_000)))


def test_floating_point_pixels_of_unknown_range(clip):
    with pytest.raises(ImageError, match=r"mode F.*scale them to 0\.\.255"):
        prepare_images(clip, Image.new("F", (64, 64)))


def test_deep_grey_out_of_range(clip):
    deep = Image.fromarray(np.array([[0, 70_000], [5, 6]], dtype=np.int32))
    with pytest.raises(ImageError, match="from 0 to 70000; 0 to 65535 expected"):
        prepare_images(clip, deep)


@pytest.mark.parametrize("images", [[], (), None, 3, {"a": 1}, [None], [PIXELS[0], noise()], [noise(), 3], "", b"x"])
def test_something_that_is_no_picture(clip, images):
    with pytest.raises(ImageError):
        prepare_images(clip, images)


def test_what_is_no_picture_is_named(clip):
    with pytest.raises(ImageError, match="a tensor, a picture, a path or a list of them; got 3 of type int"):
        prepare_images(clip, 3)
    with pytest.raises(ImageError, match=r"PIL pictures or paths, or tensors only; this has 3 of type int"):
        prepare_images(clip, [noise(), 3])
    with pytest.raises(ImageError) as caught:
        prepare_images(clip, dict.fromkeys(range(1000)))
    assert len(str(caught.value)) < 200


# pictures that are unusual, and read


def test_greyscale_gives_three_equal_channels():
    grey = noise(mode="L")
    ours = np.asarray(read_image(grey))
    assert ours.shape == (64, 64, 3)
    assert all((ours[..., channel] == np.asarray(grey)).all() for channel in range(3))


def test_cmyk_is_turned_to_rgb(clip, tmp_path):
    ink = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    ink.save(tmp_path / "ink.jpg", quality=100)
    for form in (ink, tmp_path / "ink.jpg"):
        red, green, blue = np.asarray(read_image(form))[5, 5]
        assert red > 230 and max(green, blue) < 30
        assert torch.isfinite(prepare_images(clip, form)).all()


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_sixteen_bits_keep_their_upper_eight(tmp_path, mode):
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    deep = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))
    path = tmp_path / ("deep.png" if mode == "I;16" else "deep.tiff")
    deep.save(path)
    assert deep.mode == mode
    for form in (deep, path):
        ours = np.asarray(read_image(form))
        assert (ours[..., 0] == (values.astype(int) // 256)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    pixels = np.zeros((64, 64, 4), dtype=np.uint8)
    pixels[:32, :, 3] = 255  # black above, transparent black below
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = Image.new("P", (64, 64), 1)
        picture.putpalette([0, 0, 0] * 2)
        picture.paste(0, (0, 0, 64, 32))
        picture.info["transparency"] = 1
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "clear.png")
    for form in (picture, tmp_path / "clear.png"):
        ours = np.asarray(read_image(form))
        assert (ours[:32] == 0).all() and (ours[32:] == 255).all()


def test_half_transparent_is_half_way_to_white():
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert np.abs(np.asarray(read_image(half))[0, 0].astype(int) - (255, 127, 127)).max() <= 1


def test_black_and_white_and_palettes_are_read():
    assert (np.asarray(read_image(Image.new("1", (4, 4), 1))) == 255).all()
    assert (np.asarray(read_image(noise().quantize(4))) == np.asarray(noise().quantize(4).convert("RGB"))).all()


def test_a_turned_photograph_is_turned_back(tmp_path):
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    ours = np.asarray(read_image(tmp_path / "turned.png"))
    assert ours.shape == (8, 4, 3) and (ours[:4] == 255).all() and (ours[4:] == 0).all()


def test_the_given_picture_stays_as_it_was(clip):
    given = noise(mode="RGBA")
    before = given.tobytes()
    prepare_images(clip, given)
    assert given.mode == "RGBA" and given.tobytes() == before


# pixels


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_no_numbers(clip, value):
    pixels = PIXELS.clone()
    pixels[0, 1, 2, 3] = value
    for form in (pixels, pixels[0], [pixels[0], PIXELS[0]]):
        with pytest.raises(NotANumber, match=r"finite numbers.*NaN or infinity: look at what made them"):
            prepare_images(clip, form)
    with pytest.raises(NotANumber):
        explain(clip, pixels, "a dog", method="grad_eclip")


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (torch.zeros(1, 1, 64, 64), r"shape \[batch, 3, height, width\].*\[1, 1, 64, 64\]"),
        (torch.zeros(64, 64), r"\[64, 64\]: pass pictures"),
        (torch.zeros(1, 64, 64, 3), r"\[1, 64, 64, 3\]"),
        (torch.zeros(0, 3, 64, 64), r"\[0, 3, 64, 64\]"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"torch\.uint8.*clip\.preprocess"),
        (torch.zeros(1, 3, 60, 64), r"multiples of the patch \(16\), but are 60 x 64: resize or crop"),
        (torch.zeros(1, 3, 64, 0), r"multiples of the patch \(16\), but are 64 x 0"),
        ([torch.zeros(3, 64, 64), torch.zeros(3, 64, 96)], "several sizes cannot be one batch"),
    ],
)
def test_pixels_of_a_wrong_shape(clip, pixels, says):
    with pytest.raises(ShapeMismatch, match=says):
        prepare_images(clip, pixels)


def test_batch_sizes_that_do_not_fit(clip):
    with pytest.raises(ShapeMismatch, match="2 images and 3 texts came: repeat or drop some"):
        prepare(clip, PIXELS.repeat(2, 1, 1, 1), ["a dog"] * 3)
    with pytest.raises(ShapeMismatch, match="3 images and 2 texts"):
        explain(clip, PIXELS.repeat(3, 1, 1, 1), ["a dog"] * 2, method="grad_eclip")


# texts


@pytest.mark.parametrize("text", ["", " ", "\n\t", ["a dog", ""]])
def test_an_empty_text(clip, text):
    with pytest.raises(TextError, match=r"has at least one word, but '.*' came: write what to look for"):
        prepare_texts(clip, text)


@pytest.mark.parametrize("texts", [[], None, 5, [5], ["a", 5], {"a"}])
def test_something_that_is_no_text(clip, texts):
    with pytest.raises(TextError, match="a string, a list of strings, token ids or embeddings; got "):
        prepare_texts(clip, texts)


def test_a_text_over_the_context_says_what_was_cut(clip):
    long = " ".join(["dog"] * 75 + ["red", "unicorn"])
    with pytest.warns(TextCut) as caught:
        tokens = prepare_texts(clip, ["a dog", long])
    said = str(caught[0].message)
    assert len(caught) == 1
    assert "77 tokens is longer than the 75" in said and "'red unicorn'" in said and "in parts" in said
    assert int(tokens[1].argmax()) == 76 and tokens.shape == (2, 77)


def test_a_text_that_just_fits_is_not_cut(clip):
    tokens = prepare_texts(clip, " ".join(["dog"] * 75))
    assert int(tokens[0].argmax()) == 76


@pytest.mark.parametrize(
    ("texts", "error", "says"),
    [
        (torch.full((1, 77), 49408), TextError, "from 0 to 49407, but 49408 to 49408 came"),
        (torch.full((1, 77), -1), TextError, "but -1 to -1 came"),
        (torch.ones(1, 78, dtype=torch.long), ShapeMismatch, r"context up to 77.*\[1, 78\]"),
        (torch.ones(0, 77, dtype=torch.long), ShapeMismatch, r"\[0, 77\]"),
        (torch.ones(1, 0, dtype=torch.long), ShapeMismatch, r"\[1, 0\]"),
        (torch.ones(1, 1, 77, dtype=torch.long), ShapeMismatch, r"\[1, 1, 77\]"),
        (torch.ones(1, 77, dtype=torch.bool), ShapeMismatch, r"torch\.bool"),
        (torch.ones(2, 65), ShapeMismatch, r"\[batch, 64\] here, but \[2, 65\] came: make them with `embed_text`"),
        (torch.ones(0, 64), ShapeMismatch, r"\[0, 64\]"),
        (torch.full((1, 64), torch.nan), NotANumber, "NaN or infinity: make them again"),
        (torch.full((1, 64), torch.inf), NotANumber, "NaN or infinity"),
    ],
)
def test_token_ids_and_embeddings_that_do_not_fit(clip, texts, error, says):
    with pytest.raises(error, match=says):
        prepare_texts(clip, texts)


# a model of few words


def test_a_photograph_given_to_the_bundled_model(small, tmp_path):
    noise((300, 200)).save(tmp_path / "photo.jpg")
    for form in (tmp_path / "photo.jpg", noise((300, 200)), [noise(), noise((300, 200))]):
        with pytest.warns(OutOfWorld, match=r"'bundled' has only ever seen emoji scenes.*300 x 200.*load_clip\(\"ViT"):
            prepare_images(small, form)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare_images(small, noise())
        prepare_images(small, PIXELS)


def test_a_word_that_the_bundled_model_has_never_seen(small):
    with pytest.warns(UnseenWord, match="has never seen 'unicorn', 'red': its embedding says nothing"):
        prepare_texts(small, ["a Unicorn behind two cars", "a red dog, a unicorn!"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare_texts(small, ["A dog behind two cars.", "Dog"])


def test_pairs_have_their_texts_already(clip):
    pairs = prepare(clip, PIXELS, "a dog")
    assert prepare(clip, pairs) is pairs
    with pytest.raises(TextError, match=r"'another text'.*own pairs"):
        prepare(clip, pairs, "another text")


def test_another_model_warns_of_neither(clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = prepare(clip, noise((300, 200)), "a unicorn")
    assert len(pairs) == 1


# names, and the command line


def test_an_unknown_method_or_setting(clip):
    with pytest.raises(UnknownName, match=r"'grad_eclp': did you mean grad_eclip"):
        explain(clip, PIXELS, "a dog", method="grad_eclp")
    with pytest.raises(MmelError, match=r"'head'.*heads"):
        explain(clip, PIXELS, "a dog", method="grad_eclip", head=1)
    with pytest.raises(BadSetting, match="modality"):
        explain(clip, PIXELS, "a dog", method="grad_eclip", modality="sound")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--model", "ViT-B-61"), "unknown model 'ViT-B-61': did you mean ViT-B-16"),
        (("--model", "ViT-B-16", "--pretrained", "openia"), "did you mean openai"),
        (("--model", "ViT-B-16", "--pretrained", "missing.pt"), "does not exist: check the path"),
        (("--model", "ViT-B-16"), "pass `pretrained`"),
        (("--precision", "fp8"), "unknown precision 'fp8'"),
        (("--device", "gpu"), "device is auto, cpu or cuda"),
    ],
)
def test_the_command_line_prints_the_message_and_exits_2(tmp_path, capsys, options, says):
    noise((112, 112)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit) as caught:
        main(["explain", str(tmp_path / "a.png"), "a dog", *options])
    said = " ".join(capsys.readouterr().err.split())
    assert caught.value.code == 2
    assert says in said and "Traceback" not in said
