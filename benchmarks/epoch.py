"""Time of an epoch per image, swept as a star around the centre."""

from .common import _Benchmark, _Sparse, tracked
from .grids import (
    AS_FLOAT,
    COUNTS,
    DOCUMENTED,
    GRID,
    PX_FLOAT,
    RECOMMENDED,
    START_METHODS,
    star,
)
from .measures.epochs import epoch, item_share, start_of_epoch

FACTORS = ["n", "px", "workers", "start_method", "medium", "transform", "impl"]


class _Epoch(_Benchmark):
    param_names = FACTORS

    track_epoch = tracked(epoch, "us")


class ByResolution(_Epoch):
    params = star(FACTORS, px=GRID.px, impl=(*DOCUMENTED, "preloaded-chw"))


class ByWorkers(_Epoch):
    version = "2"  # since 2: with workers, a hundred batches in the middle of a longer pass
    params = star(FACTORS, px=GRID.px_pair, workers=GRID.workers, impl=DOCUMENTED)


class ByCount(_Epoch):
    params = star(FACTORS, n=COUNTS, impl=DOCUMENTED)


class ByStorage(_Epoch):
    params = star(FACTORS, px=GRID.px_storage, medium=GRID.media, impl=DOCUMENTED)


class ByStartMethod(_Epoch, _Sparse):
    version = "2"
    params = star(
        FACTORS,
        workers=(2,),
        start_method=START_METHODS if GRID.limits else (),  # the quick profile has no time for it
        impl=("preloaded", "mapped", "mapped-fixed"),
    )


class ByTransform(_Epoch, _Sparse if GRID.limits else _Benchmark):  # quick has few rounds
    version = "2"
    params = star(
        FACTORS,
        px=GRID.px_storage,
        workers=(0, 2) if GRID.limits else (0,),  # the quick profile has no time for more
        transform=GRID.transforms,
    )


class AsFloat(_Epoch, _Sparse):
    """Example 2 with `ToTensor()` (float32, channel first) beside uint8 (C04, C07, C17, X04)."""

    version = "2"
    params = star(
        FACTORS,
        px=PX_FLOAT,
        workers=(0, 2),
        impl=("naive", *AS_FLOAT, "mapped"),
    )


class Recommended(_Epoch, _Sparse):
    """What users are told to take, beside the documented ones that it stands for."""

    version = "2"
    params = star(
        FACTORS,
        px=(256,),
        workers=(0, 2) if GRID.limits else (0,),  # the quick profile has no time for more
        impl=(*DOCUMENTED, *RECOMMENDED) if GRID.limits else RECOMMENDED,
    )


class ItemShare(_Benchmark):
    """Part of a single-process epoch spent in item access (C01)."""

    param_names = ["n", "px", "impl"]
    params = star(param_names, n=GRID.counts, px=(64, 256))

    track_item_share = tracked(item_share, "%")


class ManyWorkers(_Epoch):
    """Workers far past the number of cores, beside two (C20)."""

    version = "2"
    params = star(
        FACTORS, workers=(2, *GRID.many_workers) if GRID.many_workers else (), impl=("naive",)
    )


class ByLength(_Sparse):
    """What the start of an epoch costs: epochs of few batches beside those of many (C07, C08)."""

    param_names = ["n", "px", "workers", "batches", "impl"]
    params = star(
        param_names, workers=(2,), batches=GRID.epoch_batches, impl=("naive", "preloaded")
    )

    track_epoch = tracked(start_of_epoch, "us")
