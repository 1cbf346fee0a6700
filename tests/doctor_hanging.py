"""Datasets whose samples the trainer's process can read, and whose workers hang."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from typing import Any

import torch
from torch.utils.data import DataLoader

from tests.doctor_gallery import Rows


class Journal:
    """As if a thread of the trainer's were writing, under a lock, whenever workers are forked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        os.register_at_fork(before=self.lock.acquire, after_in_parent=self.lock.release)

    def note(self) -> None:
        with self.lock:  # here
            pass


class Journaled(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.journal = Journal()

    def __getitem__(self, index: int) -> Any:
        self.journal.note()
        return super().__getitem__(index)


class InC(Rows):
    """The same with a mutex of C's, which a worker waits for with the interpreter's own lock."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.mutex = ctypes.create_string_buffer(64)
        c = ctypes.CDLL(None)
        lock, unlock = c.pthread_mutex_lock, c.pthread_mutex_unlock
        os.register_at_fork(
            before=lambda: lock(self.mutex), after_in_parent=lambda: unlock(self.mutex)
        )

    def __getitem__(self, index: int) -> Any:
        c = ctypes.PyDLL(None)
        c.pthread_mutex_lock(self.mutex)  # here
        c.pthread_mutex_unlock(self.mutex)
        return super().__getitem__(index)


class CanBeSent(InC):
    """Workers that are not forked have a mutex of their own."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "mutex": None}

    def __getitem__(self, index: int) -> Any:
        if self.mutex is None:
            self.mutex = ctypes.create_string_buffer(64)
        return super().__getitem__(index)


class Killed(Rows):
    """As the kernel does it where memory runs out."""

    def __getitem__(self, index: int) -> Any:
        if index == 0 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Computing(Rows):
    def __getitem__(self, index: int) -> Any:
        if torch.utils.data.get_worker_info() is not None:
            any(iter(int, 1))  # here
        return super().__getitem__(index)


class ForAnEvent(Rows):
    def __getitem__(self, index: int) -> Any:
        if torch.utils.data.get_worker_info() is not None:
            threading.Event().wait()  # here
        return super().__getitem__(index)


def collated(samples: list[Any]) -> Any:
    if torch.utils.data.get_worker_info() is not None:
        threading.Event().wait()  # here
    return torch.stack(samples)


def busily(worker: int) -> None:
    """Takes longer than there is time for, and does not hang."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass


def begun(worker: int) -> None:
    threading.Event().wait()  # here


def of(dataset: Any, **options: Any) -> DataLoader[Any]:
    """Workers that are forked: others import torch before they come to hang. One is enough where
    all would do the same."""
    options = {"num_workers": 1, "batch_size": 32, "multiprocessing_context": "fork", **options}
    return DataLoader(dataset, **options)


def python_lock(folder: str) -> DataLoader[Any]:
    return of(Journaled(folder), num_workers=2)


def lock_of_c(folder: str) -> DataLoader[Any]:
    return of(InC(folder))


def lock_that_is_not_sent(folder: str) -> DataLoader[Any]:
    return of(CanBeSent(folder))


def killed(folder: str) -> DataLoader[Any]:
    return of(Killed(folder), num_workers=2)


def endless(folder: str) -> DataLoader[Any]:
    return of(Computing(folder))


def event(folder: str) -> DataLoader[Any]:
    return of(ForAnEvent(folder))


def collating(folder: str) -> DataLoader[Any]:
    return of(Rows(folder), collate_fn=collated)


def beginning(folder: str) -> DataLoader[Any]:
    return of(Rows(folder), worker_init_fn=begun)


def preparing(folder: str) -> DataLoader[Any]:
    return of(Rows(folder), worker_init_fn=busily)


FORKED, HANGS = "deadlock-after-fork", "workers-hang"
# What hangs -> the finding, whether a sample is named, and what the worker waits for.
HANGING = {
    python_lock: (FORKED, True, "self.lock"),
    lock_of_c: (FORKED, True, ""),
    endless: (HANGS, True, ""),
    event: (HANGS, True, "threading.Event()"),
    collating: (HANGS, False, "threading.Event()"),
    beginning: (HANGS, False, "threading.Event()"),
}
