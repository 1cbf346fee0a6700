"""What a dataset sends to a worker that is not forked, and whether the worker can start at all.

Forkserver and spawn pickle the dataset for each worker with multiprocessing's `ForkingPickler`.
PyTorch teaches that pickler to move tensors to shared memory and to send a file descriptor for
each, so that the bytes it writes are fewer than those of plain `pickle`; what does not fit into
the message are the descriptors (see `multiprocessing.forkserver.MAXFDS_TO_SEND`).
"""

from __future__ import annotations

import errno
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch.multiprocessing  # noqa: F401 - registers how tensors travel

from datasets_impl.errors import Unsupported
from datasets_impl.loading import loader

# What the start of a worker says when descriptors run out, beside errno's EMFILE and ENFILE.
OUT_OF_DESCRIPTORS = ("too many fds", "too many open files", "items of ancdata")


@dataclass(frozen=True)
class Handover:
    """Bytes of the dataset by plain `pickle`; bytes and descriptors as sent to each worker."""

    plain_bytes: int
    sent_bytes: int
    descriptors: int


class _Counter:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, part: Any) -> int:
        size = memoryview(part).nbytes
        self.bytes += size
        return size


class _Descriptor:
    """Stands for a descriptor in the message, as multiprocessing's own class does."""

    def __init__(self, place: int) -> None:
        self.place = place


class _Launch:
    """Stands for the process being started; counts the descriptors that it is to inherit."""

    DupFd = _Descriptor

    def __init__(self) -> None:
        self.descriptors = 0

    def duplicate_for_child(self, descriptor: int) -> int:
        self.descriptors += 1
        return self.descriptors


def handover(dataset: Any) -> Handover:
    """Pickle `dataset` both ways without keeping the bytes; its tensors move to shared memory."""
    plain, sent, launch = _Counter(), _Counter(), _Launch()
    pickle.Pickler(plain).dump(dataset)
    context.set_spawning_popen(launch)  # type: ignore[arg-type,attr-defined]
    try:
        ForkingPickler(sent).dump(dataset)
    finally:
        context.set_spawning_popen(None)  # type: ignore[attr-defined]
    return Handover(plain.bytes, sent.bytes, launch.descriptors)


def start_failure(dataset: Any, num_workers: int, start_method: str) -> str:
    """The error of a loader that cannot hand over its first batch; "" when the batch arrives."""
    try:
        with loader(dataset, num_workers, start_method) as batches:
            next(iter(batches))
    except Exception as error:  # whatever keeps the loader from starting is the answer
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def starting() -> Iterator[None]:
    """Turn a loader that lacks descriptors to start its workers into a cell that is not there.

    Raises:
        Unsupported: with the error, in place of it.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).lower()
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or any(
            words in said for words in OUT_OF_DESCRIPTORS
        ):
            raise Unsupported(
                f"workers cannot start with this dataset: {type(error).__name__}: {error}"
            ) from error
        raise
