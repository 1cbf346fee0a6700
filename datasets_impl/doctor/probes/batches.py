"""What worker processes cost: starting them, and handing samples over."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.in_turn import in_turn
from datasets_impl.doctor.probes.loaders import (
    WORKERS,
    Part,
    There,
    collate_of,
    consume,
    only_noted,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.parts import open_handles
from datasets_impl.doctor.probes.preparing import Prepared, TimedInit, as_made, running
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.source_lines import assigned
from datasets_impl.doctor.probes.target import Subject

OTHER_START = "forkserver"  # of workers, in place of a fork
LONG_START, AGAIN = 0.1, 3.0  # seconds that workers prepare, to be looked at again; of its time
LONGEST_FIRST = 2.0  # seconds of the very first sample, that each worker is made to take again


def batches(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds that a sample takes from a worker to the trainer, and that a start of workers takes.

    Of an iterable dataset only that it is one.
    """
    if subject.iterable or not subject.length:
        return {"iterable": True}
    chosen = part_of(subject, seconds / 12)
    if not chosen:
        return {}
    part = Part(subject, chosen)
    # A batch of slow samples would take the time that there is: the start is told from fewer.
    most = int(max(1, seconds / 4 / max(1e-6, subject.cost)))
    some = [part[i] for i in range(min(len(part), trial_batch_of(subject) or 1, most))]
    collate, _ = collate_of(subject, some)
    found: dict[str, Any] = {"samples": len(part)}
    if subject.workers or (seconds > 4 and not open_handles(subject)):
        found |= _hand_over(subject, some, collate, seconds / 6)
        found |= _least_start(subject, part, collate, len(some), seconds)
        with contextlib.suppress(*RAISED):  # the user's, as of a lock that workers cannot share
            found["in_turn"] = in_turn(subject, seconds / 6)
    return found


def restarted(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds until a worker that is not forked gives its first batch; asked where forked ones
    wait for a lock that nobody holds."""
    some = [subject.read(index) for index in indices(subject, 2)]
    collate, _ = collate_of(subject, some)
    batch = min(trial_batch_of(subject, 1) or 1, int(max(1, seconds / 4 / max(1e-6, subject.cost))))
    part = Part(subject, indices(subject, batch))
    begun = clock.perf_counter()
    with opened(subject, part, 1, collate, multiprocessing_context=OTHER_START) as loader:
        next(iter(loader))
        return {"method": OTHER_START, "seconds": clock.perf_counter() - begun}


def _hand_over(
    subject: Subject, some: Sequence[Any], collate: Any, seconds: float
) -> dict[str, Any]:
    """Seconds that a sample takes from a worker to the trainer, beyond being collated."""
    batch = trial_batch_of(subject, 1) or 1
    with opened(subject, There(some, batch), 0, collate, batch_size=batch) as loader:
        consume(loader)
        inside = consume(loader) / batch
    # A slow collate function would fill the time by itself.
    count = batch * int(max(2, min(32, seconds / 3 / max(1e-9, inside * batch))))
    until, taken = clock.perf_counter() + seconds, list[float]()
    with opened(subject, There(some, count), 1, collate, worker_init_fn=only_noted) as loader:
        while len(taken) < 6 and (clock.perf_counter() < until or not taken):
            taken.append(_of_a_batch(loader, until) / batch)
    return {"hand_over": max(0.0, min(taken[1:] or taken) - inside)}


def _of_a_batch(loader: Any, until: float) -> float:
    """Seconds, in an epoch that is left after its second batch where the time is over: a batch may
    be thousands of tensors."""
    begun, count = clock.perf_counter(), 0
    for batch in loader:
        consume([batch])
        count += 1
        if count > 1 and clock.perf_counter() > until:
            break
    return (clock.perf_counter() - begun) / max(1, count)


def _least_start(
    subject: Subject, part: Part, collate: Any, few: int, seconds: float
) -> dict[str, Any]:
    """The start in which workers prepared least: on a busy machine one of them may take long."""
    begun = clock.perf_counter()
    found = _start(subject, part, collate, few)
    taken = clock.perf_counter() - begun
    if found["preparing"] < LONG_START or AGAIN * taken > seconds:
        return found
    return min(found, _start(subject, part, collate, few), key=lambda one: one["preparing"])


def _start(subject: Subject, part: Part, collate: Any, few: int) -> dict[str, Any]:
    """Seconds until the first batch of workers that are started for it, until its first sample is
    begun, and what the worker itself takes for what it prepares."""
    workers, batch = subject.workers or WORKERS, trial_batch_of(subject) or 1
    asked: list[Any] = [list(range(few))] if hasattr(part, "__getitems__") else [*range(few)]
    read: Any = getattr(part, "__getitems__", part.__getitem__)
    own, usual = 0.0, 0.0
    for one in asked:
        begun, running_since = clock.perf_counter(), running()
        read(one)
        own += clock.perf_counter() - begun
        usual = max(usual, running() - running_since)
    fresh, names = as_made(subject) if _loads_at_first(subject) else (subject, [])
    noted = Prepared(Part(fresh, part.indices, part.count))
    init = TimedInit(fresh, noted.told)
    with opened(fresh, noted, workers, collate, batch_size=few, worker_init_fn=init) as loader:
        begun = clock.perf_counter()
        next(iter(loader))
        first = clock.perf_counter() - begun
        began = noted.began - begun
        prepared = noted.seconds(usual, bool(names))
    preparing = sum(prepared.values())
    starting = max(preparing, began + prepared["first"])
    more = max(0, min(batch, subject.length or batch) - few)  # samples of a whole batch
    return {
        "start_workers": workers,
        "first_batch": max(first, starting) + own / few * more,
        "starting": starting,
        "preparing": preparing,
        "prepared": prepared,
        "threads": noted.threads,
        "first_sets": names,
        "first_lines": [line for name in names for line in assigned(subject.dataset, name)],
        "first_samples": own,
    }


def _loads_at_first(subject: Subject) -> bool:
    """Whether the very first sample took longer than others, and not so long that workers cannot be
    made to load the same."""
    looked = subject.answers.get("look", {})
    first = float(looked.get("first", 0.0))
    return first - looked.get("cost", 0.0) > LONG_START and first < LONGEST_FIRST
