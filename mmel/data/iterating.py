"""Samples read ahead by several threads, in order: decoding pictures lets go of Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadSetting, MmelError
from ..types import Example

T = TypeVar("T")
AHEAD = 4  # samples begun for each worker


@dataclass(frozen=True, eq=False)
class Loaded:
    """A sample by its place in the dataset: the example with its pixels, or the error that reading it raised."""

    index: int
    example: Example | None
    pixels: Float[Tensor, "3 height width"] | None
    error: MmelError | None


def iterate(
    dataset: Sequence[Example],
    *,
    workers: int = 4,
    preprocess: Callable | None = None,  # `clip.preprocess`, say: the picture as pixels, made by the workers too
    pin: bool = False,  # pixels in pinned memory, from which a GPU copies without waiting
    indices: Sequence[int] | None = None,  # which samples, in which order; None: all
) -> Iterator[Loaded]:
    """The samples of a dataset in order, a few read ahead of use.

    A picture that cannot be read comes as a `Loaded` with its `error`, in its place; any other error is raised. Memory
    holds `AHEAD` samples a worker, however long the dataset is. `pin` has no effect without a GPU.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise BadSetting(f"workers is a whole number from 1; got {workers!r}.")
    chosen = range(len(dataset)) if indices is None else indices
    pin = pin and torch.cuda.is_available()
    return in_order(workers, lambda index: _load(dataset, index, preprocess, pin), chosen)


def in_order(workers: int, load: Callable[[int], T], indices: Iterable[int]) -> Iterator[T]:
    """What `load` gives for each index, in order, `AHEAD` of them a thread begun before they are asked for."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="mmel-read")
    rest, begun = iter(indices), deque[Future]()
    try:
        begun.extend(pool.submit(load, index) for index in islice(rest, workers * AHEAD))
        while begun:
            loaded = begun.popleft().result()
            begun.extend(pool.submit(load, index) for index in islice(rest, 1))
            yield loaded
    finally:  # also where the reader stops half way
        pool.shutdown(wait=True, cancel_futures=True)


def _load(dataset: Sequence[Example], index: int, preprocess: Callable | None, pin: bool) -> Loaded:
    try:
        example = dataset[index]
        pixels = None if preprocess is None else preprocess(example.image)
    except MmelError as error:
        return Loaded(index, None, None, error)
    return Loaded(index, example, pixels.pin_memory() if pin and pixels is not None else pixels, None)


def key_of(dataset: Sequence[Example], index: int) -> str:
    """The name of a sample, also where it cannot be read."""
    records = getattr(dataset, "records", None)
    return str(records[index].key if records is not None else index)
