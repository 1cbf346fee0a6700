"""Workers on all cores, with one thread each."""

from __future__ import annotations

import os
import sys
from typing import Any

from datasets_impl.doctor.findings.crowded import LIBRARIES, threads_of
from datasets_impl.doctor.probes.loaders import initialised
from datasets_impl.doctor.probes.set_threads import keep
from datasets_impl.doctor.remedies.remedy import Context, Remedy
from datasets_impl.system.cores import cores

WORK = ("python", "converting", "transforming", "resizing", "decoding")  # what threads are for


class Then:
    """What a worker calls first: the user's way, and then a function more."""

    def __init__(self, init: Any, then: Any, *given: Any) -> None:
        self.init, self.then, self.given = init, then, given

    def __call__(self, worker: int) -> None:
        self.init(worker)
        self.then(*self.given)


def one_thread() -> None:
    keep(1)
    if opencv := sys.modules.get("cv2"):
        opencv.setNumThreads(0)


def on_cores(allowed: set[int]) -> None:
    os.sched_setaffinity(0, allowed)


def crowded(at: Context) -> list[Remedy]:
    """Measured in workers that are started like that."""
    return [*_unbound(at), *_one_thread(at)]


def _unbound(at: Context) -> list[Remedy]:
    if "bound-to-cores" not in at.found:
        return []
    init = Then(initialised(at.subject), on_cores, os.sched_getaffinity(os.getppid()))
    return [
        Remedy(
            "unbound",
            "Let workers use all cores",
            "def worker_init_fn(worker):\n    os.sched_setaffinity(0, range(os.cpu_count()))",
            at.part,
            at.subject.workers,
            "C20",
            changes={"worker_init_fn": init},
            mends=("bound-to-cores",),
        )
    ]


def _one_thread(at: Context) -> list[Remedy]:
    library, threads = threads_of(at.seen)
    workers = at.subject.workers
    if workers < 2 or threads * workers <= 2 * cores():
        return []
    return [
        Remedy(
            "one-thread",
            "One thread in each worker",
            f"def worker_init_fn(worker):\n    {LIBRARIES[library]}",
            at.part,
            workers,
            "C20",
            changes={"worker_init_fn": Then(initialised(at.subject), one_thread)},
            mends=("threads", *WORK),
        )
    ]
