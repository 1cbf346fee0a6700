"""On paper: converting and loading far more images than were measured, on many machines.

Every number follows from constants that were measured here, each with its cell and its interval; a
time has the interval of the constant that limits it. Converting is one core for each worker, which
reads JPEG bytes, decodes them and writes pixels. A trainer is a machine like the one measured, and
takes its share of the images: of the JPEG bytes in a pack, which it decodes, not of those pixels.
All share one store, which gives bytes as fast as the disk that was measured cold, and takes them as
fast at the same time; a trainer whose memory holds its share and the index reads from it in its
first epoch only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
Limit = Literal["decoding", "reading", "writing"]


@dataclass(frozen=True)
class Constant:
    """Microseconds of an image, from one cell; of writing, from the cell of reading and the bytes
    of an image."""

    name: str
    us: float
    low: float
    high: float
    benchmark: str
    arm: str
    factors: dict[str, Any]


@dataclass(frozen=True)
class Converting:
    """`read` and `written`: GB/s that storage must give so that no worker waits for it."""

    set: str
    images: int
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
    epoch alone reads from the store, and `seconds` are those of each one after it."""

    set: str
    images: int
    trainers: int
    seconds: float
    low: float
    high: float
    core_hours: float  # what is paid for, of `seconds`
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
            found["writing"] = _scaled("writing", found["reading"], pixels / jpeg)
            known = AtScale(machine.name, px, jpeg, pixels, *trainer, list(found.values()))
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


def _scaled(name: str, one: Constant, times: float) -> Constant:
    return replace(one, name=name, us=times * one.us, low=times * one.low, high=times * one.high)


def _trainer(machine: MachineResults) -> tuple[float, int] | None:
    """Its memory and its cores."""
    found = machine.provenance.get("machine", {})
    memory, cores = found.get("ram_gb"), found.get("threads")
    return None if memory is None or cores is None else (float(memory), int(cores))


def _seconds(
    images: int, steps: Mapping[Limit, tuple[Constant, int]]
) -> tuple[Limit, float, float, float]:
    """The slowest of the steps, and the time that it takes with its interval.

    A step is the time of an image, and how many machines or cores share the images.
    """
    limit = max(steps, key=lambda name: steps[name][0].us / steps[name][1])
    slow, by = steps[limit]
    seconds, low, high = (images * us / by / 1e6 for us in (slow.us, slow.low, slow.high))
    return limit, seconds, low, high


def _converting(known: AtScale, constants: Mapping[str, Constant]) -> list[Converting]:
    convert = constants["converting"]
    rows = []
    for name, images in SETS.items():
        for workers in WORKERS:
            limit, *times = _seconds(
                images,
                {
                    "decoding": (convert, workers),
                    "reading": (constants["reading"], 1),
                    "writing": (constants["writing"], 1),
                },
            )
            hours, low, high = (seconds / HOUR for seconds in times)
            rate = workers / convert.us * 1e6 / GB  # billions of images per second
            rows.append(
                Converting(
                    set=name,
                    images=images,
                    workers=workers,
                    hours=hours,
                    low=low,
                    high=high,
                    core_hours=hours * workers,
                    read=rate * known.jpeg_bytes,
                    written=rate * known.pixel_bytes,
                    limit=limit,
                )
            )
    return rows


def _epochs(known: AtScale, constants: Mapping[str, Constant]) -> list[Epoch]:
    rows = []
    for name, images in SETS.items():
        for trainers in TRAINERS:
            share = images * known.jpeg_bytes / trainers / GB
            fits = share + images * INDEX_BYTES / GB < known.memory_gb
            decoding: dict[Limit, tuple[Constant, int]] = {
                "decoding": (constants["loading"], trainers)
            }
            first = _seconds(images, {**decoding, "reading": (constants["reading"], 1)})
            limit, seconds, low, high = _seconds(images, decoding) if fits else first
            rows.append(
                Epoch(
                    set=name,
                    images=images,
                    trainers=trainers,
                    seconds=seconds,
                    low=low,
                    high=high,
                    core_hours=seconds / HOUR * trainers * known.cores,
                    share_gb=share,
                    fits=fits,
                    limit=limit,
                    first_seconds=first[1],
                    first_low=first[2],
                    first_high=first[3],
                    first_limit=first[0],
                )
            )
    return rows
