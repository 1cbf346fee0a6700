"""Time of one item in this process, and the share of each of its stages."""

from datasets_impl.experiments.stages import STAGES

from .common import _Benchmark, tracked
from .grids import AS_FLOAT, COUNTS, GRID, ITEMS, PX_FLOAT, star
from .measures.epochs import item
from .measures.shares import stage_share

FACTORS = ["n", "px", "medium", "stage", "impl"]


class _Item(_Benchmark):
    param_names = FACTORS

    track_item = tracked(item, "us")


class _StageShare(_Benchmark):
    param_names = FACTORS

    track_stage_share = tracked(stage_share, "%")


class ByStage(_StageShare):
    """Each stage's share of the naive item, with warm files (C13)."""

    params = star(FACTORS, n=ITEMS, px=GRID.px_pair, stage=STAGES)


class ByStorage(_StageShare):
    """The share of reading in the naive item, on each medium (C03)."""

    params = star(FACTORS, n=ITEMS, px=GRID.px_pair, medium=GRID.media, stage=("read",))


class ByImplementation(_Item):
    """The naive item beside its alternatives (C13, C14, C17)."""

    params = star(
        FACTORS,
        n=ITEMS,
        px=GRID.px_pair,
        impl=(
            "pil-to-tensor",
            "naive",
            "decode-image",
            "decode-torchcodec",
            "preloaded",
            "mapped",
        ),
    )


class ByCount(_Item):
    params = star(FACTORS, n=COUNTS, impl=("naive", "preloaded"))


class AsFloat(_Item):
    """The preloaded item as float32, channel first, beside its uint8 (C14, C17)."""

    params = star(FACTORS, n=ITEMS, px=PX_FLOAT, impl=("naive", *AS_FLOAT, "mapped"))


class NeedlessWork(_Item):
    """The naive item beside items that do something needless besides (C12)."""

    params = star(FACTORS, px=GRID.px_storage, impl=("naive", "row-loop", "relisting", "reheader"))
