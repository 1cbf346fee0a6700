"""What is paid before training: construction, and time to the first batch."""

from .common import _Benchmark
from .grids import DOCUMENTED, GRID, star
from .measure import construction, first_batch

FACTORS = ["n", "px", "workers", "start_method", "impl"]


class Construction(_Benchmark):
    param_names = ["n", "px", "impl"]
    params = star(param_names, n=GRID.counts, impl=(*DOCUMENTED, "mapped-fixed"))

    def track_construction(self, *levels):
        return self.measured(levels, construction)

    track_construction.unit = "ms"


class _FirstBatch(_Benchmark):
    param_names = FACTORS

    def track_first_batch(self, *levels):
        return self.measured(levels, first_batch)

    track_first_batch.unit = "ms"


class ByWorkers(_FirstBatch):
    params = star(FACTORS, workers=GRID.workers_started, impl=DOCUMENTED)


class ByStartMethod(_FirstBatch):
    params = star(
        FACTORS,
        workers=(2,),
        start_method=GRID.start_methods,
        impl=("preloaded", "mapped", "mapped-fixed"),
    )
