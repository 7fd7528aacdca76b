"""The command line: what it writes, what it says, and its exit codes."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import open_clip
import pytest
from PIL import Image
from toy import toy_clip

import mmel.clip
import mmel.data.opening  # it and the next keep the `load_clip` that they find: not the one of a test
import mmel.evaluation.job
from mmel import errors
from mmel.cli import main, plan, work
from mmel.methods import METHODS, explain

TEXT = "a dog behind a car"


@pytest.fixture(scope="module")
def clip():
    return replace(toy_clip(), tokenizer=open_clip.SimpleTokenizer())


@pytest.fixture
def loaded(monkeypatch, clip):
    """`load_clip` gives the toy model; the list says what it was asked for."""
    asked = []

    def load(model="bundled", **how):
        asked.append((model, how))
        return clip

    monkeypatch.setattr(mmel.clip, "load_clip", load)
    return asked


@pytest.fixture
def unloaded(monkeypatch):
    """Nothing may be loaded."""
    monkeypatch.setattr(mmel.clip, "load_clip", lambda *_, **__: pytest.fail("a model was loaded"))


@pytest.fixture
def shown(monkeypatch):
    """What goes into each figure: the picture, the panels, the text."""
    made = []
    draw = work.explanations
    monkeypatch.setattr(
        work, "explanations", lambda *args, **how: made.append((*args, how["text"])) or draw(*args, **how)
    )
    return made


def picture(path, seed=0, size=(64, 64)):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)
    return path


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return end.value.code or 0


def refused(capsys, *arguments) -> str:
    """The one message of a command line that fails."""
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1 and err.startswith("error: ")
    return err


def test_a_picture_is_explained(tmp_path, capsys, clip, loaded, shown):
    source = picture(tmp_path / "photo.png")
    assert run("explain", source, TEXT, "--method", "grad_eclip", "-o", tmp_path / "new" / "out.png") == 0
    expected = explain(clip, source, TEXT, method="grad_eclip")
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'new' / 'out.png'}  score {float(expected.score):.3f}\n"
    assert err == ""
    assert Image.open(tmp_path / "new" / "out.png").size > (300, 300)
    ((_, (panel,), text),) = shown
    assert text == TEXT and panel.name == "grad_eclip"
    assert np.array_equal(panel.map, expected.image[0])
    assert panel.words.words == tuple(TEXT.split())
    assert panel.words.values == pytest.approx(expected.text[0, 1:6].tolist())
    assert loaded == [("bundled", {"pretrained": None, "device": "auto", "precision": "fp32"})]


def test_the_result_stands_beside_the_picture_and_is_replaced(tmp_path, loaded):
    source = picture(tmp_path / "photo.JPG")
    before = source.read_bytes()
    for _ in range(2):
        assert run("explain", source, TEXT, "--method", "random") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.JPG", "photo.mmel.png"]
    assert source.read_bytes() == before


def test_methods_stand_side_by_side_each_with_its_own_settings(tmp_path, monkeypatch, loaded, shown):
    asked = []
    monkeypatch.setattr(work, "explain", lambda *args, **how: asked.append(how) or explain(*args, **how))
    methods = ("--method", "grad_eclip", "--method", "legrad", "--method", "random")
    settings = ("--set", "layers=3", "--set", "key_similarity=false", "--set", "seed=7")
    assert run("explain", picture(tmp_path / "a.png"), TEXT, *methods, *settings) == 0
    assert asked == [
        {"method": "grad_eclip", "layers": 3, "key_similarity": False},
        {"method": "legrad", "layers": 3},
        {"method": "random", "seed": 7},
    ]
    ((_, panels, _),) = shown
    assert [each.name for each in panels] == ["grad_eclip", "legrad", "random"]
    assert [each.words is None for each in panels] == [False, True, False]


def test_settings_in_brackets_are_of_one_panel(tmp_path, capsys, loaded, shown):
    methods = ("--method", "grad_eclip[layers=2]", "--method", "grad_eclip[layers=1,heads=1]", "--method", "legrad")
    assert run("explain", picture(tmp_path / "a.png"), TEXT, *methods, "--set", "layers=3") == 0
    ((_, panels, _),) = shown
    assert [each.name for each in panels] == ["grad_eclip[layers=2]", "grad_eclip[layers=1,heads=1]", "legrad"]
    assert not np.array_equal(panels[0].map, panels[1].map)


def test_model_options_are_passed_on(tmp_path, loaded):
    source = picture(tmp_path / "a.png")
    options = ("--model", "ViT-B-16", "--pretrained", "openai", "--device", "cpu", "--precision", "bf16")
    assert run("explain", source, TEXT, "--method", "random", *options) == 0
    assert loaded == [("ViT-B-16", {"pretrained": "openai", "device": "cpu", "precision": "bf16"})]


def test_a_bad_picture_in_a_folder_does_not_lose_the_others(tmp_path, capsys, loaded):
    for seed, name in enumerate(("a.png", "c.jpg", "c.png", "old.mmel.png")):
        picture(tmp_path / name, seed)
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "note.txt").write_text("no picture either")
    (tmp_path / "sub.png").mkdir()
    assert run("explain", tmp_path, TEXT, "--method", "random", "-o", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.mmel.png",
        "c.jpg.mmel.png",
        "c.png.mmel.png",
    ]
    assert len(out.splitlines()) == 3 and all("score" in line for line in out.splitlines())
    assert "error: b.png cannot be read" in err and "1 of 4 pictures" in err
    assert "Traceback" not in err


def test_a_good_folder_exits_0_and_its_results_are_not_explained_again(tmp_path, capsys, loaded):
    picture(tmp_path / "a.png")
    for _ in range(2):
        assert run("explain", tmp_path, TEXT, "--method", "random") == 0
        assert capsys.readouterr().out.startswith(str(tmp_path / "a.mmel.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mmel.png", "a.png"]


def test_an_error_of_every_picture_of_a_folder_is_said_once(tmp_path, capsys, loaded):
    for seed in range(3):
        picture(tmp_path / f"{seed}.png", seed)
    assert "at least one word" in refused(capsys, "explain", tmp_path, " ", "--method", "random")
    assert "from 1 to 12" in refused(capsys, "explain", tmp_path, TEXT, "--method", "grad_eclip", "--set", "layers=99")


BAD_LINES = {
    "method": (["--method", "grad_clip"], "grad_eclip"),
    "setting": (["--method", "grad_eclip", "--set", "layer=1"], "layers"),
    "value": (["--method", "grad_eclip", "--set", "layers=two"], "a whole number or null"),
    "code": (["--method", "grad_eclip", "--set", "layers=__import__('os').getpid()"], "a whole number or null"),
    "fraction": (["--method", "grad_eclip", "--set", "layers=1.5"], "a whole number or null"),
    "number": (["--method", "mmel", "--set", "alpha=NaN"], "a number"),
    "truth": (["--method", "grad_eclip", "--set", "key_similarity=1"], "true or false"),
    "form": (["--method", "grad_eclip", "--set", "layers"], "NAME=VALUE"),
    "tensor": (["--method", "rise", "--set", "masks=[1]"], "null"),
    "suffix": (["-o", "result.txt"], ".png"),
    "brackets": (["--method", "grad_eclip[layer=1]"], "settings of grad_eclip: layers=1, heads=none"),
    "two": (["--method", "rise[cells=4],random"], "write NAME[SETTING=VALUE,...]"),
    "row": (["--method", "grad_eclip_one_head[layers=2]"], "grad_eclip"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_option_is_one_message_before_anything_is_loaded(tmp_path, capsys, unloaded, name):
    options, says = BAD_LINES[name]
    assert says in refused(capsys, "explain", picture(tmp_path / "a.png"), TEXT, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_cannot_be_read_or_written_is_one_message(tmp_path, capsys, unloaded):
    source = picture(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.png").symlink_to(source)
    assert "does not exist" in refused(capsys, "explain", tmp_path / "no.png", TEXT)
    assert "does not exist" in refused(capsys, "explain", "x" * 300, TEXT)
    assert "no pictures" in refused(capsys, "explain", tmp_path / "empty", TEXT)
    assert "-o FOLDER" in refused(capsys, "explain", tmp_path, TEXT, "-o", tmp_path / "out.png")
    assert "replace the picture" in refused(capsys, "explain", source, TEXT, "-o", source)
    assert "replace the picture" in refused(capsys, "explain", source, TEXT, "-o", tmp_path / "link.png")


def test_a_bad_picture_text_or_setting_is_one_message(tmp_path, capsys, loaded):
    source = picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(source.read_bytes()[:200])
    (tmp_path / "c.png").write_bytes(b"")
    assert "b.png" in refused(capsys, "explain", tmp_path / "b.png", TEXT)
    assert "empty" in refused(capsys, "explain", tmp_path / "c.png", TEXT)
    assert "at least one word" in refused(capsys, "explain", source, " ", "--method", "random")
    assert "modality" in refused(capsys, "explain", source, TEXT, "--method", "random", "--set", "modality=sound")
    refused(capsys, "explain", source, TEXT, "--method", "random", "-o", source / "out.png")


def test_a_hub_that_cannot_be_reached_is_one_message(tmp_path, capsys, monkeypatch):
    def load(*_, **__):
        assert not logging.getLogger("some.library").isEnabledFor(logging.ERROR)
        raise errors.HubUnreachable("no way to [the hub]: give a local file")

    monkeypatch.setattr(mmel.clip, "load_clip", load)
    before = logging.root.manager.disable
    assert "no way to [the hub]: give a local file" in refused(capsys, "explain", picture(tmp_path / "a.png"), TEXT)
    assert logging.root.manager.disable == before


def test_warnings_are_one_line_each_and_said_once(tmp_path, capsys, clip, monkeypatch):
    small = replace(clip, name="bundled", vocabulary=frozenset(TEXT.split()))
    monkeypatch.setattr(mmel.clip, "load_clip", lambda *_, **__: small)
    for seed, name in enumerate(("a.png", "b.png")):
        picture(tmp_path / name, seed, size=(80, 70))
    assert run("explain", tmp_path, f"{TEXT} zebra", "--method", "random") == 0
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2 and all(line.startswith("warning: ") for line in err)
    assert sum("emoji scenes" in line for line in err) == sum("'zebra'" in line for line in err) == 1


def test_warnings_of_one_kind_are_few(tmp_path, capsys, clip, monkeypatch):
    small = replace(clip, name="bundled", vocabulary=frozenset(TEXT.split()))
    monkeypatch.setattr(mmel.clip, "load_clip", lambda *_, **__: small)
    for side in range(70, 76):
        picture(tmp_path / f"{side}.png", size=(side, 90))
    assert run("explain", tmp_path, f"{TEXT} zebra", "--method", "random") == 0
    err = capsys.readouterr().err.splitlines()
    assert [sum(words in line for line in err) for words in ("emoji scenes", "'zebra'", "like these")] == [3, 1, 1]
    assert len(err) == 5


def test_a_text_over_the_context_shows_the_words_that_were_read(tmp_path, capsys, loaded, shown):
    assert run("explain", picture(tmp_path / "a.png"), "dog " * 90, "--method", "grad_eclip") == 0
    assert "75" in capsys.readouterr().err
    assert shown[0][1][0].words.words == ("dog",) * 75


def test_only_a_text_map_is_a_picture_too(tmp_path, loaded, shown):
    source = picture(tmp_path / "a.png")
    assert run("explain", source, TEXT, "--method", "grad_eclip", "--set", "modality=text") == 0
    assert shown[0][1][0].map is None and shown[0][1][0].words is not None


def test_a_tokenizer_without_words_gives_no_words(tmp_path, monkeypatch, clip, shown):
    monkeypatch.setattr(mmel.clip, "load_clip", lambda *_, **__: replace(clip, tokenizer=open_clip.tokenize))
    assert run("explain", picture(tmp_path / "a.png"), TEXT, "--method", "random") == 0
    assert shown[0][1][0].words is None


def test_the_picture_shown_is_the_part_that_the_model_saw(clip):
    photo = Image.new("RGB", (600, 200), "red")
    photo.paste("blue", (200, 0, 400, 200))  # the middle square
    seen = work.seen(clip, photo)
    assert seen.size == (200, 200)
    assert seen.resize((20, 20)).getcolors() == [(400, (0, 0, 255))]
    assert work.seen(clip, photo.crop((200, 0, 240, 40))).size == (64, 64)  # as the transform enlarges it
    assert work.seen(replace(clip, preprocess=len), photo) is photo


def test_methods_lists_every_method_with_its_settings(capsys):
    assert run("methods") == 0
    out = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f" {name} " in out
        for key in plan.defaults(method):
            assert f"{key}=" in out
        assert (inspect.getdoc(method) or "").split()[0] in out


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_it_starts_without_torch(option):
    code = (
        "import sys\nfrom mmel.cli import main\ntry:\n    main(sys.argv[1:])\n"
        "finally:\n    sys.exit(any(name in sys.modules for name in ('torch', 'open_clip', 'matplotlib')) * 5)"
    )
    done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mmel" in done.stdout


def test_a_usage_error_exits_2(capsys):
    assert run("explain") == 2
    assert "Missing argument" in capsys.readouterr().err
    assert run("explian", "a", "b") == 2
    assert run() == 2
