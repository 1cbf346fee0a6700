"""PyTorch's default collating, with large tensors stacked in memory that is used again.

Else each batch is fresh memory, and in a separate process would be copied once more to be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data._utils.collate import collate, collate_tensor_fn, default_collate_fn_map

from datasets_impl.loaders.layout import Leaf
from datasets_impl.loaders.memory import SMALL, Memory


def stacks_plainly() -> bool:
    """Whether default collating stacks tensors as PyTorch does: a program may have registered a
    function of its own for them."""
    return default_collate_fn_map.get(torch.Tensor) is collate_tensor_fn


def collated(samples: Sequence[Any], memory: Memory) -> Any:
    """The batch that `default_collate` makes."""

    def stacked(tensors: Sequence[torch.Tensor], *, collate_fn_map: Any) -> torch.Tensor:
        leaf = _leaf(tensors)
        if leaf is None:
            found: torch.Tensor = collate_tensor_fn(tensors, collate_fn_map=collate_fn_map)
            return found
        (out,) = memory.tensors([leaf])
        return torch.stack(tuple(tensors), 0, out=out)

    return collate(samples, collate_fn_map={**default_collate_fn_map, torch.Tensor: stacked})


def _leaf(tensors: Sequence[torch.Tensor]) -> Leaf | None:
    """The stacked tensor; None where it is small, or PyTorch would make another kind of tensor."""
    first = tensors[0]
    if type(first) is not torch.Tensor or first.layout is not torch.strided:
        return None
    leaf = Leaf.of(torch.empty(first.shape, dtype=first.dtype, device="meta"), len(tensors))
    alike = leaf.nbytes >= SMALL and all(
        type(each) is torch.Tensor
        and each.dtype is first.dtype
        and each.shape == first.shape
        and each.device.type == "cpu"
        and not (each.requires_grad or each.is_quantized or each.is_nested)
        for each in tensors
    )
    return leaf if alike else None
