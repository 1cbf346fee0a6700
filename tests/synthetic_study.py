"""A synthetic `Study` for tests of the page and the tables; none of its numbers were measured.

It holds every verdict, every quantity, skipped and context cells, and strings that break naive
escaping. `build(machines=2)` adds a second machine that disagrees; `build(missing=True)` is what
a first, nearly empty run looks like.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import pandas as pd

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
from scripts.report.grid import boundary
from scripts.report.model import ClaimResult, Corpus, FieldRow, Machine, Study

NASTY = """<script>alert("x")</script> & 'quote' 100% a_b {c} #1 $2 ~^ | *bold* `code` \\end"""
MACHINES = ("bench-a", "bench-b")
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
    where = {"machine": machine}
    if claim == "C01":
        return [
            cell(
                {"n": n, "px": px},
                min(0.97, 0.55 + 0.09 * i + 0.01 * j),
                "for",
                quantity="share",
                test="share of a single-process epoch",
                bar=Bar(">", 0.5),
                treatment="naive",
                baseline="",
                spread=0.02,
                **where,
            )
            for (i, px), (j, n) in itertools.product(
                enumerate((64, 128, 256, 512)), enumerate((256, 1024))
            )
        ]
    if claim == "C03":
        shares = {"ramdisk": 0.04, "disk-warm": 0.06, "disk-cold": 0.44}
        cells = [
            cell(
                {"px": px, "medium": medium},
                share * (1 + 0.2 * i),
                "against" if share < 0.4 else "unclear",
                quantity="share",
                bar=Bar(">", 0.5),
                baseline="",
                test="share of reading in the item",
                spread=0.15,
                **where,
            )
            for (i, px), (medium, share) in itertools.product(enumerate((128, 256)), shares.items())
        ]
        return [
            *cells,
            cell(
                {"px": 512, "medium": "disk-cold"},
                None,
                "skipped",
                reasons=(Reason("logged", ("page cache could not be dropped without root",)),),
                test="share of reading in the item",
                quantity="share",
                **where,
            ),
        ]
    if claim in ("C07", "C20"):
        return [
            cell(
                {"impl": impl, "workers": w, "px": px},
                0.35 + 0.22 * w + 0.001 * px,
                "for" if 0.35 + 0.22 * w + 0.001 * px > 1.1 else "against",
                test=f"{impl}, W > 0 / W = 0",
                treatment="W > 0",
                baseline="W = 0",
                benchmark="epoch.ByWorkers.track_epoch",
                **where,
            )
            for impl, px, w in itertools.product(
                ("preloaded", "mapped"), (64, 256, 512), (1, 2, 4, 8)
            )
        ]
    if claim == "C16":
        return [
            cell(
                {"n": n, "phase": phase},
                value,
                "against" if value else "for",
                quantity="value",
                bar=Bar("=", 0),
                test="image files opened",
                treatment="mapped",
                baseline="",
                reading=f"{value:g} opens of {n} files",
                benchmark="structures.track_opens",
                **where,
            )
            for n, (phase, value) in itertools.product(
                (64, 256), (("construction", 128.0), ("epoch", 0.0))
            )
        ]
    if claim == "C18":
        return [
            cell(
                {"px": px, "quality": q},
                3.0 + 0.01 * px - 0.01 * q,
                "for",
                quantity="value",
                test="bytes on disk / bytes of JPEG",
                treatment="mapped",
                baseline="JPEG files",
                benchmark="storage.track_bytes",
                **where,
            )
            for px, q in itertools.product((64, 128, 256, 512), (75, 95))
        ]
    if claim == "X04":  # a break-even: an interval, one open above, one that never comes
        epochs: dict[str, Any] = {
            "quantity": "amount",
            "unit": "epochs",
            "bar": Bar("<", 3),
            "test": "preloaded pays for itself",
            "treatment": "preloaded",
            "baseline": "naive",
            "benchmark": "epoch.ByWorkers.track_epoch",
            **where,
        }
        return [
            cell({"n": 1024, "px": 256, "workers": 0, "impl": "preloaded"}, 1.19, "for", **epochs),
            cell(
                {"n": 1024, "px": 256, "workers": 2, "impl": "preloaded"},
                4.4,
                "unclear",
                more_rounds=7,
                p=0.02,
                p_holm=0.06,
                **epochs | {"high": None},
            ),
            cell(
                {"n": 1024, "px": 256, "workers": 4, "impl": "preloaded"},
                math.inf,
                "against",
                reading="never pays",
                **epochs | {"low": None, "high": None},
            ),
        ]
    if claim == "X03":
        return [
            cell(
                {"sample_kb": kb},
                0.9 + 0.002 * kb,
                "for" if kb > 100 else "against",
                test="W = 1 / W = 0, empty samples",
                treatment="W = 1",
                baseline="W = 0",
                **where,
            )
            for kb in (12, 48, 192, 768)
        ]
    cells = [
        cell({"px": px, "n": n}, 2.1 * px / 64, "for", **where)
        for px, n in ((64, 1024), (256, 1024), (512, 1024), (256, 256))
    ]
    cells.append(
        cell(
            {"px": 256, "n": 1024},
            1.02,
            "unclear",
            reasons=(Reason("logged", (NASTY,)),),
            test=NASTY,
            counts=False,
            p=0.02,
            p_holm=0.081,
            more_rounds=12,
            **where,
        )
    )
    cells.append(
        cell(
            {"px": 256, "n": 1024},
            0.012,
            "for",
            quantity="slope",
            test="slope of the ratio against pixels",
            bar=Bar(">", 0),
            **where,
        )
    )
    return cells


