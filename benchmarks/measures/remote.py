"""How the numbers of the task *remote* are made: a first epoch, as the server counted it."""

from __future__ import annotations

import importlib
import time
from typing import Any

import torch

from datasets_impl.contest.fidelity import fidelity
from datasets_impl.contest.model import Arm
from datasets_impl.contest.registry import ARMS
from datasets_impl.contest.remote import cache_of
from datasets_impl.errors import Unsupported, VoidMeasurement
from datasets_impl.experiments.loops import cores
from datasets_impl.loading import touch
from datasets_impl.media.object_store import object_store, require_libraries
from datasets_impl.media.workspaces import workspace

from ..common import Measured
from ..grids import Cell
from .arms import home_of
from .epochs import corpus_of

MB = 1e6
SLACK = 0.02  # seconds that a line may be ahead of its clock, and the clock late


def first_epoch(cell: Cell) -> Measured:
    """Microseconds per image of an epoch that begins when the arm is opened, over the cell's line.

    So connecting, listing and starting workers are a part of it, and weigh more than in an epoch of
    many more images. The state has the seconds to the first batch, the time of an image after it,
    and what the server counted until the last one: requests of every kind and bytes of every body
    for each image, and the share of the line's bandwidth that these bytes took.

    Raises:
        Unsupported: what the arm needs, or the object store, is not installed.
        VoidMeasurement: another number of images came, or the line let through more than it may.
    """
    arm, root = _arm(cell), home_of(cell)
    torch.set_num_threads(cores())
    for package in ("s3fs", arm.package):  # importing is not what is timed
        importlib.import_module(package)
    cache_bytes = cache_of(arm.prepare(root))
    assert arm.serves is not None
    with object_store(arm.serves(root), cell.latency_ms, cell.bandwidth) as store:
        more = arm.settings[0] | {"store": store, "cache_bytes": cache_bytes}
        before, begun = store.served(), time.perf_counter()
        with arm.open(root, **more) as batches:
            arriving = iter(batches)
            images = of_first = touch(next(arriving))
            first = time.perf_counter() - begun
            for batch in arriving:
                images += touch(batch)
            seconds = time.perf_counter() - begun
            served = store.served().since(before)
    if images != cell.n:
        raise VoidMeasurement(f"{images:,} images came of {cell.n:,}")
    state: dict[str, Any] = {
        "cores": cores(),
        "arm": arm.described(),
        "setting": arm.settings[0],
        "cache_bytes": cache_bytes,
        "first_batch_seconds": round(first, 4),
        "us_after_first": 1e6 * (seconds - first) / max(1, images - of_first),
        "requests_per_image": (served.requests + served.other) / images,
        "bytes_per_image": served.bytes / images,
        "share_of_line": share_of_line(served.bytes, seconds, cell.bandwidth),
    }
    return 1e6 * seconds / images, state


def share_of_line(size: int, seconds: float, mb_per_second: float) -> float:
    """What part of the bandwidth `size` bytes took in `seconds`, 1 at most.

    Raises:
        VoidMeasurement: they were more than the line may let through.
    """
    if size > MB * mb_per_second * (seconds + SLACK):
        raise VoidMeasurement(
            f"{size / seconds / MB:,.0f} MB/s came over a line of {mb_per_second:,.0f} MB/s"
        )
    return min(1.0, size / seconds / (MB * mb_per_second))


def costs(cell: Cell) -> Measured:
    """Megabytes of the objects that the arm reads.

    The state has the seconds of making them from the photographs, and how near pixels are to the
    reference (see `datasets_impl.contest.fidelity`).

    Raises:
        Unsupported: see `first_epoch`.
    """
    arm = _arm(cell)
    with workspace(corpus_of(cell).root, "disk-warm") as root:
        begun = time.perf_counter()
        files = arm.prepare(root)
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in files)
        found = fidelity(arm, root)
        made = any(not path.is_relative_to(root) for path in files)
    state = {
        "arm": arm.described(),
        "conversion_seconds": round(seconds, 3) if made else 0.0,
        "mean_difference": round(found.mean_difference, 4),
        "psnr": found.psnr,
    }
    return size / MB, state


def _arm(cell: Cell) -> Arm:
    require_libraries()
    arm = ARMS["remote", cell.impl]
    if not arm.available:
        raise Unsupported(f"the package {arm.package} is not installed")
    return arm
