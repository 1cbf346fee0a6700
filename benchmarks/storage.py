"""Slow storage: throttled disks and an object store, JPEG against raw pixels."""

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, ITEMS, star
from .measures import epochs, objects, throttled

PX_RAW = GRID.px_bandwidth if GRID.limits else ()  # the quick profile has no time for these
FASTEST = 400  # MB/s
OBJECTS = 32  # images in the object store; each costs one request


class ByBandwidth(_Sparse):
    """A cold epoch over JPEG files beside raw pixels, on a throttled disk (X05)."""

    version = "2"  # what the throttle grants in advance is used up first
    param_names = ["n", "px", "bandwidth", "impl"]
    params = star(
        param_names,
        n=(GRID.n_throttled,),
        px=GRID.px_bandwidth,
        bandwidth=GRID.bandwidths,
        impl=("naive", "raw-files", "mapped-fixed"),
    )

    track_epoch = tracked(throttled.epoch, "us")


class ByMedium(_Benchmark):
    """The same arms where nothing is throttled (X05)."""

    param_names = ["n", "px", "medium", "impl"]
    params = star(param_names, n=ITEMS, px=PX_RAW, medium=GRID.media, impl=("naive", "raw-files"))

    track_epoch = tracked(epochs.epoch, "us")


class ReadShare(_Sparse):
    """The share of reading in the naive item, cold, on a throttled disk (C03).

    On disks of less than `FASTEST` alone: reading JPEG files needs too many of them above.
    """

    version = "2"  # see `ByBandwidth`
    param_names = ["n", "px", "bandwidth", "stage", "impl"]
    params = star(
        param_names,
        n=(max(GRID.n, GRID.n_throttled),),
        px=GRID.px_bandwidth,
        bandwidth=[rate for rate in GRID.bandwidths if rate < FASTEST],
        stage=("read",),
    )

    track_stage_share = tracked(throttled.stage_share, "%")


class BeyondMemory(_Benchmark):
    """Does a child whose memory is limited run out of it (C11)? 1 yes, 0 no."""

    rounds, every = 1, 0
    spoilt_by_load = False
    param_names = ["n", "px", "where", "impl"]
    params = [(GRID.n,), (256,), GRID.limits, ("preloaded", "mapped-fixed", "raw-files")]

    track_failed = tracked(throttled.beyond_failed, "failed")


class BeyondMemoryEpoch(_Sparse):
    """An epoch of a child, over data that its memory holds and over data that it does not (C11)."""

    param_names = ["n", "px", "where", "impl"]
    params = [(GRID.n,), (256,), GRID.limits, ("mapped-fixed", "raw-files")]

    track_epoch = tracked(throttled.beyond_epoch, "us")


class InMemory(_Benchmark):
    """An epoch over decoded pixels kept in three ways, all in memory (C11)."""

    param_names = ["n", "px", "impl"]
    params = star(
        param_names,
        px=GRID.px_storage if GRID.limits else (),
        impl=("preloaded", "mapped-fixed", "raw-files"),
    )

    track_epoch = tracked(epochs.epoch, "us")


class Reopen(_Benchmark):
    """Constructing the dataset a second time, when its pixels are already on disk (C11)."""

    param_names = ["n", "px", "impl"]
    params = InMemory.params

    track_construction = tracked(epochs.reopening, "ms")


class ObjectStoreEpoch(_Sparse):
    """An epoch over JPEG objects beside one over raw pixels, each GET late (X05).

    The workers share the CPU with the server, so their gain is a lower bound.
    """

    version = "2"  # since 2: with workers, a hundred batches at least
    param_names = ["n", "px", "workers", "latency_ms", "impl"]
    params = star(
        param_names,
        n=(OBJECTS,),
        px=GRID.px_bandwidth,
        workers=(0, 4),
        latency_ms=GRID.latencies_ms,
        impl=("naive", "raw-files"),
    )

    track_epoch = tracked(objects.epoch, "us")


class ObjectStoreItem(_Sparse):
    """The share of fetching in the item over JPEG objects (C03)."""

    param_names = ["n", "px", "latency_ms", "stage", "impl"]
    params = star(
        param_names,
        n=(OBJECTS,),
        px=GRID.px_bandwidth,
        latency_ms=GRID.latencies_ms,
        stage=("read",),
    )

    track_stage_share = tracked(objects.stage_share, "%")