def claim_result(name: str, index: int, machines: tuple[str, ...], missing: bool) -> ClaimResult:
    verdict: Verdict = "not tested" if missing else VERDICTS[index % len(VERDICTS)]
    untested = verdict == "not tested"
    cells = [] if untested else [c for m in machines for c in evidence(name, m)]
    counted = [c.outcome for c in cells if c.counts]
    head = next((c for c in cells if c.estimate is not None), None)
    effect = (
        None
        if head is None
        else Effect(
            "microseconds per image, one epoch",
            [a for a in (head.treatment, head.baseline) if a],
            head.estimate or 0.0,
            head.low,
            head.high,
            head.quantity,
            head.factors,
            unit=head.unit,
        )
    )
    return ClaimResult(
        id=name,
        title=TITLES.get(name, f"Synthetic statement number {index + 1}"),
        section="I/O-bound operations" if name.startswith("C") else "beyond the post",
        origin="post" if name.startswith("C") else "beyond",
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
        missing="No cell of this claim was measured in the quick profile."
        if untested
        else "Only 3 of 8 cells were decided."
        if verdict == "inconclusive"
        else "",
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
    cost = {
        "naive": 2600.0,
        "naive-fixed": 2500.0,
        "preloaded": 60.0,
        "mapped": 75.0,
        "decode-image": 1900.0,
        "naive-again": 2610.0,
    }

    def add(metric: str, unit: str, value: float, benchmark: str, **levels: Any) -> None:
        base = {
            "n": 1024,
            "px": 256,
            "quality": 92,
            "workers": 0,
            "start_method": "",
            "medium": "disk-warm",
            "transform": "none",
            "stage": "",
        }
        rows.append(
            {
                "machine": machine,
                "benchmark": benchmark,
                "metric": metric,
                "unit": unit,
                **base,
                **levels,
                "median": value,
                "low": value * 0.95,
                "high": value * 1.06,
                "blocks": 7,
            }
        )

    for k, name in enumerate(machines):
        machine = name
        for impl, us in cost.items():
            us *= 1 + 0.3 * k
            for px in (64, 128, 256, 512):
                add(
                    "epoch",
                    "us",
                    us * (px / 256) ** 1.8 + 12,
                    "epoch.ByResolution.track_epoch",
                    impl=impl,
                    px=px,
                )
            for w in (0, 1, 2, 4, 8):
                add(
                    "epoch",
                    "us",
                    us / max(1, min(w, 3)) + (90 if w else 5),
                    "epoch.ByWorkers.track_epoch",
                    impl=impl,
                    workers=w,
                    start_method="fork" if w else "",
                )
            for medium, factor in (("ramdisk", 0.95), ("disk-warm", 1), ("disk-cold", 1.9)):
                add(
                    "epoch",
                    "us",
                    us * factor + 10,
                    "storage.ByMedium.track_epoch",
                    impl=impl,
                    medium=medium,
                )
        for method, w, impl in itertools.product(
            ("fork", "forkserver", "spawn"), (1, 2, 4), ("naive", "preloaded", "mapped")
        ):
            slow = {"fork": 40, "forkserver": 900, "spawn": 1600}[method] * (1 + 0.3 * w)
            add(
                "first_batch",
                "ms",
                slow * (1 + (impl != "naive") * (method != "fork")),
                "epoch.FirstBatch.track_first_batch",
                impl=impl,
                workers=w,
                start_method=method,
            )
        for impl, ms in (("naive", 3.0), ("preloaded", 2600.0), ("mapped", 2900.0)):
            add(
                "construction",
                "ms",
                ms,
                "startup.Construction.track_construction",
                impl=impl,
                workers="",
                medium="",
                transform="",
            )
        for px in (64, 128, 256, 512):
            parts = {
                "read": 20 + px * 0.2,
                "decode": px**1.7 / 6,
                "array": px**1.9 / 60,
                "tensor": 4.0,
            }
            for stage, us in (parts | {"item": sum(parts.values())}).items():
                add("item", "us", us, "item.Stages.track_stage", impl="naive", px=px, stage=stage)
    rows[3]["low"] = math.nan
    return pd.DataFrame(rows)


def build(machines: int = 1, missing: bool = False) -> Study:
    names = MACHINES[:machines]
    ids = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 10)]
    aa = (
        []
        if missing
        else [
            cell(
                {"px": px},
                1 + 0.004 * i,
                "against" if i else "unclear",
                treatment="naive",
                baseline="naive-again",
                spread=0.03,
                test="A/A, per epoch",
                benchmark="controls.AA.track_epoch",
            )
            for i, px in enumerate((64, 256, 512))
        ]
    )
    return Study(
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=missing,
        claims_hash="c1a1" * 10,
        corpus_hash="beef" * 16,
        profile="quick",
        rounds=7,
        versions={"python": "3.11.7", "torch": "2.14.1", "pillow": "12.0", "nasty": NASTY},
        machines=[
            Machine(
                name=m,
                summary=f"8-core Example CPU {i + 1}, 16 GiB RAM, NVMe SSD",
                details={
                    "CPU": f"Example {NASTY if i else 'CPU'}",
                    "cores": "8",
                    "measured": "2026-02-03 10:00",
                },
                warnings=["No samples were kept: medians only."] if i else [],
                day="2026-02-03",
            )
            for i, m in enumerate(names)
        ],
        corpora=[]
        if missing
        else [
            Corpus(
                "bundled photographs",
                px,
                1024,
                "92",
                0.612345,
                "abcd" * 16,
                [f"{NASTY} could not be read."] if px == 512 else [],
            )
            for px in (64, 256, 512)
        ],
        noise=Noise(0, 0, None, None) if missing else Noise(12, 0, 0.0, 0.0123, aa),
        claims=[claim_result(name, i, names, missing) for i, name in enumerate(ids)],
        measurements=measurements(names).iloc[: 0 if missing else None],
        answer="Most of the time of a slow image dataset goes into decoding, not reading. Worker "
        "processes cure that while items are dear; preloading and mapping cure it once, as long as "
        "the pixels fit in memory and the start method is fork.",
        notes=["One machine, one disk: other storage may turn C03 around.", NASTY],
        skips=[]
        if missing
        else [
            ("storage.ByBandwidth at 25 and 100 MB/s: 4 cells", "throttling a disk needs root"),
            ("memory.Limit: 1 cell", NASTY),
            ("storage.ByBandwidth at 400 MB/s: 2 cells", "throttling a disk needs root"),
        ],
        field_rows=[]
        if missing
        else [
            FieldRow(
                "A paper",
                "https://example.org/asv/paper",
                "Two times.",
                "2.1\u00d7 [2.0\u20132.2]",
                "agrees",
                "Same ordering.",
                "C04",
            ),
            FieldRow(
                "Another",
                "https://example.org/asv/other",
                NASTY,
                "3.0\u00d7",
                "differs",
                "The ordering is the other way round.",
                "X03",
            ),
            FieldRow(
                "A third",
                "https://example.org/asv/third",
                "A factor.",
                "not measured",
                "not measured",
                "Needs throttled storage.",
            ),
        ],
    )
