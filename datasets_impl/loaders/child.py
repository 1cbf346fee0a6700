"""The separate process: it makes batches for the trainer in threads of its own.

It ends when the trainer asks it to, closes the connection, or is gone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils.worker import _generate_state

from datasets_impl.errors import LoaderFailed, StudyError
from datasets_impl.loaders.carried import carry
from datasets_impl.loaders.drawn import OUT_OF_ORDER, Drawn
from datasets_impl.loaders.modes import Within
from datasets_impl.loaders.named import unsendable
from datasets_impl.loaders.parcel import Unsendable, pack
from datasets_impl.loaders.parts import copied
from datasets_impl.loaders.reading import Feed, Reading
from datasets_impl.loaders.slots import Reserved, Slots, send_descriptor
from datasets_impl.loaders.threads import lone_threads
from datasets_impl.loaders.wire import Kind, Message
from datasets_impl.loaders.work import Outcome, Work
from datasets_impl.loaders.worker import tell_worker
from datasets_impl.system.termination import Owner


def main(
    connection: Connection,
    returned: Connection,
    trainer: int,
    theirs: Connection | None,
    reading: Reading,
    usual: int,
    init: Callable[[int], None] | None,
) -> None:
    """
    Args:
        connection, returned: to the trainer, and from where it gives slots back.
        trainer: its process number.
        theirs: the other end of the connection, where it came along by a fork.
        usual: slots that are in use at once.
        init: called with 0 at the beginning of each epoch, as `worker_init_fn` of `DataLoader`;
            what it sets in the dataset of `get_worker_info()` holds for that epoch's reading.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer hears it too, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if theirs is not None:
        theirs.close()
    torch.set_num_threads(1)
    with _or_end():
        _Child(connection, returned, reading, usual, init).serve(Owner(trainer))
    os._exit(0)  # threads may still be at work


@contextlib.contextmanager
def _or_end() -> Iterator[None]:
    """What cannot go on, as without memory, ends at once: no thread is waited for, and the trainer
    hears of it."""
    try:
        yield
    except BaseException:
        try:
            traceback.print_exc()
        finally:
            os._exit(1)


