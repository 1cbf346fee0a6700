"""How loaders of samples of uneven cost are measured: the epoch, and how evenly batches arrive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_impl.experiments.uneven import LOADERS, MIXES
from datasets_impl.experiments.ways import AHEAD
from datasets_impl.loading import BATCH_SIZE, Shuffled, run_epoch, touch

from ..common import Measured
from ..grids import Cell
from .epochs import PASS_BATCHES, still_warm, warmed

BATCHES = 2 * PASS_BATCHES  # of which two take longer than the 99th percentile
WARM_UP = AHEAD + 8


def uneven(cell: Cell) -> Measured:
    """Microseconds per image of a pass over samples of uneven cost, in the middle of a longer one.

    Further number: the time between two batches, in milliseconds, that one in a hundred exceeds.
    """
    torch.set_num_threads(1)
    dataset = MIXES[cell.mix](cell.n, cell.px)
    files = [Path(dataset.name(index)) for index in range(len(dataset))]
    state: dict[str, Any] = {"images": len(dataset), "ahead_batches": AHEAD}
    order = Shuffled(len(dataset), (WARM_UP + BATCHES + AHEAD) * BATCH_SIZE)
    with LOADERS[cell.impl](dataset, order) as loader:
        warmed(files, state)
        arriving = iter(loader)
        run_epoch(arriving, limit=WARM_UP)
        moments = [time.perf_counter()]
        for batch in arriving:
            touch(batch)
            moments.append(time.perf_counter())
            if len(moments) > BATCHES:
                break
        still_warm(files, state)
    between = 1e3 * np.diff(moments)
    state |= {
        "batches": BATCHES,
        "median_ms": round(float(np.median(between)), 4),
        "also": {"p99": round(float(np.quantile(between, 0.99)), 4)},
    }
    return 1e6 * (moments[-1] - moments[0]) / (BATCHES * BATCH_SIZE), state
