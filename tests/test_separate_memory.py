"""Memory of a separate process's batches: used again, never while kept, and little of it."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from datasets_impl.errors import StudyError
from datasets_impl.loaders import pinned, slots, unnamed
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.slots import NUMBER, Reserved, Returns, Slots
from tests.numbered import COUNT, Numbered, Raising, child_of
from tests.samples import KEPT, Made, everywhere, same


@everywhere
def test_what_the_trainer_keeps_is_never_overwritten(where: str) -> None:
    draw = random.Random(3)
    made: Any = ThreadedLoader(Numbered(), 2, True, where=where)
    kept: list[tuple[Any, Any, list[int]]] = []
    for _ in range(4):
        for images, values, _words in made:
            if draw.random() < 0.5:
                part = KEPT[draw.choice(list(KEPT))](images)
                kept.append((part, [np.asarray(each).copy() for each in part], values.tolist()))
            if kept and draw.random() < 0.3:
                del kept[draw.randrange(len(kept))]
    assert kept
    for part, copy, _ in kept:
        for row, expected in zip(part, copy, strict=True):
            np.testing.assert_array_equal(np.asarray(row), expected)
    for values in (values for part, _, values in kept if isinstance(part, torch.Tensor)):
        assert len(values) == 2


@everywhere
@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_memory_is_used_again_when_the_last_part_of_a_batch_goes(keep: Any, where: str) -> None:
    made: Any = ThreadedLoader(Numbered(), 2, where=where)
    first = next(iter(made))[0]
    address, part = first.data_ptr(), keep(first)
    del first
    gc.collect()
    assert all(batch[0].data_ptr() != address for _ in range(2) for batch in made)
    del part
    gc.collect()
    assert any(batch[0].data_ptr() == address for _ in range(4) for batch in made)


@everywhere
def test_a_small_part_of_a_batch_does_not_keep_the_large_one(where: str) -> None:
    made: Any = ThreadedLoader(Numbered(), 2, where=where)
    labels, addresses = [], set()
    for _ in range(4):
        for images, values, _words in made:
            labels.append(values)
            addresses.add(images.data_ptr())
            assert images.untyped_storage().nbytes() == images.nbytes
    assert len(labels) == 4 * COUNT / 2 and len(addresses) <= 5


def test_one_descriptor_a_slot_and_as_few_slots_as_are_needed() -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    before, beside = psutil.Process().num_fds(), list[list[int]]()
    for _ in range(2):
        for _epoch in range(3):
            for _batch in made:
                pass
        slots_made = len(made._places.now.slots._mapped)  # the last of them when it is needed
        assert slots_made <= 4
        held = psutil.Process().num_fds() - before, child_of(made).num_fds()
        beside.append([each - slots_made for each in held])
    assert beside[0] == beside[1] and beside[0][0] <= 4, "to speak by"
    mapped = {each.path for each in child_of(made).memory_maps() if "memfd" in each.path}
    assert mapped and not any("/dev/shm" in path for path in mapped)


def test_slots_hold_at_most_a_fifth_more_than_threads_here_do() -> None:
    """Bytes of all memory for batches, over epochs in which the trainer keeps none."""
    given: dict[str, Any] = {"batch_size": 2, "prefetch_factor": 2}
    here: Any = ThreadedLoader(Numbered(), where="trainer", **given)
    there: Any = ThreadedLoader(Numbered(), **given)
    nbytes = next(iter(there))[0].nbytes
    addresses = {batch[0].data_ptr() for _ in range(4) for batch in here}
    for _ in range(4):
        for batch in there:
            assert batch[0].nbytes == nbytes
    slots_bytes = sum(len(slot) for slot in there._places.now.slots._mapped.values())
    most = (given["prefetch_factor"] + 2) * nbytes
    assert len(addresses) * nbytes <= most and slots_bytes <= 1.2 * most


def test_one_slot_fewer_where_the_trainer_keeps_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many batches as threads here hold: its own and those in advance."""
    monkeypatch.setattr(slots, "PATIENCE", 60.0)  # which a busy machine does not reach
    made: Any = ThreadedLoader(Numbered(), 2, threads=1, prefetch_factor=2, start_method="fork")
    for _ in range(3):
        for _batch in made:
            pass
    assert len(made._places.now.slots._mapped) == 3


