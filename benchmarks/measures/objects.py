"""How the numbers of the object store are made: the server's own count is the verified state.

Every function takes a cell and returns the value with the state it was measured in, as in
`epochs.py`. "naive" stands for JPEG objects, "raw-files" for objects of raw pixels.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl.errors import VoidMeasurement
from datasets_impl.loading import loader, run_epoch
from datasets_impl.media.object_store import ObjectStore, Served, object_store
from datasets_impl.media.workspaces import temporary_folder
from datasets_impl.variants.object_store import JpegObjects, RawObjects, write_raw_objects

from ..common import Measured
from ..grids import Cell
from .epochs import EPOCH_SECONDS, ITEM_SECONDS, PASS_BATCHES, corpus_of, repeated, timed
from .shares import Passes

BATCH = 4  # few images, yet two batches for each of four workers
ITEMS = 24  # distinct items of a pass
PROBES = 8  # GETs that tell the latency a client sees


@contextmanager
def stored(cell: Cell) -> Iterator[tuple[ObjectStore, JpegObjects | RawObjects, list[int]]]:
    """The cell's photographs in an object store, its dataset, and the size of each item's object.

    Raises:
        ValueError: the implementation has no counterpart in an object store.
    """
    root = Path(corpus_of(cell).root)
    if cell.impl not in ("naive", "raw-files"):
        raise ValueError(f"{cell.impl!r} is not measured on an object store")
    with temporary_folder() as home:
        folder = root
        if cell.impl == "raw-files":
            folder = home / "objects"  # alone in it: the store serves whatever is there
            folder.mkdir()
            write_raw_objects(root, folder)
        with object_store(folder, cell.latency_ms) as store:
            address = store.address
            dataset = (JpegObjects if cell.impl == "naive" else RawObjects)(address)
            yield store, dataset, [(folder / key).stat().st_size for key in address.keys]


def require_fetched(served: Served, sizes: Sequence[int], times: int) -> dict[str, Any]:
    """The state of a measurement that fetched objects of these sizes, each `times` times.

    Raises:
        VoidMeasurement: the server gave out anything else.
    """
    expected = Served(requests=times * len(sizes), bytes=times * sum(sizes), other=0)
    if served != expected:
        raise VoidMeasurement(f"the object store served {served}, not {expected}")
    return {"requests": served.requests, "bytes_served": served.bytes}


def require_latency(dataset: JpegObjects | RawObjects, latency_ms: float) -> dict[str, Any]:
    """The state: median milliseconds of a GET as a client sees it, after the measurement.

    Raises:
        VoidMeasurement: it is below the stated latency.
    """
    dataset.fetch(0)  # connects, where only workers did so far
    positions = [position % len(dataset) for position in range(PROBES)]
    seconds = [timed(lambda at=at: dataset.fetch(at)) for at in positions]  # type: ignore[misc]
    median = 1e3 * statistics.median(seconds)
    if median < latency_ms:
        raise VoidMeasurement(f"a GET took {median:.1f} ms, less than the {latency_ms} ms added")
    return {"get_ms": round(median, 3)}


def epoch(cell: Cell) -> Measured:
    """Microseconds per image of a shuffled epoch, connections open and workers running.

    With workers, of a pass of `PASS_BATCHES` batches and more, which goes over the images several
    times; its first round, in which every worker connects, is not timed.
    """
    with stored(cell) as (store, dataset, sizes):
        each = len(dataset) // BATCH
        rounds = 1 + -(-PASS_BATCHES // each)
        length = rounds * each if cell.workers else None
        with loader(dataset, cell.workers, cell.start_method, BATCH, length) as batches:
            if not cell.workers:
                run_epoch(batches, limit=1)  # connects
            before = store.served()
            if cell.workers:
                arriving = iter(batches)
                run_epoch(arriving, limit=each)
                times = [timed(lambda: run_epoch(arriving)) / (rounds - 1)]
            else:
                times = repeated(lambda: timed(lambda: run_epoch(batches)), EPOCH_SECONDS)
                rounds = len(times)
            state = require_fetched(store.served().since(before), sizes, rounds)
            state |= {"epochs": rounds, **require_latency(dataset, cell.latency_ms)}
            return 1e6 * statistics.median(times) / len(dataset), state


def stage_share(cell: Cell) -> Measured:
    """Percent of the item over JPEG objects that passes in one stage; to read is to fetch."""
    with stored(cell) as (store, dataset, sizes):
        order = random.Random(0).sample(range(len(dataset)), min(ITEMS, len(dataset)))
        passes = Passes(cell.stage, order, dataset.fetch)
        dataset.fetch(order[0])  # connects
        before = store.served()
        times = repeated(lambda: timed(passes.visit), ITEM_SECONDS)
        fetched = [sizes[position] for position in order]
        state = require_fetched(store.served().since(before), fetched, len(times))
        state |= {"passes": len(times), **require_latency(dataset, cell.latency_ms)}
        return passes.measured(state)
