"""Shared memory for batches: slots that one process fills, another reads, and both use again.

A slot is memory without a name (memfd_create(2)), so nothing of it is left when both processes are
gone, however they ended. Its one descriptor goes to the trainer over the connection between the
two. When nothing of a batch is left there, the slot's number comes back through a pipe.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from datasets_impl.errors import StudyError
from datasets_impl.loaders.ending import identity
from datasets_impl.loaders.layout import Leaf
from datasets_impl.loaders.memory import Bytes, aligned, laid_out, lease
from datasets_impl.loaders.unnamed import allocate, lacking, require_memory, unnamed_file

NUMBER = struct.Struct("<q")
PATIENCE = 0.02  # seconds to wait for a slot rather than make the last of the usual ones


class Slot:
    """Memory of `nbytes`; `number` is what both processes call it."""

    def __init__(self, number: int, nbytes: int, memory: mmap.mmap) -> None:
        self.number, self.nbytes = number, nbytes
        self.array: Bytes = np.frombuffer(memory, np.uint8, nbytes)
        self.address = self.array.ctypes.data


class Slots:
    """The slots of the process that fills them. Many threads may take at once.

    Args:
        returned: descriptor of the pipe by which numbers of slots come back.
        announce: called with the number, size and descriptor of a new slot.
        discard: called with the number of a slot that is no longer used.
        usual: slots that are in use at once, as long as the trainer keeps no batch: so many are
            kept, and there must be memory for them before the first is made.
    """

    def __init__(
        self,
        returned: int,
        announce: Callable[[int, int, int], None],
        discard: Callable[[int], None],
        usual: int,
    ) -> None:
        os.set_blocking(returned, False)
        self.returned, self.announce, self.discard, self.usual = returned, announce, discard, usual
        self.usual_bytes = 0  # of a batch
        self._all: dict[int, Slot] = {}
        self._free: deque[Slot] = deque()
        self._lock = threading.Lock()
        self._made = 0
        self._waits = usual > 2

    def take(self, nbytes: int) -> Slot:
        """
        Raises:
            StudyError: there is not so much memory.
        """
        with self._lock:
            self.usual_bytes = nbytes = max(nbytes, self.usual_bytes)
            self._take_back()
            if not self._free and self._waits and len(self._all) == self.usual - 1:
                # A trainer asks for one batch more just before it lets go of the one it had, whose
                # slot is back in a moment, while other batches are ready. So waiting takes no time
                # and saves the memory of a batch. One that keeps its batches is waited for once.
                self._waits = readable(self.returned, PATIENCE)
                self._take_back()
            while self._free:
                slot = self._free.pop()
                if slot.nbytes >= nbytes:
                    return slot
                self._drop(slot)
            return self._new(nbytes)

    def free(self, slot: Slot) -> None:
        """Takes no lock: it is called wherever the last reference to a batch goes."""
        self._free.append(slot)

    def _take_back(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while numbers := os.read(self.returned, 512 * NUMBER.size):
                for (number,) in NUMBER.iter_unpack(numbers):
                    if number < 0:
                        self._drop(self._all[~number])
                    else:
                        self._free.append(self._all[number])
        while len(self._free) > self.usual:
            self._drop(self._free.popleft())

    def _drop(self, slot: Slot) -> None:
        del self._all[slot.number]
        self.discard(slot.number)

    def _new(self, nbytes: int) -> Slot:
        nbytes = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            require_memory(nbytes, 1 if self._made else self.usual)
            with unnamed_file() as file:
                allocate(file, nbytes)
                slot = Slot(self._made, nbytes, mmap.mmap(file, nbytes))
                self.announce(slot.number, nbytes, file)
        except OSError as error:
            raise StudyError(
                lacking(nbytes, 1, error.strerror or str(error), error.errno)
            ) from error
        self._made += 1
        self._all[slot.number] = slot
        return slot


class Reserved:
    """Memory for one batch: part of a slot, which is taken when it is first asked for.

    The slot is free again when this goes, unless the batch was `sent`.
    """

    overwrite = False

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.slot: Slot | None = None
        self.used = 0

    def tensors(self, leaves: Sequence[Leaf]) -> list[torch.Tensor]:
        return laid_out(leaves, self._take)

    def _take(self, nbytes: int) -> Bytes:
        if self.slot is None:
            self.slot = self.slots.take(nbytes)
        start = self.used
        if start + nbytes > self.slot.nbytes:  # `pack` moves it to a larger slot
            return np.empty(nbytes, np.uint8)
        self.used += aligned(nbytes)
        return self.slot.array[start : start + nbytes]

    def grow(self, nbytes: int) -> Slot:
        """A slot of at least `nbytes`, with what was in use of the one before."""
        if self.slot is None or self.slot.nbytes < nbytes:
            before, self.slot = self.slot, self.slots.take(nbytes)
            if before is not None:
                self.slot.array[: self.used] = before.array[: self.used]
                self.slots.free(before)
        self.used = nbytes
        return self.slot

    def offset(self, address: int) -> int | None:
        """Where in the slot an address is; None if it is elsewhere."""
        start = 0 if self.slot is None else self.slot.address
        return address - start if start <= address < start + self.used else None

    def sent(self) -> tuple[int, int]:
        """Number and used bytes of the slot, which the trainer gives back; -1 if there is none."""
        slot, self.slot = self.slot, None
        return (-1, 0) if slot is None else (slot.number, self.used)

    def release(self) -> None:
        slot, self.slot = self.slot, None
        if slot is not None:
            self.slots.free(slot)

    def __del__(self) -> None:
        self.release()


_forks = itertools.count()  # before and after each fork of this process
_forked = [next(_forks)]
os.register_at_fork(
    before=lambda: _forked.__setitem__(0, next(_forks)),
    after_in_parent=lambda: _forked.__setitem__(0, next(_forks)),
)


class Returns:
    """The trainer's end of the pipe by which slots go back. Takes no lock, and waits for nothing.

    It is closed when the last lease of a batch is gone, and not before: another file could have its
    number then.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._owner = descriptor, os.getpid()
        self._which = identity(descriptor)
        self._unsent: deque[int] = deque()  # while the pipe is full

    def lease(self, memory: mmap.mmap, nbytes: int, number: int) -> Bytes:
        self._send()
        return lease(memory, nbytes, partial(self._give, number, _forked[0]))

    def _give(self, number: int, forked: int) -> None:
        if os.getpid() != self._owner:  # a fork has a copy of the batch, and not the slot
            return
        # What a fork may look at for ever is not filled again.
        self._unsent.append(number if forked == _forked[0] else ~number)
        self._send()

    def _send(self) -> None:
        while self._unsent:
            if not self._is_open():
                return None
            try:
                number = self._unsent.popleft()
            except IndexError:  # the garbage collector or another thread was here
                return
            try:
                os.write(self._descriptor, NUMBER.pack(number))
            except BlockingIOError:  # goes with a later one
                return self._unsent.appendleft(number)
            except OSError:  # the other process is gone
                return None
        return None

    def _is_open(self) -> bool:
        """Not where the trainer has closed it, and perhaps opened a file of that number."""
        return identity(self._descriptor) == self._which

    def __del__(self) -> None:
        if self._is_open():
            os.close(self._descriptor)


