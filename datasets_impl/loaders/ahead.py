"""Look ahead: let a thread fetch the next batches while the trainer works on this one.

For any iterable of batches whose work releases the GIL (decoding, copying, reading), in place of a
worker process: nothing is moved between processes, so nothing is paid for moving it.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.threads import require_process, work_alone
from datasets_impl.system.threads import no_thread

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterate `batches` in a thread that stays at most `depth` batches ahead.

    An error in the thread is raised where the trainer asks for the batch. A trainer that stops
    early ends the thread.

    Raises:
        BadArgument: nothing to iterate over, no depth, a loader that overwrites its batches; or an
            iterator begins a second epoch, since the first has used it up.
        StudyError: in a process that was forked in mid-epoch, when the epoch is to go on there; or
            the system starts no more threads.
    """

    def __init__(self, batches: Iterable[T], depth: int = 2) -> None:
        arguments.iterable("batches", batches, "a loader, or another iterable of batches")
        if getattr(batches, "overwrite", False):
            raise BadArgument(
                "batches overwrites each batch with the next, which looking ahead asks for too "
                "early; leave out overwrite=True."
            )
        self.batches = batches
        self.depth = arguments.positive_int("depth", depth)
        self._used_up = False

    def __len__(self) -> int:
        try:
            return len(self.batches)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError("the batches have no length, so nor has the look-ahead") from None

    def __iter__(self) -> Iterator[T]:
        if self._used_up:
            raise BadArgument(
                "batches is an iterator and one epoch has used it up; give a loader that can "
                "begin again."
            )
        ready: queue.Queue[tuple[str, Any]] = queue.Queue(self.depth)
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._fetch, args=(ready, stopped), name="look-ahead", daemon=True
        )
        owner = os.getpid()
        try:
            thread.start()
        except RuntimeError as error:
            raise no_thread(error) from error
        try:
            while True:
                require_process(owner)
                kind, value = ready.get()
                if kind == "end":
                    self._used_up = hasattr(self.batches, "__next__")
                    return
                if kind == "error":
                    raise value
                yield value
                del value  # or this frame would hold the batch while the trainer asks for the next
        finally:
            if os.getpid() == owner:  # a fork has neither the thread nor perhaps a free queue
                stopped.set()
                while thread.is_alive():  # it may be waiting for a free place
                    try:
                        ready.get(timeout=0.01)
                    except queue.Empty:
                        continue
                thread.join()

    def _fetch(self, ready: queue.Queue[tuple[str, Any]], stopped: threading.Event) -> None:
        work_alone()  # the trainer's operations have PyTorch's other threads
        try:
            for batch in self.batches:
                ready.put(("batch", batch))
                del batch
                if stopped.is_set():
                    return
            ready.put(("end", None))
        except BaseException as error:  # whatever it is, the trainer must not wait for ever
            ready.put(("error", error))
