"""What the times of a watched loop say, as data: the file that `watch` writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from datasets_impl.doctor.loop.held import on_cuda
from datasets_impl.doctor.loop.record import Record, Times
from datasets_impl.doctor.probes.raised import said_by
from datasets_impl.doctor.process.printable import shown
from datasets_impl.doctor.report.paired import paired_gain

GENERATOR: Literal["datasets_impl.doctor.watch"] = "datasets_impl.doctor.watch"
LEAST_PAIRS = 3  # blocks, for an interval
LEAST_WAKES = 15  # for a share of them
STOOD_STILL = (
    "No time could be measured: time.perf_counter stood still or went backwards; import watch "
    "before the clock is replaced."
)
QUEUED = (
    "CUDA is in use: unless each step waits for the GPU, as loss.item() does, a step is the CPU's "
    "side of it, and time in which the GPU still works counts as waiting for data."
)
FREE, BUSY = 0.05, 0.5  # of a thread's wakes: with fewer late ones the step lets others run


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]


class Spread(_Model):
    """Times of one thing, milliseconds."""

    count: int
    mean_ms: NonNegativeFloat
    median_ms: NonNegativeFloat
    p99_ms: NonNegativeFloat


class Gain(_Model):
    """How many times as fast training is with batches that are there already, 95 % interval."""

    times: float
    low: float
    high: float
    blocks: int


class Loop(_Model):
    """What was seen of the loops over one loader.

    `waits` is the share of the time from the first batch of each epoch on that the trainer waited,
    0 to 1. `gil` is the share of another thread's wakes that the step kept waiting; None where it
    could not be seen.
    """

    loader: str
    batch_size: int | None
    batch_bytes: int
    waits: Share | None
    step: Spread | None
    wait: Spread | None
    first_batch: Spread | None
    free_step_ms: NonNegativeFloat | None
    if_free: Gain | None
    gil: Share | None
    notes: list[str]

    @property
    def step_ms(self) -> float | None:
        """A step by itself: without a loader at work beside it, where that was seen."""
        return self.free_step_ms or (self.step.median_ms if self.step else None)


class Watch(_Model):
    """The file: the loops of one program."""

    generator: Literal["datasets_impl.doctor.watch"] = GENERATOR
    schema_version: Literal[1] = 1
    loops: list[Loop] = Field(min_length=1)


def loop_of(record: Record) -> Loop:
    gil = record.late_wakes / record.wakes if record.wakes >= LEAST_WAKES else None
    notes = list(record.notes)
    if not record.clock_runs:
        record = Record(record.name, batch_size=record.batch_size, batch_bytes=record.batch_bytes)
        notes.append(STOOD_STILL)
    if not record.pairs and not notes:
        notes.append("The loop was too short to hold batches back.")
    if record.steps.count and on_cuda():
        notes.append(QUEUED)
    spent = record.waits.total + record.steps.total
    return Loop(
        loader=record.name,
        batch_size=record.batch_size,
        batch_bytes=record.batch_bytes,
        waits=record.waits.total / spent if record.waits.count else None,
        step=_spread(record.steps),
        wait=_spread(record.waits),
        first_batch=_spread(record.first_batches),
        free_step_ms=1e3 * record.free_steps.total / record.free_steps.count
        if record.free_steps.count
        else None,
        if_free=_gain(record),
        gil=gil,
        notes=notes,
    )


def _spread(times: Times) -> Spread | None:
    if not times.count:
        return None
    kept = 1e3 * np.asarray(times.kept)
    median, p99 = np.quantile(kept, (0.5, 0.99))
    return Spread(
        count=times.count,
        mean_ms=1e3 * times.total / times.count,
        median_ms=float(median),
        p99_ms=float(p99),
    )


def _gain(record: Record) -> Gain | None:
    pairs = [pair for pair in record.pairs if pair.free > 0]
    if len(pairs) < LEAST_PAIRS:
        return None
    times, *ends = paired_gain([pair.usual for pair in pairs], [pair.free for pair in pairs])
    low, high = (times if end is None else end for end in ends)  # all blocks are alike
    return Gain(times=times, low=low, high=high, blocks=len(pairs))


def measured(batch: Any) -> tuple[int | None, int, str]:
    """Samples and bytes of a batch: the length of its first tensor, and the sum over all; and why
    something is left out of these, "" where nothing is."""
    size, total, why = None, 0, ""
    for leaf in leaves(batch):
        try:
            shape = getattr(leaf, "shape", None)
            if not isinstance(shape, tuple):
                continue
            if size is None and shape:
                size = int(shape[0])
            nbytes = getattr(leaf, "nbytes", None)
            total += nbytes if isinstance(nbytes, int) else 0
        except Exception as error:  # a sparse or nested tensor, or an object of the user's
            why = why or shown(f"{type(leaf).__name__}: {said_by(error)}")
    return size, total, why


def leaves(batch: Any) -> Iterator[Any]:
    """What stands in the dictionaries, lists and tuples of a batch, each of which is opened once:
    one may hold itself."""
    found, opened = [batch], dict[int, Any]()
    while found:
        one = found.pop()
        if not issubclass(type(one), dict | list | tuple):
            yield one
        elif id(one) not in opened:
            opened[id(one)] = one
            found += reversed([*(one.values() if isinstance(one, dict) else one)])
