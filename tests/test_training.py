"""The recipe of the bundled models: its batches, going on after a kill, what is shipped, and how it is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

import mmel.training.loop as loop
import mmel.training.measuring as scoring
import mmel.training.shipping as exporting
from mmel.clip import Clip
from mmel.errors import BadSetting, NotANumber, UnknownName, WeightsError
from mmel.scenes import NAMES, class_prompts, split, vocabulary
from mmel.scenes.sampling import train_scene
from mmel.training import CONFIG, RECIPES, Recipe, Stream, build, card, export, pixels_in, text_features, train
from mmel.training.__main__ import main
from mmel.training.recipe import ease, rate

ROOT = Path(__file__).parents[1]
TINY = Recipe(seed=3, steps=6, decay=2, batch=4, lr=1e-3, warmup=2, simple=4, patch_dropout=0.5)


def written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Killed(Exception):
    pass


def same(one, other) -> bool:
    """Bit by bit, through dicts and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def trained(folder: Path, monkeypatch, kill: int | None = None, recipe: Recipe = TINY, every: int = 1) -> dict:
    """A run of few validation scenes, which may fall over before step `kill` is done; its checkpoint."""
    learn, done = loop._step, []

    def step(*given):
        if len(done) == kill:
            raise Killed
        done.append(1)
        return learn(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", step)
        patch.setattr(loop, "accuracy", lambda model: ACCURACY(model, 4))
        train(recipe, folder=folder, every=every)
    return loop.read(folder / "checkpoint.pt")


ACCURACY = loop.accuracy


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run without a break."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("straight")
        return folder, trained(folder, patch)


def test_a_killed_run_goes_on_to_the_same_weights(straight, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        trained(tmp_path, monkeypatch, kill=3)
    half = loop.read(tmp_path / "checkpoint.pt")
    assert half["step"] == 3 and not same(half["model"], straight[1]["model"])
    assert same(trained(tmp_path, monkeypatch), straight[1])
    assert straight[1]["step"] == 6 and straight[1]["recipe"] == asdict(TINY)


def test_a_kill_between_checkpoints_costs_steps_but_changes_nothing(straight, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        trained(tmp_path, monkeypatch, kill=5, every=2)
    assert loop.read(tmp_path / "checkpoint.pt")["step"] == 4
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "loss": 0, "accuracy": 0}\n')  # of a step that the checkpoint does not have
    assert same(trained(tmp_path, monkeypatch, every=2), straight[1])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_process_killed_at_any_time_goes_on(straight, tmp_path):
    """The command, ended by the system without warning as soon as it has a checkpoint."""
    options = [part for key, value in asdict(TINY).items() for part in (f"--{key.replace('_', '-')}", written(value))]
    command = [sys.executable, "-m", "mmel.training", *options, "--every", "1", "--folder", str(tmp_path)]
    env = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
    until = time.monotonic() + 240
    while not (tmp_path / "checkpoint.pt").exists() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert (tmp_path / "checkpoint.pt").exists(), running.stderr.read().decode()[-2000:]
    assert loop.read(tmp_path / "checkpoint.pt")["step"] < 6
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    assert same(loop.read(tmp_path / "checkpoint.pt"), straight[1])
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["step"] == 6 and 0 <= last["accuracy"] <= 1 and last["loss"] > 0


def test_a_run_that_is_done_stays_as_it_is(straight, monkeypatch):
    folder, state = straight
    before = (folder / "log.jsonl").read_text()
    assert same(trained(folder, monkeypatch), state)
    assert (folder / "log.jsonl").read_text() == before and len(before.splitlines()) == 6


def test_another_recipe_does_not_go_on_from_it(straight, monkeypatch):
    with pytest.raises(BadSetting, match="another folder"):
        trained(straight[0], monkeypatch, recipe=replace(TINY, lr=2e-3))


def test_the_seed_decides_the_weights(straight, tmp_path, monkeypatch):
    other = trained(tmp_path, monkeypatch, recipe=replace(TINY, seed=4, steps=1))
    assert not same(other["model"], straight[1]["model"])


def test_patches_are_left_out_until_the_decay(tmp_path, monkeypatch):
    seen, learn = [], loop._step

    def step(model, *given):
        seen.append(type(model.visual.patch_dropout).__name__)
        return learn(model, *given)

    monkeypatch.setattr(loop, "_step", step)
    monkeypatch.setattr(loop, "accuracy", lambda model: 0.0)
    train(TINY, folder=tmp_path)
    assert seen == ["PatchDropout"] * 4 + ["Identity"] * 2


def test_a_late_run_goes_on_from_an_earlier_one(straight, tmp_path, monkeypatch):
    """From its last weights, with a new optimizer, on scenes that it has not seen; run first where it was not."""
    first, begun, learn = TINY.steps * TINY.batch, [], loop._step

    def step(model, *given):
        begun.append({name: value.clone() for name, value in model.state_dict().items()})
        return learn(model, *given)

    monkeypatch.setattr(loop, "CACHE", tmp_path)
    monkeypatch.setattr(loop, "EARLIER", {"tiny": TINY})
    monkeypatch.setattr(loop, "_step", step)
    monkeypatch.setattr(loop, "accuracy", lambda model: 0.0)
    late = replace(TINY, steps=2, after="tiny", first=first, patch_dropout=0.0, half=True, single=0.5, simple=0)
    done = loop.read(train(late))
    assert len(begun) == 8 and same(begun[6], straight[1]["model"])  # its six steps, then two more
    assert done["step"] == 2 and done["model"]["visual.proj"].dtype == torch.float32
    assert not same(done["model"], straight[1]["model"])
    assert {path.name for path in (tmp_path / "training").iterdir()} == {"seed-3", "seed-3-after-tiny"}
    drawn = [train_scene(np.random.default_rng([1003, first + i]), single=0.5) for i in range(4)]
    batch = next(iter(Stream(late, 0)))
    assert (batch[0].numpy() == np.stack([np.asarray(scene.image) for scene in drawn])).all()
    monkeypatch.setattr(exporting, "folder_of", lambda recipe: straight[0])
    monkeypatch.setattr(exporting, "EARLIER", {"tiny": TINY})
    export(tmp_path / "training" / "seed-3-after-tiny" / "checkpoint.pt", "bundled", folder=tmp_path / "out")
    assert card(tmp_path / "out")["bundled"]["scenes_seen"] == first + 8
    assert (tmp_path / "out" / "bundled.run-1.log.jsonl").read_bytes() == (straight[0] / "log.jsonl").read_bytes()


def test_a_batch_is_the_same_whatever_came_before():
    late = next(iter(Stream(TINY, 4)))
    early = list(Stream(TINY, 0))
    assert len(early) == 6 and same(list(early[4]), list(late))
    assert not same(early[4][0], early[5][0])
    drawn = [train_scene(np.random.default_rng([1003, 16 + i]), ease=0.0) for i in range(4)]
    assert (late[0].numpy() == np.stack([np.asarray(scene.image) for scene in drawn])).all()
    assert torch.equal(late[1], open_clip.tokenize([scene.captions[0].text for scene in drawn]))


def test_rates():
    recipe = Recipe(steps=100, decay=20, warmup=10, lr=1.0, simple=40)
    assert [rate(recipe, step) for step in (0, 4, 9, 50, 80)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    assert [rate(recipe, step) for step in (90, 99)] == pytest.approx([0.5, 0.05])
    assert [ease(recipe, step) for step in (0, 10, 40, 90)] == [1, 0.75, 0, 0]


def test_texts_are_read_as_the_model_reads_them():
    torch.manual_seed(0)
    model = build().eval()
    tokens = open_clip.tokenize(["a dog", "two cats and a traffic light to the left of a car in the snow"])
    with torch.no_grad():
        torch.testing.assert_close(text_features(model, tokens), model.encode_text(tokens, normalize=True))


def test_pixels_are_normalised_as_the_model_expects():
    scene = split("pairs")[0]
    ours = pixels_in(torch.from_numpy(np.asarray(scene.image)[None].copy()), torch.device("cpu"))
    theirs = open_clip.image_transform(112, is_train=False)(scene.image)
    torch.testing.assert_close(ours[0], theirs)


def test_the_command_takes_the_recipe_of_its_seed(monkeypatch):
    asked = []
    monkeypatch.setattr("mmel.training.__main__.train", lambda recipe, **_: asked.append(recipe))
    main(["--seed", "1"])
    main([])
    main(["--seed", "7", "--steps", "9"])
    assert asked[:2] == [RECIPES["bundled-1"], RECIPES["bundled"]]
    assert asked[2] == replace(RECIPES["bundled"], seed=7, steps=9)


def test_export_rounds_to_half_precision_and_keeps_the_rows_of_the_words(straight, tmp_path):
    folder, state = straight
    path = export(folder / "checkpoint.pt", "bundled", folder=tmp_path)
    stored = load_file(path)
    ids = stored.pop("token_rows.ids")
    rows = stored.pop("token_rows.values")
    assert torch.equal(rows, state["model"]["token_embedding.weight"][ids.long()].half())
    assert stored.keys() == state["model"].keys() - {"token_embedding.weight", "attn_mask"}
    assert all(torch.equal(value, state["model"][name].half()) for name, value in stored.items())
    assert path.stat().st_size <= 12_000_000 and not list(tmp_path.glob("*.tmp"))
    entry = card(tmp_path)["bundled"]
    assert entry["sha256"] == sha256(path.read_bytes()).hexdigest() and entry["file"] == path.name
    assert entry["recipe"] == asdict(TINY) and entry["step"] == 6 and entry["scenes_seen"] == 24
    assert card(tmp_path)["vocabulary"] == list(vocabulary())
    open_clip.CLIP(**entry["config"]).load_state_dict(state["model"])
    assert (tmp_path / "bundled.log.jsonl").read_text() == (folder / "log.jsonl").read_text()


def test_every_text_of_the_world_has_its_rows():
    ids = set(exporting.token_rows().tolist())
    texts = [train_scene(np.random.default_rng([1000, index])).captions[0].text for index in range(300)]
    texts += [
        caption.text for name in ("retrieval", "figures") for scene in split(name, 60) for caption in scene.captions
    ]
    texts += [prompt for prompts in class_prompts() for prompt in prompts]
    assert set(open_clip.tokenize(texts).unique().tolist()) <= ids
    assert {0, 256, 49406, 49407} <= ids and len(ids) < 400  # padding, "!", start, end


def test_exporting_twice_gives_the_same_bytes_and_forgets_old_scores(straight, tmp_path):
    one = export(straight[0] / "checkpoint.pt", "bundled-1", folder=tmp_path).read_bytes()
    exporting.record_scores("bundled-1", {"zero_shot_top1": 0.5}, folder=tmp_path)
    assert card(tmp_path)["bundled-1"]["scores"] == {"zero_shot_top1": 0.5}
    export(straight[0] / "checkpoint.pt", "bundled", folder=tmp_path)
    assert card(tmp_path)["bundled-1"]["scores"] == {"zero_shot_top1": 0.5}
    assert export(straight[0] / "checkpoint.pt", "bundled-1", folder=tmp_path).read_bytes() == one
    assert card(tmp_path)["bundled-1"]["scores"] == {}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda state: state["model"].pop("ln_final.bias"), WeightsError, "architecture"),
        (lambda state: state["model"].update({"ln_final.bias": torch.zeros(3)}), WeightsError, "architecture"),
        (lambda state: state["model"]["ln_final.bias"].fill_(1e6), NotANumber, "ln_final.bias"),
    ],
)
def test_what_cannot_be_exported(straight, tmp_path, change, error, says):
    state = loop.read(straight[0] / "checkpoint.pt")
    change(state)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(error, match=says):
        export(tmp_path / "checkpoint.pt", "bundled", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_the_shipped_names_are_exported(straight, tmp_path):
    with pytest.raises(UnknownName, match="bundled-1"):
        export(straight[0] / "checkpoint.pt", "bundled-2", folder=tmp_path)


def test_recall_counts_what_is_above():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 40)) + np.eye(40)
    found = 0
    for row in range(40):
        found += sum(table[row, column] > table[row, row] for column in range(40)) < 5
    assert scoring.recall(table, 5) == pytest.approx(found / 40)
    assert 0.2 < found / 40 < 1
    assert scoring.recall(np.eye(3), 1) == 1 and scoring.recall(1 - np.eye(3), 2) == 0


