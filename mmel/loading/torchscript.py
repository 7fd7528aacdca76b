"""Tensors of a TorchScript archive, read without running it. OpenAI's own .pt files are such archives.

`torch.jit.load` is no safe way to them: an archive may bring code of its own that runs while it is loaded and that can
write files, which is why `torch.load(weights_only=True)` refuses archives. Here their tree of modules, a pickle, is
built from stand-ins that do nothing, and a name that is not on a short list is an error.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}


def is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive; a state dict is a zip file too, but has no constants."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def read_archive(path: Path) -> dict[str, Tensor]:
    """Every tensor of the archive by the names of the modules that lead to it.

    Attributes that are tensors come too, which `state_dict` of the module would leave out. Raises `UnpicklingError`
    for a name that is not on the list, and whatever a damaged file leads to.
    """
    with zipfile.ZipFile(path) as archive:
        (tree,) = (name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1)
        with archive.open(tree) as file:
            return dict(_walk(_Reader(file, archive, tree.removesuffix(".pkl")).load(), ""))


class _Module:
    """Stands for a module: keeps what the archive says of it."""

    def __setstate__(self, state: object) -> None:
        self.__dict__["state"] = state


class _Reader(pickle.Unpickler):
    """An unpickler that knows modules, tensors, and the lists of TorchScript, and calls nothing else."""

    def __init__(self, file, archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self.archive, self.folder = archive, folder
        self.module = type("Module", (_Module,), {})  # of this archive only, whatever it does to it

    def find_class(self, module: str, name: str) -> Callable | torch.dtype:
        if module.split(".")[0] == "__torch__":
            return self.module
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, start, shape, steps, *_: _tensor(storage, start, tuple(shape), tuple(steps))
        if (module, name) == ("collections", "OrderedDict"):
            return lambda *_: OrderedDict()
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return lambda values, *_: values
        raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")

    def persistent_load(self, key: tuple) -> Tensor:
        """A storage: its type, name, device and length. The device is left aside."""
        kind, dtype, name, _, length = key
        info = self.archive.getinfo(f"{self.folder}/{name}")
        if kind != "storage" or info.compress_type != zipfile.ZIP_STORED or info.file_size != length * dtype.itemsize:
            raise ValueError(f"the storage {name} is not what the archive says of it")
        return torch.frombuffer(bytearray(self.archive.read(info)), dtype=dtype) if length else torch.empty(0).to(dtype)


def _tensor(storage: Tensor, start: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> Tensor:
    if prod(shape) > len(storage):
        raise ValueError(f"a tensor of shape {list(shape)} does not fit its storage")
    return storage.as_strided(shape, steps, start).clone()


def _walk(module: _Module, path: str) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(module.state, dict):
        raise ValueError(f"the module {path or 'at the root'} has a form of its own")
    for name, value in module.state.items():
        if isinstance(value, Tensor):
            yield f"{path}{name}", value
        elif isinstance(value, _Module):
            yield from _walk(value, f"{path}{name}.")
