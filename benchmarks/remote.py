"""The fourth task: JPEG photographs in an object store, behind a line of stated speed.

`datasets_impl/contest/remote.py` says what an arm may keep. The store shares the machine's cores.
"""

from datasets_impl.contest.registry import ARMS
from datasets_impl.factors import second_name

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, star
from .measures.remote import costs, first_epoch

TWICE = "shards-ahead"
OWN = ("dataloader-objects", "threaded-objects")  # a study of few lines has no time for more
NAMES = [name for task, name in ARMS if task == "remote" and name != TWICE]
RIVALS = NAMES if len(GRID.lines_ms) > 1 else [name for name in NAMES if name in OWN]
FEW = 64  # images whose pixels are compared


class OverALine(_Benchmark if GRID.topics else _Sparse):
    """The first epoch, from opening on, when nothing was fetched before."""

    param_names = ["n", "px", "bandwidth", "latency_ms", "impl"]
    params = star(
        param_names,
        n=GRID.counts_remote,
        bandwidth=GRID.lines_mb,
        latency_ms=GRID.lines_ms,
        impl=[*RIVALS, TWICE, second_name(TWICE)],
    )

    track_remote = tracked(first_epoch, "us")


class Costs(_Benchmark):
    """Conversion, what stands in the store, and fidelity: measured once, they hardly vary."""

    rounds, every = 1, 0
    spoilt_by_load = False
    param_names = ["n", "px", "impl"]
    params = star(
        param_names,
        n=(FEW,) if len(GRID.lines_ms) > 1 and GRID.counts_remote else (),
        impl=[*NAMES, TWICE],
    )

    track_remote_stored = tracked(costs, "MB")