def test_a_slot_that_is_about_to_come_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    made: list[int] = []
    waited: list[bool] = []

    def readable(descriptor: int, seconds: float) -> bool:
        waited.append(comes)
        if comes:
            os.write(writer, NUMBER.pack(0))
        return comes

    monkeypatch.setattr(slots, "readable", readable)
    held = Slots(reader, lambda number, nbytes, file: made.append(number), [].append, 4)
    taken = [held.take(4096) for _ in range(3)]
    comes = True
    assert held.take(4096) is taken[0] and made == [0, 1, 2] and waited == [True]
    comes = False
    for _ in range(3):
        held.take(4096)
    assert made == [0, 1, 2, 3, 4, 5] and waited == [True, False], "once in vain"
    few = Slots(reader, lambda *slot: None, [].append, 2)
    few.take(4096), few.take(4096)
    assert len(waited) == 2, "without batches in advance the trainer holds one while it waits"
    os.close(reader)
    os.close(writer)


class Growing(Dataset[torch.Tensor]):
    """Each batch is larger than the one before, and then smaller again."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((2**17 + 2**16 * (index if index < 6 else 0),), index)


@everywhere
def test_memory_grows_with_the_batches(where: str) -> None:
    for _ in range(2):
        for index, batch in enumerate(ThreadedLoader(Growing(), 1, where=where)):
            assert batch.shape == (1, *Growing()[index].shape) and bool((batch == index).all())


def test_too_little_memory_is_said_before_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unnamed, "memory_left", lambda: 2**20)
    batches = iter(ThreadedLoader(Numbered(), 8, prefetch_factor=1, start_method="fork"))
    size = 8 * 3 * 160 * 160 * 8
    with pytest.raises(StudyError, match=rf"{3 * size:,} bytes of shared memory \(1,048,576 are"):
        next(batches)


def test_batches_in_page_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is not there: what would go to it is counted instead."""
    copied: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(pinned, "pinned", lambda batch: copied.append(batch) or batch)
    made: Any = ThreadedLoader(Numbered(), 2, pin_memory=True)
    values = [int(batch[1][0]) for batch in made]
    assert values == list(range(0, COUNT, 2))
    assert len([each for each in copied if each is not None]) == len(values)
    raising: Any = ThreadedLoader(Raising(KeyError), 2, pin_memory=True)
    with raising, pytest.raises(KeyError):
        next(iter(raising))


def test_without_a_device_that_is_said_and_nothing_pinned() -> None:
    with pytest.warns(UserWarning, match="no CUDA device"):
        assert len(list(ThreadedLoader(Numbered(), 8, pin_memory=True))) == 3


def test_slots_are_let_go_when_there_are_too_many_or_they_are_too_small() -> None:
    reader, writer = os.pipe()
    made: list[int] = []
    dropped: list[int] = []
    held = Slots(reader, lambda number, nbytes, file: made.append(number), dropped.append, 2)
    batches = [Reserved(held) for _ in range(4)]
    for batch in batches:
        batch.grow(4096)
    assert made == [0, 1, 2, 3] and not dropped
    del batches, batch
    gc.collect()
    held.take(1)
    assert len(dropped) == 2, "two are usual"
    larger = held.take(8192)
    assert larger.nbytes == 8192 and len(dropped) == 3
    os.close(reader)
    os.close(writer)


def test_many_batches_that_go_at_once_wait_for_nobody() -> None:
    """Where a user has many pipes, one holds 4096 bytes, which are 512 numbers of slots."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    returns = Returns(writer)
    memory = mmap.mmap(-1, 4096)
    kept = [returns.lease(memory, 1, number) for number in range(700)]
    del kept
    found = os.read(reader, 8192)
    returns.lease(memory, 1, 700)
    found += os.read(reader, 8192)
    assert sorted(number for (number,) in NUMBER.iter_unpack(found)) == list(range(701))
    os.close(reader)


@pytest.mark.parametrize("absent", ["posix_fallocate", "memfd_create"])
def test_where_the_system_has_no_such_call_batches_are_the_same(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has neither."""
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.delattr(os, absent, raising=False)
    monkeypatch.setattr(unnamed, "HAS_MEMFD", hasattr(os, "memfd_create"))
    before = set(Path(tempfile.gettempdir()).iterdir())
    expected = list(DataLoader(Made("large tensor"), 2))
    with ThreadedLoader(Made("large tensor"), 2, start_method="fork") as made:
        for _ in range(2):
            same(list(made), expected)
        mapped = {each.path for each in child_of(made).memory_maps()}
        assert any("memfd:batches" in path for path in mapped) is (absent != "memfd_create")
        assert set(Path(tempfile.gettempdir()).iterdir()) == before, "without a name"


def test_without_unnamed_memory_the_temporary_folder_has_to_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unnamed, "HAS_MEMFD", False)
    monkeypatch.setattr(unnamed.psutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    batches = iter(ThreadedLoader(Numbered(), 8, prefetch_factor=1, start_method="fork"))
    with pytest.raises(StudyError, match=r"bytes of shared memory \(1,048,576 are free\)"):
        next(batches)
