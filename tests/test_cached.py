"""The cache around any dataset of tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from datasets_impl.corrected.cached import CachedDataset
from datasets_impl.errors import StudyError


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_samples_come_back_as_they_are(dtype: torch.dtype) -> None:
    samples = [torch.arange(6).reshape(2, 3).add(n).to(dtype) for n in range(4)]
    kept = CachedDataset(samples)
    for _ in range(2):
        assert all(torch.equal(kept[n], samples[n]) for n in range(4))
        assert kept[0].dtype == dtype


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        ([(torch.zeros(2), 1)], "type tuple"),
        ([torch.zeros(2), torch.zeros(3)], "torch.float32 of shape \\(3,\\) and the first"),
        ([torch.zeros(2), torch.zeros(2).double()], "is torch.float64"),
    ],
)
def test_other_samples_are_refused_in_one_sentence(samples: list[Any], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        CachedDataset(samples)[len(samples) - 1]
