"""Whether one slow sample holds up its batch and those behind it (X12)."""

from datasets_impl.experiments.uneven import LOADERS, MIXES

from .common import _Sparse, tracked
from .grids import GRID, star
from .measures.uneven import uneven

FACTORS = ["n", "px", "mix", "impl"]
# Quick has no time for both mixes, nor for larger pictures.
MIXED, PX = (tuple(MIXES), (224,)) if GRID.limits else (("slow-samples",), (64,))


class ByMix(_Sparse):
    """A DataLoader with its batches in order and not, and threads that take single samples."""

    also = ("p99",)
    param_names = FACTORS
    params = star(FACTORS, px=PX, mix=MIXED, impl=tuple(LOADERS))

    track_epoch = tracked(uneven, "us")
