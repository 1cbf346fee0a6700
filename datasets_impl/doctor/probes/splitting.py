"""Whether each worker of an iterable dataset does the work of all, and throws away what is not its
own part.

A worker is told that it is one of several while it runs alone, so that no other one slows it down.
What counts is the processor time of its thread: a busy machine changes little of that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice
from statistics import fmean
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.loaders import LATE, initialised
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.source_lines import Line, lines_of_class, name_of, of_function
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.loading import ending_workers

LEAST, MOST = 4, 64  # samples that one worker of several gives, after its first
ROUNDS = 3


class Spent(IterableDataset[float]):
    """Processor seconds of each sample in place of the sample."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __iter__(self) -> Iterator[float]:
        arriving = iter(self.inner)
        begun = clock.thread_time()
        for _ in arriving:
            yield clock.thread_time() - begun
            begun = clock.thread_time()


class OneOf:
    """What a worker calls first: to the user's code it is one of so many then."""

    def __init__(self, workers: int, function: Any) -> None:
        self.workers, self.function = workers, function

    def __call__(self, worker: int) -> None:
        object.__setattr__(get_worker_info(), "num_workers", self.workers)
        if self.function is not None:
            self.function(worker)


def split_late(subject: Subject, seconds: float) -> dict[str, Any]:
    """Processor seconds that a sample takes a worker alone, and one of as many as the user has.

    Empty where there is no time for samples enough. What a stream does before its first sample
    does not count; over the same part of the stream, one that throws samples away works as long as
    one that gives them all.
    """
    until, workers = clock.perf_counter() + seconds, subject.workers
    starting = (1 + workers) * float(subject.answers.get("look", {}).get("first", 0.0))
    left = max(0.0, seconds / 2 - starting)  # for a round
    given = int(min(MOST, left / (2 * workers * max(1e-9, subject.cost))))
    alone, shared = list[float](), list[float]()
    longest = 0.0
    while given >= LEAST and len(shared) < ROUNDS:
        begun = clock.perf_counter()
        if shared and begun + longest > until:
            break
        for many, samples, found in ((1, workers * given, alone), (workers, given, shared)):
            spent = _spent(subject, many, samples + 1, until)
            if len(spent) <= LEAST:
                return {}
            found.append(fmean(spent[1:]))
        longest = max(longest, clock.perf_counter() - begun)
    if not shared:
        return {}
    return {
        "workers": workers, "alone": min(alone), "shared": min(shared),
        "lines": splitting_lines(subject.dataset),
    }  # fmt: skip


def _spent(subject: Subject, workers: int, samples: int, until: float) -> list[float]:
    init = initialised(subject)
    init.function = OneOf(workers, init.function)
    loader: DataLoader[Any] = DataLoader(
        Spent(subject.dataset), batch_size=None, num_workers=1, prefetch_factor=1,
        multiprocessing_context="fork", worker_init_fn=init, timeout=LATE, persistent_workers=True,
    )  # fmt: skip
    found = list[float]()
    with ending_workers(loader):
        for spent in islice(loader, samples):
            found.append(float(spent))
            if clock.perf_counter() > until and len(found) > LEAST:
                break
    return found


def splitting_lines(dataset: Any) -> list[Line]:
    """Where workers take their parts: the call of `islice`, the remainder or the slice by which
    they do, else the number of workers; else where going over it begins."""
    owners = [type(value) for _, value, _ in parts(dataset)]
    for wanted in (_islice, _every, _asks):
        for owner in owners:
            if found := lines_of_class(owner, wanted):
                return found[:1]
    return of_function(type(dataset).__iter__)


def _islice(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) == "islice" and len(node.args) > 3


def _every(node: ast.AST) -> bool:
    """`number % workers == worker`, or `[worker::workers]`."""
    if isinstance(node, ast.Slice):
        return node.step is not None and not isinstance(node.step, ast.Constant | ast.UnaryOp)
    if not isinstance(node, ast.Compare):
        return False
    return any(
        isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mod)
        and not isinstance(one.right, ast.Constant)
        for one in (node.left, *node.comparators)
    )  # fmt: skip


def _asks(node: ast.AST) -> bool:
    return name_of(node) in ("num_workers", "get_worker_info") and hasattr(node, "lineno")
