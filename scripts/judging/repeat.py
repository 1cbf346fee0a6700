"""Two judged sets of results side by side: which verdicts and cells come out the same.

The two may be two runs of one machine, or runs of two machines. A set of one machine is compared
with a set of one machine whatever their names are; sets of several are matched by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from datasets_impl.errors import StudyError
from scripts.judging.model import Cell, Repeat, Run, Verdict
from scripts.judging.pairing import level
from scripts.judging.profiles import require_same

DECIDED = ("for", "against")
COLUMNS = (
    "claim", "test", "benchmark", "machine", "treatment", "baseline", "factors", "quantity", "unit",
    "counts", "first", "first_low", "first_high", "first_outcome", "second", "second_low",
    "second_high", "second_outcome", "comparison",
)  # fmt: skip
AGREES, DIFFERS, UNDECIDED, ONCE = "agrees", "differs", "undecided", "in one only"


def repeat_of(first: Run, second: Run) -> Repeat:
    """Compare two runs, verdict by verdict and cell by cell.

    `effects` of the result has the columns `COLUMNS`, a row for each cell of either, in the
    order of the first. `comparison` is "agrees" or "differs" for a cell decided in both,
    "undecided" for one that is not, "in one only" for one that the other study lacks. Context
    cells have `counts` False and are left out of `cells` and `agreeing`.

    Raises:
        StudyError: both are the same run or of different profiles, or they have no machine in
            common.
    """
    renamed = _machines(first, second)
    shared = [
        [machine for machine in study.machines if machine.name in renamed]
        for study in (first, second)
    ]
    require_same(*([machine.profile for machine in machines] for machines in shared))
    rules = [{machine.rules for machine in machines} for machines in shared]
    rows = rows_of(first, second, renamed)
    effects = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    for column in ("first", "first_low", "first_high", "second", "second_low", "second_high"):
        effects[column] = effects[column].astype(float)
    _refuse_the_same(effects)
    verdicts = [
        (claim.id, claim.verdict, other.verdict)
        for claim, other in _both(first, second)
        if {claim.verdict, other.verdict} != {"not tested"}
    ]
    counted = effects[effects["counts"].astype(bool)]
    return Repeat(
        first=first,
        second=second,
        same_rules=rules[0] == rules[1],
        verdicts=verdicts,
        flips=sum({a, b} == {"supported", "challenged"} for _, a, b in verdicts),
        cells=int(counted["comparison"].isin((AGREES, DIFFERS)).sum()),
        agreeing=int((counted["comparison"] == AGREES).sum()),
        effects=effects,
    )


def agreeing_verdicts(repeat: Repeat) -> int:
    return sum(first == second for _, first, second in repeat.verdicts)


def differing(repeat: Repeat) -> list[tuple[str, Verdict, Verdict]]:
    return [row for row in repeat.verdicts if row[1] != row[2]]


def counted_once(repeat: Repeat) -> int:
    """Counted cells that only one of the two decides, or has at all."""
    table = repeat.effects[repeat.effects["counts"].astype(bool)]
    one = table["first_outcome"].isin(DECIDED) != table["second_outcome"].isin(DECIDED)
    return int(one.sum())


def _both(first: Run, second: Run) -> list[tuple[Any, Any]]:
    others = {claim.id: claim for claim in second.claims}
    return [(claim, others[claim.id]) for claim in first.claims if claim.id in others]


def _machines(first: Run, second: Run) -> dict[str, str]:
    """Name in either study -> common name; machines of one study alone are not in it."""
    names = [[machine.name for machine in study.machines] for study in (first, second)]
    if len(names[0]) == len(names[1]) == 1:
        same = names[0] == names[1]
        common = names[0][0] if same else f"{names[0][0]} / {names[1][0]}"
        return {names[0][0]: common, names[1][0]: common}
    shared = [name for name in names[0] if name in names[1]]
    if not shared:
        raise StudyError(
            f"The results of {', '.join(names[0])} and of {', '.join(names[1])} have no machine in "
            "common; name the folder of one machine on each side."
        )
    return {name: name for name in shared}


def _place(cell: Cell, machine: str) -> tuple[Any, ...]:
    levels = tuple((name, level(value)) for name, value in cell.factors.items())
    return (cell.test, cell.benchmark, machine, cell.treatment, cell.baseline, levels)


def _cells(cells: Sequence[Cell], renamed: dict[str, str]) -> dict[tuple[Any, ...], Cell]:
    return {_place(c, renamed[c.machine]): c for c in cells if c.machine in renamed}


def rows_of(first: Run, second: Run, renamed: dict[str, str]) -> list[dict[str, Any]]:
    """A row with `COLUMNS` for each cell of either. `renamed`: the name of a machine in either run,
    and in the rows; other machines are left out."""
    rows = []
    for claim, other in _both(first, second):
        ours, theirs = _cells(claim.evidence, renamed), _cells(other.evidence, renamed)
        for place in dict.fromkeys([*ours, *theirs]):
            a, b = ours.get(place), theirs.get(place)
            known = a or b
            assert known is not None
            rows.append(
                {
                    "claim": claim.id,
                    "test": known.test,
                    "benchmark": known.benchmark,
                    "machine": place[2],
                    "treatment": known.treatment,
                    "baseline": known.baseline,
                    "factors": known.factors,
                    "quantity": known.quantity,
                    "unit": known.unit,
                    "counts": known.counts,
                    **_side("first", a),
                    **_side("second", b),
                    "comparison": _comparison(a, b),
                }
            )
    return rows


def _side(name: str, cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_outcome": ""}
    return {
        name: cell.estimate,
        f"{name}_low": cell.low,
        f"{name}_high": cell.high,
        f"{name}_outcome": cell.outcome,
    }


def _comparison(first: Cell | None, second: Cell | None) -> str:
    if first is None or second is None:
        return ONCE
    if first.outcome not in DECIDED or second.outcome not in DECIDED:
        return UNDECIDED
    return AGREES if first.outcome == second.outcome else DIFFERS


def _refuse_the_same(effects: pd.DataFrame) -> None:
    """A run agrees with itself; two runs never measure the same times to the last digit."""
    timed = effects[effects["quantity"] != "value"]
    measured = timed[np.isfinite(timed[["first", "second"]].to_numpy(dtype=float)).all(axis=1)]
    if len(measured) and (measured["first"] == measured["second"]).all():
        raise StudyError(
            "Both results are the same run: every effect is the same to the last digit; name the "
            "results of a second, separate run."
        )
