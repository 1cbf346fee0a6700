"""Cold numbers on a disk that is read no faster than asked, and beyond a limit on memory.

The limit is verified: the files were evicted before, came from the device after, and no faster
than the limit allows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl import registry
from datasets_impl.experiments import beyond_memory
from datasets_impl.loading import loader, run_epoch
from datasets_impl.media import cgroup
from datasets_impl.media.workspaces import workspace
from datasets_impl.system.hierarchy import read_ahead_kib

from ..common import Measured
from ..grids import Cell
from .epochs import WARM_UP_BATCHES, cold, corpus_of
from .shares import Passes

MB = 1_000_000
AT_LIMIT_SECONDS = 0.5  # what is read would last this long at the limit: five of its slices
LEAST_BYTES = 50 * MB  # of pixels, so that their JPEG files too outlast slices of a slow disk
FAILURE_SECONDS = 5.0  # a child that reads for so long at its limit has not failed
BEYOND_SECONDS = 1.0


@contextmanager
def folder_of(cell: Cell, count: int) -> Iterator[Path]:
    """A working folder on disk with the first `count` of the cell's photographs."""
    with workspace(corpus_of(cell).root, "disk-cold") as folder:
        for path in sorted(folder.iterdir())[count:]:
            path.unlink()
        yield folder


def throttled(
    run: Callable[[], Any], files: list[Path], dataset: Any, limit: int, state: dict[str, Any]
) -> float:
    """Seconds of `run` over evicted `files` at most `limit` bytes per second; void otherwise.

    What the kernel grants in advance is read away just before, by every arm alike: the arm that
    reads the fewest bytes would gain the most from it.
    """
    with (
        cgroup.advance(files[0].parent, limit) as use_up,
        cgroup.limited_bandwidth(files[0], limit),
    ):
        seconds = cold(run, files, dataset, state, just_before=use_up)
    state["limit"] = limit
    state["bytes_per_second"] = cgroup.require_throttled(state["bytes_read"], seconds, limit)
    state["read_ahead_kib"] = read_ahead_kib(files[0])
    return seconds


def epoch(cell: Cell) -> Measured:
    """Microseconds per image of a shuffled cold epoch on a disk of `cell.bandwidth` MB/s.

    All arms read the same images, at most `cell.n` and as many as the bandwidth needs.
    """
    limit, pixels = cell.bandwidth * MB, 3 * cell.px**2
    count = min(cell.n, math.ceil(max(AT_LIMIT_SECONDS * limit, LEAST_BYTES) / pixels))
    cgroup.require_long(count * pixels, limit)
    state: dict[str, Any] = {"images": count}
    with folder_of(cell, count) as folder:
        dataset = registry.build(cell.impl, folder)
        files = registry.IMPLEMENTATIONS[cell.impl].files(dataset)
        with loader(dataset) as batches:
            run_epoch(batches, limit=WARM_UP_BATCHES)
            seconds = throttled(lambda: run_epoch(batches), files, dataset, limit, state)
    return 1e6 * seconds / count, state


def stage_share(cell: Cell) -> Measured:
    """Percent of the cold naive item that passes in one stage of it, at `cell.bandwidth` MB/s."""
    limit, root = cell.bandwidth * MB, corpus_of(cell).root
    sizes = [path.stat().st_size for path in sorted(root.iterdir())]
    count = min(cell.n, math.ceil(AT_LIMIT_SECONDS * limit * len(sizes) / sum(sizes)))
    cgroup.require_long(sum(sizes[:count]), limit)
    state: dict[str, Any] = {"images": count}
    with folder_of(cell, count) as folder:
        dataset = registry.build(cell.impl, folder)
        files = registry.IMPLEMENTATIONS[cell.impl].files(dataset)
        order = random.Random(0).sample(range(count), count)
        passes = Passes(cell.stage, [str(files[position]) for position in order])
        Passes(cell.stage, passes.places[:16]).visit()
        throttled(passes.visit, files, dataset, limit, state)
    return passes.measured(state)


def beyond(cell: Cell, seconds: float) -> dict[str, Any]:
    """What a child with limited memory saw; see `datasets_impl.experiments.beyond_memory`."""
    folder = beyond_memory.pixel_set(corpus_of(cell).root, cell.px)
    return beyond_memory.run(cell.impl, folder, cell.where, seconds)


def beyond_failed(cell: Cell) -> Measured:
    """1 when the child ran out of memory; 0 when it read an epoch, or `FAILURE_SECONDS` of one."""
    seen = beyond(cell, FAILURE_SECONDS)
    return float(seen["ran_out"]), seen


def beyond_epoch(cell: Cell) -> Measured:
    """Microseconds per image of a shuffled epoch, or of its first `BEYOND_SECONDS`."""
    seen = beyond(cell, BEYOND_SECONDS)
    if seen["ran_out"]:
        raise MemoryError(f"{cell.impl} ran out of its {seen['limit']:,} bytes")
    return seen["us_per_image"], seen
