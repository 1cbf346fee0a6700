"""A drawn figure with its data and caption: what every figure module makes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from scripts.judging.model import Cell
from scripts.judging.pairing import level
from scripts.report.cite import commit_of
from scripts.report.figures.style import standalone
from scripts.report.model import Study
from scripts.report.wording import DIRTY, FEW, short_commit


@dataclass(frozen=True)
class Chart:
    """A drawn figure: `svg` and `narrow` for inlining, `file_svg` for the file, and its data."""

    name: str  # file stem under figures/
    title: str
    caption: str  # what to see, then benchmark, cells, machine and commit
    svg: str
    narrow: str  # the same for a phone: labels above the rows, not beside them
    data: pd.DataFrame

    @property
    def file_svg(self) -> str:
        return standalone(self.svg)

    @property
    def csv(self) -> str:
        return self.data.to_csv(index=False, float_format="%.4g", lineterminator="\n")


def source_line(study: Study, benchmarks: list[str], cells: int, machines: list[str]) -> str:
    """The provenance that ends every caption."""
    plural = "s" if len(benchmarks) > 1 else ""
    commits = dict.fromkeys(
        commit_of(machine, name)[:10]
        for machine in study.machines if machine.name in machines for name in benchmarks
    )  # fmt: skip
    known = [commit for commit in commits if commit]
    told = f"commit{'s' * (len(known) > 1)} {' and '.join(known)}{DIRTY * study.dirty}"
    if not known:
        told = f"commit {short_commit(study)}"
    elif len(known) > FEW:
        told = f"{len(known)} commits"
    return (
        f"Benchmark{plural} {', '.join(benchmarks)}; {cells} cells; "
        f"machine {', '.join(machines)}; {told}."
    )


def cell_table(cells: list[Cell]) -> pd.DataFrame:
    """Cells as the rows of a figure's CSV file: factors first, then the result."""
    rows = [
        {
            "test": cell.test,
            "machine": cell.machine,
            "treatment": cell.treatment,
            "baseline": cell.baseline,
            **{name: level(value) for name, value in cell.factors.items()},
            "quantity": cell.quantity,
            "estimate": cell.estimate,
            "low": cell.low,
            "high": cell.high,
            "unit": cell.unit,
            "p_holm": cell.p_holm,
            "outcome": cell.outcome,
            "counts": cell.counts,
            "blocks": cell.blocks,
            "benchmark": cell.benchmark,
        }
        for cell in cells
    ]
    return pd.DataFrame(rows)
