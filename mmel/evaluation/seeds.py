"""Seeds that belong to a sample and a method, so that order, shards and company change no number."""

from __future__ import annotations

from hashlib import sha256


def seed_of(seed: int, sample: str, method: str) -> int:
    """A seed for one sample and one method, the same everywhere."""
    return int.from_bytes(sha256(f"{seed}/{sample}/{method}".encode()).digest()[:4], "big") >> 1
