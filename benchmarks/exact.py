"""Exact findings: counts and yes-or-no facts, measured once and without an interval."""

import resource

from datasets_impl.experiments import behaviour
from datasets_impl.media.workspaces import workspace
from datasets_impl.observe.handover import handover, start_failure

from .common import _Benchmark, tracked
from .grids import GRID, STORED, star
from .measures.epochs import built, corpus_of

N = (32,)


class _Exact(_Benchmark):
    rounds, every = 1, 0
    spoilt_by_load = False


def asked(ask, unit):
    """As `tracked`, of `ask(cell, folder)` over a fresh working folder with the cell's images."""

    def measure(cell):
        with workspace(corpus_of(cell).root, "disk-warm") as folder:
            return float(ask(cell, folder)), {}

    return tracked(measure, unit)


class FilesOpened(_Exact):
    """Image files opened, per image (C16)."""

    param_names = ["n", "phase", "impl"]
    params = [N, behaviour.PHASES, ("mapped", "mapped-fixed", "naive", "preloaded")]
    track_opened = asked(
        lambda cell, at: behaviour.images_opened(cell.impl, at, cell.phase), "files per image"
    )


class DiskBytes(_Exact):
    """Bytes on disk per byte of JPEG (C18)."""

    param_names = ["n", "px", "quality", "impl"]
    params = star(param_names, n=(128,), px=GRID.px, quality=GRID.qualities, impl=("mapped",))
    track_disk_ratio = asked(
        lambda cell, at: behaviour.disk_ratio(cell.impl, at), "bytes per byte of JPEG"
    )


def _mixed_shapes(cell, folder):
    for path in folder.iterdir():
        path.unlink()
    return behaviour.mixed_shapes(cell.impl, folder, cell.mix)


class Shapes(_Exact):
    """What becomes of images of mixed shapes (C19): 0 right, 1 refused, 2 silently wrong."""

    param_names = ["mix", "impl"]
    params = [tuple(behaviour.SHAPE_MIXES), ("mapped", "mapped-fixed")]
    track_mixed_shapes = asked(_mixed_shapes, "outcome")


class RandomTransform(_Exact):
    """Distinct versions of one item in 20 epochs under a random crop (C15)."""

    param_names = ["n", "px", "workers", "impl"]
    params = [N, (64,), (0, 2), ("preloaded", "preloaded-fixed", "naive")]
    track_distinct = asked(
        lambda cell, at: behaviour.distinct_reads(cell.impl, at, cell.workers), "of 20 reads"
    )


class TrainingStep(_Exact):
    """Does zeroing a sample in place change the stored dataset (X02)? 1 yes, 0 no."""

    param_names = ["n", "px", "access", "where", "impl"]
    params = [
        N,
        (64,),
        ("item", "unbatched", "batch"),
        ("memory", "disk"),
        ("naive", "preloaded", "mapped", "preloaded-fixed", "mapped-fixed"),
    ]
    track_changed = asked(
        lambda cell, at: behaviour.changed_by_training(cell.impl, at, cell.access, cell.where),
        "changed",
    )


def _sent(cell):
    with built(cell) as (dataset, _):
        sent = handover(dataset)
    state = {"sent_bytes": sent.sent_bytes, "descriptors": sent.descriptors}
    pixels = cell.n * cell.px * cell.px * 3
    return sent.sent_bytes / pixels, {**state, "plain_pickle_bytes": sent.plain_bytes}


class PickleBytes(_Exact):
    """What a worker that is not forked is sent, per byte of decoded pixels (X01)."""

    param_names = ["n", "px", "impl"]
    params = star(param_names, n=GRID.counts_started, impl=("naive", *STORED))
    track_pickle_ratio = tracked(_sent, "bytes per byte of pixels")


def _start_failed(cell):
    with built(cell) as (dataset, _):
        error = start_failure(dataset, 1, cell.start_method)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float(bool(error)), {"error": error, "descriptor_limit": limit}


class Starts(_Exact):
    """Can a loader start its worker with this dataset (X01)? 0 yes, 1 no."""

    param_names = ["n", "px", "start_method", "impl"]
    params = star(
        param_names,
        n=GRID.counts_started,
        start_method=GRID.start_methods,
        impl=("preloaded", "preloaded-tensor", "mapped", "mapped-fixed"),
    )
    track_starts_failed = tracked(_start_failed, "failed")
