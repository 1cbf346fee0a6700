"""One batch in the making, by as many threads as have time for it.

A thread takes the next sample of the batch, and the one after it, until none is left; then it goes
on to the next batch. So a slow sample holds up one thread, and no thread waits at a batch's end.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class Outcome(NamedTuple):
    """What became of a batch: a value or an error; or the dataset has `ended`.

    `state` is where an iterable dataset stood after it, and `drawn` where the generators did that
    all datasets share.
    """

    value: Any = None
    error: BaseException | None = None
    ended: bool = False
    state: Any = None
    drawn: Any = None


CLOSED = "The loader was closed in mid-epoch; begin a new epoch."
Deliver = Callable[[Outcome], None]


class NotInTime(Exception):
    """No batch is made yet. No TimeoutError: a trainer's signal handler may raise one."""


class Run(Protocol):
    """One epoch where it is made: batches go in by number and indices, and come out made."""

    def submit(self, number: int, indices: Any) -> None: ...

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        """The next batch that is made, whichever it is.

        Raises:
            NotInTime: none is made in so many seconds.
        """

    def end(self) -> None:
        """Nothing of it is wanted any more."""


class Work(ABC):
    """`run` it in any number of threads; the last of them to finish calls `deliver`, once.

    Of several parts that fail the first one's error counts, as if they were made one by one.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.deliver: Deliver | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._next = self._running = 0
        self._errors: dict[int, BaseException] = {}

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Called once, before the first part."""

    @abstractmethod
    def make(self, part: int) -> None: ...

    @abstractmethod
    def outcome(self) -> Outcome:
        """Called once, when all parts are made."""

    def drop(self) -> None:  # noqa: B027
        """Let go of the batch. Threads may still hold the work when the trainer has the batch."""

    def cancel(self) -> None:
        """Nobody waits for it any more.

        Takes no lock: the garbage collector may come while one is held, end an epoch that nobody
        has any more, and so come here.
        """
        self.deliver, self._cancelled = None, True
        if not self._running:
            self.drop()

    def made(self) -> Outcome:
        """All of it, by the calling thread alone."""
        try:
            self.prepare()
            for part in range(self.parts):
                self.make(part)
            return self.outcome()
        except KeyboardInterrupt:  # no error of the batch, which is still to be made
            raise
        except BaseException as error:  # as of the other threads, when the batch is asked for
            return Outcome(error=error)

    def run(self) -> None:
        while (part := self._take()) is not None:
            try:
                if part >= 0:
                    self.make(part)
            except BaseException as error:  # whatever it is, the trainer must not wait for ever
                self._errors[part] = error
            if self._finished():
                self._deliver()
                return

    def _take(self) -> int | None:
        """The next part; -1 where preparing failed, and None where nothing is left."""
        with self._lock:
            if self._cancelled or self._errors or self._next >= self.parts:
                return None
            self._running += 1
            if self._next == 0:
                try:
                    self.prepare()
                except BaseException as error:
                    self._errors[-1] = error
                    return -1
            self._next += 1
            return self._next - 1

    def _finished(self) -> bool:
        with self._lock:
            self._running -= 1
            ended = self._cancelled or self._next >= self.parts or bool(self._errors)
            if not self._running and self._cancelled:
                self.drop()
            return ended and not self._running and not self._cancelled

    def _deliver(self) -> None:
        deliver, self.deliver = self.deliver, None
        if self._errors:
            outcome = Outcome(error=self._errors[min(self._errors)])
        else:
            try:
                outcome = self.outcome()
            except BaseException as error:
                outcome = Outcome(error=error)
        self._errors = {}
        self.drop()
        if deliver is not None:  # cancelled meanwhile
            deliver(outcome)
        del outcome  # an error holds this frame, which would hold it
