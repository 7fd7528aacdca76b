"""Where the weights of a CLIP come from: the package, a local file, or open_clip's hubs. Nothing in a file is run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform, image_transform_v2
from safetensors.torch import load
from torch import Tensor, nn

from ..errors import BadSetting, HubUnreachable, UnknownName, WeightsError
from .hub import fetch
from .tensors import fill, read, said

__all__ = ["BUNDLED", "PRECISIONS", "WEIGHTS", "Loaded", "bundled", "device_of", "dtype_of", "named"]

BUNDLED = ("bundled", "bundled-1")
WEIGHTS = Path(str(files("mmel"))) / "weights"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
PIXELS = ("mean", "std", "interpolation", "resize_mode")  # what a tag says of the pictures it was trained on


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with its picture transform and tokenizer; `vocabulary` only where the model knows few words."""

    model: nn.Module
    preprocess: Callable
    tokenizer: Callable
    vocabulary: frozenset[str] | None = None


class Shipped(NamedTuple):
    """A file of the package, compared with its card: its bytes and what the card says of them."""

    config: dict
    vocabulary: frozenset[str]
    data: bytes


def device_of(device: str | torch.device) -> torch.device:
    """The device of a name; "auto" is the GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise BadSetting(f"device is auto, cpu or cuda, or a name that torch knows; got {device!r}.") from error
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise BadSetting(
            f"device {device!r} was asked for, but torch finds {torch.cuda.device_count()} GPUs here: pass "
            "device='cpu' or 'auto'."
        )
    return place


def dtype_of(precision: str) -> torch.dtype:
    """The number type of a precision's name."""
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    return PRECISIONS[precision]


def bundled(name: str, pretrained: str | None = None) -> Loaded:
    """A model that the package ships, its file compared with the hash in the card.

    Tensors are stored in fp16; of the token embeddings only the rows that the bundled world's texts use, the others
    are zero. A picture of exactly the model's size is not resampled.
    """
    if pretrained is not None:
        raise BadSetting(
            f"{name!r} is shipped with its weights and takes no `pretrained`, but {pretrained!r} came: drop it, or "
            "name an architecture of open_clip, such as ViT-B-16."
        )
    shipped = _shipped(name)
    with torch.random.fork_rng(devices=[]):
        model = open_clip.CLIP(**shipped.config)
    fill(model, _whole(load(shipped.data), model), name)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    preprocess = image_transform(model.visual.image_size, is_train=False, mean=mean, std=std)
    return Loaded(model, preprocess, open_clip.get_tokenizer("ViT-B-32"), shipped.vocabulary)


def named(name: str, pretrained: str | Path | None) -> Loaded:
    """One of open_clip's architectures, with a tag of its hubs or a local file.

    Notes
    -----
    A tag trained with quick GELU gets it, whatever the architecture's own activation; open_clip would only warn. So
    does one of OpenAI's own .pt files, which is known by the three numbers that it keeps beside its weights. Other
    files do not tell: for OpenAI's weights as a state dict or safetensors name "ViT-B-16-quickgelu", not "ViT-B-16".
    A local file's pictures are normalised as the architecture's tags agree on, or else as OpenAI's.
    """
    if name not in (models := open_clip.list_models()):
        raise UnknownName("model", name, [*models, *BUNDLED])
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not isinstance(pretrained, (str, os.PathLike)):
        raise BadSetting(
            f"{name} without weights would explain noise: pass `pretrained`, the path of a local file or a tag "
            f"({', '.join(tags) or 'it has none'}); got {pretrained!r}."
        )
    if tagged := open_clip.is_pretrained_cfg(name, str(pretrained)):
        path, pixels = fetch(name, str(pretrained)), open_clip.get_pretrained_cfg(name, str(pretrained))
    else:
        path, pixels = _local(name, Path(pretrained).expanduser(), tags), _agreed(name, tags)
    stored = None if tagged else read(path)
    model = _built(name, pixels, quick=pixels.get("quick_gelu", False) if stored is None else stored.openai)
    if stored is None:
        _checkpoint(model, path)
    else:
        fill(model, stored.state, path.name)
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    return Loaded(model, preprocess, _part(name, lambda: open_clip.get_tokenizer(name)))


def _shipped(name: str) -> Shipped:
    path = WEIGHTS / f"{name}.safetensors"
    try:
        card, data = json.loads((WEIGHTS / "card.json").read_text()), path.read_bytes()
        entry = card[name]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"the package ships {path.name} and card.json, which describes it, but they cannot be read "
            f"({said(error)}): install the package again."
        ) from error
    if sha256(data).hexdigest() != entry["sha256"]:
        raise WeightsError(
            f"{path.name} is not the file that was shipped, for its SHA-256 is not the card's: install the package "
            "again, or load weights of your own with load_clip(architecture, pretrained=file)."
        )
    return Shipped(entry["config"], frozenset(card["vocabulary"]), data)


def _whole(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """fp32 weights with the full table of token embeddings; rows that were not stored are zero."""
    ids, rows = state.pop("token_rows.ids").long(), state.pop("token_rows.values").float()
    table = torch.zeros_like(model.token_embedding.weight).index_copy(0, ids, rows)  # token width
    return {name: value.float() for name, value in state.items()} | {"token_embedding.weight": table}


def _local(name: str, path: Path, tags: list[str]) -> Path:
    if path.is_file():
        return path
    if path.suffix in SUFFIXES or len(path.parts) > 1 or path.is_dir():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"a file of weights was expected, but {str(path)!r} {what}: check the path.")
    raise UnknownName(f"tag of {name}", str(path), tags, "The path of a local file works too.")


def _agreed(name: str, tags: list[str]) -> dict[str, object]:
    """What all tags of an architecture say of their pictures; one that they differ in is left out."""
    each = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
    return {key: each[0].get(key) for key in PIXELS if len({str(config.get(key)) for config in each}) == 1}


def _built(name: str, pixels: Mapping[str, object], *, quick: bool) -> nn.Module:
    def make() -> nn.Module:
        known = {key: pixels[key] for key in PIXELS if pixels.get(key) is not None}
        return open_clip.create_model(
            name, load_weights=False, force_quick_gelu=quick, force_preprocess_cfg=known,
            pretrained_image=False, pretrained_text=False,
        )  # fmt: skip

    with torch.random.fork_rng(devices=[]), _without("initialized randomly"):
        return _part(name, make)


def _part(name: str, make: Callable):
    """What `make` returns; some towers and tokenizers are described on a hub only."""
    try:
        return make()
    except Exception as error:
        raise HubUnreachable(
            f"{name} needs more than its weights, and that could not be made or downloaded ({said(error)}). Without a "
            "network, load an architecture whose name starts with ViT and has no other model's name in it."
        ) from error


def _checkpoint(model: nn.Module, path: Path) -> None:
    try:
        open_clip.load_checkpoint(model, str(path), weights_only=True)
    except Exception as error:  # a damaged file makes its reader raise anything
        raise WeightsError(
            f"the downloaded {path} cannot be read as weights of this architecture ({said(error)}): delete it, so that "
            "it is downloaded again."
        ) from error


@contextmanager
def _without(words: str) -> Iterator[None]:
    """Keeps open_clip from saying, of a model that is about to get its weights, that it has none."""
    log = logging.getLogger()

    def wanted(record: logging.LogRecord) -> bool:
        return words not in record.getMessage()

    log.addFilter(wanted)
    try:
        yield
    finally:
        log.removeFilter(wanted)
