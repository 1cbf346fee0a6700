"""On paper: converting and loading far more images than were measured, on many machines.

Every number follows from constants that were measured here, each with its cell and its interval; a
time has the interval of the constant that limits it. Converting is one core for each worker, which
decodes and writes pixels. A trainer is a machine like the one measured, and takes its share of the
images. All read from one store, as fast as the disk that was measured cold; a trainer whose memory
holds its share and the index reads from the store in its first epoch only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
Limit = Literal["decoding", "store"]


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
    """`fits`: whether a trainer's share, and the index of all, fit into its memory."""

    set: str
    images: int
    trainers: int
    seconds: float
    low: float
    high: float
    share_gb: float
    fits: bool
    limit: Limit


@dataclass(frozen=True)
class AtScale:
    """`jpeg_bytes`, `pixel_bytes`: of an image, as measured; `memory_gb`: of a trainer."""

    machine: str
    px: int
    jpeg_bytes: float
    pixel_bytes: int
    memory_gb: float
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
        jpeg, memory = _jpeg_bytes(machine, px, count), _memory_gb(machine)
        if jpeg is not None and memory is not None:
            known = AtScale(machine.name, px, jpeg, CHANNELS * px**2, memory, list(found.values()))
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


def _memory_gb(machine: MachineResults) -> float | None:
    found = machine.provenance.get("machine", {}).get("ram_gb")
    return None if found is None else float(found)


def _converting(known: AtScale, constants: dict[str, Constant]) -> list[Converting]:
    convert, read = constants["converting"], constants["reading"]
    rows = []
    for name, images in SETS.items():
        for workers in WORKERS:
            limit: Limit = "decoding" if convert.us / workers >= read.us else "store"
            slow, share = (convert, workers) if limit == "decoding" else (read, 1)
            hours, low, high = (
                images * us / share / 1e6 / HOUR for us in (slow.us, slow.low, slow.high)
            )
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


def _epochs(known: AtScale, constants: dict[str, Constant]) -> list[Epoch]:
    load, read = constants["loading"], constants["reading"]
    rows = []
    for name, images in SETS.items():
        for trainers in TRAINERS:
            share = images * known.jpeg_bytes / trainers / GB
            fits = share + images * INDEX_BYTES / GB < known.memory_gb
            limit: Limit = "decoding" if fits or load.us / trainers >= read.us else "store"
            slow, by = (load, trainers) if limit == "decoding" else (read, 1)
            seconds, low, high = (images * us / by / 1e6 for us in (slow.us, slow.low, slow.high))
            rows.append(
                Epoch(
                    set=name,
                    images=images,
                    trainers=trainers,
                    seconds=seconds,
                    low=low,
                    high=high,
                    share_gb=share,
                    fits=fits,
                    limit=limit,
                )
            )
    return rows
