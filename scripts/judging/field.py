"""Our side of each published figure, computed from the evidence table.

Where a figure is a factor between two arms, ours agrees when it goes the same way and is within
1.5 times of it; absolute times belong to a machine and are shown, not compared. Where a figure is
an ordering or a number of copies, `report/field.py` says what was asked of ours instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from datasets_impl.factors import CENTRE
from scripts.judging import inference
from scripts.judging.inference import Interval

WITHIN = 1.5  # a factor this far from the published one still agrees
PX = CENTRE["px"]
Figure = Literal["many workers", "transport", "decoders", "copies", "raw pixels"]


@dataclass(frozen=True)
class Found:
    """What this run says to a published figure: numbers and intervals by name."""

    agrees: bool
    numbers: Mapping[str, Any]
    machine: str = ""


@dataclass(frozen=True)
class Factor:
    """Our factor between two arms beside the published one."""

    published: float
    ours: Interval

    @property
    def same_way(self) -> bool:
        return (self.ours.estimate > 1) is (self.published > 1)

    @property
    def clear(self) -> bool:
        """Does our interval exclude that both take the same?"""
        low, high = self.ours.low, self.ours.high
        return low is not None and high is not None and not low <= 1 <= high

    @property
    def close(self) -> bool:
        ours = self.ours.estimate
        return max(ours / self.published, self.published / ours) <= WITHIN

    @property
    def agrees(self) -> bool:
        return self.same_way and self.clear and self.close


def compared(
    cells: pd.DataFrame, observations: list[dict[str, Any]], confidence: float
) -> dict[Figure, Found]:
    """Each figure that was measured, from the first machine that measured what it needs.

    `cells`: the evidence table (see `evidence.py`). `observations`: the log entries of all
    machines, from which the bytes an arm read are taken.
    """
    machines = sorted(set(cells["machine"])) if len(cells) else []
    told = {}
    for figure, ours in OURS.items():
        for machine in machines:
            found = ours(cells[cells["machine"] == machine], observations, confidence)
            if found:
                told[figure] = replace(found, machine=machine if len(machines) > 1 else "")
                break
    return told


def _select(cells: pd.DataFrame, benchmark: str, metric: str, **levels: Any) -> pd.DataFrame:
    keep = (cells["benchmark"] == benchmark) & (cells["metric"] == metric)
    keep &= cells["status"] == "ok"
    for name, level in levels.items():
        keep &= cells[name] == level
    return cells[keep]


def _blocks(rows: pd.DataFrame) -> list[float]:
    """Samples of the first row, one for each block, NaN for a disturbed one; its median where there
    are none; [] if none."""
    for row in rows.to_dict("records"):
        return [float(value) for value in row["samples"] or [row["median"]]]
    return []


def _ratio(treatment: Sequence[float], baseline: Sequence[float], confidence: float) -> Interval:
    if len(treatment) == len(baseline) and inference.undisturbed(treatment, baseline)[0].size:
        return inference.ratio(treatment, baseline, confidence)
    return Interval(
        float(np.nanmedian(treatment) / np.nanmedian(baseline)), None, None, 1, paired=False
    )


def _mean(values: Sequence[float], confidence: float) -> Interval:
    (kept,) = inference.undisturbed(values)
    if len(kept) < 2:
        return Interval(float(kept[0]), None, None, 1)
    return Interval(*inference.mean_interval(kept.tolist(), confidence), len(kept))


def _above_one(found: Interval) -> bool:
    """Is the ratio above 1 by all of its interval?"""
    return found.low is not None and found.low > 1


def _many_workers(cells: pd.DataFrame, _: list[dict[str, Any]], confidence: float) -> Found | None:
    """Images/s of a first epoch, its start included, as SPDL measures it, by worker count."""
    steady: dict[int, list[float]] = {}
    first: dict[int, list[float]] = {}
    images = 0
    for name in ("ManyWorkers", "ByWorkers"):  # the same cells in both: the second one stands
        for table, topic, metric in (
            (steady, "epoch", "epoch"), (first, "startup", "first_batch")
        ):  # fmt: skip
            rows = _select(cells, f"{topic}.{name}", metric, impl="naive", px=PX)
            for count in sorted(set(rows["workers"])):
                table[count] = _blocks(rows[rows["workers"] == count])
                images = int(rows["n"].iloc[0])
    shared = sorted(count for count in steady.keys() & first.keys() if count)
    if len(shared) < 3 or shared[-1] < 8:
        return None
    total = {
        count: [us + 1e3 * ms / images for us, ms in zip(steady[count], first[count], strict=False)]
        for count in shared
    }
    best, most = min(shared, key=lambda count: float(np.nanmedian(total[count]))), shared[-1]
    slower = _ratio(total[most], total[best], confidence)
    start = _ratio(first[most], first[shared[0]], confidence)
    numbers = {
        "best": best,
        "most": most,
        "least": shared[0],
        "images": images,
        "slower": slower,
        "start": start,
        "running": _ratio(steady[most], steady[best], confidence),
        "seconds": [float(np.nanmedian(first[count])) / 1e3 for count in (shared[0], most)],
    }
    return Found(best < most and _above_one(slower) and _above_one(start), numbers)


def _transport(cells: pd.DataFrame, _: list[dict[str, Any]], confidence: float) -> Found | None:
    kib = 32768
    blocks = {
        carrier: _blocks(
            _select(
                cells, "transport.BySize", "transport", kib=kib, carrier=carrier, workers=1
            )
        )
        for carrier in ("numpy", "tensor")
    }  # fmt: skip
    if not all(blocks.values()):
        return None
    factor = Factor(2899 / 647, _ratio(blocks["numpy"], blocks["tensor"], confidence))
    speeds = {name: float(1024 * kib / np.nanmedian(us)) for name, us in blocks.items()}
    return Found(factor.agrees, {"factor": factor, **speeds})


def _decoders(cells: pd.DataFrame, _: list[dict[str, Any]], confidence: float) -> Found | None:
    sizes = sorted(set(_select(cells, "item.ByImplementation", "item", impl="naive")["px"]))
    for px in reversed(sizes):
        pil, vision = (
            _blocks(_select(cells, "item.ByImplementation", "item", impl=impl, px=px))
            for impl in ("naive", "decode-image")
        )
        if not pil or not vision:
            continue
        factor = Factor(9.25 / 6.01, _ratio(pil, vision, confidence))
        scale = 1e3 / px**2  # microseconds an item -> milliseconds a megapixel
        speeds = {"pil": float(np.nanmedian(pil)), "vision": float(np.nanmedian(vision))}
        scaled = {name: us * scale for name, us in speeds.items()}
        return Found(factor.agrees, {"factor": factor, "px": px, **scaled})
    return None


def _copies(cells: pd.DataFrame, _: list[dict[str, Any]], confidence: float) -> Found | None:
    rows = _select(
        cells, "memory.StartMethod", "tree", impl="preloaded-array", start_method="forkserver"
    )
    if rows.empty:
        return None
    row = rows.sort_values(["n", "px"]).iloc[-1]  # the largest: fixed costs weigh least
    size = int(row["n"]) * int(row["px"]) ** 2 * 3 / 1e6
    copies = _mean([value / size for value in row["samples"] or [row["median"]]], confidence)
    workers = int(row["workers"]) if row.get("workers") else 2
    agrees = abs(copies.estimate - (1 + workers)) < 0.5
    return Found(agrees, {"copies": copies, "workers": workers, "mb": size})


def _raw_pixels(
    cells: pd.DataFrame, observations: list[dict[str, Any]], confidence: float
) -> Found | None:
    ram = [
        _blocks(_select(cells, "storage.ByMedium", "epoch", impl=impl, medium="ramdisk", px=PX))
        for impl in ("naive", "raw-files")
    ]
    slow = _select(cells, "storage.ByBandwidth", "epoch", px=PX)
    limits = sorted(b for b in set(slow["bandwidth"]) if b)
    arms = [
        [_blocks(slow[(slow["impl"] == impl) & (slow["bandwidth"] == limit)])
         for impl in ("raw-files", "naive")]
        for limit in limits[:1]
    ]  # fmt: skip
    if not all(ram) or not arms or not all(arms[0]):
        return None
    wins, loses = (_ratio(above, below, confidence) for above, below in (ram, arms[0]))
    sizes = _bytes_read(observations)
    known = {"raw-files", "naive"} <= sizes.keys()
    numbers = {
        "wins": wins,
        "loses": loses,
        "limit": limits[0],
        "bytes": sizes["raw-files"] / sizes["naive"] if known else None,
    }
    return Found(_above_one(wins) and _above_one(loses), numbers)


def _bytes_read(observations: list[dict[str, Any]]) -> dict[str, float]:
    """Median bytes of an arm's files on throttled storage, where the log says so."""
    found = sorted(
        (entry["factors"]["impl"], entry["bytes_of_files"])
        for entry in observations
        if entry.get("benchmark") == "storage.ByBandwidth" and entry.get("bytes_of_files")
        and entry.get("factors", {}).get("px") == PX
    )  # fmt: skip
    groups = itertools.groupby(found, key=lambda pair: pair[0])
    return {impl: float(np.nanmedian([size for _, size in group])) for impl, group in groups}


OURS: dict[Figure, Callable[[pd.DataFrame, list[dict[str, Any]], float], Found | None]] = {
    "many workers": _many_workers,
    "transport": _transport,
    "decoders": _decoders,
    "copies": _copies,
    "raw pixels": _raw_pixels,
}
