"""Batches copied to page-locked memory by a thread, as `DataLoader` does it.

A slot itself is not page-locked: it would be filled again while a copy to the device that PyTorch
began from it still runs. PyTorch's own page-locked memory is given out again only after that.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import torch
from torch.utils.data._utils import pin_memory

from datasets_impl.loaders.work import NotInTime, Outcome, Run

LOOK = 0.2  # seconds between two looks at whether the run has ended, while a batch is made


def pinned(batch: Any) -> Any:
    """The same structure in page-locked memory, what lies there already as it is."""
    return pin_memory.pin_memory(batch)  # type: ignore[no-untyped-call]


class PinnedRun:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._ready: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
        self._asked: queue.SimpleQueue[None] = (
            queue.SimpleQueue()
        )  # one for each batch, and the end
        self._ended = threading.Event()
        self._device = torch.cuda.current_device()
        self._thread = threading.Thread(target=self._pin, name="pin-memory", daemon=True)
        self._thread.start()

    def submit(self, number: int, indices: Any) -> None:
        self._run.submit(number, indices)
        self._asked.put(None)

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        try:
            found = self._ready.get(timeout=timeout)
        except queue.Empty:
            raise NotInTime from None
        if isinstance(found, BaseException):
            self._ready.put(found)  # nothing else will come
            raise found
        return found

    def end(self) -> None:
        """Waits for nothing: the thread ends at once, or when it has looked for the batch that is
        being made. It takes no lock, since the garbage collector may come here in any thread."""
        self._ended.set()
        self._asked.put(None)
        self._run.end()

    def _pin(self) -> None:
        try:
            torch.cuda.set_device(self._device)
            while self._asked.get() is None and not self._ended.is_set():
                number, outcome = self._received()
                self._ready.put((number, outcome._replace(value=pinned(outcome.value))))
                del outcome
        except BaseException as error:  # whatever it is, the trainer must not wait for ever
            if not self._ended.is_set():
                self._ready.put(error)

    def _received(self) -> tuple[int, Outcome]:
        while True:
            try:
                return self._run.receive(LOOK)
            except NotInTime:
                if self._ended.is_set():
                    raise
