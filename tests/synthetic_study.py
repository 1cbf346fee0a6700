"""A synthetic `Study` for tests of the page and the tables; none of its numbers were measured.

It holds every verdict, every quantity, skipped and context cells, and strings that break naive
escaping. `build(machines=2)` adds a second machine that disagrees; `build(missing=True)` is what
a first, nearly empty run looks like.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import pandas as pd
import pytest

from scripts.judging.grid import grid
from scripts.judging.model import (
    VERDICTS,
    Bar,
    Cell,
    CellCounts,
    Effect,
    Noise,
    Outcome,
    Reason,
    Verdict,
)
from scripts.report import figures
from scripts.report.grid import boundary
from scripts.report.model import ClaimResult, Corpus, FieldRow, Machine, Point, Study

NASTY = """<script>alert("x")</script> & 'quote' 100% a_b {c} #1 $2 ~^ | *bold* `code` \\end"""
MACHINES = ("bench-a", "bench-b")
SHAPES = ("C01", "C02", "C03", "C07", "C16", "C18", "X03", "X04")  # see `evidence`
IDS = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 13)]
Quantity = Literal["ratio", "share", "slope", "amount", "value"]
TITLES = {
    "C01": "Item access dominates the epoch",
    "C02": "Ignoring the loader's own mechanisms costs a lot",
    "C03": "Reading from storage makes items slow",
    "C07": "Workers cost more than they give when items are cheap",
    "C09": "Lists of Python objects grow memory in workers",
    "C14": "Preloading makes items at least ten times cheaper",
    "C16": "Mapping never opens the images again",
    "C18": "Mapping needs a lot of disk",
    "C20": "Workers speed loading up",
    "X03": "What moving decoded pixels costs",
}


