"""From which bandwidth on do raw pixels beat JPEG files (X05): predicted, and where it flipped.

With time per image t = cpu + bytes / bandwidth, both take as long at

    B* = (raw bytes - JPEG bytes) / (JPEG cpu - raw cpu),

where the CPU times are warm epochs of one process. That model reads and computes by turns. A disk
that lets unused bandwidth build up, as throttles and volumes in a cloud do, takes
max(cpu, bytes / bandwidth) instead; both then take as long at raw bytes / JPEG cpu.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from scripts.judging import inference
from scripts.judging.evidence import Evidence, MachineResults

JPEG, RAW = "naive", "raw-files"
THROTTLED, UNTHROTTLED = "storage.ByBandwidth", "storage.ByMedium"


@dataclass(frozen=True)
class BreakEven:
    """One resolution on one machine. Bandwidths are in MB/s, times in microseconds per image.

    `ratios` are (bandwidth, JPEG time / raw time), ascending; above 1 raw pixels are faster.
    `flips` is where that ratio crosses 1, None when it does not between the bandwidths measured.
    """

    machine: str
    px: int
    raw_bytes: int
    jpeg_bytes: float
    jpeg_us: float
    raw_us: float
    in_turns: float | None
    overlapped: float | None
    ratios: tuple[tuple[int, float], ...]
    flips: float | None


def in_turns(raw_bytes: float, jpeg_bytes: float, jpeg_us: float, raw_us: float) -> float | None:
    """Bandwidth in MB/s (bytes per microsecond) at which both take as long, reading by turns.

    None when raw pixels cost as much CPU time as JPEG files or more, so that they never win.
    """
    if jpeg_us <= raw_us:
        return None
    return max(0.0, raw_bytes - jpeg_bytes) / (jpeg_us - raw_us)


def overlapped(raw_bytes: float, jpeg_us: float, raw_us: float) -> float | None:
    """The same where unused bandwidth builds up while the CPU works."""
    return None if jpeg_us <= raw_us else raw_bytes / jpeg_us


def crossing(ratios: list[tuple[int, float]]) -> float | None:
    """Bandwidth at which the ratio passes 1 upwards, between two neighbours on log-log axes."""
    for (low, below), (high, above) in pairwise(sorted(ratios)):
        if below <= 1 < above:
            share = -math.log(below) / (math.log(above) - math.log(below))
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return None


def prediction(evidence: Evidence) -> list[BreakEven]:
    """The break-even bandwidth of every machine and resolution with warm times and file sizes."""
    found = []
    for machine in evidence.machines:
        cells = evidence.cells[
            (evidence.cells["machine"] == machine.name) & (evidence.cells["metric"] == "epoch")
        ]
        warm = cells[(cells["benchmark"] == UNTHROTTLED) & (cells["medium"] == "disk-warm")]
        for px in sorted(warm["px"].unique()):
            jpeg_us = _time(warm[(warm["px"] == px) & (warm["impl"] == JPEG)])
            raw_us = _time(warm[(warm["px"] == px) & (warm["impl"] == RAW)])
            jpeg_bytes = _jpeg_bytes(machine, int(px))
            if jpeg_us is None or raw_us is None or jpeg_bytes is None:
                continue
            raw_bytes = 3 * int(px) ** 2
            ratios = _ratios(cells[(cells["benchmark"] == THROTTLED) & (cells["px"] == px)])
            found.append(
                BreakEven(
                    machine.name,
                    int(px),
                    raw_bytes,
                    jpeg_bytes,
                    jpeg_us,
                    raw_us,
                    in_turns(raw_bytes, jpeg_bytes, jpeg_us, raw_us),
                    overlapped(raw_bytes, jpeg_us, raw_us),
                    tuple(ratios),
                    crossing(ratios),
                )
            )
    return found


def _time(rows: pd.DataFrame) -> float | None:
    times = [float(value) for value in rows.loc[rows["status"] == "ok", "median"]]
    return times[0] if times else None


def _jpeg_bytes(machine: MachineResults, px: int) -> float | None:
    """Mean size of the JPEG files that the throttled epochs read."""
    sizes = [
        entry["bytes_of_files"] / entry["images"]
        for entry in machine.observations
        if entry.get("benchmark") == THROTTLED
        and entry.get("factors", {}).get("px") == px
        and entry.get("factors", {}).get("impl") == JPEG
        and entry.get("bytes_of_files")
        and entry.get("images")
    ]
    return median(sizes) if sizes else None


def _ratios(rows: pd.DataFrame) -> list[tuple[int, float]]:
    """(bandwidth, JPEG time / raw time): median over blocks, or of medians without samples."""
    ratios = []
    for bandwidth in sorted(rows["bandwidth"].dropna().unique()):
        arms: dict[str, dict[str, Any]] = {
            str(row["impl"]): {str(key): value for key, value in row.items()}
            for row in rows[rows["bandwidth"] == bandwidth].to_dict("records")
            if row["status"] == "ok"
        }
        if JPEG not in arms or RAW not in arms:
            continue
        jpeg, raw = (arms[name]["samples"] or [arms[name]["median"]] for name in (JPEG, RAW))
        if len(jpeg) != len(raw):
            continue  # the arms do not line up block by block
        upper, lower = inference.undisturbed(jpeg, raw)
        if upper.size:
            ratios.append((int(bandwidth), math.exp(np.median(np.log(upper / lower)))))
    return ratios
