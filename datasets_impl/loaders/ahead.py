"""Look ahead: let a thread fetch the next batches while the trainer works on this one.

For any iterable of batches whose work releases the GIL (decoding, copying, reading), in place of a
worker process: nothing is moved between processes, so nothing is paid for moving it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from datasets_impl.loaders.threads import work_alone

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterate `batches` in a thread that stays at most `depth` batches ahead.

    An error in the thread is raised where the trainer asks for the batch. A trainer that stops
    early ends the thread.
    """

    def __init__(self, batches: Iterable[T], depth: int = 2) -> None:
        if depth < 1:
            raise ValueError(f"depth is {depth}; at least one batch must fit")
        self.batches = batches
        self.depth = depth

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[T]:
        ready: queue.Queue[tuple[str, Any]] = queue.Queue(self.depth)
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._fetch, args=(ready, stopped), name="look-ahead", daemon=True
        )
        thread.start()
        try:
            while True:
                kind, value = ready.get()
                if kind == "end":
                    return
                if kind == "error":
                    raise value
                yield value
                del value  # or this frame would hold the batch while the trainer asks for the next
        finally:
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
