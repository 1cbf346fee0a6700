"""Every way to get batches to a trainer, beside what the machine can do at most (X06, X07, X08).

A task's ceilings come first, then its arms; the fastest variant stands twice at the end (A/A).
"""

from functools import partial

from datasets_impl.contest.registry import ARMS
from datasets_impl.experiments.augment import PLACES
from datasets_impl.factors import second_name

from .common import _Benchmark, _Sparse, tracked
from .grids import GRID, star
from .measures.arms import throughput
from .measures.costs import SEPARATE, costs
from .measures.scale import augmented, counted, scaled

FACTORS = ["n", "px", "impl"]
TWICE = {"decode": "threaded-pack", "raw": "gathered", "train": "threaded-regions"}
# Whose memory is measured in a separate process, too.
MOVED = {"decode": "threaded-pack", "raw": "gathered-ahead", "train": "threaded-regions"}
DECODE_CEILINGS = (
    "ceiling-decode",
    "ceiling-decode-1",
    "ceiling-decode-fast",
    "ceiling-read",
    "ceiling-read-cold",
)
RAW_CEILINGS = ("ceiling-gather", "ceiling-gather-1", "ceiling-copy", "ceiling-copy-1")
PX_TRAIN = (512,)  # about what photographs for training have


def names(task):
    return [name for of, name in ARMS if of == task]


def costly(task):
    """Every arm of a task, and last the one that moves, after itself."""
    last = MOVED[task]
    return [*(name for name in names(task) if name != last), last, f"{last}{SEPARATE}"]


def rivals(task, *ceilings):
    """What runs side by side for a task."""
    last = TWICE[task]
    return [*ceilings, *(name for name in names(task) if name != last), last, second_name(last)]


VERSION = "2"  # since 2: the one loader's own arms, in place of a class for each


class Decode(_Benchmark):
    """JPEG photographs of one size to RGB."""

    version = VERSION
    param_names = FACTORS
    params = star(
        FACTORS,
        n=GRID.counts_arms,
        impl=rivals("decode", *DECODE_CEILINGS),
    )

    track_decode = tracked(partial(throughput, task="decode"), "us")


class Raw(_Benchmark):
    """Pixels that are decoded already."""

    version = VERSION
    param_names = FACTORS
    params = star(
        FACTORS,
        n=GRID.counts_arms,
        impl=rivals("raw", *RAW_CEILINGS),
    )

    track_raw = tracked(partial(throughput, task="raw"), "us")


class Train(_Benchmark):
    """Larger JPEG photographs to random crops, flipped in half the cases."""

    version = VERSION
    param_names = FACTORS
    params = star(
        FACTORS,
        n=GRID.counts_arms,
        px=PX_TRAIN,
        impl=rivals("train", *DECODE_CEILINGS),
    )

    track_train = tracked(partial(throughput, task="train"), "us")


class _Costs(_Benchmark):
    """Memory, conversion, disk and fidelity: measured once, they hardly vary."""

    version = VERSION
    rounds, every = 1, 0
    spoilt_by_load = False
    keeps_freed_memory = False
    param_names = FACTORS


class DecodeCosts(_Costs):
    params = star(FACTORS, n=GRID.counts_arms, impl=costly("decode"))

    track_decode_memory = tracked(partial(costs, task="decode"), "MB")


class RawCosts(_Costs):
    params = star(FACTORS, n=GRID.counts_arms, impl=costly("raw"))

    track_raw_memory = tracked(partial(costs, task="raw"), "MB")


class TrainCosts(_Costs):
    params = star(FACTORS, n=GRID.counts_arms, px=PX_TRAIN, impl=costly("train"))

    track_train_memory = tracked(partial(costs, task="train"), "MB")


class ByThreads(_Sparse):
    """One thread or worker and more, up to past the cores."""

    version = VERSION
    param_names = ["n", "px", "workers", "impl"]
    params = star(
        param_names,
        n=GRID.counts_arms,
        workers=(1, 2, 4),
        impl=("threaded-pack", "dataloader-simplejpeg", "batched-simplejpeg"),
    )

    track_decode = tracked(partial(scaled, task="decode"), "us")


class ByBatch(_Sparse):
    """Small batches and large ones."""

    version = VERSION
    param_names = ["n", "px", "workers", "batch", "impl"]
    params = star(
        param_names,
        n=GRID.counts_arms,
        workers=(2,),
        batch=(16, 64, 256),
        impl=("threaded-pack", "dataloader-simplejpeg"),
    )

    track_decode = tracked(partial(scaled, task="decode"), "us")


class ByResolution(_Sparse):
    """Small photographs and large ones."""

    version = VERSION
    param_names = ["n", "px", "workers", "impl"]
    params = star(
        param_names,
        n=GRID.counts_arms[:1],
        px=GRID.px,
        workers=(2,),
        impl=("threaded-pack", "dataloader-simplejpeg"),
    )

    track_decode = tracked(partial(scaled, task="decode"), "us")


class ByCount(_Sparse):
    """Up to a million small images, decoded already."""

    version = VERSION
    needs_corpus = False
    param_names = ["n", "px", "impl"]
    params = star(param_names, n=GRID.counts_raw, px=(16,), impl=("gathered", "pack-batched"))

    track_raw = tracked(counted, "us")


class ByPlace(_Sparse):
    """Turning and normalising raw pixels on each item, on a batch, on the device (C05, C08)."""

    version = VERSION
    param_names = FACTORS
    params = star(FACTORS, n=GRID.counts_arms[:1], impl=PLACES)

    track_raw = tracked(augmented, "us")
