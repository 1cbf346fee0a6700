"""Probes of the loader around the dataset: collating, starting, handing over, and memory."""

from __future__ import annotations

import gc
import time
from typing import Any

from datasets_impl.doctor.loaders import (
    LEAST_BATCHES,
    Part,
    Same,
    Timed,
    batch_size_of,
    collate_of,
    consume,
    opened,
)
from datasets_impl.doctor.probes import indices, seconds_of_items
from datasets_impl.doctor.target import Subject
from datasets_impl.observe.memory import process_memory
from datasets_impl.observe.page_cache import Unsupported

WORKERS = 2  # where the user has none, for what only workers show
MOST_BATCHES = 512  # in a part


def part_of(subject: Subject, seconds: float) -> list[int]:
    """Indices whose samples take about `seconds` to read, whole batches of them."""
    some = indices(subject, 64)
    known = seconds_of_items(subject, some[:: max(1, len(some) // 8)])
    each = max(1e-6, sum(known) / max(1, len(known)))
    batch = batch_size_of(subject) or 1
    count = int(min(MOST_BATCHES * batch, max(LEAST_BATCHES * batch, seconds / each)))
    return indices(subject, count)


def batches(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds for each sample of collating, of handing over, and of a worker's start.

    Of an iterable dataset only whether it can be iterated twice.
    """
    if subject.iterable or not subject.length:
        return {"iterable": True}
    chosen = part_of(subject, seconds / 12)
    part = Part(subject, chosen, max(len(chosen), LEAST_BATCHES * (batch_size_of(subject) or 1)))
    some = [part[i] for i in range(min(len(part), batch_size_of(subject) or 1))]
    collate, unfit = collate_of(subject, some)
    timed = Timed(part)
    with opened(subject, timed, 0, collate) as loader:
        consume(loader)
        timed.seconds = 0.0
        whole = consume(loader)
    collating = max(0.0, whole - timed.seconds) / len(part)
    found = {
        "batch_size": batch_size_of(subject),
        "samples": len(part),
        "item": timed.seconds / len(part),
        "collating": collating,
        "not_collated": unfit,
    }
    if subject.workers or seconds > 4:
        found |= _hand_over(subject, some[0], collate, collating, seconds / 6)
        found |= _start(subject, part, collate)
    return found


def _hand_over(
    subject: Subject, sample: Any, collate: Any, collating: float, seconds: float
) -> dict[str, Any]:
    """Seconds that a sample takes from a worker to the trainer, beyond being collated."""
    count = (batch_size_of(subject) or 1) * 32
    same = Same(sample, count)
    with opened(subject, same, 0, collate) as loader:
        inside = consume(loader) / count
    with opened(subject, same, 1, collate) as loader:
        consume(loader)
        taken, until = [consume(loader)], time.perf_counter() + seconds
        while time.perf_counter() < until and len(taken) < 5:
            taken.append(consume(loader))
    return {"hand_over": max(0.0, min(taken) / count - min(inside, collating or inside))}


def _start(subject: Subject, part: Part, collate: Any) -> dict[str, Any]:
    """Seconds until the first batch of workers that are started for it, and of one without."""
    workers = subject.workers or WORKERS
    batch = batch_size_of(subject) or 1
    begun = time.perf_counter()
    for index in range(min(batch, len(part))):
        part[index]
    one_batch = time.perf_counter() - begun
    with opened(subject, part, workers, collate) as loader:
        begun = time.perf_counter()
        next(iter(loader))
        first = time.perf_counter() - begun
    return {"start_workers": workers, "first_batch": first, "starting": max(0.0, first - one_batch)}


def growth(subject: Subject, seconds: float) -> dict[str, Any]:
    """Private memory of a worker after two batches, and after each of a few epochs; bytes.

    A copy of what the trainer holds, made by counting references, shows as growth that follows the
    samples read; a leak as growth that goes on when the same samples are read again.
    """
    if subject.iterable or not subject.length:
        return {}
    chosen = part_of(subject, seconds / 4)
    part = Part(subject, chosen)
    some = [part[i] for i in range(min(len(part), batch_size_of(subject) or 1))]
    collate, _ = collate_of(subject, some)
    workers = subject.workers or WORKERS
    few = Part(subject, chosen[: 2 * workers * (batch_size_of(subject) or 1)])
    gc.collect()
    try:
        (begun,) = _private(subject, few, workers, collate, 0.0, 1)
        seen = _private(subject, part, workers, collate, seconds * 0.6, 4)
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    return {
        "few": begun, "private": seen, "samples": len(part) - len(few), "of": subject.length,
        "workers": workers,
    }  # fmt: skip


def _private(
    subject: Subject, part: Part, workers: int, collate: Any, seconds: float, most: int
) -> list[int]:
    """Bytes that the largest worker has alone after each epoch; at least two if there is time."""
    found: list[int] = []
    with opened(subject, part, workers, collate) as loader:
        until = time.perf_counter() + seconds
        while not found or (len(found) < most and (time.perf_counter() < until or len(found) < 2)):
            consume(loader)
            alive = loader._iterator._workers  # type: ignore[union-attr]
            found.append(max(process_memory(worker.pid).private for worker in alive))
            if len(found) == most:
                break
    return found
