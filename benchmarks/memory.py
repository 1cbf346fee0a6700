"""Memory of the process tree: records, start methods, data larger than a limit."""

from .common import _Sparse, tracked
from .grids import AS_FLOAT, COUNTS_FLOAT, GRID, START_METHODS, STORED
from .measures.tree import photograph_tree, record_copies, record_tree


class _Memory(_Sparse):
    keeps_freed_memory = False
    spoilt_by_load = False  # and a repetition would reuse what the first one freed


class _Records(_Memory):
    needs_corpus = False
    param_names = ["n", "start_method", "structure"]
    params = [(GRID.records,), GRID.record_start_methods, GRID.record_structures]


class RecordsPerWorker(_Records):
    """What each of two workers copies of the records by reading them all once (C09)."""

    track_worker_copy = tracked(record_copies, "% of its size")


class RecordsTree(_Records):
    """What the records take in the trainer and two workers together (C09).

    Forked workers only: others hold a copy each from the start, as `RecordsPerWorker` shows.
    """

    params = [(GRID.records,), ("fork",), GRID.record_structures]

    track_tree = tracked(record_tree, "MB")


class StartMethod(_Memory):
    """What the photographs take in the trainer and two workers together (C11, X01)."""

    param_names = ["n", "px", "start_method", "impl"]
    params = [
        GRID.counts_started,
        (256,),
        START_METHODS,
        STORED if GRID.limits else ("mapped",),  # the quick profile has no time for more
    ]

    track_tree = tracked(photograph_tree, "MB")


class AsFloat(StartMethod):
    """The same of pixels in float32, which take four times the bytes (X01)."""

    params = [COUNTS_FLOAT, (256,), START_METHODS, AS_FLOAT]
