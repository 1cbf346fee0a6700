"""Batch memory is used again, and never while a tensor, view or array into it is left."""

from __future__ import annotations

import gc
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datasets_impl.errors import StudyError
from datasets_impl.loaders.layout import Leaf
from datasets_impl.loaders.memory import SMALL, RecycledMemory
from tests.loading import at_once, decoded
from tests.samples import KEPT

SHAPE = (4, 160, 160, 3)


def take(memory: RecycledMemory, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    sample = torch.empty(shape[1:], dtype=torch.uint8, device="meta")
    (tensor,) = memory.tensors([Leaf.of(sample, shape[0])])
    return tensor


def test_memory_is_used_again_when_nobody_holds_it() -> None:
    batches = RecycledMemory()
    addresses = {take(batches).data_ptr() for _ in range(20)}
    assert len(addresses) == 1


def test_two_take_turns_when_the_last_one_is_still_held() -> None:
    batches, addresses = RecycledMemory(), set()
    for _ in range(20):
        batch = take(batches)  # the one before is held until here, as in a training loop
        addresses.add(batch.data_ptr())
    assert len(addresses) == 2


@pytest.mark.parametrize("keep", [*KEPT.values(), torch.Tensor.untyped_storage])
def test_what_the_trainer_kept_is_never_overwritten(keep: Any) -> None:
    batches = RecycledMemory()
    batch = take(batches)
    address, kept = batch.data_ptr(), keep(batch)
    del batch
    gc.collect()
    for _ in range(10):
        assert take(batches).data_ptr() != address
    del kept
    gc.collect()
    held = [take(batches) for _ in range(2)]
    assert address in {batch.data_ptr() for batch in held}, "given back, it is used again"


def test_a_trainer_that_keeps_everything_gets_fresh_memory() -> None:
    batches = RecycledMemory(most=3)
    kept = [take(batches).fill_(number) for number in range(10)]
    assert len({batch.data_ptr() for batch in kept}) == 10
    assert all((batch == number).all() for number, batch in enumerate(kept))


def test_a_smaller_batch_fits_into_memory_of_a_larger_one() -> None:
    batches = RecycledMemory()
    address = take(batches).data_ptr()
    last = take(batches, (2, *SHAPE[1:]))
    assert last.data_ptr() == address and last.shape == (2, *SHAPE[1:])
    assert take(batches, (8, *SHAPE[1:])).shape == (8, *SHAPE[1:])


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), max_size=40), st.integers(1, 4))
def test_no_two_batches_that_are_held_overlap(steps: list[tuple[int, int]], most: int) -> None:
    batches, held = RecycledMemory(most=most), {}
    for number, (size, let_go) in enumerate(steps):
        held[number] = take(batches, (size, SMALL)).fill_(number)
        for old in random.Random(let_go).sample(sorted(held), min(let_go, len(held))):
            del held[old]
        assert all((batch == key).all() for key, batch in held.items())


def test_pickles_without_its_memory() -> None:
    batches = RecycledMemory()
    take(batches, (1024, 1024))
    assert len(pickle.dumps(batches)) < 1000
    assert take(pickle.loads(pickle.dumps(batches))).shape == SHAPE


def test_overwriting_is_what_one_asks_for() -> None:
    memory = RecycledMemory(overwrite=True)
    kept = take(memory, (2, SMALL))
    kept.fill_(7)
    again = take(memory, (1, SMALL))
    again.fill_(9)
    assert kept.data_ptr() == again.data_ptr()
    assert kept[:, 0].tolist() == [9, 7]
    larger = take(memory, (4, SMALL))
    assert larger.data_ptr() != kept.data_ptr(), "a larger one needs more memory"


@pytest.fixture
def page_locked(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """A device, and an allocator that hands out ordinary memory and writes down what it gave."""
    given: list[torch.Tensor] = []
    empty = torch.empty

    def allocate(*size: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        found = empty(*size, **options)
        if pin_memory:
            given.append(found)
        return found

    monkeypatch.setattr(torch, "empty", allocate)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return given


def test_page_locked_memory_stays_pytorchs(page_locked: list[torch.Tensor]) -> None:
    """What is given out is the allocator's own tensor, so that a copy of it is recorded there.

    Only that allocator knows when a copy on some stream is done. Were a piece kept here, or wrapped
    in an array, it would be filled again while the device still reads it.
    """
    batches = RecycledMemory(pinned=True)
    for number in range(5):
        batch = take(batches)
        assert len(page_locked) == number + 1
        assert batch.untyped_storage().data_ptr() == page_locked[-1].untyped_storage().data_ptr()
        assert batch.shape == SHAPE and batch.dtype == torch.uint8
    assert not batches._free


def test_page_locked_memory_of_a_loader(page_locked: list[torch.Tensor], folder: Path) -> None:
    for loader in (decoded(folder, 4, pin_memory=True), at_once(folder, 4, pin_memory=True)):
        page_locked.clear()
        for batch in loader:
            address = batch.untyped_storage().data_ptr()
            assert any(address == given.untyped_storage().data_ptr() for given in page_locked)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_copy_that_still_runs_reads_what_was_in_the_batch() -> None:
    shape, stream = (64, 256, 256, 3), torch.cuda.Stream()
    batches, copies = RecycledMemory(pinned=True), []
    with torch.cuda.stream(stream):
        for number in range(8):
            torch.cuda._sleep(50_000_000)  # the copy begins when the host is far ahead
            batch = take(batches, shape).fill_(number)
            copies.append(batch.to("cuda", non_blocking=True))
            del batch
    stream.synchronize()
    assert [copy.unique().tolist() for copy in copies] == [[number] for number in range(8)]


def test_a_batch_that_memory_cannot_hold() -> None:
    with pytest.raises(StudyError, match="cannot be allocated"):
        take(RecycledMemory(), (2**40, 2**20))
