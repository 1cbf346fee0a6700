"""Threads that make batches in the trainer's own process."""

from __future__ import annotations

import queue
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.memory import Memory
from datasets_impl.loaders.modes import Within
from datasets_impl.loaders.own_indices import own
from datasets_impl.loaders.reading import Feed, Reading
from datasets_impl.loaders.threads import lone_threads, spare_lost_threads
from datasets_impl.loaders.work import CLOSED, NotInTime, Outcome, Work


class Here:
    """Runs epochs in this process.

    Args:
        at_once: a batch is made when it is asked for, so the trainer's own thread may make it
            where that is as fast: with all of PyTorch's threads, or where there is one thread.
    """

    def __init__(self, reading: Reading, memory: Memory, at_once: bool) -> None:
        self.reading, self.memory = reading, memory
        self.inline = at_once and (reading.gathers or reading.threads == 1)
        if self.inline:
            spare_lost_threads()
        self.running = 0
        self._pool: ThreadPoolExecutor | None = None
        self._runs: weakref.WeakSet[HereRun] = weakref.WeakSet()
        self.closed = False

    def begin(self, epoch: int, seed: int, state: Any = None, drawn: Any = None) -> HereRun:
        """`drawn` counts for nothing: the trainer draws from its generators too."""
        feed = Feed(self.reading, epoch, not self.running, state)
        self.running += 1
        run = HereRun(self, feed)
        self._runs.add(run)
        return run

    def close(self) -> None:
        self.closed = True
        for run in list(self._runs):
            run.interrupt()
        if self._pool is not None:
            self._pool.shutdown()

    def start(self, work: Work, within: Within) -> None:
        if self._pool is None:
            self._pool = lone_threads(self.reading.threads, "make-batch")
        for _ in range(min(self.reading.threads, work.parts)):
            self._pool.submit(within.run, work.run)


class HereRun:
    def __init__(self, here: Here, feed: Feed) -> None:
        self._here, self._feed = here, feed
        self._within = Within()  # as the thread is that begins it
        self._made: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._works: dict[int, Work] = {}
        self._ended = False

    def submit(self, number: int, indices: Any) -> None:
        if self._here.closed:
            return
        if not self._here.inline:
            indices = own(indices)
        work = self._feed.work(indices, self._here.memory, self._here.inline)
        if self._here.inline:
            self._made.put((number, work.made()))
            return
        self._works[number] = work
        work.deliver = partial(_put, self._made, number)
        try:
            self._here.start(work, self._within)
        except RuntimeError:
            if not self._here.closed:  # by another thread, just now; then `receive` says so
                raise

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        if self._here.closed:
            raise LoaderFailed(CLOSED)
        try:
            number, outcome = self._made.get(timeout=timeout)
        except queue.Empty:
            raise NotInTime from None
        if self._here.closed:  # meanwhile
            raise LoaderFailed(CLOSED)
        self._works.pop(number, None)
        return number, outcome

    def interrupt(self) -> None:
        """Whoever waits for a batch waits no longer."""
        self.end()
        self._made.put((-1, Outcome()))

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._here.running -= 1
            self._feed.end()
            for work in list(self._works.values()):  # another thread may close
                work.cancel()
            self._works = {}


def _put(made: queue.SimpleQueue[tuple[int, Outcome]], number: int, outcome: Outcome) -> None:
    made.put((number, outcome))
