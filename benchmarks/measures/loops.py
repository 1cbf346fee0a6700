"""How the loops around one dataset are timed, and how long a training step waits for them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets_impl.experiments.cycled import Cycled
from datasets_impl.experiments.loops import LOOPS, TUNED_PREFETCH, cores, looping
from datasets_impl.experiments.steps import MultiplyingStep, WaitingStep
from datasets_impl.loading import BATCH_SIZE, PREFETCH_FACTOR, loader, run_epoch, touch
from datasets_impl.media.workspaces import workspace

from ..common import Measured
from ..grids import Cell
from .epochs import (
    EPOCH_SECONDS,
    PASS_BATCHES,
    WARM_UP_BATCHES,
    built,
    corpus_of,
    in_the_middle,
    repeated,
    timed,
    warmed,
)

STEPS = 12  # at least so many steps are timed, with workers `PASS_BATCHES`,
STALL_SECONDS = 0.2  # for at least so long,
MOST_STEPS = 500  # and never more
SHARE_BOUNDS = (0.01, 99.99)  # percent; shares are compared as ratios, which 0 would not allow


def loop_epoch(cell: Cell) -> Measured:
    """Microseconds per image of an epoch of the naive dataset in the cell's loop, steady state.

    With workers it is that of a longer pass, as `epochs.epoch` makes it.
    """
    chosen = LOOPS[cell.loop]
    state: dict[str, Any] = {"batch_size": chosen.batch_size, "workers": 0}
    with workspace(corpus_of(cell).root, cell.medium) as folder:
        dataset = chosen.dataset(folder)
        if chosen.workers:
            state["workers"] = cores()
            files = [Path(path) for path in dataset.image_paths]
            on_their_way = (TUNED_PREFETCH + 1) * cores()
            length = WARM_UP_BATCHES + on_their_way + PASS_BATCHES + on_their_way
            with looping(cell.loop, dataset, length) as batches:
                return in_the_middle(batches, WARM_UP_BATCHES + on_their_way, files, state)
        with looping(cell.loop, dataset) as batches:
            warmed([Path(path) for path in dataset.image_paths], state)
            few = WARM_UP_BATCHES * BATCH_SIZE // chosen.batch_size
            run_epoch(batches, limit=few)
            times = repeated(lambda: timed(lambda: run_epoch(batches)), EPOCH_SECONDS)
    state["epochs"] = len(times)
    return 1e6 * statistics.median(times) / len(dataset), state


def stall(
    cell: Cell, make_step: Callable[[float], WaitingStep | MultiplyingStep] = WaitingStep
) -> Measured:
    """Percent of the loop's time that the trainer waits for its next batch, in the steady state.

    The images are gone through as often as it takes in one shuffled pass, so no epoch starts while
    time is taken. Waiting is the time that loading takes from training: until a byte of each page
    of the batch was read, with giving back its memory; `doctor.watch` counts the same. What a
    waiting step sleeps too long is logged and counts neither as training nor as waiting.
    """
    state: dict[str, Any] = {}
    warm_up = 2 + PREFETCH_FACTOR * cell.workers  # uses up what the workers had ready at the start
    with built(cell) as (dataset, files):
        long = Cycled(dataset, (warm_up + MOST_STEPS) * BATCH_SIZE)
        with loader(long, cell.workers, cell.start_method) as batches:
            warmed(files, state)
            step = make_step(cell.step_ms)
            arriving = iter(batches)
            for _ in range(warm_up):
                touch(next(arriving))
                step(time.perf_counter())
            late = getattr(step, "overshoot", 0.0)
            steps, waited, trained = 0, 0.0, 0.0
            least = PASS_BATCHES if cell.workers else STEPS
            while steps < least or (waited + trained < STALL_SECONDS and steps < MOST_STEPS):
                asked = time.perf_counter()
                touch(next(arriving))
                arrived = time.perf_counter()
                waited += arrived - asked
                trained += step(arrived)
                steps += 1
    state["steps"] = steps
    state["waited_ms"] = round(1e3 * waited / steps, 4)
    state["trained_ms"] = round(1e3 * trained / steps, 4)
    state["overshoot_ms"] = round(1e3 * (getattr(step, "overshoot", 0.0) - late) / steps, 4)
    low, high = SHARE_BOUNDS
    return min(max(100 * waited / (waited + trained), low), high), state
