"""What the loader's own mechanisms give: hand-written loop, defaults, tuned (C02)."""

from .common import _Benchmark, tracked
from .grids import GRID, star
from .measures.loops import loop_epoch

FACTORS = ["n", "px", "loop"]


class ByLoop(_Benchmark):
    """The naive dataset in each loop; workers, prefetching and batch size come with the loop."""

    param_names = FACTORS
    params = star(
        FACTORS,
        px=GRID.px_pair,
        loop=("hand-written", "defaults", "batched", "tuned", "tuned-batched"),
    )

    track_epoch = tracked(loop_epoch, "us")
