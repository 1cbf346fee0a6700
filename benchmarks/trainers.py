"""The three tasks beside a trainer that waits, holds the GIL, launches or computes (X10, X11)."""

from functools import partial

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, star
from .measures.beside import beside
from .measures.training import training

FACTORS = ["n", "px", "trainer", "step_ms", "impl"]
WAYS = ("dataloader", "threads", "process")
PX_TRAIN = (512,)  # about what photographs for training have


def levels(task, **more):
    """Those of a task; none where the profile leaves it out."""
    ways = WAYS if task in GRID.tasks_beside else ()
    return star(FACTORS, trainer=GRID.trainers, step_ms=GRID.steps_beside, impl=ways, **more)


class _Beside(_Benchmark):
    version = "2"  # since 2: steps as long as asked, whatever disturbed the timing of their work
    also = ("slowdown", "cpu")
    param_names = FACTORS


class Decode(_Beside):
    """JPEG photographs of one size to RGB."""

    params = levels("decode")

    track_epoch = tracked(partial(beside, task="decode"), "us")


class Raw(_Beside):
    """Pixels that are decoded already."""

    params = levels("raw")

    track_epoch = tracked(partial(beside, task="raw"), "us")


class Train(_Beside):
    """Larger JPEG photographs to random crops, flipped in half the cases."""

    params = levels("train", px=PX_TRAIN)

    track_epoch = tracked(partial(beside, task="train"), "us")


class Training(_Sparse):
    """A small net learns which photograph a crop is from."""

    also = ("accuracy",)
    param_names = ["n", "px", "impl"]
    params = star(
        param_names,
        n=(1280,) if GRID.limits else (640,),  # quick has no time for more, nor for larger ones
        px=(128,) if GRID.limits else (64,),
        impl=WAYS if "decode" in GRID.tasks_beside else (),
    )

    track_epoch = tracked(training, "us")
