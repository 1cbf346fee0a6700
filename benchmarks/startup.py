"""What is paid before training: construction, and time to the first batch."""

from .common import _Benchmark, _Sparse, tracked
from .grids import (
    AS_FLOAT,
    COUNTS,
    COUNTS_FLOAT,
    DOCUMENTED,
    GRID,
    PX_FLOAT,
    START_METHODS,
    STORED,
    star,
)
from .measures.epochs import construction, first_batch

FACTORS = ["n", "px", "workers", "start_method", "impl"]


class Construction(_Benchmark):
    param_names = ["n", "px", "impl"]
    params = star(param_names, n=COUNTS, impl=(*DOCUMENTED, "mapped-fixed"))

    track_construction = tracked(construction, "ms")


class ConstructionByResolution(Construction):
    """What an epoch of the same resolution must pay back (C06, X04)."""

    params = star(Construction.param_names, px=GRID.px_pair, impl=(*DOCUMENTED, "mapped-fixed"))


class ConstructionRecommended(Construction, _Sparse):
    """What users are told to take; the cache constructs nothing, and pays in its first epoch."""

    params = star(Construction.param_names, impl=("preloaded-fixed", "mapped-fixed"))


class ConstructionAsFloat(Construction, _Sparse):
    """What `ToTensor()` adds to preloading (X04)."""

    params = star(Construction.param_names, px=PX_FLOAT, impl=("naive", *AS_FLOAT))


class _FirstBatch(_Benchmark):
    param_names = FACTORS

    track_first_batch = tracked(first_batch, "ms")


class ByWorkers(_FirstBatch):
    params = star(FACTORS, workers=GRID.workers_started, impl=DOCUMENTED)


class BySize(_FirstBatch, _Sparse):
    """Two workers, by what they must be sent: the dataset's size and its form (X01)."""

    params = star(
        FACTORS,
        n=GRID.counts_started,
        workers=(2,),
        start_method=START_METHODS,
        impl=("naive", *STORED) if GRID.limits else DOCUMENTED,  # quick has no time for more
    )


class AsFloat(_FirstBatch, _Sparse):
    """Two workers that are sent float32 pixels, or a quarter of their bytes (X01)."""

    params = star(
        FACTORS,
        n=COUNTS_FLOAT,
        workers=(2,),
        start_method=START_METHODS,
        impl=("naive", *AS_FLOAT),
    )


class ManyWorkers(_FirstBatch):
    """Workers far past the number of cores, beside two (C20)."""

    params = star(
        FACTORS, workers=(2, *GRID.many_workers) if GRID.many_workers else (), impl=("naive",)
    )
