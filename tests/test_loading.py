"""Where weights come from: shipped files, local files of every kind, hubs. Nothing in a file may run."""

from __future__ import annotations

import json
import logging
import os
import socket
import warnings
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory, pretrained
from PIL import Image
from safetensors.torch import save_file

import mmel.loading
from mmel.clip import load_clip
from mmel.errors import BadSetting, HubUnreachable, UnknownName, WeightsError
from mmel.loading import hub, tensors, torchscript

TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
}
NAME = "ViT-tiny-of-tests"


@pytest.fixture(scope="module", autouse=True)
def architectures(tmp_path_factory):
    """Two architectures more in open_clip, taken away again; the second has another width."""
    folder = tmp_path_factory.mktemp("architectures")
    wide = {**TINY, "vision_cfg": {**TINY["vision_cfg"], "width": 24}}
    for name, config in ((NAME, TINY), (f"{NAME}-quickgelu", {**TINY, "quick_gelu": True}), ("ViT-wide", wide)):
        (folder / f"{name}.json").write_text(json.dumps(config))
    before, paths = dict(factory._MODEL_CONFIGS), list(factory._MODEL_CONFIG_PATHS)
    open_clip.add_model_config(folder)
    yield
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before)
    factory._MODEL_CONFIG_PATHS[:] = paths


