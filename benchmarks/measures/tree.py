"""How memory is measured: what a process tree holds because of a dataset.

Twice the same loader with the same workers: first over a few samples, read again and again, then
over the dataset. The difference is the dataset's. Both are read at rest, after whole epochs. Of
the page cache only the dataset's own files count, since libraries are shared with other programs
that come and go. A second measurement in the same process would find memory freed by the first.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datasets_impl import registry
from datasets_impl.errors import VoidMeasurement
from datasets_impl.experiments.cycled import Cycled
from datasets_impl.experiments.records import BATCH_SIZE, STRUCTURES, record_loader
from datasets_impl.loading import loader, run_epoch
from datasets_impl.media.workspaces import workspace
from datasets_impl.observe.handover import starting
from datasets_impl.observe.memory import Memory, PeakMemory, mapped_bytes, tree_memory
from datasets_impl.observe.rest import rest
from datasets_impl.observe.unshare import unshare_memory
from datasets_impl.system.allocator import give_back_freed_memory

from ..common import Measured
from ..grids import Cell
from .epochs import built, corpus_of, warmed

WORKERS = 2
FEW = 64  # records of the small dataset; of photographs, one is enough
FEW_READS = 16 * BATCH_SIZE  # enough for workers to reach what they hold anyway
MB = 1e6
LEAST_SHARE = 0.1  # percent: below it lie only pages that have nothing to do with the dataset
LEAST_MB = 0.1
SWAPPED_MB = 1.0


@dataclass(frozen=True)
class Held:
    """Memory at rest: of the whole tree, of each worker, and of the dataset's mapped files."""

    tree: Memory
    workers: list[Memory]
    files: int = 0


def record_copies(cell: Cell) -> Measured:
    """Percent of the dataset that a worker has to itself after one shuffled epoch (mean of two).

    The state has the private growth of each worker, MB, after each of two epochs.
    """
    before, after, dataset_mb = _records(cell, epochs=2)
    usual = sum(worker.private for worker in before.workers) / WORKERS
    grown = [[(worker.private - usual) / MB for worker in held.workers] for held in after]
    state = _state(before, after[0]) | {
        "dataset_mb": round(dataset_mb, 3),
        "worker_growth_mb": [[round(mb, 3) for mb in epoch] for epoch in grown],
    }
    return max(LEAST_SHARE, 100 * sum(grown[0]) / WORKERS / dataset_mb), state


def record_tree(cell: Cell) -> Measured:
    """Megabytes that parent and workers hold because of the dataset, after one shuffled epoch."""
    before, (after,), dataset_mb = _records(cell, epochs=1)
    state = _state(before, after) | {"dataset_mb": round(dataset_mb, 3)}
    return max(LEAST_MB, (after.tree.held - before.tree.held) / MB), state


def _records(cell: Cell, epochs: int) -> tuple[Held, list[Held], float]:
    make = STRUCTURES[cell.structure]
    _prepare()
    few = Cycled(make(FEW), min(cell.n, FEW_READS))
    with record_loader(few, WORKERS, cell.start_method) as batches:
        before = _after_epoch(batches, _count)
    dataset = make(cell.n)
    with record_loader(dataset, WORKERS, cell.start_method) as batches:
        after = [_after_epoch(batches, _count) for _ in range(epochs)]
    return before, after, dataset.nbytes / MB


def photograph_tree(cell: Cell) -> Measured:
    """Megabytes that parent and workers hold because of the photographs, after one epoch.

    The dataset's own files count as far as they are mapped; `files_mb` of the state is that part,
    which the kernel can take back. `times_pixels` is the value over the bytes of decoded pixels.
    `peak_mb` is the highest sample while workers that are not forked start and work, without files.

    Raises:
        Unsupported: the workers cannot be started with this dataset.
    """
    _prepare()
    before = _few_photographs(cell)
    state: dict[str, Any] = {}
    with built(cell) as (dataset, files):
        warmed(files, state)
        peak = nullcontext() if cell.start_method == "fork" else PeakMemory()
        with peak, starting(), loader(dataset, WORKERS, cell.start_method) as batches:
            after = _after_epoch(batches, run_epoch, files)
    pixels = cell.n * cell.px * cell.px * 3
    grown = after.tree.held - before.tree.held
    state |= _state(before, after) | {
        "files_mb": round(after.files / MB, 3),
        "pixels_mb": round(pixels / MB, 3),
        "times_pixels": round((grown + after.files) / pixels, 3),
    }
    if isinstance(peak, PeakMemory):
        highest = max(peak.peak.held, after.tree.held) - before.tree.held
        state |= {"peak_mb": round(highest / MB, 3), "peak_samples": peak.samples}
    return max(LEAST_MB, (grown + after.files) / MB), state


def _few_photographs(cell: Cell) -> Held:
    """Memory at rest with the first photograph in place of all of them."""
    with workspace(corpus_of(cell).root, cell.medium) as folder:
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()
        few = Cycled(registry.build(cell.impl, folder, cell.transform, cell.px), cell.n)
        with loader(few, WORKERS, cell.start_method) as batches:
            return _after_epoch(batches, run_epoch)


def _prepare() -> None:
    """Collection on, as in training; imports in the fork server once, not in each worker.

    What workers import is in both measurements, so it does not matter whose memory it is. Pages
    shared with asv's own process would be counted in part before, and in whole once copied.
    """
    gc.enable()
    unshare_memory()
    multiprocessing.set_forkserver_preload(
        ["datasets_impl.registry", "datasets_impl.experiments.records"]
    )


def _count(batches: DataLoader[Any]) -> int:
    return sum(batches)


def _after_epoch(
    batches: DataLoader[Any],
    consume: Callable[[DataLoader[Any]], int],
    files: Sequence[Path] = (),
) -> Held:
    """Memory at rest after one more epoch.

    Raises:
        VoidMeasurement: the workers did not come to rest; or a part was swapped out, where it
            cannot be told whose it is.
    """
    consume(batches)
    workers = [worker.pid for worker in batches._iterator._workers]  # type: ignore[union-attr]
    gc.collect()
    give_back_freed_memory()
    if not rest(workers):
        raise VoidMeasurement("the workers still worked after the epoch")
    tree = tree_memory()
    if tree.summed.swapped > SWAPPED_MB * MB:
        raise VoidMeasurement(f"{tree.summed.swapped / MB:.0f} MB of the processes were swapped")
    mapped = sum(mapped_bytes(pid, files) for pid in tree.processes)
    return Held(tree.summed, [tree.processes[pid] for pid in workers], mapped)


def _state(before: Held, after: Held) -> dict[str, Any]:
    """The growth of the tree by kind, MB; `page_cache` here has shared libraries in it too."""
    grown = asdict(after.tree - before.tree)
    return {
        "grown_mb": {kind: round(value / MB, 3) for kind, value in grown.items()},
        "workers": WORKERS,
        "gc": gc.isenabled(),
    }