@pytest.fixture(scope="module")
def measured():
    """An untrained model, and its scores on the first scenes of each split."""
    torch.manual_seed(1)
    clip = Clip(build().eval(), open_clip.image_transform(112, is_train=False), open_clip.tokenize)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "split", lambda name: split(name, 84 if name == "classes" else 30))
        return clip, scoring.scores(clip)


def cosine(clip, scene, text) -> float:
    with torch.no_grad():
        image = clip.model.encode_image(clip.preprocess(scene.image)[None])[0].double()
        return float(
            torch.cosine_similarity(image, clip.model.encode_text(open_clip.tokenize(text))[0].double(), dim=0)
        )


def test_erasing_scores_what_it_says(measured):
    clip, scores = measured
    right = []
    for scene in split("two_objects", 30):
        for named in (0, 1):
            name = scene.plan.objects[named].name
            text = next(
                prompts[1] for prompts in class_prompts() if prompts[1].split(" ", 1)[-1] == name or prompts[1] == name
            )
            without_named, without_other = (cosine(clip, scene.without(i), text) for i in (named, 1 - named))
            right.append(without_named < without_other)
    assert scores["erasing"] == pytest.approx(np.mean(right), abs=1e-4)
    assert 0 < scores["erasing"] < 1 and scores["erasing_both_names"] <= scores["erasing"]


