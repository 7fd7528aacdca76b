"""Weights behind a tag of open_clip: from its cache, or downloaded."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import open_clip
from open_clip import pretrained as tags

from ..errors import HubUnreachable
from .tensors import said

PATIENCE = 5.0  # seconds for the first answer of a hub
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # what a repository without a named file has


def fetch(name: str, tag: str) -> Path:
    """The file of an architecture's tag. Raises `HubUnreachable` where it is neither cached nor to be had.

    A hub that does not answer is noticed within seconds; its own client would try again for a minute.
    """
    config = open_clip.get_pretrained_cfg(name, tag)
    if cached := _cached(config):
        return cached
    page = _page(config)
    try:
        if not getproxies():  # which may reach what we do not
            address = urlsplit(page)
            socket.create_connection((address.hostname, address.port or 443), timeout=PATIENCE).close()
        return Path(open_clip.download_pretrained(config))
    except Exception as error:  # sockets, urllib, httpx and huggingface_hub each have their own
        quick = f"{name}-quickgelu"
        fit = quick if config.get("quick_gelu") and quick in open_clip.list_models() else name
        raise HubUnreachable(
            f"the weights {tag!r} of {name} could not be downloaded ({said(error)}). Without a network, copy them from "
            f'{page} on another machine and give the file: load_clip("{fit}", pretrained="/path/to/weights").'
        ) from error


def _page(config: Mapping[str, str]) -> str:
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return f"{hub}/{os.path.split(config['hf_hub'])[0]}" if config.get("hf_hub") else config.get("url", hub)


def _cached(config: Mapping[str, str]) -> Path | None:
    repository, named = os.path.split(config.get("hf_hub", ""))
    if not repository or tags.hf_hub_download is None:
        return None
    safe = [str(Path(named).with_suffix(".safetensors")), named] if named else FILES
    for file in safe:
        with suppress(Exception):  # not there
            return Path(tags.hf_hub_download(repo_id=repository, filename=file, local_files_only=True))
    return None
