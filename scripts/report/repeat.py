"""How far two sets of results agree, in words."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from scripts.judging.model import Repeat, Run
from scripts.judging.repeat import DIFFERS, agreeing_verdicts, counted_once
from scripts.report import wording


def described(run: Run, tell_rules: bool = False) -> str:
    """Which run it is, for example "lab, 2026-11-23, 6 rounds, commit 0123456789"; where the two
    differ in it, also the hash of the rules that it was measured under."""
    names = ", ".join(machine.name for machine in run.machines)
    days = sorted({machine.day for machine in run.machines} - {""})
    parts = [names, *days, f"{run.rounds} rounds", f"commit {wording.short_commit(run)}"]
    if tell_rules:
        known = sorted({machine.rules[:10] or "unknown" for machine in run.machines})
        parts.append(f"measured under rules {' and '.join(known)}")
    return ", ".join(parts)


def both(repeat: Repeat) -> tuple[str, str]:
    """Which runs were compared."""
    tell = not repeat.same_rules
    return described(repeat.first, tell), described(repeat.second, tell)


def sentence(repeat: Repeat) -> str:
    """How far both agree, for the front of the page and the terminal."""
    verdicts = f"{agreeing_verdicts(repeat)} of {len(repeat.verdicts)} verdicts"
    if not repeat.cells:
        return f"{verdicts} agree; no cell is decided in both"
    share = math.floor(1000 * repeat.agreeing / repeat.cells) / 10  # 99.96 % is not all of them
    return f"{verdicts} and {share:g}{wording.NBSP}% of the cells decided in both agree"


def differing_cells(repeat: Repeat) -> list[dict[str, Any]]:
    """Counted cells that both decide, each its own way, with the effects in words."""
    table = repeat.effects
    return in_words(table[table["counts"].astype(bool) & (table["comparison"] == DIFFERS)])


def table(effects: pd.DataFrame) -> pd.DataFrame:
    """`effects` with the factors in words, for files."""
    return effects.assign(factors=[wording.factors(levels) for levels in effects["factors"]])


def in_words(effects: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of `effects` in words."""
    rows = table(effects).to_dict("records")
    return [_row({str(name): value for name, value in row.items()}) for row in rows]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row with `first_words` and `second_words`, "" where there is no number."""
    words = {}
    for side in ("first", "second"):
        value, low, high = (row[side + end] for end in ("", "_low", "_high"))
        words[f"{side}_words"] = (
            f"{wording.estimate(value, row['quantity'])} "
            f"{wording.interval(value, low, high, row['quantity'])}".strip()
            if pd.notna(value)
            else ""
        )
    return {**row, **words}


def record(repeat: Repeat) -> dict[str, Any]:
    """The object "repeat" of claims.json."""
    first, second = both(repeat)
    return {
        "first": first,
        "second": second,
        "verdicts": [
            {"claim": claim, "first": first, "second": second}
            for claim, first, second in repeat.verdicts
        ],
        "verdicts_agreeing": agreeing_verdicts(repeat),
        "flips": repeat.flips,
        "cells": repeat.cells,
        "cells_agreeing": repeat.agreeing,
        "decided_in_one_only": counted_once(repeat),
    }
