"""Tensors from files that nobody has to trust, and into a model that they have to fit."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from open_clip.model import convert_to_custom_text_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import WeightsError
from .torchscript import is_archive, read_archive

OPENAI = ("input_resolution", "context_length", "vocab_size")  # numbers that only OpenAI's own files keep as tensors
OPTIONAL = ("attn_mask", "position_ids")  # made by the model itself


class Stored(NamedTuple):
    """Tensors of a file by their names; `openai` where it is one of OpenAI's own."""

    state: Mapping[str, Tensor]
    openai: bool = False


def read(path: Path) -> Stored:
    """A safetensors file, a state dict, a training checkpoint of open_clip, or OpenAI's TorchScript archive.

    Raises `WeightsError` where the file is none of them, is damaged, or names anything but tensors.
    """
    try:
        state = _tensors(path)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"names {named[1]}, which is no tensor" if named else "is damaged or holds more than tensors"
        raise WeightsError(
            f"{path.name} {what}, and was not read, for a pickle can run code. Expected safetensors or a state dict: "
            "where you trust it, save its `state_dict()` as safetensors; else download it again."
        ) from error
    except Exception as error:  # a damaged file makes its reader raise anything
        raise WeightsError(
            f"{path.name} cannot be read as weights ({said(error)}): is it whole? Expected safetensors, a state dict "
            "(.pt) or OpenAI's own .pt; download or save it again."
        ) from error
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()) or not state:
        raise WeightsError(f"{path.name} holds no state dict (names and tensors): save `model.state_dict()`.")
    openai = all(name in state for name in OPENAI)
    state = {str(name).removeprefix("module."): value for name, value in state.items() if name not in OPENAI}
    return Stored(state, openai)


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Give a model its weights; raises `WeightsError` where they do not fit or are no numbers."""
    own = model.state_dict()
    state = _arranged(state, own)
    missing = [key for key in own if key not in state and not key.endswith(OPTIONAL)]
    foreign = [key for key in state if key not in own and not key.endswith(OPTIONAL)]
    wrong = [key for key in state if key in own and state[key].shape != own[key].shape]
    if missing or foreign or wrong:
        shapes = [f"{key} is {list(state[key].shape)}, expected {list(own[key].shape)}" for key in wrong[:1]]
        example = [*shapes, *(f"{key} is missing" for key in missing), *(f"{key} is unknown" for key in foreign)][0]
        raise WeightsError(
            f"{name} holds the weights of another architecture: {len(missing)} tensors are missing, {len(foreign)} are "
            f"unknown, {len(wrong)} have another shape ({example}). Name the architecture that they were trained with."
        )
    if broken := [key for key in own if key in state and not torch.isfinite(state[key]).all()]:
        raise WeightsError(f"{name} holds NaN or infinity in {broken[0]}: it is damaged, download or save it again.")
    model.load_state_dict(state, strict=False)


def _tensors(path: Path) -> object:
    with open(path, "rb") as file:
        head = file.read(9)
    if path.suffix.lower() == ".safetensors" or head[8:] == b"{":  # the header's length in 8 bytes, then JSON
        return load_file(path)
    return read_archive(path) if is_archive(path) else torch.load(path, map_location="cpu", weights_only=True)


def _arranged(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the text tower as the model has them, and scalars with its number of axes, as open_clip does."""
    if "positional_embedding" in state and "positional_embedding" not in own:
        state = convert_to_custom_text_state_dict(state)
    scalars = {key: state[key].reshape(own[key].shape) for key in ("logit_scale", "logit_bias")
               if key in state and key in own and state[key].numel() == own[key].numel()}  # fmt: skip
    return {**state, **scalars}


def said(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:160]}"
