"""What datasets that are asked for whole batches share: memory for one, and how it is handed on."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import get_worker_info

from datasets_impl.system.shared_memory import shared_empty


def empty_batch(shape: tuple[int, ...]) -> torch.Tensor:
    """An uninitialised batch; in a worker in shared memory, as PyTorch's collating allocates it."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8, device="cpu")
    return shared_empty(shape)


def as_it_comes(batch: Any) -> Any:
    """A `collate_fn` that hands on what the dataset returned."""
    return batch
