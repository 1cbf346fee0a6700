"""How each timed number is made: warm up, verify the state, time, take the median.

Every function takes a cell and returns the value with the state it was measured in.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from datasets_impl import registry
from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.factors import is_cold
from datasets_impl.files.paths import images_dir
from datasets_impl.loading import BATCH_SIZE, PREFETCH_FACTOR, TimedItems, loader, run_epoch, touch
from datasets_impl.media.workspaces import workspace
from datasets_impl.observe import page_cache
from datasets_impl.observe.handover import starting

from ..common import Measured
from ..grids import Cell

EPOCH_SECONDS = 0.1  # a cell repeats its epoch until the timed ones add up to this
ITEM_SECONDS = 0.08
CONSTRUCTIONS = 3  # at most: each needs a fresh working folder
PASS_SECONDS = 2e-3  # one timed pass over items lasts at least this: far above the clock's step
ITEMS = 256  # distinct items a pass visits
WARM_UP_BATCHES = 4
PASS_BATCHES = 100  # a pass is no shorter where workers run: what starts an epoch is not timed
WARM_UPS = 3  # attempts: some hosts take idle pages back at any moment


def corpus_of(cell: Cell) -> Corpus:
    """The photographs of a cell, built on first use and cached."""
    return ensure_corpus(
        CorpusSpec(count=cell.n, resolution=cell.px, quality=cell.quality, images=images_dir())
    )


@contextmanager
def built(cell: Cell) -> Iterator[tuple[Dataset[Any], list[Path]]]:
    """The cell's dataset over its own working folder, and the files that an epoch reads."""
    with workspace(corpus_of(cell).root, cell.medium) as folder:
        dataset = registry.build(cell.impl, folder, cell.transform, cell.px)
        yield dataset, registry.IMPLEMENTATIONS[cell.impl].files(dataset)