@pytest.fixture(scope="module")
def state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.CLIP(**TINY)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def script(state, path):
    """A TorchScript archive with these tensors as buffers, in the tree that their names say."""

    class Tree(torch.nn.Module):
        def forward(self, x):
            return x

    root = Tree()
    for name, value in state.items():
        *parents, last = name.split(".")
        node = root
        for part in parents:
            if part not in node._modules:
                node.add_module(part, Tree())
            node = node._modules[part]
        node.register_buffer(last, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch advises against TorchScript, in which OpenAI's files are
        torch.jit.script(root).save(str(path))
    return path


def openai(state, path):
    """As OpenAI's own: half precision, three numbers beside the weights."""
    half = {name: value.half() if value.ndim > 1 else value for name, value in state.items()}
    numbers = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    return script({**half, **{name: torch.tensor(number) for name, number in numbers.items()}}, path)


def write(state, path):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def same(clip, state, tolerance=0.0):
    own = clip.model.state_dict()
    assert set(own) == set(state)
    for name, value in state.items():
        torch.testing.assert_close(own[name], value.float(), atol=tolerance, rtol=tolerance)


def activation(clip):
    return {type(block.mlp.gelu).__name__ for block in clip.model.visual.transformer.resblocks} | {
        type(block.mlp.gelu).__name__ for block in clip.model.transformer.resblocks
    }


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt", "w.bin", "W.SAFETENSORS"])
def test_a_local_file_gives_its_weights(tmp_path, state, file):
    path = tmp_path / file
    save_file(state, path) if "safe" in file.lower() else torch.save(state, path)
    for given in (str(path), path):
        clip = load_clip(NAME, pretrained=given, device="cpu")
        same(clip, state)
    assert clip.name == NAME and clip.vocabulary is None and clip.image_size == 32 and clip.patch_size == 16
    assert not clip.model.training and not any(p.requires_grad for p in clip.model.parameters())
    assert activation(clip) == {"GELU"}


def test_what_is_in_a_file_counts_more_than_its_name(tmp_path, state):
    save_file(state, tmp_path / "w.pt")
    same(load_clip(NAME, pretrained=tmp_path / "w.pt", device="cpu"), state)


def test_a_checkpoint_of_a_parallel_training(tmp_path, state):
    prefixed = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": prefixed}, tmp_path / "epoch_3.pt")
    same(load_clip(NAME, pretrained=tmp_path / "epoch_3.pt", device="cpu"), state)


def test_an_old_file_of_the_old_format(tmp_path, state):
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    same(load_clip(NAME, pretrained=tmp_path / "w.pt", device="cpu"), state)


@pytest.mark.parametrize("name", [NAME, f"{NAME}-quickgelu"])
def test_openais_own_file_gets_quick_gelu_under_either_name(tmp_path, state, name):
    clip = load_clip(name, pretrained=openai(state, tmp_path / "ViT.pt"), device="cpu")
    same(clip, state, 1e-3)
    assert activation(clip) == {"QuickGELU"}
    assert {p.dtype for p in clip.model.parameters()} == {torch.float32}


def test_the_archive_holds_what_torch_reads_in_it(tmp_path, state):
    path = openai(
        {
            **state,
            "turned": torch.arange(12.0).view(3, 4).t(),
            "none": torch.empty(0, 3),
            "part": torch.arange(9.0)[4:8],
        },
        tmp_path / "a.pt",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.jit.load(path, map_location="cpu").state_dict()
    ours = torchscript.read_archive(path)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)
    assert torchscript.is_archive(path)
    assert not torchscript.is_archive(write(state, tmp_path / "state.pt"))


class Runs:
    """What a pickle can do: name a function and have it called."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_does_not(tmp_path, state, zipped):
    torch.save({**state, "extra": Runs(tmp_path / "ran")}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w\.pt names \w*\.mkdir.*run code.*safetensors"):
        load_clip(NAME, pretrained=tmp_path / "w.pt", device="cpu")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pt", weights_only=False)  # it would have
    assert (tmp_path / "ran").is_dir()


class Writes(torch.nn.Module):
    """A module whose archive writes a file while `torch.jit.load` reads it."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        self.path, self.weight, self.training = state[0], state[1], state[2]
        torch.save(state[1], self.path)


@pytest.mark.filterwarnings("ignore")
def test_an_archive_that_would_run_code_does_not(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "w.pt"
    torch.jit.script(Writes(str(marker))).save(str(path))
    with pytest.raises(WeightsError, match=r"w\.pt cannot be read as weights"):
        load_clip(NAME, pretrained=path, device="cpu")
    assert not marker.exists()
    torch.jit.load(path)  # it would have
    assert marker.exists()


def rewritten(path, change):
    """The archive with another tree of modules."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, change(data) if name.endswith("/data.pkl") else data)
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.replace(b"ctorch\nFloatStorage\n", b"cposix\nsystem\n"), r"names posix\.system"),
        (lambda data: data.replace(b"_rebuild_tensor_v2", b"_rebuild_parameter"), "names torch._utils._rebuild_para"),
        (lambda data: data[: len(data) // 2], "cannot be read|is damaged"),
        (lambda data: b"", "cannot be read"),
        (lambda data: b"\x80\x02K\x01.", "cannot be read"),
    ],
)
def test_an_archive_with_another_tree(tmp_path, state, change, says):
    path = rewritten(openai(state, tmp_path / "w.pt"), change)
    with pytest.raises(WeightsError, match=says):
        load_clip(NAME, pretrained=path, device="cpu")


@pytest.mark.parametrize("kind", ["w.safetensors", "w.pt", "archive.pt"])
@pytest.mark.parametrize("keep", [0.0, 0.00001, 0.5, 0.999])
def test_a_truncated_file(tmp_path, state, kind, keep):
    path = openai(state, tmp_path / kind) if "archive" in kind else write(state, tmp_path / kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(WeightsError, match=rf"{kind}.*(download|save)"):
        load_clip(NAME, pretrained=path, device="cpu")


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
def test_a_file_of_something_else(tmp_path, file):
    (tmp_path / file).write_text("<html>404: not found</html>")
    with pytest.raises(WeightsError, match=r"cannot be read|is damaged"):
        load_clip(NAME, pretrained=tmp_path / file, device="cpu")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": {"a": "b"}}, {}, torch.ones(3)])
def test_a_file_without_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"no state dict .*save `model\.state_dict"):
        load_clip(NAME, pretrained=tmp_path / "w.pt", device="cpu")


def test_weights_of_another_architecture(tmp_path, state):
    path = write(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"another architecture.*another shape.*\[.*expected \[.*Name the arch"):
        load_clip("ViT-wide", pretrained=path, device="cpu")
    lost = {name: value for name, value in state.items() if name != "visual.proj"}
    with pytest.raises(WeightsError, match=r"1 tensors are missing, 0 are unknown.*visual\.proj is missing"):
        load_clip(NAME, pretrained=write(lost, tmp_path / "lost.pt"), device="cpu")
    more = {**state, "visual.extra": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"0 tensors are missing, 1 are unknown.*visual\.extra is unknown"):
        load_clip(NAME, pretrained=write(more, tmp_path / "more.pt"), device="cpu")


def test_weights_that_are_no_numbers(tmp_path, state):
    spoilt = {**state, "visual.proj": state["visual.proj"].clone().index_fill_(0, torch.tensor([1]), torch.nan)}
    with pytest.raises(WeightsError, match=r"NaN or infinity in visual\.proj"):
        load_clip(NAME, pretrained=write(spoilt, tmp_path / "w.pt"), device="cpu")


@pytest.mark.parametrize("given", ["no/such/file", "missing.pt", "missing.safetensors", "~/missing.bin"])
def test_a_file_that_is_not_there(given):
    with pytest.raises(WeightsError, match="does not exist: check the path"):
        load_clip(NAME, pretrained=given, device="cpu")


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(WeightsError, match="is a folder"):
        load_clip(NAME, pretrained=tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("name", "pretrained", "error", "says"),
    [
        ("ViT-B-61", "openai", UnknownName, "unknown model 'ViT-B-61': did you mean ViT-B-16"),
        ("ViT-B/16", "openai", UnknownName, "did you mean ViT-B-16"),
        ("bundle", None, UnknownName, "did you mean bundled"),
        ("ViT-B-16", "opennai", UnknownName, "unknown tag of ViT-B-16 'opennai': did you mean openai.*local file"),
        ("ViT-B-16", "laion2b_s34b_b79k", UnknownName, "did you mean laion2b_s34b_b88k"),
        ("ViT-B-16", None, BadSetting, "noise: pass `pretrained`.*laion2b_s34b_b88k"),
        ("bundled", "openai", BadSetting, "takes no `pretrained`"),
    ],
)
def test_a_name_that_does_not_exist(name, pretrained, error, says):
    with pytest.raises(error, match=says):
        load_clip(name, pretrained=pretrained, device="cpu")


@pytest.mark.parametrize(
    ("setting", "error", "says"),
    [
        ({"device": "gpu"}, BadSetting, "device is auto, cpu or cuda.*'gpu'"),
        ({"device": "cuda:99"}, BadSetting, r"torch finds \d+ GPUs here: pass device='cpu'"),
        ({"precision": "fp8"}, UnknownName, "unknown precision 'fp8'"),
    ],
)
def test_a_device_or_precision_that_does_not_exist(setting, error, says):
    with pytest.raises(error, match=says):
        load_clip("bundled", **setting)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision(tmp_path, state, precision, dtype):
    path = write(state, tmp_path / "w.safetensors")
    clip = load_clip(NAME, pretrained=path, device="cpu", precision=precision)
    assert {p.dtype for p in clip.model.parameters()} == {dtype} and clip.dtype == dtype


def test_loading_leaves_the_generator_and_the_log_alone(tmp_path, state, caplog, monkeypatch):
    path, before = write(state, tmp_path / "w.safetensors"), torch.random.get_rng_state()
    filters = list(logging.getLogger().filters)
    load_clip(NAME, pretrained=path, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert logging.getLogger().filters == filters
    assert "randomly" not in caplog.text


# shipped files


@pytest.fixture
def shipped(tmp_path, monkeypatch, state):
    """A tiny model in place of the shipped ones, with some rows of its token embeddings."""
    ids = torch.tensor([0, 7, 320, 49406, 49407])
    stored = {name: value.half() for name, value in state.items() if name != "token_embedding.weight"}
    stored |= {"token_rows.ids": ids.int(), "token_rows.values": state["token_embedding.weight"][ids].half()}
    save_file(stored, tmp_path / "bundled.safetensors")
    digest = sha256((tmp_path / "bundled.safetensors").read_bytes()).hexdigest()
    entry = {"sha256": digest, "config": {**TINY, "quick_gelu": True}}
    (tmp_path / "card.json").write_text(json.dumps({"vocabulary": ["a", "dog"], "bundled": entry}))
    monkeypatch.setattr(mmel.loading, "WEIGHTS", tmp_path)
    return tmp_path


def test_a_shipped_model_is_rebuilt(shipped, state):
    clip, before = load_clip(device="cpu"), torch.random.get_rng_state()
    own = clip.model.state_dict()
    for name in set(state) - {"token_embedding.weight"}:
        assert torch.equal(own[name], state[name].half().float())
    table = own["token_embedding.weight"]
    for row in (0, 7, 320, 49406, 49407):
        assert torch.equal(table[row], state["token_embedding.weight"][row].half().float())
    assert int(table.any(1).sum()) == 5
    assert clip.vocabulary == {"a", "dog"} and clip.name == "bundled" and activation(clip) == {"QuickGELU"}
    load_clip(device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_picture_of_the_models_size_is_not_resampled(shipped):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ours = load_clip(device="cpu").preprocess(Image.fromarray(pixels)).numpy()
    for channel in range(3):
        for row, column in ((0, 0), (31, 31), (5, 17)):
            value = pixels[row, column, channel] / 255
            mean, std = open_clip.OPENAI_DATASET_MEAN[channel], open_clip.OPENAI_DATASET_STD[channel]
            assert ours[channel, row, column] == pytest.approx((value - mean) / std, abs=1e-6)


def test_a_shipped_file_that_was_changed(shipped):
    path = shipped / "bundled.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"SHA-256.*install the package again"):
        load_clip(device="cpu")


@pytest.mark.parametrize("file", ["bundled.safetensors", "card.json"])
def test_a_shipped_file_that_is_missing(shipped, file):
    (shipped / file).unlink()
    with pytest.raises(WeightsError, match="install the package again"):
        load_clip(device="cpu")


def test_a_second_model_that_the_card_does_not_know(shipped):
    (shipped / "bundled-1.safetensors").write_bytes((shipped / "bundled.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="install the package again"):
        load_clip("bundled-1", device="cpu")


# hubs


@pytest.fixture
def hubless(monkeypatch):
    """A machine without network and without a cache; nobody may try for long."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(hub, "_cached", lambda config: None)

    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda *_: pytest.fail("it went on to download"))


@pytest.mark.parametrize(
    ("name", "tag", "fit"),
    [
        ("ViT-B-16", "openai", "ViT-B-16-quickgelu"),
        ("ViT-B-16-quickgelu", "openai", "ViT-B-16-quickgelu"),
        ("ViT-B-16", "laion2b_s34b_b88k", "ViT-B-16"),
    ],
)
def test_a_hub_that_cannot_be_reached(hubless, name, tag, fit):
    with pytest.raises(HubUnreachable) as caught:
        load_clip(name, pretrained=tag, device="cpu")
    said = str(caught.value)
    assert "Name or service not known" in said and "https://huggingface.co/" in said
    assert f'load_clip("{fit}", pretrained="/path/to/weights")' in said
    assert isinstance(caught.value, WeightsError)


def test_a_download_that_breaks_off(hubless, monkeypatch):
    def broken(config):
        raise ConnectionResetError("reset by peer")

    class Connection:
        def close(self):
            pass

    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: Connection())
    monkeypatch.setattr(open_clip, "download_pretrained", broken)
    with pytest.raises(HubUnreachable, match=r"reset by peer.*load_clip\("):
        load_clip("ViT-B-32", pretrained="laion2b_s34b_b79k", device="cpu")


