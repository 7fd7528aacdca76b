"""From a checkpoint to the files of the package: fp16 weights, the log of the training, the card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import open_clip
import torch
from jaxtyping import Int
from safetensors.torch import save
from torch import Tensor

from ..errors import NotANumber, UnknownName, WeightsError
from ..scenes import class_prompts, vocabulary
from .loop import folder_of, read
from .recipe import CONFIG, EARLIER, RECIPES, Recipe, build

WEIGHTS = Path(str(files("mmel"))) / "weights"
LIMIT = 12_000_000  # bytes of a file
EMBEDDINGS = "token_embedding.weight"


def token_rows() -> Int[Tensor, " row"]:
    """The sorted token ids that texts of the bundled world are made of; also padding, "!", start and end."""
    texts = [*vocabulary(), *(prompt for prompts in class_prompts() for prompt in prompts), ",", "!"]
    return torch.unique(open_clip.SimpleTokenizer()(texts)).to(torch.int32)


def export(checkpoint: Path, name: str, *, folder: Path = WEIGHTS) -> Path:
    """Write `name`.safetensors, its log (and those of the runs before it, from run 1 on) and its entry of `card.json`.

    Every tensor is stored in fp16 under open_clip's name, but of `token_embedding.weight` only the rows of
    `token_rows`, as `token_rows.ids` and `token_rows.values`. The scores of the old file are dropped. Raises
    `WeightsError` where the checkpoint does not fit the architecture or the file would be too large,
    `NotANumber` where fp16 cannot hold a weight. Returns the path of the weights.
    """
    if name not in RECIPES:
        raise UnknownName("bundled model", name, RECIPES)
    state = read(checkpoint)
    data = save(_stored(state["model"]))
    if len(data) > LIMIT:
        raise WeightsError(f"at most {LIMIT:,} bytes were expected, but {name} takes {len(data):,}: make it smaller.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    log = checkpoint.with_name("log.jsonl")
    lines = [line for line in log.read_text().splitlines(True) if json.loads(line)["step"] <= state["step"]]
    _put(path, data)
    _put(folder / f"{name}.log.jsonl", "".join(lines).encode())
    for number, earlier in enumerate(earlier_runs(state["recipe"]["after"]), 1):
        _put(folder / f"{name}.run-{number}.log.jsonl", (folder_of(earlier) / "log.jsonl").read_bytes())
    entry = {
        "file": path.name,
        "sha256": sha256(data).hexdigest(),
        "config": CONFIG,
        "recipe": state["recipe"],
        "step": state["step"],
        "scenes_seen": state["recipe"]["first"] + state["step"] * state["recipe"]["batch"],
        "scores": {},
    }
    _put_card(folder, {**card(folder), "vocabulary": list(vocabulary()), name: entry})
    return path


def earlier_runs(after: str) -> list[Recipe]:
    """The recipes that a run `after` one of `EARLIER` builds on, the first one first."""
    if not after:
        return []
    return [*earlier_runs(EARLIER[after].after), EARLIER[after]]


def card(folder: Path = WEIGHTS) -> dict:
    """What `card.json` says of the shipped models; empty where there is none."""
    path = folder / "card.json"
    return json.loads(path.read_text()) if path.exists() else {}


def record_scores(name: str, scores: Mapping[str, object], *, folder: Path = WEIGHTS) -> None:
    """Put the scores of a shipped model on the card."""
    now = card(folder)
    _put_card(folder, {**now, name: {**now[name], "scores": dict(scores)}})


def _stored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        build().load_state_dict(state)
    except RuntimeError as cause:
        raise WeightsError(f"a checkpoint of the bundled architecture was expected: {cause}") from cause
    ids = token_rows()
    kept = {key: value for key, value in state.items() if key not in ("attn_mask", EMBEDDINGS)}
    kept["token_rows.values"] = state[EMBEDDINGS][ids.long()]
    half = {key: value.detach().to("cpu", torch.float16).contiguous() for key, value in kept.items()}
    if wrong := [key for key, value in half.items() if not torch.isfinite(value).all()]:
        raise NotANumber(f"fp16 holds numbers up to 65504, and {wrong[0]} has others: train with a lower rate.")
    return half | {"token_rows.ids": ids}


def _put_card(folder: Path, card: Mapping[str, object]) -> None:
    _put(folder / "card.json", (json.dumps(card, indent=1) + "\n").encode())


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
