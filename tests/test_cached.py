"""The cache around any dataset of tensors."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset

from datasets_impl.corrected.cached import CachedDataset
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.system.shared_memory import alone_with, shared_empty


class Drawn(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(2)


class Mask(torch.Tensor):
    """Stands for torchvision's, which a transform treats otherwise than a picture."""


class Endless(IterableDataset[torch.Tensor]):
    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(lambda: torch.zeros(2), None)


def labelled() -> torch.Tensor:
    sample = torch.zeros(2)
    sample.label = 3  # type: ignore[attr-defined]
    return sample


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
        ([torch.zeros(2, requires_grad=True)], "with a gradient"),
        ([torch.zeros(2).as_subclass(Mask)], "type Mask"),
        ([torch.zeros(2), torch.zeros(2).as_subclass(Mask)], "type Mask and the first"),
        ([torch.eye(2).to_sparse()], "sparse"),
        ([labelled()], r"attributes of its own \(label\)"),
        ([torch.zeros(2, device="meta")], "on meta"),
        ([torch.zeros(2), torch.zeros(3)], "torch.float32 of shape \\(3,\\) and the first"),
        ([torch.zeros(2), torch.zeros(2).double()], "is torch.float64"),
    ],
)
def test_other_samples_are_refused_in_one_sentence(samples: list[Any], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        CachedDataset(samples)[len(samples) - 1]


@pytest.mark.parametrize(
    "dataset", [CachedDataset, Endless(), {0: torch.zeros(2)}, "photos", [], 5]
)
def test_what_is_no_dataset_is_refused_at_construction(dataset: Any) -> None:
    with pytest.raises(BadArgument, match="give a map-style dataset"):
        CachedDataset(dataset)


@pytest.mark.parametrize("process", [5, "flip", [print]])
def test_what_is_no_function_is_refused_at_construction(process: Any, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "1.jpg")
    for make in (JpegDataset, PreloadedDataset, lambda _, given: CachedDataset([1], given)):
        with pytest.raises(BadArgument, match="give a function"):
            make(tmp_path, process)


def test_shared_memory_that_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(size: int) -> Any:
        raise RuntimeError("No space left on device (28)")

    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", full)
    with pytest.raises(StudyError, match=r"6 bytes of shared memory .*No space left"):
        shared_empty((2, 3))


def test_a_dataset_that_grew_is_named() -> None:
    samples = [torch.zeros(2)]
    kept = CachedDataset(samples)
    samples.append(torch.ones(2))
    with pytest.raises(StudyError, match="has 2 samples and had 1 when the cache was made"):
        kept[1]


def test_made_in_inference_mode_and_filled_outside_of_it() -> None:
    with torch.inference_mode():
        kept = CachedDataset([torch.zeros(2), torch.ones(2)])
    assert torch.equal(kept[1], torch.ones(2))


class Hearing(Drawn):
    def set_epoch(self, epoch: int) -> None: ...


@pytest.mark.parametrize("held", [lambda data: data, lambda data: Subset(data, [1, 0])])
def test_samples_of_each_epoch_are_not_kept_without_a_word(held: Any) -> None:
    with pytest.warns(RuntimeWarning, match="Hearing gives other samples in each epoch"):
        CachedDataset(held(Hearing()))
    with warnings.catch_warnings(action="error"):
        CachedDataset(held(Drawn()))


class Drawing:
    """A sample is another one each time; it is made while another thread makes it, too."""

    def __init__(self) -> None:
        self.both, self.made = threading.Barrier(2), 0

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        if index:
            self.both.wait(600)
        self.made += 1
        return torch.tensor([self.made] * 4)


def test_a_sample_that_two_threads_make_is_kept_once() -> None:
    kept = CachedDataset(Drawing())
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(kept.__getitem__, [1, 1])
    assert torch.equal(first, second) and torch.equal(first, kept[1])


def test_one_process_at_a_time_fills_shared_memory() -> None:
    shared = shared_empty((4,)).zero_()
    with alone_with(shared):
        fork = os.fork()
        if not fork:
            with alone_with(shared):
                os._exit(int(shared.numpy()[0]))
        time.sleep(0.1)
        shared[0] = 3
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 3
