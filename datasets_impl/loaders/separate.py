"""Batches made in one separate process, as the trainer sees it.

Beside a trainer that holds the GIL, threads in its process wait for it. Here they have a GIL of
their own, and the trainer only maps what they made: per batch one small message, and no copy.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import multiprocessing
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from datasets_impl.errors import LoaderFailed, StudyError
from datasets_impl.loaders import child
from datasets_impl.loaders.carried import arrive, require_own
from datasets_impl.loaders.ending import identity, lives, wait_for_end, why_ended
from datasets_impl.loaders.memory import Bytes
from datasets_impl.loaders.modes import Modes
from datasets_impl.loaders.parcel import unpack
from datasets_impl.loaders.reading import Reading
from datasets_impl.loaders.slots import MappedSlots, Returns, receive_descriptor
from datasets_impl.loaders.starting import require_importable, starting
from datasets_impl.loaders.wire import Kind, Message, pickled
from datasets_impl.loaders.work import CLOSED, NotInTime, Outcome

PATIENCE = 5.0  # seconds that the process gets to end by itself
LOOK = 1.0  # seconds between two looks at whether it lives
SHUT = (
    "The program has closed the connection to the process that makes batches, as os.closerange "
    "does; begin a new epoch."
)
ASIDE = 0.05  # seconds between two looks of a thread at what another one received for it
Inbox = deque[tuple[int, Outcome]]

# Those of `multiprocessing` that this module has started: a fork of the trainer has them among its
# own children, and would end them when it ends.
_OURS: weakref.WeakSet[BaseProcess] = weakref.WeakSet()
_known: set[BaseProcess] = getattr(multiprocessing.process, "_children", set())
os.register_at_fork(after_in_child=lambda: _known.difference_update(_OURS))


class Separate:
    """Runs epochs in one process, which is started for the first of them and ends with this.

    Args:
        start_method: fork, forkserver or spawn; None for the default of `multiprocessing`.
        usual: batches that are in memory at once.
        init: called with 0 in the process when an epoch begins.
    """

    def __init__(
        self,
        reading: Reading,
        start_method: str | None,
        usual: int,
        init: Callable[[int], None] | None = None,
    ) -> None:
        context: Any = multiprocessing.get_context(start_method)
        with starting():
            self._start(context, reading, usual, init)

    def _start(
        self, context: Any, reading: Reading, usual: int, init: Callable[[int], None] | None
    ) -> None:
        require_importable(context.get_start_method())
        self.connection, theirs = context.Pipe()
        returned, returns = context.Pipe(duplex=False)
        self.slots = MappedSlots(Returns(os.dup(returns.fileno())))
        returns.close()
        forked = self.connection if context.get_start_method() == "fork" else None
        self.process: BaseProcess = context.Process(
            target=child.main,
            args=(theirs, returned, os.getpid(), forked, reading, usual, init),
            name="make-batches",
            daemon=True,
        )
        self.broken = ""
        self._leaving = False
        self._inboxes: dict[int, Inbox] = {}
        self._outbox: deque[Message] = deque()
        self._numbers = itertools.count()
        self._receiving, self._sending = threading.Lock(), threading.Lock()
        _OURS.add(self.process)
        try:
            self.process.start()
            self._which = identity(self.connection.fileno())
            held = self.connection, self._which, self.process, os.getpid()
            self._close = weakref.finalize(self, _close, *held)
        except BaseException:
            if self.process.pid is not None:  # a signal came when it had started
                self.process.kill()
                self.process.join()
            self.connection.close()
            raise
        finally:
            theirs.close()
            returned.close()

    def runs(self) -> bool:
        if not self.broken and identity(self.connection.fileno()) != self._which:
            self._break(SHUT)
        return not self.broken and lives(self.process)

    def begin(self, epoch: int, seed: int, state: Any = None, drawn: Any = None) -> SeparateRun:
        number = next(self._numbers)
        self._inboxes[number] = deque()
        data = pickled((epoch, seed, state, drawn, Modes.now()))
        self.send(Message(Kind.BEGIN, number, data=data))
        return SeparateRun(self, number)

    def send(self, message: Message) -> None:
        """Waits for no lock: the garbage collector may come while one is held, end an epoch that
        nobody has any more, and so come here again."""
        self._outbox.append(message)
        try:
            while self._outbox and self._sending.acquire(blocking=False):
                try:
                    while self._outbox:
                        # Where it has ended, what it sent is still to be read; then that is said.
                        with contextlib.suppress(OSError):
                            self._outbox.popleft().send(self.connection)
                finally:
                    self._sending.release()
        except BaseException as error:
            self._cut_short(error)
            raise

    def end(self, run: int) -> None:
        """Slots of what was made in vain go back, since nobody holds a lease of them."""
        self._inboxes.pop(run, None)
        if not self.broken:
            last = self._leaving and not self._inboxes
            self.send(Message(Kind.STOP if last else Kind.END, run))

    def receive(self, run: int, timeout: float | None) -> tuple[int, Outcome]:
        """
        Raises:
            NotInTime: nothing came for this run in so many seconds.
            LoaderFailed: the process has ended, or the run.
        """
        inbox = self._inboxes.get(run, Inbox())
        until = None if timeout is None else time.monotonic() + timeout
        waits = False  # then a signal leaves nothing half done
        try:
            while not inbox:
                left = None if until is None else until - time.monotonic()
                # Another thread that waits for another run may receive what this one waits for.
                aside = ASIDE if left is None else min(ASIDE, max(0.0, left))
                if self._receiving.acquire(timeout=aside):
                    try:
                        if not inbox:
                            self._require(run)
                            waits = True
                            self._wait(left)
                            waits = False
                            self._read()
                    finally:
                        self._receiving.release()
                elif self.broken:
                    raise LoaderFailed(self.broken)
                elif left is not None and left <= 0:
                    raise NotInTime
        except (NotInTime, LoaderFailed):
            raise
        except BaseException as error:
            if isinstance(error, OSError) and error.errno == errno.EBADF:
                self._break(SHUT)
            if not waits:
                self._cut_short(error)
            closed = isinstance(error, OSError | ValueError) and not self._close.alive
            # At the program's end, in a thread that goes on; a TimeoutError is a signal handler's.
            if closed and not isinstance(error, TimeoutError):
                raise LoaderFailed(self.broken or CLOSED) from error
            raise
        return inbox.popleft()

    def _require(self, run: int) -> None:
        """That it has not ended, as another thread may have it end."""
        if run not in self._inboxes and not self.broken:
            raise LoaderFailed(CLOSED)

    def _wait(self, timeout: float | None) -> None:
        """Until a message is there."""
        if self.broken:
            raise LoaderFailed(self.broken)
        left, sources = timeout, [self.connection, self.process.sentinel]
        while not (ready := wait(sources, LOOK if left is None else min(left, LOOK))):
            left = None if left is None else left - LOOK
            if left is not None and left <= 0:
                raise NotInTime
            if not lives(self.process):  # unheard while a fork has the other ends open too
                break
        if self.connection not in ready and not self.connection.poll():
            self._ended()

    def _read(self) -> None:
        try:
            message = Message.received(self.connection)
            if message.kind is Kind.SLOT:
                descriptor = receive_descriptor(self.connection)
                return self.slots.add(message.slot, message.nbytes, descriptor)
        except (EOFError, ConnectionError):
            self._ended()
        if message.kind is Kind.DISCARDED:
            return self.slots.discard(message.slot)
        return self._put(message)

    def _put(self, message: Message) -> None:
        held = self.slots.lease(message.slot, message.nbytes)
        inbox = self._inboxes.get(message.run)
        if inbox is not None:
            inbox.append((message.number, _outcome(message, held)))

    def leave(self) -> None:
        """No new epoch begins here: it ends with those that are under way."""
        self._leaving = True
        if not self._inboxes:
            self.close()

    def close(self) -> None:
        if self.broken:
            return
        self.broken = CLOSED
        self.send(Message(Kind.STOP))  # who waits for a batch in another thread hears its end
        with self._receiving:
            self._close()

    def _ended(self) -> NoReturn:
        wait_for_end(self.process, PATIENCE)
        self._break(why_ended(self.process))
        raise LoaderFailed(self.broken)

    def _cut_short(self, error: BaseException) -> None:
        """Perhaps in mid-message, so the next one cannot be read; or a lock stays held."""
        self._break(f"An epoch was cut short ({str(error) or type(error).__name__}); begin anew.")

    def _break(self, why: str) -> None:
        self.broken = self.broken or why
        self._close()


class SeparateRun:
    def __init__(self, place: Separate, number: int) -> None:
        self._place, self._run = place, number

    def submit(self, number: int, indices: Any) -> None:
        try:
            data = pickled(indices)
        except Exception as error:  # each kind of object has errors of its own
            raise StudyError(
                "What the sampler gives cannot be sent to the process that makes batches "
                f'({error}); let it give numbers, or give where="trainer".'
            ) from error
        self._place.send(Message(Kind.MAKE, self._run, number, data=data))

    def receive(self, timeout: float | None) -> tuple[int, Outcome]:
        return self._place.receive(self._run, timeout)

    def end(self) -> None:
        self._place.end(self._run)


def _outcome(message: Message, held: Bytes) -> Outcome:
    if message.kind is Kind.FAILED:
        return Outcome(error=arrive(message.data))
    try:
        value, ended, state, drawn = unpack(message.data, held)
        return Outcome(value, None, ended, state, drawn)
    except BaseException as error:  # what a batch is made of cannot be imported here, or the like
        require_own(error)
        failed = StudyError(
            "A batch cannot be read as the process that makes batches sent it "
            f"({type(error).__name__}: {error}); let the dataset or collate_fn give what pickle "
            'can read in the trainer, too, or give where="trainer".'
        )
        failed.__cause__ = error
        return Outcome(error=failed)


def _close(
    connection: Connection, which: tuple[int, int] | None, process: BaseProcess, owner: int
) -> None:
    if identity(connection.fileno()) != which:
        # The trainer closed it, and the other end of its sentinel: files of their numbers stay.
        vars(connection)["_handle"] = None
        vars(process)["_popen"].finalizer.cancel()
    if os.getpid() != owner:  # a fork of the trainer: the process is not its child
        return connection.close()
    with contextlib.suppress(OSError):  # closing alone is not heard while a fork has it open too
        Message(Kind.STOP).send(connection)
    connection.close()
    wait_for_end(process, PATIENCE)
    if lives(process):
        process.kill()
        process.join()
    _known.discard(process)  # where nobody knows how it ended; its number may be another's by then
    with contextlib.suppress(ValueError):
        process.close()
    return None
