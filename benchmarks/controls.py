"""A/A arms: the same thing under two names. A difference here is a false alarm.

Any factor may have the second name (`factors.second_name`); it goes last.
"""

from functools import partial

from datasets_impl.factors import CENTRE, second_name

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, ITEMS, START_METHODS, star
from .measures.beside import beside
from .measures.epochs import construction, epoch, first_batch, item
from .measures.loops import loop_epoch, stall
from .measures.samples import access, transport
from .measures.throttled import epoch as throttled_epoch
from .measures.tree import photograph_tree

EPOCH = ["n", "px", "workers", "start_method", "medium", "transform", "impl"]
ITEM = ["n", "px", "medium", "stage", "impl"]
FIRST_WORKERS = (0, 2) if 0 in GRID.workers_started else (2,)


def pairs(*names):
    """Each name followed by its second arm, so that the two run one after the other."""
    return [arm for name in names for arm in (name, second_name(name))]


class Epoch(_Benchmark):
    version = "2"  # as the benchmarks it stands for
    param_names = EPOCH
    params = star(
        EPOCH,
        workers=(0, 2),
        impl=pairs(*GRID.controls),
    )

    track_epoch = tracked(epoch, "us")


class ColdEpoch(Epoch):
    version = "1"  # without workers nothing has changed
    params = star(
        EPOCH,
        medium=[medium for medium in GRID.media if medium != CENTRE["medium"]],
        impl=pairs("naive"),
    )


class Item(_Benchmark):
    param_names = ITEM
    params = star(ITEM, n=ITEMS, px=GRID.px_storage, impl=pairs(*GRID.controls))

    track_item = tracked(item, "us")


class FirstBatch(_Benchmark):
    param_names = ["n", "px", "workers", "start_method", "impl"]
    params = star(param_names, workers=FIRST_WORKERS, impl=pairs("naive", "preloaded"))

    track_first_batch = tracked(first_batch, "ms")


class Construction(_Benchmark):
    param_names = ["n", "px", "impl"]
    params = star(param_names, impl=pairs("preloaded"))

    track_construction = tracked(construction, "ms")


class Loop(_Benchmark):
    version = "2"
    param_names = ["n", "px", "loop"]
    params = star(param_names, px=GRID.px[:1], loop=pairs("tuned"))

    track_epoch = tracked(loop_epoch, "us")


class Access(_Benchmark):
    needs_corpus = False
    param_names = ["n", "record", "access", "structure"]
    params = star(param_names, structure=pairs("numpy"))

    track_access = tracked(access, "ns")


class Transport(_Benchmark):
    version = "2"
    needs_corpus = False
    param_names = ["kib", "workers", "carrier"]
    params = star(param_names, workers=(1,), carrier=pairs("tensor"))

    track_transport = tracked(transport, "us")


class Stall(_Benchmark):
    version = "2"
    param_names = ["n", "px", "workers", "step_ms", "impl"]
    params = star(
        param_names,
        n=ITEMS,
        px=(128,),
        workers=(2,),
        step_ms=GRID.steps_ms[:1],
        impl=pairs("naive"),
    )

    track_stall = tracked(stall, "%")


class Beside(_Benchmark):
    version = "2"  # as the benchmarks it stands for
    also = ("slowdown", "cpu")
    param_names = ["n", "px", "trainer", "step_ms", "impl"]
    params = star(
        param_names,
        trainer=("bookkeeping",),
        impl=pairs("threads") if GRID.limits else (),  # the quick profile has no time for it
    )

    track_epoch = tracked(partial(beside, task="decode"), "us")


class Tree(_Sparse):
    spoilt_by_load = False  # as the benchmarks it stands for
    keeps_freed_memory = False
    param_names = ["n", "px", "start_method", "impl"]
    params = star(
        param_names,
        n=GRID.counts_started[:1],
        start_method=START_METHODS[:1] if GRID.limits else (),
        impl=pairs("preloaded"),
    )

    track_tree = tracked(photograph_tree, "MB")


class Throttled(_Sparse):
    param_names = ["n", "px", "bandwidth", "impl"]
    params = star(param_names, n=(GRID.n_throttled,), bandwidth=(100,), impl=pairs("naive"))

    track_epoch = tracked(throttled_epoch, "us")
