"""A/A arms: the same implementation under two names. A difference here is a false alarm."""

from .common import _Benchmark
from .grids import GRID, ITEMS, star
from .measure import construction, epoch, first_batch, item

EPOCH = ["n", "px", "workers", "start_method", "medium", "transform", "impl"]
ITEM = ["n", "px", "medium", "stage", "impl"]


def pairs(*names):
    """Each name followed by its second arm, so that the two run one after the other."""
    return [arm for name in names for arm in (name, f"{name}-again")]


class Epoch(_Benchmark):
    param_names = EPOCH
    params = star(
        EPOCH,
        workers=(0, 2),
        impl=pairs("naive", "preloaded", "mapped"),
    )

    def track_epoch(self, *levels):
        return self.measured(levels, epoch)

    track_epoch.unit = "us"


class ColdEpoch(Epoch):
    params = star(EPOCH, medium=("ramdisk", "disk-cold"), impl=pairs("naive"))


class Item(_Benchmark):
    param_names = ITEM
    params = star(ITEM, n=ITEMS, px=GRID.px, impl=pairs("naive", "preloaded", "mapped"))

    def track_item(self, *levels):
        return self.measured(levels, item)

    track_item.unit = "us"


class FirstBatch(_Benchmark):
    param_names = ["n", "px", "workers", "start_method", "impl"]
    params = star(param_names, workers=(0, 2), impl=pairs("naive", "preloaded"))

    def track_first_batch(self, *levels):
        return self.measured(levels, first_batch)

    track_first_batch.unit = "ms"


class Construction(_Benchmark):
    param_names = ["n", "px", "impl"]
    params = star(param_names, impl=pairs("preloaded"))

    def track_construction(self, *levels):
        return self.measured(levels, construction)

    track_construction.unit = "ms"
