"""What a dataset is told in the separate process: that it is read by the one worker of a loader.

Datasets that split themselves or open files of their own ask `torch.utils.data.get_worker_info()`
for it, as in the worker of a `DataLoader(num_workers=1)`.
"""

from __future__ import annotations

import sys
from typing import Any

import torch.utils.data
from torch.utils.data._utils import collate, worker


def tell_worker(seed: int, dataset: Any) -> None:
    """Let `get_worker_info()` say it in this process; `dataset` is what the epoch is read from."""
    info = worker.WorkerInfo(id=0, num_workers=1, seed=seed, dataset=dataset)
    worker._worker_info = info  # type: ignore[attr-defined]
    torch.utils.data.get_worker_info = _but_to_collating  # type: ignore[assignment]


def _but_to_collating() -> Any:
    """Default collating would put each tensor into shared memory of its own, as a worker of a
    `DataLoader` has to; here the batch has a slot."""
    if sys._getframe(1).f_globals is vars(collate):
        return None
    return worker.get_worker_info()
