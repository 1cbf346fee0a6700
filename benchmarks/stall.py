"""Share of time a trainer waits for data under an emulated training step (X09)."""

from functools import partial

from datasets_impl.experiments.steps import cuda_step

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, star
from .measures.loops import stall

FACTORS = ["n", "px", "workers", "step_ms", "impl"]


class ByStep(_Sparse):
    """Emulated steps, which leave the CPU to the workers."""

    version = "2"  # since 2: with workers, a hundred steps at least
    param_names = FACTORS
    params = star(FACTORS, workers=(0, 2), step_ms=GRID.steps_ms, impl=("naive", "preloaded"))

    track_stall = tracked(stall, "%")


class CudaByStep(_Benchmark):
    """Steps computed on a CUDA device, where there is one."""

    version = "2"
    param_names = FACTORS
    params = star(FACTORS, workers=(2,), impl=("naive", "preloaded"))

    track_stall = tracked(partial(stall, make_step=cuda_step), "%")
