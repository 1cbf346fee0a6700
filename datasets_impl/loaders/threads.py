"""Threads of which each works alone: PyTorch must not start further threads inside them.

PyTorch splits the work of one operation over its own threads, as many as there are cores by
default, and does so for every Python thread anew. A pool of as many threads as cores would then
have cores x cores of them at work on small images (https://docs.pytorch.org/docs/stable/notes/
multiprocessing.html, "CPU oversubscription"); a worker of a DataLoader is limited to one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from datasets_impl.errors import StudyError

MOST_THREADS = 1024  # more than any machine has cores for
_local = threading.local()
_forked = threading.Event()  # this process was forked after this module was imported
os.register_at_fork(after_in_child=_forked.set)


def spare_lost_threads() -> None:
    """In a fork, PyTorch's own threads did not come along, and waiting for them never ends."""
    if _forked.is_set():
        torch.set_num_threads(1)


def none_were_lost() -> None:
    """Say that this process was forked from one in which PyTorch had started no threads, as a
    benchmark's is from asv's server; nothing in it tells that."""
    _forked.clear()


def work_alone() -> None:
    """One intra-op thread for the calling thread, unless it is the process's main thread."""
    if getattr(_local, "alone", False) or threading.current_thread() is threading.main_thread():
        return
    torch.get_num_threads()  # a thread takes over the process's number when it first asks for it
    torch.set_num_threads(1)
    _local.alone = True


def require_process(owner: int) -> None:
    """
    Raises:
        StudyError: this is not process `owner` but a fork of it, where its threads do not exist.
    """
    if os.getpid() != owner:
        raise StudyError(
            "The epoch was begun in another process, whose threads were not forked with it; "
            "iterate over the loader anew in this one."
        )


def lone_threads(count: int, name: str) -> ThreadPoolExecutor:
    """A pool of `count` threads, started, that each work alone.

    `torch.set_num_threads` also says with how many threads every thread begins that comes later, so
    the caller's number is set again once all have started.

    Raises:
        StudyError: the system starts no more threads.
    """
    before = torch.get_num_threads()
    all_started = threading.Barrier(count)

    def start() -> None:
        work_alone()
        with contextlib.suppress(threading.BrokenBarrierError):  # one of them could not start
            all_started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=start)
    try:
        for started in [pool.submit(threading.get_ident) for _ in range(count)]:
            started.result()
    except BaseException as error:  # those that have started wait for the others
        all_started.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, RuntimeError):
            ends = "shutdown" in str(error)
            remedy = "read batches before the program ends" if ends else "give fewer as `threads`"
            raise StudyError(f"{count} threads cannot be started ({error}); {remedy}.") from error
        raise
    finally:
        torch.set_num_threads(before)
    return pool