def timed(run: Callable[[], Any]) -> float:
    """Seconds one call of `run` takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def repeated(run: Callable[[], float], seconds: float, most: int = 10_000) -> list[float]:
    """Seconds of each run; runs until they add up to `seconds`, or `most` times."""
    times = [run()]
    while sum(times) < seconds and len(times) < most:
        times.append(run())
    return times


def cold(
    run: Callable[[], Any],
    files: list[Path],
    dataset: Any,
    state: dict[str, Any],
    just_before: Callable[[], Any] = lambda: None,
) -> float:
    """Seconds of `run` with `files` evicted before; void unless they came from the device.

    `just_before` is called between the check and the clock's start.
    """
    page_cache.release_mappings(dataset)
    page_cache.evict(files)
    state["resident_before"] = page_cache.require_cold(files)
    just_before()
    before = page_cache.bytes_read()
    seconds = timed(run)
    state["bytes_read"] = page_cache.require_read(page_cache.bytes_read(), files, before)
    state["bytes_of_files"] = sum(path.stat().st_size for path in files)
    return seconds


def warmed(files: list[Path], state: dict[str, Any]) -> None:
    """Bring `files` into the page cache and verify that they stayed there.

    Raises:
        VoidMeasurement: the kernel took pages back, three times in a row.
    """
    for _ in range(WARM_UPS):
        page_cache.warm(files)
        state["resident_before"] = share = page_cache.resident_share(files)
        if share >= 0.99:
            return
    raise page_cache.VoidMeasurement(f"only {share:.1%} of the files stayed in the page cache")


def still_warm(files: list[Path], state: dict[str, Any]) -> None:
    """Verify that `files` stayed in the page cache until now.

    Raises:
        VoidMeasurement: the kernel took pages back meanwhile.
    """
    state["resident_after"] = share = page_cache.resident_share(files)
    if share < 0.99:
        raise page_cache.VoidMeasurement(f"only {share:.1%} of the files stayed in the page cache")


def epoch(cell: Cell) -> Measured:
    """Microseconds per image of a shuffled epoch in the steady state (workers already running).

    With workers it is that of `PASS_BATCHES` batches in the middle of a longer pass, which goes
    over the images several times: no epoch begins or ends in it. See `start_of_epoch`.
    """
    return _with_workers(cell) if cell.workers else _alone(cell)


def _alone(cell: Cell) -> Measured:
    state: dict[str, Any] = {}
    with built(cell) as (dataset, files), loader(dataset) as batches:
        warmed(files, state)
        whole = registry.IMPLEMENTATIONS[cell.impl].fills_on_access
        run_epoch(batches, limit=None if whole else WARM_UP_BATCHES)

        def once() -> float:
            if is_cold(cell.medium):
                return cold(lambda: run_epoch(batches), files, dataset, state)
            return timed(lambda: run_epoch(batches))

        times = repeated(once, EPOCH_SECONDS)
        state["epochs"] = len(times)
        return 1e6 * statistics.median(times) / len(batches.dataset), state  # type: ignore[arg-type]


def _with_workers(cell: Cell) -> Measured:
    with built(cell) as (dataset, files):
        first = -(-len(dataset) // BATCH_SIZE)  # type: ignore[arg-type]
        length = first + PASS_BATCHES + (PREFETCH_FACTOR + 1) * cell.workers
        with (
            starting(),
            loader(dataset, cell.workers, cell.start_method, batches=length) as batches,
        ):
            return in_the_middle(batches, first, files, {})


def in_the_middle(
    batches: Iterable[Any], first: int, files: list[Path], state: dict[str, Any]
) -> Measured:
    """Microseconds per image of `PASS_BATCHES` batches of one iteration, after its `first` ones.

    It should be longer by as many batches as are made in advance, so that those on their way at
    the end of the pass make up for those that were so at its beginning.
    """
    warmed(files, state)
    arriving = iter(batches)
    run_epoch(arriving, limit=first)
    begun = time.perf_counter()
    images = run_epoch(arriving, limit=PASS_BATCHES)
    seconds = time.perf_counter() - begun
    still_warm(files, state)
    state["batches"] = PASS_BATCHES
    return 1e6 * seconds / images, state


def start_of_epoch(cell: Cell) -> Measured:
    """Microseconds per image of epochs of `cell.batches` batches, the start of each included.

    `PASS_BATCHES` batches at least, over as many epochs as that takes; the workers persist. The
    state has the time to an epoch's first batch.
    """
    state: dict[str, Any] = {}
    firsts: list[float] = []
    with (
        built(cell) as (dataset, files),
        starting(),
        loader(dataset, cell.workers, cell.start_method, batches=cell.batches) as batches,
    ):
        warmed(files, state)

        def once() -> int:
            arriving = iter(batches)
            firsts.append(timed(lambda: touch(next(arriving))))
            return BATCH_SIZE + run_epoch(arriving)

        once()
        firsts.clear()
        epochs = -(-PASS_BATCHES // cell.batches)
        seconds = timed(lambda: [once() for _ in range(epochs)])
        still_warm(files, state)
    state |= {"epochs": epochs, "first_batch_ms": round(1e3 * statistics.median(firsts), 4)}
    return 1e6 * seconds / (epochs * cell.batches * BATCH_SIZE), state


def item_share(cell: Cell) -> Measured:
    """Percent of a single-process epoch that is spent inside item access."""
    state: dict[str, Any] = {}
    with built(cell) as (dataset, files):
        items = TimedItems(dataset)
        with loader(items) as batches:
            warmed(files, state)
            run_epoch(batches, limit=WARM_UP_BATCHES)
            items.seconds = 0.0
            times = repeated(lambda: timed(lambda: run_epoch(batches)), EPOCH_SECONDS)
        state["epochs"] = len(times)
        return 100 * items.seconds / sum(times), state


def item(cell: Cell) -> Measured:
    """Microseconds per item: one access of the dataset."""
    state: dict[str, Any] = {}
    with built(cell) as (dataset, files):
        order = random.Random(0).sample(range(len(dataset)), min(ITEMS, len(dataset)))  # type: ignore[arg-type]
        if registry.IMPLEMENTATIONS[cell.impl].one_file_per_item:
            files = [files[position] for position in order]
        warmed(files, state)
        return 1e6 * _seconds_per_item(order, files, dataset, cell, state), state


def _seconds_per_item(
    order: list[int], files: list[Path], dataset: Any, cell: Cell, state: dict[str, Any]
) -> float:
    function = dataset.__getitem__

    def visit(indices: list[int] = order) -> None:
        for index in indices:
            function(index)

    if is_cold(cell.medium):
        if files and not registry.IMPLEMENTATIONS[cell.impl].one_file_per_item:
            raise page_cache.Unsupported(
                "a sample of the items does not read the whole of one shared file, so its state "
                "cannot be verified; the cold epoch covers it"
            )
        times = repeated(lambda: cold(visit, files, dataset, state), ITEM_SECONDS)
        return statistics.median(times) / len(order)
    visit()
    copies = max(1, round(PASS_SECONDS / max(timed(visit), 1e-7)))
    longer = order * copies
    times = repeated(lambda: timed(lambda: visit(longer)), ITEM_SECONDS)
    state["passes"] = len(times)
    return statistics.median(times) / len(longer)


def construction(cell: Cell) -> Measured:
    """Milliseconds to construct the dataset anew from a folder of JPEG files in the page cache."""
    corpus = corpus_of(cell)
    state: dict[str, Any] = {}
    warmed([Path(path) for path in corpus.paths], state)

    def once() -> float:
        with workspace(corpus.root, cell.medium) as folder:
            return timed(lambda: registry.build(cell.impl, folder, cell.transform, cell.px))

    times = repeated(once, EPOCH_SECONDS, CONSTRUCTIONS)
    state["repeats"] = len(times)
    return 1e3 * statistics.median(times), state


def reopening(cell: Cell) -> Measured:
    """Milliseconds to construct the dataset again over what its first construction left on disk."""
    state: dict[str, Any] = {}
    with workspace(corpus_of(cell).root, cell.medium) as folder:
        first = registry.build(cell.impl, folder)
        warmed([*folder.iterdir(), *registry.IMPLEMENTATIONS[cell.impl].files(first)], state)

        def once() -> float:
            return timed(lambda: registry.build(cell.impl, folder))

        times = repeated(once, EPOCH_SECONDS, CONSTRUCTIONS)
    state["repeats"] = len(times)
    return 1e3 * statistics.median(times), state


def first_batch(cell: Cell) -> Measured:
    """Milliseconds from asking a new DataLoader for its iterator to holding its first batch."""
    state: dict[str, Any] = {}
    with built(cell) as (dataset, files):
        warmed(files, state)

        def once() -> float:
            with starting(), loader(dataset, cell.workers, cell.start_method) as batches:
                return timed(lambda: next(iter(batches)))

        times = repeated(once, EPOCH_SECONDS)
        state["repeats"] = len(times)
        return 1e3 * statistics.median(times), state
