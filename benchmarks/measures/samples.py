"""How access to records and handing over of samples are timed; neither needs photographs."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from datasets_impl.errors import VoidMeasurement
from datasets_impl.experiments.free_samples import free_samples, touch_sample
from datasets_impl.experiments.structures import STRUCTURES, records
from datasets_impl.loading import BATCH_SIZE

from ..common import Measured
from ..grids import Cell
from .epochs import PASS_BATCHES, PASS_SECONDS, repeated, timed

ACCESS_SECONDS = 0.1
ACCESSES = 4096  # random records a pass visits one by one, before it is made long enough
BATCHES = 16  # or gathers in so many batches
TRANSPORT_SECONDS = 0.1
FEW = 4  # samples to warm up with; large ones take a tenth of a second each
SAMPLES = 8  # at least so many are timed at once, from workers `PASS_BATCHES`
SAMPLES_SECONDS = 5e-3  # and for about so long


def access(cell: Cell) -> Measured:
    """Nanoseconds per record read at random, one by one or in batches, less the empty loop's."""
    torch.set_num_threads(1)
    made = STRUCTURES[cell.structure]
    held = made.build(records(cell.record, cell.n))
    draw = random.Random(0)
    if cell.access == "item":
        inputs: list[Any] = draw.choices(range(cell.n), k=ACCESSES)
        per_input = 1

        def visit(items: Sequence[Any]) -> None:
            _each(held, items)
    elif cell.access == "batch":
        drawn = (draw.choices(range(cell.n), k=BATCH_SIZE) for _ in range(BATCHES))
        inputs = [made.indices(positions) for positions in drawn]
        per_input = BATCH_SIZE

        def visit(items: Sequence[Any]) -> None:
            _gather(made.gather, held, items)
    else:
        raise ValueError(f"unknown access {cell.access!r}; known: item, batch")
    visit(inputs)
    longer = inputs * max(1, round(PASS_SECONDS / max(timed(lambda: visit(inputs)), 1e-7)))
    empty: list[float] = []

    def once() -> float:
        empty.append(timed(lambda: _nothing(longer)))
        return timed(lambda: visit(longer))

    times = repeated(once, ACCESS_SECONDS)
    scale = 1e9 / (len(longer) * per_input)
    loop = scale * statistics.median(empty)
    value = scale * statistics.median(times) - loop
    if value <= 0:
        raise VoidMeasurement(f"an access took no longer than the empty loop's {loop:.1f} ns")
    return value, {"loop_ns": round(loop, 2), "passes": len(times)}


# Functions of their own, so that the interpreter specialises each loop for one structure.
def _each(held: Any, items: Sequence[int]) -> None:
    for index in items:
        held[index]


def _gather(gather: Callable[[Any, Any], Any], held: Any, items: Sequence[Any]) -> None:
    for indices in items:
        gather(held, indices)


def _nothing(items: Sequence[Any]) -> None:
    for _ in items:
        pass


def transport(cell: Cell) -> Measured:
    """Microseconds from one sample that costs nothing to the next, one by one, steady state."""
    with free_samples(cell.kib, cell.carrier, cell.workers) as samples:

        def take(count: int = FEW) -> None:
            for _ in range(count):
                touch_sample(next(samples))

        take()  # starts the worker, and uses up what it had ready
        each = timed(take) / FEW
        least = PASS_BATCHES if cell.workers else SAMPLES
        count = max(least, round(SAMPLES_SECONDS / max(each, 1e-7)))
        times = repeated(lambda: timed(lambda: take(count)), TRANSPORT_SECONDS)
    seconds = statistics.median(times) / count
    rate = cell.kib * 1024 / 1e6 / seconds
    return 1e6 * seconds, {"mb_per_s": round(rate, 1), "samples": count * len(times)}
