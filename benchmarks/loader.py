"""What the loader's own mechanisms give: hand-written loop, defaults, tuned (C02); targets."""

from functools import partial

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, star
from .measures.loops import loop_epoch
from .measures.targets import with_targets

FACTORS = ["n", "px", "loop"]


class ByLoop(_Benchmark):
    """The naive dataset in each loop; workers, prefetching and batch size come with the loop."""

    version = "2"  # since 2: with workers, a hundred batches in the middle of a longer pass
    param_names = FACTORS
    params = star(FACTORS, px=GRID.px_pair, loop=GRID.loops)

    track_epoch = tracked(loop_epoch, "us")


class Targets(_Sparse):
    """What it costs that the one loader hands out targets, too."""

    param_names = ["n", "px"]
    params = star(param_names, px=(256,) if GRID.limits else ())  # quick has no time for it

    track_jpeg_targets = tracked(partial(with_targets, task="decode"), "%")
    track_pixels_targets = tracked(partial(with_targets, task="raw"), "%")
