"""How a loader is measured beside a trainer: the epoch, the step's own slow-down, the CPU it costs.

The trainer's step is timed alone first, in the same process and with the same work. Then a pass of
`PASS_BATCHES` batches is timed in the middle of a longer one: each batch is touched, then the step
is made. As many batches are on their way at the end of the pass as at its beginning.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.beside import Setting, files_of, opened, settings
from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.tuning import kept
from datasets_impl.experiments.trainers import TRAINERS
from datasets_impl.experiments.ways import AHEAD
from datasets_impl.loading import Shuffled, touch
from datasets_impl.observe.load import tree_seconds

from ..common import Measured
from ..grids import Cell
from .arms import home_of
from .epochs import PASS_BATCHES, still_warm, timed, warmed

ALONE_STEPS = 25
ALONE_SECONDS = 0.25
TRIED_BATCHES = 24  # with each setting, to find the fastest
WARM_UP = AHEAD + 4

Step = Callable[[], Any]


@dataclass
class Pass:
    """Seconds of a pass, of its steps and of waiting for batches; CPU seconds of the tree."""

    batches: int = 0
    images: int = 0
    seconds: float = 0.0
    steps: float = 0.0
    cpu: float = 0.0
    bytes: int = 0


def gone_over(arriving: Iterable[torch.Tensor], step: Step, batches: int) -> Pass:
    """Touch each of the next `batches` batches and make the step after it."""
    found, cpu, begun = Pass(), tree_seconds(), time.perf_counter()
    for batch in arriving:
        found.images += touch(batch)
        found.bytes = max(found.bytes, batch.nbytes)
        found.steps += timed(step)
        found.batches += 1
        if found.batches == batches:
            break
    found.seconds = time.perf_counter() - begun
    found.cpu = tree_seconds() - cpu
    return found


def alone(step: Step) -> tuple[float, float]:
    """Seconds, and CPU seconds, of a step without a loader beside it."""
    step()
    steps, spent, cpu = 0, 0.0, tree_seconds()
    while steps < ALONE_STEPS or spent < ALONE_SECONDS:
        spent += timed(step)
        steps += 1
    return spent / steps, (tree_seconds() - cpu) / steps


def beside(cell: Cell, task: Task) -> Measured:
    """Microseconds per image of a pass beside `cell.trainer`.

    Further numbers: by how much the step takes longer than alone, and microseconds of CPU per image
    of the whole tree of processes, the trainer's included.
    """
    trainer, impl, root = TRAINERS[cell.trainer], cell.impl, home_of(cell)
    torch.set_num_threads(trainer.threads)
    units = trainer.verified_units(cell.step_ms)

    def step() -> None:
        trainer.work(units)

    files, state = files_of(task, root), {"threads": trainer.threads, "units": units}
    setting, tried = _fastest(cell, task, impl, root, step)
    warmed(files, state)
    step_alone, cpu_alone = alone(step)
    found = _pass(task, impl, root, setting, step, WARM_UP, PASS_BATCHES)
    still_warm(files, state)
    slowdown = found.steps / found.batches / step_alone
    state |= {
        "setting": setting,
        "tried": {name: round(us, 2) for name, us in tried.items()},
        "batches": found.batches,
        "ahead_batches": AHEAD,
        "ahead_mb": round(AHEAD * found.bytes / 1e6, 3),
        "step_alone_ms": round(1e3 * step_alone, 4),
        "step_ms": round(1e3 * found.steps / found.batches, 4),
        "cpu_alone_us": round(1e6 * cpu_alone / BATCH_SIZE, 3),
        "also": {
            "slowdown": round(slowdown, 5),
            "cpu": round(max(1e6 * found.cpu / found.images, 1e-3), 4),
        },
    }
    return 1e6 * found.seconds / found.images, state


def _pass(
    task: Task, impl: str, root: Path, setting: Setting, step: Step, first: int, batches: int
) -> Pass:
    count = sum(1 for _ in root.iterdir())
    order = Shuffled(count, (first + batches + AHEAD) * BATCH_SIZE)
    with opened(task, impl, root, order, setting) as loader:
        arriving = iter(loader)
        gone_over(arriving, step, first)
        return gone_over(arriving, step, batches)


def _fastest(
    cell: Cell, task: Task, impl: str, root: Path, step: Step
) -> tuple[Setting, dict[str, float]]:
    """The setting that is the fastest beside this trainer, found once a study."""
    every = settings(task, impl)
    if len(every) == 1:
        return every[0], {}

    def tried() -> dict[str, float]:
        found = {}
        for setting in every:
            made = _pass(task, impl, root, setting, step, WARM_UP, TRIED_BATCHES)
            found[json.dumps(setting, sort_keys=True)] = 1e6 * made.seconds / made.images
        return found

    name = f"beside-{task}-{impl}-{cell.trainer}-{cell.step_ms}.json"
    return kept(root.parent / "tuned" / name, [*map(json.dumps, every), TRIED_BATCHES], tried)
