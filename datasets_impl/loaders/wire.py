"""Messages between the trainer and the process that makes its batches."""

from __future__ import annotations

import pickle
import struct
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

HEADER = struct.Struct("<5q")


class Kind(IntEnum):
    """The first four go to the process, the others come from it."""

    BEGIN = 0  # a run: data are the epoch, its seed, where it goes on
    MAKE = 1  # a batch of the run: data are its indices
    END = 2  # of a run
    STOP = 3  # the process
    SLOT = 4  # a new one of so many bytes, whose descriptor follows
    DISCARDED = 5  # a slot
    MADE = 6  # a batch, in so many bytes of a slot
    FAILED = 7  # a batch: data is the error


class Message(NamedTuple):
    kind: Kind
    run: int = 0
    number: int = 0
    slot: int = -1
    nbytes: int = 0
    data: bytes = b""

    def send(self, connection: Connection) -> None:
        connection.send_bytes(HEADER.pack(*self[:5]) + self.data)

    @classmethod
    def received(cls, connection: Connection) -> Message:
        """
        Raises:
            EOFError, OSError: the other end is closed.
        """
        whole = connection.recv_bytes()
        kind, run, number, slot, nbytes = HEADER.unpack_from(whole)
        return cls(Kind(kind), run, number, slot, nbytes, whole[HEADER.size :])


def pickled(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