class _Child:
    def __init__(
        self,
        connection: Connection,
        returned: Connection,
        reading: Reading,
        usual: int,
        init: Callable[[int], None] | None,
    ) -> None:
        self.connection, self.reading, self.init = connection, reading, init
        self.sending = threading.Lock()
        self.slots = Slots(returned.fileno(), self._announce, self._discard, usual)
        self.pool: ThreadPoolExecutor | None = None
        self.telling: ThreadPoolExecutor | None = None
        self.feeds: dict[int, Feed | Exception] = {}  # by run; the error where it did not begin
        self.within: dict[int, Within] = {}  # by run
        self.works: dict[tuple[int, int], Work] = {}
        self.began: tuple[int, Drawn | None] = (-1, None)  # the last run, and what its seed made
        self.draws: bool | None = None  # whether samples draw random numbers; None: not known yet

    def serve(self, trainer: Owner) -> None:
        answers = {Kind.BEGIN: self._begin, Kind.MAKE: self._make, Kind.END: self._end}
        while trainer.wait_for(self.connection):
            try:
                message = Message.received(self.connection)
            except (EOFError, OSError):
                return
            if message.kind is Kind.STOP:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()  # what the dataset has printed
                return
            answers[message.kind](message)

    def _begin(self, message: Message) -> None:
        epoch, seed, state, drawn, modes = pickle.loads(message.data)
        try:
            with modes.set():
                self.feeds[message.run] = self._begun(message.run, epoch, seed, state, drawn)
                self.within[message.run] = Within()  # and as `init` has set it
        except Exception as error:
            self.feeds[message.run] = error
        except BaseException as error:
            failed = LoaderFailed(
                f"worker_init_fn or set_epoch raised {error!r}, which would end the process that "
                "makes batches; let it raise another error."
            )
            failed.__cause__ = error
            self.feeds[message.run] = failed

    def _begun(self, run: int, epoch: int, seed: int, state: Any, drawn: Any) -> Feed:
        random.seed(seed)
        torch.manual_seed(seed)
        np.random.seed(_generate_state(seed, 0))  # type: ignore[no-untyped-call]
        feed = Feed(self.reading, epoch, not self.feeds, state)
        if self.init is not None and feed.dataset is self.reading.dataset:
            # Another epoch may still read from it. A part's indices are each epoch's own.
            feed.dataset = copied(feed.dataset, whole=bool(self.feeds))
        tell_worker(seed, feed.dataset)
        if self.init is not None:
            self.init(0)
            feed.look()
        self.began, self.draws = (run, Drawn.now()), self.draws or None
        if self.reading.draws_in_order and isinstance(drawn, tuple):
            Drawn(*drawn).restore()
            self.began = (-1, None)
        return feed

    def _make(self, message: Message) -> None:
        memory, indices = Reserved(self.slots), None
        deliver = partial(self._deliver, message.run, message.number, memory)
        feed = self.feeds[message.run]
        try:
            if isinstance(feed, Exception):
                raise feed
            indices = pickle.loads(message.data)
            work = feed.work(indices, memory)
            if self.pool is None:
                self.pool = lone_threads(self.reading.threads, "make-batch")
        except Exception as error:
            return self._fail(partial(deliver, indices, Outcome(error=error)))
        work.deliver, within = partial(deliver, indices), self.within[message.run]
        self.works[message.run, message.number] = work
        for _ in range(min(self.reading.threads, work.parts)):
            self.pool.submit(within.run, work.run)
        return None

    def _fail(self, tell: Callable[[], None]) -> None:
        """In another thread: the trainer reads what it is told when it has sent what it wants, and
        this one must go on reading that."""
        try:
            self.telling = self.telling or lone_threads(1, "tell-error")
        except StudyError:
            tell()
        else:
            self.telling.submit(tell)

    def _end(self, message: Message) -> None:
        del self.feeds[message.run]
        self.within.pop(message.run, None)
        for key in [key for key in list(self.works) if key[0] == message.run]:
            if (work := self.works.pop(key, None)) is not None:
                work.cancel()

    def _deliver(
        self, run: int, number: int, memory: Reserved, indices: Any, outcome: Outcome
    ) -> None:
        self.works.pop((run, number), None)
        data, error = b"", outcome.error
        with _or_end():
            if error is None:
                try:
                    drawn = self._drawn(run)
                    data = pack((outcome.value, outcome.ended, outcome.state, drawn), memory)
                except Unsendable as why:
                    error = unsendable(outcome.value, indices, self.reading.streams, why)
                except BaseException as failure:  # there is no memory for it
                    error = failure
            if error is None:
                self._send(Message(Kind.MADE, run, number, *memory.sent(), data))
            else:
                memory.release()
                self._send(Message(Kind.FAILED, run, number, data=carry(error)))
        del error, outcome  # an error holds this frame, which would hold it

    def _drawn(self, run: int) -> Any:
        """Where the generators stand; None where no sample has drawn from them since their seed."""
        if self.reading.draws_in_order:
            now = Drawn.now()
            return None if (run, now) == self.began else tuple(now)
        if self.draws is None and run == self.began[0] and not self.reading.writes:
            self.draws = Drawn.now() != self.began[1]  # once an epoch: it takes a while
        return OUT_OF_ORDER if self.draws else None

    def _announce(self, slot: int, nbytes: int, descriptor: int) -> None:
        with self.sending, contextlib.suppress(OSError):
            Message(Kind.SLOT, slot=slot, nbytes=nbytes).send(self.connection)
            send_descriptor(self.connection, descriptor)

    def _discard(self, slot: int) -> None:
        self._send(Message(Kind.DISCARDED, slot=slot))

    def _send(self, message: Message) -> None:
        with self.sending, contextlib.suppress(OSError):  # the trainer is gone
            message.send(self.connection)
