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

from datasets_impl.errors import BadArgument
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.recycled import RecycledBatches
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader

SHAPE = (4, 8, 8, 3)


def test_memory_is_used_again_when_nobody_holds_it() -> None:
    batches = RecycledBatches()
    addresses = {batches.take(SHAPE).data_ptr() for _ in range(20)}
    assert len(addresses) == 1


def test_two_take_turns_when_the_last_one_is_still_held() -> None:
    batches, addresses = RecycledBatches(), set()
    for _ in range(20):
        batch = batches.take(SHAPE)  # the one before is held until here, as in a training loop
        addresses.add(batch.data_ptr())
    assert len(addresses) == 2


KEPT = {
    "tensor": lambda batch: batch,
    "view": lambda batch: batch[1:2],
    "transposed": lambda batch: batch.permute(0, 3, 1, 2),
    "array": lambda batch: batch.numpy(),
    "row of an array": lambda batch: batch.numpy()[0],
    "detached": lambda batch: batch.detach(),
    "list of rows": lambda batch: list(batch),
    "storage": lambda batch: batch.untyped_storage(),
    "dlpack": lambda batch: torch.from_dlpack(batch),
}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_what_the_trainer_kept_is_never_overwritten(keep: Any) -> None:
    batches = RecycledBatches()
    batch = batches.take(SHAPE)
    address, kept = batch.data_ptr(), keep(batch)
    del batch
    gc.collect()
    for _ in range(10):
        assert batches.take(SHAPE).data_ptr() != address
    del kept
    gc.collect()
    held = [batches.take(SHAPE) for _ in range(2)]
    assert address in {batch.data_ptr() for batch in held}, "given back, it is used again"


def test_a_trainer_that_keeps_everything_gets_fresh_memory() -> None:
    batches = RecycledBatches(most=3)
    kept = [batches.take(SHAPE).fill_(number) for number in range(10)]
    assert len({batch.data_ptr() for batch in kept}) == 10
    assert all((batch == number).all() for number, batch in enumerate(kept))


def test_a_smaller_batch_fits_into_memory_of_a_larger_one() -> None:
    batches = RecycledBatches()
    address = batches.take(SHAPE).data_ptr()
    last = batches.take((2, *SHAPE[1:]))
    assert last.data_ptr() == address and last.shape == (2, *SHAPE[1:])
    assert batches.take((8, *SHAPE[1:])).shape == (8, *SHAPE[1:])


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), max_size=40), st.integers(1, 4))
def test_no_two_batches_that_are_held_overlap(steps: list[tuple[int, int]], most: int) -> None:
    batches, held = RecycledBatches(most=most), {}
    for number, (size, let_go) in enumerate(steps):
        held[number] = batches.take((size, 16)).fill_(number)
        for old in random.Random(let_go).sample(sorted(held), min(let_go, len(held))):
            del held[old]
        assert all((batch == key).all() for key, batch in held.items())


def test_pickles_without_its_memory() -> None:
    batches = RecycledBatches()
    batches.take((1024, 1024))
    assert len(pickle.dumps(batches)) < 1000
    assert pickle.loads(pickle.dumps(batches)).take(SHAPE).shape == SHAPE


def test_overwriting_is_what_one_asks_for() -> None:
    memory = RecycledBatches(overwrite=True)
    kept = memory.take((2, 3))
    kept.fill_(7)
    again = memory.take((1, 3))
    again.fill_(9)
    assert kept.data_ptr() == again.data_ptr()
    assert kept.tolist() == [[9, 9, 9], [7, 7, 7]]
    assert memory.take((4, 3)).data_ptr() != kept.data_ptr(), "a larger one needs more memory"


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
    batches = RecycledBatches(pinned=True)
    for number in range(5):
        batch = batches.take(SHAPE)
        assert len(page_locked) == number + 1 and batch is page_locked[-1]
        assert batch.shape == SHAPE and batch.dtype == torch.uint8
    assert batches._arrays == []


def test_page_locked_memory_of_a_loader(page_locked: list[torch.Tensor], folder: Path) -> None:
    pack: Any = ensure_stored(folder, "pixels", "pack")
    for loader in (ThreadedJpegLoader(folder, 4, pinned=True),
                   GatheredPixelsLoader(pack, 4, pinned=True)):  # fmt: skip
        page_locked.clear()
        for batch in loader:
            assert any(batch is given for given in page_locked)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_copy_that_still_runs_reads_what_was_in_the_batch() -> None:
    shape, stream = (64, 256, 256, 3), torch.cuda.Stream()
    batches, copies = RecycledBatches(pinned=True), []
    with torch.cuda.stream(stream):
        for number in range(8):
            torch.cuda._sleep(50_000_000)  # the copy begins when the host is far ahead
            batch = batches.take(shape).fill_(number)
            copies.append(batch.to("cuda", non_blocking=True))
            del batch
    stream.synchronize()
    assert [copy.unique().tolist() for copy in copies] == [[number] for number in range(8)]


def test_page_locked_memory_is_not_overwritten(page_locked: list[torch.Tensor]) -> None:
    with pytest.raises(BadArgument, match="leave overwrite or pinned out"):
        RecycledBatches(pinned=True, overwrite=True)
