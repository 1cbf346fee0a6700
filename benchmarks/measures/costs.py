"""What an arm costs besides time: memory of the process tree, conversion, disk, fidelity."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.fidelity import fidelity
from datasets_impl.contest.model import Arm, Task
from datasets_impl.contest.registry import ARMS
from datasets_impl.contest.tuning import tuned
from datasets_impl.errors import Unsupported
from datasets_impl.experiments.loops import cores
from datasets_impl.loading import run_epoch
from datasets_impl.media.workspaces import workspace
from datasets_impl.observe.memory import PeakMemory, tree_memory
from datasets_impl.observe.unshare import unshare_memory

from ..common import Measured
from ..grids import Cell
from .arms import home_of
from .epochs import corpus_of

FEW = 64  # images whose pixels are compared
MB = 1e6
LEAST_MB = 0.1
SEPARATE = "-process"  # ends the name of an arm whose threads are in a separate process


def costs(cell: Cell, task: Task) -> Measured:
    """Megabytes that the process tree holds at its peak because of an arm, in a warm epoch.

    Without the page cache, which the kernel can take back. The state has the seconds of a
    conversion from the photographs, the bytes that an epoch reads, and how near pixels are to the
    reference (see `datasets_impl.contest.fidelity`); all that is the same in a separate process.

    Raises:
        Unsupported: what the arm needs is not installed.
    """
    arm = ARMS[task, cell.impl.removesuffix(SEPARATE)]
    if not arm.available:
        raise Unsupported(f"the package {arm.package} is not installed")
    torch.set_num_threads(cores())
    state: dict[str, Any] = {"arm": arm.described()}
    if cell.impl != arm.name:
        state["where"] = "process"
        return max(LEAST_MB, _held(arm, home_of(cell), where="process") / MB), state
    held = _held(arm, home_of(cell))  # first: the rest would leave memory behind
    state |= _converted(arm, cell) | _fidelity(arm, cell)
    return max(LEAST_MB, held / MB), state


def _held(arm: Arm, root: Path, **options: Any) -> int:
    """Bytes held at the peak of an epoch above those before the arm was opened."""
    arm.prepare(root)
    setting, _ = tuned(arm, root, root.parent / "tuned")
    gc.collect()
    unshare_memory()
    before = tree_memory().summed.held
    with arm.open(root, **setting, **options) as batches:
        run_epoch(batches)  # its workers start here, and must not while samples are taken
        with PeakMemory() as peak:
            run_epoch(batches)
    return peak.peak.held - before


def _converted(arm: Arm, cell: Cell) -> dict[str, Any]:
    with workspace(corpus_of(cell).root, "disk-warm") as folder:
        jpeg_bytes = sum(path.stat().st_size for path in folder.iterdir())
        begun = time.perf_counter()
        files = arm.prepare(folder)
        seconds = time.perf_counter() - begun
        own = [path for path in files if path.parent != folder]
        size = sum(path.stat().st_size for path in own)
    return {
        "conversion_seconds": round(seconds, 3) if own else 0.0,
        "bytes_on_disk": size,  # beside the photographs
        "jpeg_bytes": jpeg_bytes,
    }


def _fidelity(arm: Arm, cell: Cell) -> dict[str, Any]:
    with workspace(corpus_of(cell).root, "disk-warm") as folder:
        for path in sorted(folder.iterdir())[FEW:]:
            path.unlink()
        arm.prepare(folder)
        found = fidelity(arm, folder)
    return {"mean_difference": round(found.mean_difference, 4), "psnr": found.psnr}
