"""Samples of uneven cost: batches that are ready go first, and smaller tasks for workers."""

from __future__ import annotations

import numpy as np

from datasets_impl.doctor.remedies.remedy import Context, Remedy

UNEVEN = 3.0  # times a usual sample, that one in ten takes at least
LEAST_SAMPLES = 8


def uneven(at: Context) -> list[Remedy]:
    """Where a few samples hold up the batches that come after theirs."""
    items = at.seen.get("items", {})
    first, second = items.get("first", []), items.get("second", [])
    times = np.minimum(first, second) if second else np.array(first)
    workers = at.subject.workers
    if workers < 2 or len(times) < LEAST_SAMPLES:
        return []
    if "outlier" not in at.found and np.percentile(times, 90) < UNEVEN * np.median(times):
        return []
    return [
        Remedy(
            "out-of-order",
            "Give batches as they are ready",
            "DataLoader(..., in_order=False)",
            at.part,
            workers,
            changes={"in_order": False},
            caution="the order of batches is no longer the same each time",
            mends=("outlier",),
        ),
        Remedy(
            "small-tasks",
            "Smaller batches from workers, joined in the trainer",
            "loader = DataLoader(..., batch_size=batch_size // 4, prefetch_factor=8, "
            "in_order=False)\n"
            "parts = itertools.batched(loader, 4)  # torch.cat of four is a batch",
            at.part,
            workers,
            changes={"in_order": False, "prefetch_factor": 8},
            divided=4,
            caution="the order of batches is no longer the same each time",
            mends=("outlier",),
        ),
    ]
