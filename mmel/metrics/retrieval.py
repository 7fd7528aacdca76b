"""Retrieval: is a right candidate among the first k?"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch
from .checks import numbers, whole


def recall_at_k(similarities, targets, k: int) -> Float[Tensor, ""]:
    """Share of the queries that find a right candidate among their first `k`.

    `similarities`: [query, candidate]. `targets`: the right candidate of each query, [query]; several of them,
    [query, several] or a list of lists (the five captions of each image); or booleans [query, candidate]. For the
    other direction pass the transposed matrix and its targets. Errors: ShapeMismatch, NotANumber, BadSetting.

    Notes
    -----
    As in retrieval on COCO, one right candidate of several is enough. Of equal similarities the first candidate
    wins, so that a score that says nothing is right by chance only.
    """
    return hits_at_k(similarities, targets, k).mean()


def hits_at_k(similarities, targets, k: int) -> Float[Tensor, " query"]:
    """1 for each query that finds a right candidate among its first `k`, else 0: what intervals are made from."""
    return (best_rank(similarities, targets) < whole("k", k, 1)).double()


def best_rank(similarities, targets) -> Float[Tensor, " query"]:
    """The place of each query's best right candidate, from 0 on."""
    similarities = numbers(similarities, "similarities")
    if similarities.ndim != 2 or 0 in similarities.shape:
        raise ShapeMismatch(f"similarities have the shape [query, candidate]; got {list(similarities.shape)}.")
    right = _right(targets, tuple(similarities.shape)).to(similarities.device)
    return first_right(similarities, right).double()


def first_right(
    similarities: Float[Tensor, "query candidate"], right: Bool[Tensor, "query candidate"]
) -> Int[Tensor, " query"]:
    """`best_rank`, unchecked, of finite floats: by comparing and not sorting, so that no GPU is waited for."""
    own, place = similarities.masked_fill(~right, -torch.inf).max(1, keepdim=True)  # of equal ones the first
    places = torch.arange(similarities.shape[1], device=similarities.device)
    return ((similarities > own) | ((similarities == own) & (places < place))).sum(1)


def _right(targets, shape: tuple[int, int]) -> Bool[Tensor, "query candidate"]:
    """Which candidates are right, from any of the forms that `recall_at_k` takes."""
    rows = targets
    if not isinstance(targets, (list, tuple)):
        rows = targets if isinstance(targets, Tensor) else torch.from_numpy(np.array(targets))
    if isinstance(rows, Tensor) and rows.dtype == torch.bool and rows.ndim == 2:
        right = rows
    elif len(rows) != shape[0]:
        raise ShapeMismatch(f"{shape[0]} queries have targets for each, but {len(rows)} came.")
    else:
        right = torch.zeros(shape, dtype=torch.bool)
        for i, row in enumerate(rows):
            right[i, _indices(row, shape[1])] = True
    if tuple(right.shape) != shape:
        raise ShapeMismatch(f"targets [query, candidate] have the shape {list(shape)} here; got {list(right.shape)}.")
    if not bool(right.any(1).all()):
        raise BadSetting("a query without a right candidate can find none: leave it out.")
    return right


def _indices(row, candidates: int) -> Tensor:
    """Numbers of candidates, checked: negative ones would silently count from the end."""
    indices = torch.as_tensor(row).cpu().flatten()
    if len(indices) and (indices.is_floating_point() or int(indices.min()) < 0 or int(indices.max()) >= candidates):
        raise BadSetting(f"targets are numbers of candidates, 0 to {candidates - 1}; got {indices.tolist()}.")
    return indices.long()