@pytest.fixture
def tagged(monkeypatch, tmp_path, state):
    """Tags of the tiny architecture, whose file is in the cache."""
    path = write(state, tmp_path / "cached.safetensors")
    other = {"hf_hub": "someone/model/", "mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear"}
    tags = {"quick": {"hf_hub": "someone/model/", "quick_gelu": True}, "plain": other}
    monkeypatch.setitem(pretrained._PRETRAINED, NAME, tags)
    monkeypatch.setattr(pretrained, "hf_hub_download", lambda **_: str(path))
    return path


def test_a_tag_that_is_in_the_cache_needs_no_network(tagged, state, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it asked the network"))
    monkeypatch.setattr(open_clip, "download_pretrained", lambda *_: pytest.fail("it went on to download"))
    same(load_clip(NAME, pretrained="plain", device="cpu"), state)


def test_the_cache_is_asked_for_safetensors_first(monkeypatch):
    asked = []

    def absent(*, repo_id, filename, local_files_only):
        asked.append((repo_id, filename, local_files_only))
        raise FileNotFoundError

    monkeypatch.setattr(pretrained, "hf_hub_download", absent)
    assert hub._cached({"hf_hub": "someone/model/weights.pt"}) is None
    assert asked == [("someone/model", "weights.safetensors", True), ("someone/model", "weights.pt", True)]
    asked.clear()
    assert hub._cached({"hf_hub": "someone/model/"}) is None
    assert [file for _, file, _ in asked] == ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    assert hub._cached({"url": "https://example.org/w.pt"}) is None


def test_a_tag_gives_its_activation_and_its_pictures(tagged, state):
    picture = Image.new("RGB", (32, 32), (255, 0, 51))
    quick, plain = (load_clip(NAME, pretrained=tag, device="cpu") for tag in ("quick", "plain"))
    for clip in (quick, plain):
        same(clip, state)
    assert activation(quick) == {"QuickGELU"} and activation(plain) == {"GELU"}
    assert plain.preprocess(picture)[:, 3, 3].tolist() == pytest.approx([2, -2, -1.2], abs=1e-5)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    wanted = [(value - mean[i]) / std[i] for i, value in enumerate((1, 0, 0.2))]
    assert quick.preprocess(picture)[:, 3, 3].tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_local_files_pictures_are_those_that_all_tags_agree_on(tagged, monkeypatch):
    picture = Image.new("RGB", (32, 32), (255, 0, 51))
    monkeypatch.setitem(pretrained._PRETRAINED, NAME, {"plain": pretrained._PRETRAINED[NAME]["plain"]})
    clip = load_clip(NAME, pretrained=tagged, device="cpu")
    assert clip.preprocess(picture)[:, 3, 3].tolist() == pytest.approx([2, -2, -1.2], abs=1e-5)


def test_a_download_that_is_damaged(tagged):
    tagged.write_bytes(tagged.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cached\.safetensors cannot be read.*delete it"):
        load_clip(NAME, pretrained="plain", device="cpu")


def test_a_tokenizer_that_lies_on_a_hub(tmp_path, state, monkeypatch):
    def fail(name):
        raise OSError("couldn't connect")

    monkeypatch.setattr(open_clip, "get_tokenizer", fail)
    with pytest.raises(HubUnreachable, match=r"needs more than its weights.*couldn't connect"):
        load_clip(NAME, pretrained=write(state, tmp_path / "w.pt"), device="cpu")


def test_the_first_line_of_an_error():
    assert tensors.said(ValueError("one\ntwo")) == "ValueError: one"
    assert tensors.said(KeyError()) == "KeyError: no message"
    assert Path(mmel.loading.WEIGHTS).name == "weights"