def test_zero_shot_scores_what_it_says(measured):
    clip, scores = measured
    with torch.no_grad():
        prompts = torch.stack(
            [clip.model.encode_text(open_clip.tokenize(list(p)), normalize=True).mean(0) for p in class_prompts()]
        )
        right = []
        for scene in split("classes", 84):
            image = clip.model.encode_image(clip.preprocess(scene.image)[None])[0]
            right.append(
                NAMES[int(torch.cosine_similarity(prompts, image[None]).argmax())] == scene.plan.objects[0].name
            )
    assert scores["zero_shot_top1"] == pytest.approx(np.mean(right), abs=1e-4)


def test_scores_are_shares_with_their_cases(measured):
    scores = measured[1]
    shares = {key: value for key, value in scores.items() if not key.endswith("_cases")}
    assert all(0 <= value <= 1 for value in shares.values()) and len(shares) == 12
    for name in ("left_right", "above_below", "behind_front", "swapped", "counts"):
        assert scores[f"{name}_cases"] > 0
    assert scores["centre_pointing"] < 0.35
    assert scores["swapped_cases"] == sum(scores[f"{axis}_cases"] for axis in scoring.AXES)


def test_the_architecture_is_the_one_that_was_promised():
    model = build()
    assert len(model.visual.transformer.resblocks) == len(model.transformer.resblocks) == 12
    assert model.visual.grid_size == (7, 7) and model.context_length == 77 and model.vocab_size == 49408
    assert type(model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    assert model.visual.proj.shape == (128, CONFIG["embed_dim"])
