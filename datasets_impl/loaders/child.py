"""The separate process: it makes batches for the trainer in threads of its own.

It ends when the trainer asks it to, closes the connection, or is gone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import psutil
import torch
from torch.utils.data._utils.worker import _generate_state

from datasets_impl.loaders.carried import carry
from datasets_impl.loaders.parcel import pack
from datasets_impl.loaders.reading import Feed, Reading
from datasets_impl.loaders.slots import Reserved, Slots, send_descriptor
from datasets_impl.loaders.threads import lone_threads
from datasets_impl.loaders.wire import Kind, Message
from datasets_impl.loaders.work import Outcome, Work

LOOK = 2.0  # seconds between two looks at whether the trainer lives, where none can wait for it


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
        init: called with 0 at the beginning of each epoch, as `worker_init_fn` of `DataLoader`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer hears it too, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if theirs is not None:
        theirs.close()
    torch.set_num_threads(1)
    _Child(connection, returned, reading, usual, init).serve(_Trainer(trainer))
    os._exit(0)  # threads may still be at work


class _Trainer:
    """Whether the trainer lives."""

    def __init__(self, number: int) -> None:
        self.handles: list[Any] = []
        self.process: psutil.Process | None = None
        try:
            self.handles = [os.pidfd_open(number)]
        except (AttributeError, OSError):  # it is gone, or the system knows no such handles
            try:
                self.process = psutil.Process(number)
            except psutil.NoSuchProcess:
                os._exit(0)

    def wait_for(self, connection: Connection) -> bool:
        """Until a message can be read; False when the trainer is gone."""
        while True:
            ready = wait([connection, *self.handles], None if self.handles else LOOK)
            if connection in ready:
                return True
            if ready or not (self.process and self.process.is_running()):
                return False


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
        self.feeds: dict[int, Feed | Exception] = {}  # by run; the error where it did not begin
        self.works: dict[tuple[int, int], Work] = {}

    def serve(self, trainer: _Trainer) -> None:
        answers = {Kind.BEGIN: self._begin, Kind.MAKE: self._make, Kind.END: self._end}
        while trainer.wait_for(self.connection):
            try:
                message = Message.received(self.connection)
            except (EOFError, OSError):
                return
            if message.kind is Kind.STOP:
                return
            answers[message.kind](message)

    def _begin(self, message: Message) -> None:
        seed, state = pickle.loads(message.data)
        try:
            random.seed(seed)
            torch.manual_seed(seed)
            np.random.seed(_generate_state(seed, 0))  # type: ignore[no-untyped-call]
            if self.init is not None:
                self.init(0)
            feed = Feed(self.reading, message.number, not self.feeds, state)
        except Exception as error:
            self.feeds[message.run] = error
        else:
            self.feeds[message.run] = feed

    def _make(self, message: Message) -> None:
        memory = Reserved(self.slots)
        deliver = partial(self._deliver, message.run, message.number, memory)
        feed = self.feeds[message.run]
        try:
            if isinstance(feed, Exception):
                raise feed
            work = feed.work(pickle.loads(message.data), memory)
            if self.pool is None:
                self.pool = lone_threads(self.reading.threads, "make-batch")
        except Exception as error:
            return deliver(Outcome(error=error))
        work.deliver = deliver
        self.works[message.run, message.number] = work
        for _ in range(min(self.reading.threads, work.parts)):
            self.pool.submit(work.run)
        return None

    def _end(self, message: Message) -> None:
        del self.feeds[message.run]
        for key in [key for key in list(self.works) if key[0] == message.run]:
            if (work := self.works.pop(key, None)) is not None:
                work.cancel()

    def _deliver(self, run: int, number: int, memory: Reserved, outcome: Outcome) -> None:
        self.works.pop((run, number), None)
        data, error = b"", outcome.error
        if error is None:
            try:
                data = pack((outcome.value, outcome.ended, outcome.state), memory)
            except BaseException as failure:  # it does not pickle, or there is no memory for it
                error = failure
        if error is None:
            self._send(Message(Kind.MADE, run, number, *memory.sent(), data))
        else:
            memory.release()
            self._send(Message(Kind.FAILED, run, number, data=carry(error)))
        del error, outcome  # an error holds this frame, which would hold it

    def _announce(self, slot: int, nbytes: int, descriptor: int) -> None:
        with self.sending, contextlib.suppress(OSError):
            Message(Kind.SLOT, slot=slot, nbytes=nbytes).send(self.connection)
            send_descriptor(self.connection, descriptor)

    def _discard(self, slot: int) -> None:
        self._send(Message(Kind.DISCARDED, slot=slot))

    def _send(self, message: Message) -> None:
        with self.sending, contextlib.suppress(OSError):  # the trainer is gone
            message.send(self.connection)