@contextmanager
def drawing_less() -> Iterator[None]:
    """What is rendered has no figures of claims, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "claim_chart", lambda *_: None)
        patch.setattr(figures, "DRAWN", [])
        yield


@contextmanager
def drawing_each_shape() -> Iterator[None]:
    """Of claims whose evidence has one shape, the first has a figure."""
    real = figures.claim_chart
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "claim_chart", lambda study, claim: real(study, claim)
                      if claim.id in SHAPES else None)  # fmt: skip
        yield


def cell(factors: dict[str, Any], value: float | None, outcome: Outcome, **more: Any) -> Cell:
    """A cell with an 8 % interval unless told otherwise."""
    quantity: Quantity = more.pop("quantity", "ratio")
    spread = more.pop("spread", 0.08)
    exact = quantity == "value" or value is None
    base: dict[str, Any] = {
        "test": "naive / preloaded, per epoch",
        "bar": Bar(">", 1.05),
        "treatment": "naive",
        "baseline": "preloaded",
        "benchmark": "epoch.ByResolution.track_epoch",
        "machine": MACHINES[0],
        "blocks": 0 if exact else 7,
        "low": None if exact or value is None else value * (1 - spread),
        "high": None if exact or value is None else value * (1 + spread),
    }
    return Cell(quantity=quantity, factors=factors, estimate=value, outcome=outcome, **base | more)


def evidence(claim: str, machine: str) -> list[Cell]:
    """Cells in the shape each kind of claim has."""
    product = itertools.product

    def made(factors: dict[str, Any], value: float | None, outcome: Outcome, **more: Any) -> Cell:
        return cell(factors, value, outcome, machine=machine, **more)

    if claim == "C01":
        share = {"quantity": "share", "test": "share of a single-process epoch", "baseline": "",
                 "bar": Bar(">", 0.5), "treatment": "naive", "spread": 0.02}  # fmt: skip
        return [
            made({"n": n, "px": px}, min(0.97, 0.55 + 0.09 * i + 0.01 * j), "for", **share)
            for (i, px), (j, n) in product(enumerate((64, 128, 256, 512)), enumerate((256, 1024)))
        ]
    if claim == "C03":
        shares = {"ramdisk": 0.04, "disk-warm": 0.06, "disk-cold": 0.44}
        reading = {"quantity": "share", "test": "share of reading in the item"}
        no_root = (Reason("logged", ("page cache could not be dropped without root",)),)
        return [
            *(made({"px": px, "medium": medium}, share * (1 + 0.2 * i),
                   "against" if share < 0.4 else "unclear",
                   bar=Bar(">", 0.5), baseline="", spread=0.15, **reading)
              for (i, px), (medium, share) in product(enumerate((128, 256)), shares.items())),
            made({"px": 512, "medium": "disk-cold"}, None, "skipped", reasons=no_root, **reading),
        ]  # fmt: skip
    if claim in ("C07", "C20"):
        workers = {"treatment": "W > 0", "baseline": "W = 0",
                   "benchmark": "epoch.ByWorkers.track_epoch"}  # fmt: skip
        levels = product(("preloaded", "mapped"), (64, 256, 512), (1, 2, 4, 8))
        ratios = [(impl, px, w, 0.35 + 0.22 * w + 0.001 * px) for impl, px, w in levels]
        return [
            made({"impl": impl, "workers": w, "px": px}, ratio, "for" if ratio > 1.1 else "against",
                 test=f"{impl}, W > 0 / W = 0", **workers)
            for impl, px, w, ratio in ratios
        ]  # fmt: skip
    if claim == "C16":
        opened = {"quantity": "value", "test": "image files opened", "treatment": "mapped",
                  "baseline": "", "bar": Bar("=", 0),
                  "benchmark": "structures.track_opens"}  # fmt: skip
        return [
            made({"n": n, "phase": phase}, value, "against" if value else "for",
                 reading=f"{value:g} opens of {n} files", **opened)
            for n, (phase, value) in product((64, 256), (("construction", 128.0), ("epoch", 0.0)))
        ]  # fmt: skip
    if claim == "C18":
        size = {"quantity": "value", "test": "bytes on disk / bytes of JPEG", "treatment": "mapped",
                "baseline": "JPEG files", "benchmark": "storage.track_bytes"}  # fmt: skip
        return [
            made({"px": px, "quality": q}, 3.0 + 0.01 * px - 0.01 * q, "for", **size)
            for px, q in product((64, 128, 256, 512), (75, 95))
        ]
    if claim == "X04":  # a break-even: an interval, one open above, one that never comes
        epochs = {"quantity": "amount", "unit": "epochs", "bar": Bar("<", 3),
                  "test": "preloaded pays for itself", "treatment": "preloaded",
                  "baseline": "naive", "benchmark": "epoch.ByWorkers.track_epoch"}  # fmt: skip
        where = [{"n": 1024, "px": 256, "workers": w, "impl": "preloaded"} for w in (0, 2, 4)]
        few = {"more_rounds": 7, "p": 0.02, "p_holm": 0.06, "high": None}
        return [
            made(where[0], 1.19, "for", **epochs),
            made(where[1], 4.4, "unclear", **few, **epochs),
            made(where[2], math.inf, "against", reading="never pays", low=None, high=None,
                 **epochs),
        ]  # fmt: skip
    if claim == "X03":
        return [
            made({"sample_kb": kb}, 0.9 + 0.002 * kb, "for" if kb > 100 else "against",
                 test="W = 1 / W = 0, empty samples", treatment="W = 1", baseline="W = 0")
            for kb in (12, 48, 192, 768)
        ]  # fmt: skip
    centre = {"px": 256, "n": 1024}
    return [
        *(made({"px": px, "n": n}, 2.1 * px / 64, "for")
          for px, n in ((64, 1024), (256, 1024), (512, 1024), (256, 256))),
        made(centre, 1.02, "unclear", reasons=(Reason("logged", (NASTY,)),), test=NASTY,
             counts=False, p=0.02, p_holm=0.081, more_rounds=12),
        made(centre, 0.012, "for", quantity="slope", test="slope of the ratio against pixels",
             bar=Bar(">", 0)),
    ]  # fmt: skip


def claim_result(name: str, index: int, machines: tuple[str, ...], missing: bool) -> ClaimResult:
    verdict: Verdict = "not tested" if missing else VERDICTS[index % len(VERDICTS)]
    untested, post = verdict == "not tested", name.startswith("C")
    cells = [] if untested else [c for m in machines for c in evidence(name, m)]
    counted = [c.outcome for c in cells if c.counts]
    head = next((c for c in cells if c.estimate is not None), None)
    effect = head and Effect(
        "microseconds per image, one epoch",
        [arm for arm in (head.treatment, head.baseline) if arm],
        head.estimate or 0.0, head.low, head.high, head.quantity, head.factors, unit=head.unit,
    )  # fmt: skip
    why = {
        "not tested": "No cell of this claim was measured in the quick profile.",
        "inconclusive": "Only 3 of 8 cells were decided.",
    }
    return ClaimResult(
        id=name,
        title=TITLES.get(name, f"Synthetic statement number {index + 1}"),
        section="I/O-bound operations" if post else "beyond the post",
        origin="post" if post else "beyond",
        restated=f"A synthetic restatement of {name}, standing where the real one will stand.",
        method="The two arms run side by side in one session; every round is one block.",
        advice="Use several workers while items are dear, none once they are cheap. "
        + (NASTY if name == "C02" else ""),
        verdict=verdict,
        finding=""
        if untested
        else "The naive dataset takes 5.2\u00d7 [4.9\u20135.6] the time of the "
        "preloaded one at 256 px, and the gap widens with resolution.",
        boundary=boundary(cells) if verdict == "conditional" else "",
        grid=grid(cells) if verdict == "conditional" else [],
        missing=why.get(verdict, ""),
        effect=effect,
        cells=CellCounts(
            len(counted), *(counted.count(o) for o in ("for", "against", "unclear", "skipped"))
        ),
        evidence=cells,
        by_machine={
            m: VERDICTS[(index + i * (index % 3 == 0)) % 5] for i, m in enumerate(machines)
        },
    )


def measurements(machines: tuple[str, ...]) -> pd.DataFrame:
    """Tidy rows shaped like those of evidence.py: sweeps around one centre."""
    rows: list[dict[str, Any]] = []
    product, sizes = itertools.product, (64, 128, 256, 512)
    cost = {"naive": 2600.0, "naive-fixed": 2500.0, "preloaded": 60.0, "mapped": 75.0,
            "decode-image": 1900.0}  # fmt: skip
    centre = {"n": 1024, "px": 256, "quality": 92, "workers": 0, "start_method": "",
              "medium": "disk-warm", "transform": "none", "stage": ""}  # fmt: skip

    def add(benchmark: str, unit: str, value: float, **levels: Any) -> None:
        metric = "item" if benchmark == "item.Stages.track_stage" else benchmark.split("track_")[1]
        found = {"median": value, "low": value * 0.95, "high": value * 1.06, "blocks": 7}
        what = {"machine": machine, "benchmark": benchmark, "metric": metric, "unit": unit}
        rows.append({**what, **centre, **levels, **found})

    for k, machine in enumerate(machines):  # noqa: B007 - `add` reads it
        for impl, us in cost.items():
            us *= 1 + 0.3 * k
            for px in sizes:
                add("epoch.ByResolution.track_epoch", "us", us * (px / 256) ** 1.8 + 12,
                    impl=impl, px=px)  # fmt: skip
            for w in (0, 1, 2, 4, 8):
                add("epoch.ByWorkers.track_epoch", "us",
                    us / max(1, min(w, 3)) + (90 if w else 5),
                    impl=impl, workers=w, start_method="fork" if w else "")  # fmt: skip
            for medium, factor in (("ramdisk", 0.95), ("disk-warm", 1), ("disk-cold", 1.9)):
                add("storage.ByMedium.track_epoch", "us", us * factor + 10,
                    impl=impl, medium=medium)  # fmt: skip
        starts = {"fork": 40, "forkserver": 900, "spawn": 1600}
        for method, w, impl in product(starts, (1, 2, 4), ("naive", "preloaded", "mapped")):
            slow = starts[method] * (1 + 0.3 * w) * (1 + (impl != "naive") * (method != "fork"))
            add("epoch.FirstBatch.track_first_batch", "ms", slow,
                impl=impl, workers=w, start_method=method)  # fmt: skip
        for impl, ms in (("naive", 3.0), ("preloaded", 2600.0), ("mapped", 2900.0)):
            add("startup.Construction.track_construction", "ms", ms,
                impl=impl, workers="", medium="", transform="")  # fmt: skip
        for px in sizes:
            parts = {"read": 20 + px * 0.2, "decode": px**1.7 / 6, "array": px**1.9 / 60,
                     "tensor": 4.0}  # fmt: skip
            for stage, us in (parts | {"item": sum(parts.values())}).items():
                add("item.Stages.track_stage", "us", us, impl="naive", px=px, stage=stage)
    rows[3]["low"] = math.nan
    return pd.DataFrame(rows)


def build(machines: int = 1, missing: bool = False) -> Study:
    names = MACHINES[:machines]
    aa = [
        cell({"px": px}, 1 + 0.004 * i, "against" if i else "unclear", spread=0.03,
             treatment="naive", baseline="naive-again", test="A/A, per epoch",
             benchmark="controls.AA.track_epoch")
        for i, px in enumerate((64, 256, 512))
    ]  # fmt: skip
    pages, no_root = "https://example.org/asv/", "throttling a disk needs root"
    study = Study(
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=missing,
        claims_hash="c1a1" * 10,
        corpus_hash="beef" * 16,
        profile="quick",
        rounds=7,
        versions={"python": "3.11.7", "torch": "2.14.1", "pillow": "12.0", "nasty": NASTY},
        machines=[
            Machine(
                name=name,
                summary=f"8-core Example CPU {i + 1}, 16 GiB RAM, NVMe SSD",
                details={"CPU": f"Example {NASTY if i else 'CPU'}", "cores": "8",
                         "measured": "2026-02-03 10:00"},
                warnings=["No samples were kept: medians only."] if i else [],
                day="2026-02-03",
                commit=f"{i + 1}" * 40,
                apart={"loaders": "c0ffee" * 7} if i else {},
            )
            for i, name in enumerate(names)
        ],
        corpora=[
            Corpus("bundled photographs", px, 1024, "92", 0.612345, "abcd" * 16,
                   [f"{NASTY} could not be read."] if px == 512 else [])
            for px in (64, 256, 512)
        ],
        noise=Noise(12, 0, 0.0, 0.0123, aa),
        claims=[claim_result(name, i, names, missing) for i, name in enumerate(IDS)],
        measurements=measurements(names),
        points=[
            Point("Decoding takes most of the time to load a JPEG.", "C13"),
            Point("Preload or map the pixels as long as they fit in memory.", "C04"),
        ],
        notes=["One machine, one disk: other storage may turn C03 around.", NASTY],
        skips=[
            ("storage.ByBandwidth at 25 and 100 MB/s: 4 cells", no_root),
            ("memory.Limit: 1 cell", NASTY),
            ("storage.ByBandwidth at 400 MB/s: 2 cells", no_root),
        ],
        field_rows=[
            FieldRow("A paper", f"{pages}paper", "Two times.", "2.1\u00d7 [2.0\u20132.2]",
                     "agrees", "Same ordering.", "C04"),
            FieldRow("Another", f"{pages}other", NASTY, "3.0\u00d7",
                     "differs", "The ordering is the other way round.", "X03"),
            FieldRow("A third", f"{pages}third", "A factor.", "not measured",
                     "not measured", "Needs throttled storage."),
        ],
    )  # fmt: skip
    if missing:
        none = study.measurements.iloc[:0]
        gone: dict[str, Any] = {"corpora": [], "skips": [], "field_rows": []}
        return replace(study, noise=Noise(0, 0, None, None), measurements=none, **gone)
    return study


ENVIRONMENTS = ("Python 3.11, torch 2.14", "Python 3.14, torch 2.14")
SELECTED: tuple[dict[str, Any], ...] = (
    {"bandwidth": 25}, {"latency_ms": 10}, {"medium": "disk-warm"}, {"workers": 0},
    {"workers": 2}, {"workers": 4}, {"start_method": "fork"}, {"start_method": "forkserver"},
)  # fmt: skip


def selectable() -> Study:
    """Two machines, each of an environment of its own, and a claim with cells for every preset."""
    base = build(machines=2)
    cells = [
        cell({"px": 256} | factors, 1.2, "for", machine=machine.name)
        for machine in base.machines
        for factors in SELECTED
    ]
    named = zip(base.machines, ENVIRONMENTS, strict=True)
    return replace(
        base,
        machines=[replace(machine, environment=name) for machine, name in named],
        claims=[replace(base.claims[0], evidence=cells), *base.claims[1:]],
    )