class MappedSlots:
    """The trainer's side of the slots."""

    def __init__(self, returns: Returns) -> None:
        self.returns = returns
        self._mapped: dict[int, mmap.mmap] = {}

    def add(self, number: int, nbytes: int, descriptor: int) -> None:
        try:
            self._mapped[number] = mmap.mmap(descriptor, nbytes)
        finally:
            os.close(descriptor)

    def discard(self, number: int) -> None:
        del self._mapped[number]

    def lease(self, number: int, nbytes: int) -> Bytes:
        """Memory of the slot, which goes back when nothing of it is left; none of slot -1."""
        if number < 0:
            return np.empty(0, np.uint8)
        return self.returns.lease(self._mapped[number], nbytes, number)


def readable(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read within so many seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1e3 * seconds))


def send_descriptor(connection: Any, descriptor: int) -> None:
    with _socket_of(connection) as channel:
        socket.send_fds(channel, [b"."], [descriptor])


def receive_descriptor(connection: Any) -> int:
    """
    Raises:
        StudyError: the process has no descriptor left.
    """
    with _socket_of(connection) as channel:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        raise StudyError(
            "A batch's memory cannot be opened: this process has no descriptor left; raise the "
            "limit (`ulimit -n`), or close files."
        )
    return descriptors[0]


def _socket_of(connection: Any) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))
