"""The thread that copies batches to page-locked memory keeps nobody waiting when an epoch ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from datasets_impl import ThreadedLoader
from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders import pinned
from datasets_impl.loaders.pinned import PinnedRun
from datasets_impl.loaders.work import NotInTime, Outcome
from tests.leftovers import until
from tests.numbered import Numbered, Waiting


@pytest.fixture(autouse=True)
def _device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that is not there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(pinned, "pinned", lambda batch: batch)
    yield


class Recorded:
    """A run that makes the first `made` batches at once, and no other before it has ended."""

    def __init__(self, made: int) -> None:
        self.made, self.looks, self.asked = made, 0, list[int]()
        self.ended = threading.Event()

    def submit(self, number: int, indices: Any) -> None:
        self.asked.append(number)

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        self.looks += 1
        if self.looks <= self.made:
            return self.asked[self.looks - 1], Outcome(self.looks)
        assert self.ended.wait(600), "it is ended before the thread is waited for"
        raise NotInTime

    def end(self) -> None:
        self.ended.set()


@pytest.mark.parametrize("more", [0, 1])
def test_an_epoch_that_ends_waits_for_no_look(more: int) -> None:
    """Neither where all batches were handed out, nor where one of them is still being made."""
    run: Any = Recorded(3)
    held = PinnedRun(run)
    for number in range(3 + more):
        held.submit(number, [number])
    assert [held.receive(60)[0] for _ in range(3)] == [0, 1, 2]
    assert until(lambda: run.looks == 3 + more)
    held.end()
    held._thread.join(600)
    assert not held._thread.is_alive() and run.looks == 3 + more, "it looks only for what is asked"


def test_an_epoch_that_has_ended_receives_nothing() -> None:
    with ThreadedLoader(Numbered(), 2, start_method="fork") as loader:
        batches: Any = iter(loader)
        next(batches)
        run = batches.epoch._run
        batches.epoch.close()
        with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
            run.receive(None)


def test_no_thread_is_left_of_an_epoch_that_was_stopped_early() -> None:
    with ThreadedLoader(Waiting(), 2, pin_memory=True, start_method="fork") as loader:
        batches = iter(loader)
        next(batches)
        del batches  # the next batch takes long
        assert until(lambda: "pin-memory" not in [each.name for each in threading.enumerate()])
