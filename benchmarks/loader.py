"""What the loader's own mechanisms give: hand-written loop, defaults, tuned (C02)."""

from .common import _Benchmark, tracked
from .grids import GRID, star
from .measures.loops import loop_epoch

FACTORS = ["n", "px", "loop"]


class ByLoop(_Benchmark):
    """The naive dataset in each loop; workers, prefetching and batch size come with the loop."""

    version = "2"  # since 2: with workers, a hundred batches in the middle of a longer pass
    param_names = FACTORS
    params = star(FACTORS, px=GRID.px_pair, loop=GRID.loops)

    track_epoch = tracked(loop_epoch, "us")
