"""Our side of each published figure, computed from the evidence table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scripts.judging import inference
from scripts.judging.inference import Interval
from scripts.report import wording

WITHIN = 1.5  # a factor this far from the published one still agrees
CONFIDENCE = 0.95
PX = 256


@dataclass(frozen=True)
class Found:
    """What this run says to a published figure."""

    ours: str
    agrees: bool
    because: str


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


def _ratio(treatment: Sequence[float], baseline: Sequence[float]) -> Interval:
    if len(treatment) == len(baseline) and inference.undisturbed(treatment, baseline)[0].size:
        return inference.ratio(treatment, baseline, CONFIDENCE)
    return Interval(
        float(np.nanmedian(treatment) / np.nanmedian(baseline)), None, None, 1, paired=False
    )


def _mean(values: Sequence[float]) -> Interval:
    (kept,) = inference.undisturbed(values)
    if len(kept) < 2:
        return Interval(float(kept[0]), None, None, 1)
    return Interval(*inference.mean_interval(kept.tolist(), CONFIDENCE), len(kept))


def _times(found: Interval) -> str:
    return _shown(found, "ratio")


def _shown(found: Interval, quantity: str, unit: str = "") -> str:
    value = f"{wording.estimate(found.estimate, quantity)}{unit}"
    return f"{value} {wording.interval(found.estimate, found.low, found.high, quantity)}".strip()


def _above_one(found: Interval) -> bool:
    """Is the ratio above 1 by all of its interval?"""
    return found.low is not None and found.low > 1


def _factor(found: Interval, published: float) -> tuple[bool, str]:
    """Do factor and direction agree, and in words why."""
    apart = max(found.estimate / published, published / found.estimate)
    same_way = (found.estimate > 1) is (published > 1)
    clear = found.low is not None and found.high is not None and not found.low <= 1 <= found.high
    words = f"the published factor is {wording.estimate(published, 'ratio')}, ours {_times(found)}"
    if not same_way:
        return False, f"the ordering is the other way round: {words}"
    if not clear:
        return False, f"our interval does not exclude that both take the same: {words}"
    inside = "within" if apart <= WITHIN else "beyond"
    return apart <= WITHIN, f"same ordering, and {words}, {inside} {WITHIN:g} times of it"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def many_workers(cells: pd.DataFrame, _: list[dict[str, Any]]) -> Found | None:
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
    slower, start = _ratio(total[most], total[best]), _ratio(first[most], first[shared[0]])
    running = _ratio(steady[most], steady[best])
    ends = [f"{np.nanmedian(first[count]) / 1e3:.2g} s" for count in (shared[0], most)]
    agrees = best < most and _above_one(slower) and _above_one(start)
    return Found(
        f"Start included, most images/s with {best} workers; with {most} an epoch of "
        f"{images:,} images takes {_times(slower)} as long. First batch {ends[0]} with "
        f"{shared[0]}, {ends[1]} with {most}: {_times(start)}.",
        agrees,
        _sentence(
            f"asked: a peak below the largest count and a first batch that grows, both "
            f"{'seen' if agrees else 'not seen'}; once running, {most} workers take "
            f"{_times(running)} the time of {best}, so the loss is the start, as in the source, "
            "where 107 of 109 s pass before the first batch"
        ),
    )


def transport(cells: pd.DataFrame, _: list[dict[str, Any]]) -> Found | None:
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
    speeds = {name: 1024 * kib / np.nanmedian(us) for name, us in blocks.items()}
    agrees, why = _factor(_ratio(blocks["numpy"], blocks["tensor"]), 2899 / 647)
    return Found(
        f"One worker, 32 MiB samples: NumPy {speeds['numpy']:,.0f} MB/s, tensor "
        f"{speeds['tensor']:,.0f} MB/s.",
        agrees,
        _sentence(f"{why}; ours goes through a DataLoader, theirs through a queue"),
    )


def decoders(cells: pd.DataFrame, _: list[dict[str, Any]]) -> Found | None:
    sizes = sorted(set(_select(cells, "item.ByImplementation", "item", impl="naive")["px"]))
    for px in reversed(sizes):
        pil, vision = (
            _blocks(_select(cells, "item.ByImplementation", "item", impl=impl, px=px))
            for impl in ("naive", "decode-image")
        )
        if not pil or not vision:
            continue
        agrees, why = _factor(_ratio(pil, vision), 9.25 / 6.01)
        scale = 1e3 / px**2  # microseconds an item -> milliseconds a megapixel
        return Found(
            f"At {px} px, per megapixel: torchvision {np.nanmedian(vision) * scale:.2f} ms, PIL "
            f"{np.nanmedian(pil) * scale:.2f} ms.",
            agrees,
            _sentence(
                f"{why}; our item also opens and reads the file, makes the tensor, and is "
                f"{1920 * 1080 / px**2:.0f} times smaller, theirs decodes bytes in memory"
            ),
        )
    return None


def copies(cells: pd.DataFrame, _: list[dict[str, Any]]) -> Found | None:
    rows = _select(
        cells, "memory.StartMethod", "tree", impl="preloaded-array", start_method="forkserver"
    )
    if rows.empty:
        return None
    row = rows.sort_values(["n", "px"]).iloc[-1]  # the largest: fixed costs weigh least
    size = int(row["n"]) * int(row["px"]) ** 2 * 3 / 1e6
    found = _mean([value / size for value in row["samples"] or [row["median"]]])
    workers = int(row["workers"]) if row.get("workers") else 2
    agrees = abs(found.estimate - (1 + workers)) < 0.5
    return Found(
        f"{_shown(found, 'amount')} copies of {size:,.0f} MB with {workers} workers.",
        agrees,
        _sentence(
            f"asked: {1 + workers} copies to the nearest whole number, one for each worker and "
            f"one for the trainer; {'found' if agrees else 'not found'}"
        ),
    )


def raw_pixels(cells: pd.DataFrame, observations: list[dict[str, Any]]) -> Found | None:
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
    wins, loses = _ratio(*ram), _ratio(*arms[0])
    agrees = _above_one(wins) and _above_one(loses)
    sizes = _bytes_read(observations)
    bound = (
        f"; raw files have {sizes['raw-files'] / sizes['naive']:.1f} times the bytes of our JPEG "
        "files, and storage alone cannot make them lose by more"
        if {"raw-files", "naive"} <= sizes.keys() else ""
    )  # fmt: skip
    return Found(
        f"From a RAM disk JPEG takes {_times(wins)} the time of raw files; at {limits[0]} MB/s raw "
        f"files take {_times(loses)} the time of JPEG.",
        agrees,
        _sentence(
            f"asked: raw faster in RAM and slower on slow storage, "
            f"{'both seen' if agrees else 'not both seen'}{bound}"
        ),
    )


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
