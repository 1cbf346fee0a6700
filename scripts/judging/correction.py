"""Holm's correction over the cells of a claim, and how many rounds an unclear cell still lacks.

Each cell is a test of its own; among twenty of them one would be decided by chance. Holm's step
down keeps the chance that any cell of a family is decided wrongly at `1 - confidence`, whatever
their dependence, and cells of one claim share arms and blocks. A family is the counted cells of one
claim on one machine that have a p-value, so a further machine leaves the others' cells as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from datasets_impl.observe.log import SPARSE
from scripts.judging.claims import Rules
from scripts.judging.model import Cell, Reason

POWER = 0.8
MOST_MORE = 200  # rounds; beyond this an effect sits at the bar for every practical purpose
AT_THE_BAR = Reason("at the bar", (MOST_MORE,))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given.

    SciPy adjusts for the false discovery rate only, and statsmodels would be a large dependency for
    these three lines.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def corrected(cells: Sequence[Cell], rules: Rules) -> list[Cell]:
    """`cells` with `p_holm`, and decided only where the adjusted p allows it.

    Context cells, exact ones and those without a number are no part of the family and stay as they
    are. The shown interval stays the nominal one, so the reason says where the two differ.
    """
    families: dict[str, list[int]] = {}
    for i, cell in enumerate(cells):
        if cell.counts and cell.p is not None:
            families.setdefault(cell.machine, []).append(i)
    found = list(cells)
    for family in families.values():
        own = _as_family([cells[i] for i in family], rules)
        for i, cell in zip(family, own, strict=True):
            found[i] = cell
    return found


def _as_family(cells: Sequence[Cell], rules: Rules) -> Iterator[Cell]:
    p_values = holm([cell.p for cell in cells if cell.p is not None])
    for cell, p_holm, more in zip(cells, p_values, _more_rounds(cells, rules), strict=True):
        reasons, outcome = list(cell.reasons), cell.outcome
        if outcome != "unclear" and p_holm >= 1 - rules.confidence:
            outcome = "unclear"
            reasons.append(Reason("not after Holm", (len(cells),)))
        lacking = cell.more_rounds
        if outcome == "unclear" and cell.paired:
            lacking = more
            reasons += [AT_THE_BAR] if more is None else []
        yield replace(
            cell, p_holm=p_holm, outcome=outcome, more_rounds=lacking, reasons=tuple(reasons)
        )


def _more_rounds(family: Sequence[Cell], rules: Rules) -> list[int | None]:
    """For each cell, the rounds after which its step of Holm's procedure would be passed.

    Holm tests cells in order of p, so a cell needs at least as many as every cell before it.
    """
    found: list[int | None] = [None] * len(family)
    most: int | None = 0
    ranked = sorted(range(len(family)), key=lambda i: family[i].p or 0.0)
    for rank, i in enumerate(ranked):
        level = (1 - rules.confidence) / (len(family) - rank)
        p = family[i].p
        assert p is not None
        if most is not None:
            own = more_rounds(p, family[i].blocks, level)
            most = None if own is None else max(most, own)
        found[i] = most
    return found


def in_rounds(cells: Sequence[Cell], rounds: Mapping[tuple[str, str], int]) -> list[Cell]:
    """`cells` with `more_rounds` in rounds of the run that measured them, which has had `rounds`.

    Slow benchmarks run in every `SPARSE`-th round only, or in every second, so a block of theirs
    takes as many.
    """
    found = []
    for cell in cells:
        if cell.more_rounds is not None and cell.blocks:
            had = rounds[cell.machine, cell.benchmark]
            known = cell.blocks + len(cell.loaded)
            every = (
                1 if known >= had else 2 if known == -(-had // 2) > -(-had // SPARSE) else SPARSE
            )
            coming = (more for more in itertools.count(1) if (had + more - 1) % every == 0)
            wanted = [0, *itertools.islice(coming, cell.more_rounds)]
            cell = replace(cell, more_rounds=wanted[-1])
        found.append(cell)
    return found


def more_rounds(p: float, blocks: int, level: float) -> int | None:
    """Fewest further blocks with which p falls below `level` with 80 % power, if estimate and
    spread hold; 0 when it is below already, None when it would take more than 200.

    The power is that of the two-sided t-test, from the noncentral t distribution (SciPy); the
    effect in standard deviations follows from p and the number of blocks.
    """
    if p < level:
        return 0
    effect = float(stats.t.isf(p / 2, blocks - 1)) / math.sqrt(blocks)
    if effect == 0:
        return None
    count = blocks + np.arange(1, MOST_MORE + 1)
    bar = stats.t.isf(level / 2, count - 1)
    power = stats.nct.sf(bar, count - 1, effect * np.sqrt(count))
    enough = np.flatnonzero(power >= POWER)
    return int(enough[0]) + 1 if len(enough) else None
