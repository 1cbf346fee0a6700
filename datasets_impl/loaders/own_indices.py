"""Indices as they were when a batch was asked for: a sampler may use a list or tensor again.

Batches are asked for in advance, so what it holds by then would be read. To a separate process
indices go by pickle; in the trainer's they are copied.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

FIXED = {int, str, float, bool, bytes, type(None), range, slice, np.int64, np.int32}


def own(indices: Any) -> Any:
    """`indices`, of which nobody else can change what lists, arrays and the like hold.

    What can be hashed is handed on as it is: a dataset may look it up by what it is.
    """
    kind = type(indices)
    if kind in FIXED:
        return indices
    if kind is list:
        return list(indices) if FIXED.issuperset(map(type, indices)) else list(map(own, indices))
    if kind is dict:
        return dict(zip(indices, map(own, indices.values()), strict=True))
    if isinstance(indices, tuple):
        return _in_tuple(indices)
    if isinstance(indices, torch.Tensor):
        return indices.clone()
    if isinstance(indices, np.ndarray):
        return indices.copy()
    try:
        hash(indices)
    except Exception:
        return _copied(indices)
    return indices


def _in_tuple(indices: tuple[Any, ...]) -> Any:
    held = [own(each) for each in indices]
    if all(new is old for new, old in zip(held, indices, strict=True)):
        return indices
    if hasattr(indices, "_make"):  # it is a named one
        return indices._make(held)
    return tuple(held) if type(indices) is tuple else _copied(indices)


def _copied(indices: Any) -> Any:
    try:
        return copy.deepcopy(indices)
    except Exception:  # each kind of object has errors of its own
        return indices
