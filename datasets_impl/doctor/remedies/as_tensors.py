"""Batches of tensors, where the user's are arrays and lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.findings.handing import AS_TENSORS
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied
from datasets_impl.doctor.remedies.remedy import Context, Remedy

FINDING = "pickled-batches"
LEAST = 16  # numbers of a list


class Converted:
    """The user's collate function, and what comes of it as tensors."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> Any:
        return as_tensors(self.collate(samples))


def as_tensors(batch: Any) -> Any:
    """Arrays of numbers, and long lists of them; all else stays."""
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "biuf":
        return torch.from_numpy(batch if batch.flags.writeable else batch.copy())
    if isinstance(batch, Mapping):
        return {key: as_tensors(one) for key, one in batch.items()}
    if not isinstance(batch, tuple | list) or hasattr(batch, "_fields"):
        return batch
    if len(batch) >= LEAST and all(type(one) in (int, float, bool) for one in batch):
        return torch.from_numpy(np.array(batch))
    return type(batch)(as_tensors(one) for one in batch)


def converted(at: Context) -> list[Remedy]:
    if FINDING not in at.found:
        return []
    collate = Converted(at.collate)
    try:
        collate(copied(at.samples))
    except RAISED:  # numbers that PyTorch has no kind for
        return []
    return [
        Remedy(
            "as-tensors",
            "Give tensors from workers",
            AS_TENSORS,
            at.part,
            at.subject.workers,
            "X06",
            collate=collate,
            caution="the trainer gets tensors",
            mends=(FINDING, "workers-cost", "hand-over"),
        )
    ]
