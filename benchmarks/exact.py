"""Exact findings: counts and yes-or-no facts, measured once and without an interval."""

import resource

from datasets_impl.experiments import behaviour
from datasets_impl.media.workspaces import workspace
from datasets_impl.observe.handover import handover, start_failure

from .common import _Benchmark
from .grids import GRID, STORED, star
from .measures.epochs import built, corpus_of

N = (32,)


class _Exact(_Benchmark):
    rounds, every = 1, 0
    spoilt_by_load = False

    def answer(self, levels, ask):
        """Ask `ask(cell, folder)` of a fresh working folder holding the cell's images."""

        def measure(cell):
            with workspace(corpus_of(cell).root, "disk-warm") as folder:
                return float(ask(cell, folder)), {}

        return self.measured(levels, measure)


class FilesOpened(_Exact):
    """Image files opened, per image (C16)."""

    param_names = ["n", "phase", "impl"]
    params = [N, behaviour.PHASES, ("mapped", "mapped-fixed", "naive", "preloaded")]

    def track_opened(self, n, phase, impl):
        return self.answer(
            (n, phase, impl), lambda cell, at: behaviour.images_opened(impl, at, phase)
        )

    track_opened.unit = "files per image"


class DiskBytes(_Exact):
    """Bytes on disk per byte of JPEG (C18)."""

    param_names = ["n", "px", "quality", "impl"]
    params = star(param_names, n=(128,), px=GRID.px, quality=GRID.qualities, impl=("mapped",))

    def track_disk_ratio(self, n, px, quality, impl):
        return self.answer((n, px, quality, impl), lambda cell, at: behaviour.disk_ratio(impl, at))

    track_disk_ratio.unit = "bytes per byte of JPEG"


class Shapes(_Exact):
    """What becomes of images of mixed shapes (C19): 0 right, 1 refused, 2 silently wrong."""

    param_names = ["mix", "impl"]
    params = [tuple(behaviour.SHAPE_MIXES), ("mapped", "mapped-fixed")]

    def track_mixed_shapes(self, mix, impl):
        def ask(cell, folder):
            for path in folder.iterdir():
                path.unlink()
            return behaviour.mixed_shapes(impl, folder, mix)

        return self.answer((mix, impl), ask)

    track_mixed_shapes.unit = "outcome"


class RandomTransform(_Exact):
    """Distinct versions of one item in 20 epochs under a random crop (C15)."""

    param_names = ["n", "px", "workers", "impl"]
    params = [N, (64,), (0, 2), ("preloaded", "preloaded-fixed", "naive")]

    def track_distinct(self, n, px, workers, impl):
        return self.answer(
            (n, px, workers, impl), lambda cell, at: behaviour.distinct_reads(impl, at, workers)
        )

    track_distinct.unit = "of 20 reads"


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

    def track_changed(self, n, px, access, where, impl):
        return self.answer(
            (n, px, access, where, impl),
            lambda cell, at: behaviour.changed_by_training(impl, at, access, where),
        )

    track_changed.unit = "changed"


class PickleBytes(_Exact):
    """What a worker that is not forked is sent, per byte of decoded pixels (X01)."""

    param_names = ["n", "px", "impl"]
    params = star(param_names, n=GRID.counts_started, impl=("naive", *STORED))

    def track_pickle_ratio(self, *levels):
        def measure(cell):
            with built(cell) as (dataset, _):
                sent = handover(dataset)
            state = {"sent_bytes": sent.sent_bytes, "descriptors": sent.descriptors}
            pixels = cell.n * cell.px * cell.px * 3
            return sent.sent_bytes / pixels, {**state, "plain_pickle_bytes": sent.plain_bytes}

        return self.measured(levels, measure)

    track_pickle_ratio.unit = "bytes per byte of pixels"


class Starts(_Exact):
    """Can a loader start its worker with this dataset (X01)? 0 yes, 1 no."""

    param_names = ["n", "px", "start_method", "impl"]
    params = star(
        param_names,
        n=GRID.counts_started,
        start_method=GRID.start_methods,
        impl=("preloaded", "preloaded-tensor", "mapped", "mapped-fixed"),
    )

    def track_starts_failed(self, *levels):
        def measure(cell):
            with built(cell) as (dataset, _):
                error = start_failure(dataset, 1, cell.start_method)
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return float(bool(error)), {"error": error, "descriptor_limit": limit}

        return self.measured(levels, measure)

    track_starts_failed.unit = "failed"
