"""On paper: converting and loading far more images than were measured, on many machines.

Every number follows from constants that were measured here, each with its cell and its interval; a
time has the interval of the constant that limits it. Converting is one core for each worker, which
reads JPEG bytes, decodes them and writes pixels, as one was measured to do. A trainer is a machine
like the one measured, and takes its share of the images: of the JPEG bytes in a pack, which it
decodes, not of those pixels. All share one store. It gives bytes and takes them at the same time,
at a stated speed, or as the disk here: it gave what was read of it cold, and took what one worker
wrote; more was not tried. A trainer whose memory holds its share and the index reads from the store
in its first epoch only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from scripts.judging import inference
from scripts.judging.evidence import Evidence, MachineResults
from scripts.judging.pairing import factors_of, records
from scripts.judging.prospects import IMAGENET, LOADER

SETS = {  # images in the sets that readers know
    "ImageNet-1k": IMAGENET,
    "ImageNet-22k": 14_197_122,  # ImageNet's own statistics of 2011, all 21,841 classes
    "400 million": 400_000_000,  # as LAION-400M, rounded
}
WORKERS, TRAINERS = (1, 16, 256), (8, 64, 256)
INDEX_BYTES = 24  # of an image in the index of a stored set, in every process that reads it
CHANNELS, GB, HOUR = 3, 1e9, 3600.0
CELLS = {  # what a constant is -> the benchmark, the arm, and how many microseconds its unit has
    "converting": ("startup.Construction", "mapped-fixed", 1e3),
    "reading": ("arms.Decode", "ceiling-read-cold", 1.0),
    "loading": ("arms.Decode", LOADER, 1.0),
}
DISK = "one disk, as measured"
STATED = (1, 10, 100)  # GB/s
Limit = Literal["processors", "reading", "writing"]


@dataclass(frozen=True)
class Constant:
    """Microseconds of an image, from one cell."""

    name: str
    us: float
    low: float
    high: float
    benchmark: str
    arm: str
    factors: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """In GB/s."""

    name: str
    gives: float
    takes: float


@dataclass(frozen=True)
class Converting:
    """`read` and `written`: GB/s that storage must give and take so that no worker waits for it."""

    set: str
    images: int
    store: str
    workers: int
    hours: float
    low: float
    high: float
    core_hours: float  # what is paid for
    read: float
    written: float
    limit: Limit


@dataclass(frozen=True)
class Epoch:
    """`fits`: whether a trainer's share, and the index of all, fit into its memory; then the first
    epoch alone reads from the store, and `seconds` are those of each one after it. `read`: GB/s
    that storage must give so that no trainer waits for it."""

    set: str
    images: int
    store: str
    trainers: int
    seconds: float
    low: float
    high: float
    core_hours: float  # what is paid for, of `seconds`
    read: float
    share_gb: float
    fits: bool
    limit: Limit
    first_seconds: float
    first_low: float
    first_high: float
    first_limit: Limit


@dataclass(frozen=True)
class AtScale:
    """`jpeg_bytes`, `pixel_bytes`: of an image, as measured; `memory_gb`, `cores`: of a trainer."""

    machine: str
    px: int
    jpeg_bytes: float
    pixel_bytes: int
    memory_gb: float
    cores: int
    constants: list[Constant]
    stores: list[Store] = field(default_factory=list)
    converting: list[Converting] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)


def at_scale(evidence: Evidence, confidence: float) -> AtScale | None:
    """From the first machine that has all constants, of images of one size; None without one."""
    for machine in evidence.machines:
        found = _constants(evidence, machine.name, confidence)
        sizes = {(each.factors["px"], each.factors["n"]) for each in found.values()}
        if len(found) < len(CELLS) or len(sizes) > 1:
            continue
        (px, count) = sizes.pop()
        jpeg, trainer = _jpeg_bytes(machine, px, count), _trainer(machine)
        if jpeg is not None and trainer is not None:
            pixels = CHANNELS * px**2
            known = AtScale(machine.name, px, jpeg, pixels, *trainer, list(found.values()))
            known.stores.extend(_stores(known, found))
            known.converting.extend(_converting(known, found))
            known.epochs.extend(_epochs(known, found))
            return known
    return None


def _constants(evidence: Evidence, machine: str, confidence: float) -> dict[str, Constant]:
    """Of each cell that there is, at its largest number of images."""
    cells = evidence.cells
    own = cells[(cells["machine"] == machine) & (cells["status"] == "ok")]
    found = {}
    for name, (benchmark, arm, unit) in CELLS.items():
        rows = records(own[(own["benchmark"] == benchmark) & (own["impl"] == arm)])
        if not rows:
            continue
        row = max(rows, key=lambda row: int(row["n"]))
        time = inference.amount(row["samples"] or [row["median"]], confidence)
        per = unit / row["n"] if name == "converting" else unit  # of a set, or of an image
        if time.low is not None and time.high is not None:
            found[name] = Constant(
                name=name,
                us=per * time.estimate,
                low=per * time.low,
                high=per * time.high,
                benchmark=row["name"],
                arm=arm,
                factors=factors_of(row),
            )
    return found


def _jpeg_bytes(machine: MachineResults, px: int, count: int) -> float | None:
    corpora = machine.provenance.get("corpora", [])
    fitting = [one for one in corpora if (one["resolution"], one["count"]) == (px, count)]
    return fitting[0]["total_bytes"] / count if fitting else None


def _trainer(machine: MachineResults) -> tuple[float, int] | None:
    """Its memory and its cores."""
    found = machine.provenance.get("machine", {})
    memory, cores = found.get("ram_gb"), found.get("threads")
    return None if memory is None or cores is None else (float(memory), int(cores))


def _stores(known: AtScale, constants: Mapping[str, Constant]) -> Iterator[Store]:
    gives = known.jpeg_bytes / constants["reading"].us
    takes = known.pixel_bytes / constants["converting"].us
    yield Store(DISK, gives * 1e6 / GB, takes * 1e6 / GB)
    yield from (Store(f"{speed} GB/s", speed, speed) for speed in STATED)


Step = tuple[float, float, float]  # microseconds an image, and their interval


def _shared(one: Constant, by: int = 1) -> Step:
    return one.us / by, one.low / by, one.high / by


def _of_store(store: Store, measured: Constant, size: float, speed: float) -> Step:
    """The time of `size` bytes."""
    stated = size / speed / GB * 1e6
    return _shared(measured) if store.name == DISK else (stated, stated, stated)


def _slowest(images: int, steps: Mapping[Limit, Step]) -> tuple[Limit, float, float, float]:
    """The first of the slowest steps, and the seconds that it takes with their interval."""
    limit = max(steps, key=lambda name: steps[name][0])
    seconds, low, high = (images * us / 1e6 for us in steps[limit])
    return limit, seconds, low, high


def _converting(known: AtScale, constants: Mapping[str, Constant]) -> Iterator[Converting]:
    convert = constants["converting"]
    for (name, images), store, workers in product(SETS.items(), known.stores, WORKERS):
        reading = _of_store(store, constants["reading"], known.jpeg_bytes, store.gives)
        writing = _of_store(store, convert, known.pixel_bytes, store.takes)
        limit, *times = _slowest(
            images,
            {"processors": _shared(convert, workers), "reading": reading, "writing": writing},
        )
        hours, low, high = (seconds / HOUR for seconds in times)
        rate = workers / convert.us * 1e6 / GB  # billions of images per second
        yield Converting(
            set=name,
            images=images,
            store=store.name,
            workers=workers,
            hours=hours,
            low=low,
            high=high,
            core_hours=hours * workers,
            read=rate * known.jpeg_bytes,
            written=rate * known.pixel_bytes,
            limit=limit,
        )


def _epochs(known: AtScale, constants: Mapping[str, Constant]) -> Iterator[Epoch]:
    load = constants["loading"]
    for (name, images), store, trainers in product(SETS.items(), known.stores, TRAINERS):
        reading = _of_store(store, constants["reading"], known.jpeg_bytes, store.gives)
        share = images * known.jpeg_bytes / trainers / GB
        fits = share + images * INDEX_BYTES / GB < known.memory_gb
        decoding: dict[Limit, Step] = {"processors": _shared(load, trainers)}
        first = _slowest(images, {**decoding, "reading": reading})
        limit, seconds, low, high = _slowest(images, decoding) if fits else first
        yield Epoch(
            set=name,
            images=images,
            store=store.name,
            trainers=trainers,
            seconds=seconds,
            low=low,
            high=high,
            core_hours=seconds / HOUR * trainers * known.cores,
            read=trainers / load.us * 1e6 / GB * known.jpeg_bytes,
            share_gb=share,
            fits=fits,
            limit=limit,
            first_seconds=first[1],
            first_low=first[2],
            first_high=first[3],
            first_limit=first[0],
        )
