"""What a run's numbers depend on, written down: parts of two runs are merged only where all of it is the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from ..clip import Clip
from ..errors import EvaluationError
from .depends import sources_of

VERSIONS = ("torch", "open_clip_torch", "numpy", "pillow", "scipy")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # where an object lies in memory


def header_of(job, clip: Clip, data, whole=None) -> dict[str, object]:
    """Protocol, rows, data, model, sources and versions, as plain values; no time, place, shard size or worker.

    `whole`: where it is another dataset than `data`, it is what the protocol was prepared from.
    """
    more = (
        {} if whole is None or whole is data else {"prepared from": _dataset(whole) | {"manifest": manifest_of(whole)}}
    )
    return {
        "protocol": {"name": job.protocol.name} | plain(job.protocol),
        "rows": [{"name": row.name, "method": row.method, "settings": plain(row.settings)} for row in job.rows],
        "counts": plain(dict(sorted((job.counts or {}).items()))),
        "seed": job.seed,
        "dataset": _dataset(data),
        "manifest": manifest_of(data),
        **more,
        "model": {"name": clip.name, "precision": str(clip.dtype).removeprefix("torch."), "device": clip.device.type},
        "scoring": clip.scoring._asdict() | {"together": job.together},
        "weights": weights_hash(clip),
        "transform": ADDRESS.sub("", str(clip.preprocess)),
        "sources": sources_of(job.protocol, [row.method for row in job.rows], data),
        "versions": versions(),
    }


def _dataset(data) -> dict[str, object]:
    return {"name": getattr(data, "name", type(data).__name__), "samples": len(data)}


def versions() -> dict[str, str]:
    """The libraries whose arithmetic the numbers are made of, as installed."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def weights_hash(clip: Clip) -> str:
    """SHA-256 over every tensor of the model, by name, type and shape."""
    whole = hashlib.sha256()
    for name, tensor in sorted(clip.model.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def manifest_of(data) -> str:
    """The dataset's own hash of what its samples are."""
    found = getattr(data, "manifest", None)
    if not isinstance(found, str) or not found:
        raise EvaluationError(
            f"the dataset {getattr(data, 'name', type(data).__name__)!r} has no manifest, a hash of its samples, so no "
            "run on it could be resumed: open it by `mmel.data.open_dataset`, or give your sequence a `manifest`."
        )
    return found


def plain(value: object) -> object:
    """A setting as JSON knows it; what is large or no value at all by a hash or its kind.

    A dataset is its manifest; a dataclass those of its fields that it is compared by.
    """
    if is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "__getitem__") and isinstance(getattr(value, "manifest", None), str):
            return value.manifest
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.compare}
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return f"array {list(value.shape)} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return ADDRESS.sub("", repr(value))


def canonical(header: Mapping[str, object]) -> str:
    """The header as one line, the same for equal headers."""
    return json.dumps(header, sort_keys=True, ensure_ascii=False)


def check_same(there: Mapping[str, object], here: Mapping[str, object], where: str) -> None:
    """Raise `EvaluationError` with all that differs between two headers."""
    different = list(differences(there, json.loads(canonical(here))))
    if different:
        shown = "\n".join(f"  {line}" for line in different[:12]) + ("\n  ..." if len(different) > 12 else "")
        raise EvaluationError(
            f"{where} belongs to another run, whose numbers must not be mixed with these. What differs:\n{shown}\n"
            "Give the same command as before, or another --out folder."
        )


def differences(there: object, here: object, path: str = "") -> Iterator[str]:
    """One line for each value that differs, by its path."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in sorted({*there, *here}):
            yield from differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif isinstance(there, list) and isinstance(here, list):
        if path == "rows":
            named = [{row["name"]: row for row in each} for each in (there, here)]
            yield from differences(*named, path)
            if named[0] == named[1] and there != here:
                yield "rows: the same ones in another order"
        elif there != here:
            yield f"{path}: {_short(there)} there, {_short(here)} here"
    elif there != here:
        yield f"{path}: {_short(there)} there, {_short(here)} here"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12]
    return "nothing" if value is None else text if len(text) < 80 else text[:77] + "..."
