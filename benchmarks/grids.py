"""Every grid of the study: the levels of the factors in each profile, and the star of them.

A benchmark sweeps one factor (or a pair that a claim needs) and leaves the others at the centre.
Only grids and rounds differ between profiles, never code.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, make_dataclass, replace
from typing import Any

from datasets_impl.corpus import DEFAULT_QUALITY
from datasets_impl.errors import BAD_INPUT, StudyError
from datasets_impl.factors import APART, FACTORS, LOCAL_MEDIA, first_name
from datasets_impl.observe.log import SPARSE as SPARSE

PROFILE_VARIABLE = "DATASET_STUDY_PROFILE"


@dataclass(frozen=True)
class Grid:
    """Levels of one profile; `rounds` is the number of blocks."""

    rounds: int
    n: int  # the centre's image count
    counts: tuple[int, ...]
    px: tuple[int, ...]
    px_pair: tuple[int, ...]  # the sizes at which px is crossed with workers or count
    px_storage: tuple[int, ...]  # the sizes at which it is crossed with medium or transform
    workers: tuple[int, ...]
    workers_started: tuple[int, ...]  # for time to first batch
    start_methods: tuple[str, ...]
    transforms: tuple[str, ...]
    qualities: tuple[int, ...]
    counts_started: tuple[int, ...]  # dataset sizes crossed with start methods
    many_workers: tuple[int, ...]  # far past the number of cores, naive dataset only
    records: int  # small records in the memory benchmarks
    record_start_methods: tuple[str, ...]
    record_structures: tuple[str, ...]
    sample_kib: tuple[int, ...]  # size of one sample that costs nothing, for transport
    steps_ms: tuple[int, ...]  # emulated training steps
    px_bandwidth: tuple[int, ...]
    n_throttled: int  # images at most behind a throttled disk; the bandwidth says how many are read
    bandwidths: tuple[int, ...]  # of throttled storage, MB/s, network disk to solid state
    limits: tuple[str, ...]  # on a child's memory: the data stay within, or go beyond
    latencies_ms: tuple[int, ...]  # added to every request of the object store
    media: tuple[str, ...]  # the state of the files
    controls: tuple[str, ...]  # whose epochs and items are measured twice, as A/A arms
    loops: tuple[str, ...] = ("hand-written", "defaults", "batched", "tuned", "tuned-batched")
    epoch_batches: tuple[int, ...] = (4, 16, 128)  # in an epoch, whose start is a part of it
    tasks_beside: tuple[str, ...] = ()  # a trainer
    trainers: tuple[str, ...] = ("waiting", "bookkeeping", "launching", "computing")
    steps_beside: tuple[int, ...] = (5, 20)
    counts_arms: tuple[int, ...] = ()  # images for the arms of the three tasks
    counts_raw: tuple[int, ...] = ()  # small images that are decoded already
    counts_remote: tuple[int, ...] = ()  # images in an object store behind a line
    lines_ms: tuple[int, ...] = (1, 20, 100)  # to the first byte: same site to another continent
    lines_mb: tuple[int, ...] = (25, 250)  # of the line, MB/s, that all connections share
    topics: tuple[str, ...] = ()  # the only ones that a study of this profile runs; all by default


PROFILES = {
    "quick": Grid(
        rounds=4,
        n=256,
        counts=(256,),
        px=(64, 256),
        px_pair=(256,),
        px_storage=(256,),
        workers=(0, 1, 2),
        workers_started=(2,),
        start_methods=("fork", "forkserver"),
        transforms=("none", "heavy"),
        qualities=(75, DEFAULT_QUALITY),
        counts_started=(128,),
        many_workers=(),
        records=100_000,
        record_start_methods=("fork",),
        record_structures=("list-str", "numpy-bytes"),
        sample_kib=(12, 192),
        steps_ms=(5,),
        px_bandwidth=(256,),
        n_throttled=128,
        bandwidths=(25,),
        limits=(),
        latencies_ms=(),
        media=("disk-warm", "disk-cold"),
        controls=("mapped",),
        loops=("hand-written", "defaults", "batched", "tuned"),
        epoch_batches=(),
        tasks_beside=("decode",),
        trainers=("bookkeeping",),
        steps_beside=(5,),
        counts_remote=(256,),
        lines_ms=(20,),
        lines_mb=(250,),
    ),
    "standard": Grid(
        rounds=7,
        n=1024,
        counts=(256, 1024, 2048),
        px=(64, 128, 256, 512),
        px_pair=(64, 128, 256),
        px_storage=(64, 256),
        workers=(0, 1, 2, 4),
        workers_started=(0, 1, 2, 4),
        start_methods=("fork", "forkserver", "spawn"),
        transforms=("none", "light", "heavy"),
        qualities=(50, 75, 90, DEFAULT_QUALITY),
        counts_started=(128, 1024),
        many_workers=(16,),
        records=1_000_000,
        record_start_methods=("fork", "forkserver", "spawn"),
        record_structures=("list-str", "list-tuple", "numpy-bytes", "packed-tensor"),
        sample_kib=(1, 12, 192, 768, 3072, 32768),  # 768: 256 px as float32
        steps_ms=(1, 5, 20, 100),
        px_bandwidth=(128, 256),
        n_throttled=2048,
        bandwidths=(25, 100, 400),
        limits=("within the limit", "beyond the limit"),
        latencies_ms=(10,),
        media=LOCAL_MEDIA,
        controls=("naive", "preloaded", "mapped"),
        tasks_beside=("decode",),
    ),
    "full": Grid(
        rounds=15,
        n=1024,
        counts=(256, 512, 1024, 2048, 4096, 16384),
        px=(64, 128, 224, 256, 512, 1024),
        px_pair=(64, 128, 224, 256, 512, 1024),
        px_storage=(64, 256, 512),
        workers=(0, 1, 2, 4, 8),
        workers_started=(0, 1, 2, 4, 8),
        start_methods=("fork", "forkserver", "spawn"),
        transforms=("none", "light", "heavy"),
        qualities=(30, 50, 75, 90, DEFAULT_QUALITY),
        counts_started=(128, 1024, 4096),
        many_workers=(8, 16, 32),
        records=4_000_000,
        record_start_methods=("fork", "forkserver", "spawn"),
        record_structures=("list-str", "list-tuple", "numpy-bytes", "packed-tensor"),
        sample_kib=(1, 12, 192, 768, 3072, 32768),  # 768: 256 px as float32
        steps_ms=(1, 5, 20, 100),
        px_bandwidth=(64, 128, 256, 512),
        n_throttled=4096,
        bandwidths=(10, 25, 50, 100, 200, 400, 800, 1600),
        limits=("within the limit", "beyond the limit"),
        latencies_ms=(1, 10, 50),
        media=LOCAL_MEDIA,
        controls=("naive", "preloaded", "mapped"),
        tasks_beside=("decode", "raw", "train"),
        counts_arms=(2048, 8192),
        counts_remote=(2048,),
        counts_raw=(1024, 65_536, 1_000_000),
    ),
}
# What takes too long to be a part of the standard profile, and has no benchmark in common with it:
# every loader of three tasks beside its ceiling, the tasks beside trainers that the standard
# profile leaves out, and loaders of an object store over a line.
_APART = {
    "loaders": {"counts_arms": (2048,), "counts_raw": (1024, 65_536, 1_000_000)},
    "trainers": {"tasks_beside": ("raw", "train")},
    "remote": {"counts_remote": (2048,)},
}
for _name, _levels in _APART.items():
    _topics = tuple(dict.fromkeys(one.partition(".")[0] for one in APART[_name]))
    PROFILES[_name] = replace(
        PROFILES["standard"], rounds=5, **{"tasks_beside": ()} | _levels, topics=_topics
    )


def profile_name() -> str:
    """The profile asked for by `DATASET_STUDY_PROFILE`, "quick" by default.

    Raises:
        StudyError: no profile has that name.
    """
    name = os.environ.get(PROFILE_VARIABLE, "quick")
    if name not in PROFILES:
        raise StudyError(
            f"{PROFILE_VARIABLE} names the unknown profile {name!r}; choose one of "
            f"{', '.join(PROFILES)}."
        )
    return name


try:
    GRID = PROFILES[profile_name()]
except StudyError as error:  # raised while modules are imported, before any `main` can catch it
    print(f"error: {error}", file=sys.stderr)
    sys.exit(BAD_INPUT)
# One start method alone is nothing to compare.
START_METHODS = GRID.start_methods if len(GRID.start_methods) > 1 else ()
# One count alone is the centre, which other sweeps measure.
COUNTS = GRID.counts if len(GRID.counts) > 1 else ()
ITEMS = (256,)  # images behind an item benchmark; only its count sweep takes others
DOCUMENTED = ("naive", "preloaded", "mapped")
RECOMMENDED = ("naive-fixed", "preloaded-fixed", "mapped-fixed", "lazy-cache")  # to users
STORED = (  # ways to hold decoded pixels, for what workers are sent and what they hold
    "preloaded",
    "preloaded-array",
    "preloaded-tensor",
    "preloaded-shared",
    "mapped",
    "mapped-fixed",
)
# Example 2 with torchvision's `ToTensor()`: four times the bytes, so only as far as memory allows.
AS_FLOAT = ("preloaded", "preloaded-float")
FLOAT_BYTES = 1 << 30
PX_FLOAT = tuple(
    px for px in (GRID.px_pair if GRID.limits else ()) if 12 * GRID.n * px**2 <= FLOAT_BYTES
)
COUNTS_FLOAT = tuple(
    n for n in (GRID.counts_started if GRID.limits else ()) if 12 * n * 256**2 <= FLOAT_BYTES
)
CENTRE: dict[str, Any] = {row.name: row.centre for row in FACTORS} | {"n": GRID.n}


def star(names: list[str], **levels: Any) -> list[list[Any]]:
    """asv parameter lists for `names`: the levels given, and the centre for the others."""
    unknown = set(levels) - set(names)
    if unknown:
        raise ValueError(f"no such factor here: {', '.join(sorted(unknown))}")
    return [list(levels.get(name, [CENTRE[name]])) for name in names]


class _At:
    """One combination of levels: an attribute for each factor, at the centre unless given.

    Each has its first name here, so nothing that measures a cell knows of A/A arms; log and results
    have the levels as they stand in the benchmark.
    """

    @classmethod
    def at(cls, names: list[str], levels: tuple[Any, ...]) -> Cell:
        return cls(**CENTRE | dict(zip(names, map(first_name, levels), strict=True)))


Cell = make_dataclass("Cell", [row.name for row in FACTORS], bases=(_At,), frozen=True)
