"""What stands beside a cell in the table of a claim's evidence."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.judging.model import Cell
from scripts.report import certainty, log_words, reasons, wording


def remark(cell: Cell, shared_bar: str, cells: Sequence[Cell] = ()) -> str:
    """Why a cell reads as it does: its own bar, another sweep that measured it too (of those in
    `cells`), why it is unclear, and what would decide it."""
    parts = []
    for one, others in zip(cells, certainty.elsewhere(cells), strict=True):
        if one is cell:
            parts += [
                f"{wording.with_interval(other)} in {other.benchmark.rpartition('.')[0]}"
                for other in others
            ]
    if cell.bar and not shared_bar and cell.outcome != "skipped":
        parts.append(f"bar {wording.bar(cell.bar)}")
    if not cell.counts:
        parts.append("context, not judged")
    if cell.reasons:
        parts.append(reasons.in_words(cell.reasons))
    if cell.loaded:
        parts.append(log_words.remark(cell.loaded))
    if cell.cold is not None:
        parts.append(log_words.in_words(cell.cold))
    if cell.outcome == "unclear":
        if cell.p_holm is not None:
            parts.append(f"p {p_value(cell.p_holm)} after correction")
        if cell.more_rounds:
            more = f"{cell.more_rounds:,} more round{'s' if cell.more_rounds != 1 else ''}"
            parts.append(f"about {more} would decide it")
    return "; ".join(parts)


def p_value(p: float) -> str:
    """ "0.03", and "< 0.001" below what matters."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
