"""Pick one sweep out of the tidy measurements: one factor varies, the others are held."""

from __future__ import annotations

import pandas as pd

from datasets_impl.factors import NAMES
from scripts.report import wording
from scripts.report.model import Study

FACTORS = NAMES[: NAMES.index("transform") + 1]  # the others belong to single benchmarks


def select(study: Study, metric: str, over: str, **fixed: object) -> pd.DataFrame:
    """Rows of one sweep: the benchmark with most levels of `over`, other factors held fixed.

    Factors in `fixed` set to None stay free; all others keep their commonest level.
    """
    rows: pd.DataFrame = study.measurements
    if rows.empty or not {"metric", "median", over, "impl"} <= set(rows.columns):
        return rows.iloc[:0]
    numeric = ["median", "low", "high"]
    rows = rows.assign(**{c: pd.to_numeric(rows[c], errors="coerce") for c in numeric})
    rows = rows[(rows["metric"] == metric) & (rows["median"] > 0)]
    rows = rows[~rows["benchmark"].astype(str).str.startswith("controls.")]
    rows = rows[rows[over].notna() & (rows[over].astype(str) != "")]
    for name, level in fixed.items():
        if level is not None and name in rows.columns:
            rows = rows[rows[name] == level]
    if rows.empty:
        return rows
    wanted = [over, "impl"]
    counts = rows.groupby("benchmark")[wanted].nunique()
    best = sorted(counts.index, key=lambda b: (*(-counts.loc[b, wanted]), b))[0]
    rows = rows[rows["benchmark"] == best]
    for name in FACTORS:
        if name == over or name in fixed or name not in rows.columns:
            continue
        shown = rows[name].astype(str)
        levels = shown.value_counts()
        if len(levels) > 1:
            top = sorted(levels[levels == levels.max()].index)[0]
            rows = rows[shown == top]
    return rows.sort_values(["machine", "impl", over]).reset_index(drop=True)


def held(rows: pd.DataFrame, but: list[str]) -> str:
    """The factors that were held fixed, in words."""
    levels = {
        name: rows[name].iloc[0]
        for name in FACTORS
        if name in rows.columns
        and name not in but
        and rows[name].nunique(dropna=False) == 1
        and str(rows[name].iloc[0]) not in ("", "nan", "None", "<NA>")
    }
    whole = {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in levels.items()}
    return wording.factors({k: getattr(v, "item", lambda v=v: v)() for k, v in whole.items()})


def with_throughput(rows: pd.DataFrame) -> pd.DataFrame:
    """Add images per second; the ends of the interval change places."""
    per = {"value": "median", "value_low": "high", "value_high": "low"}
    found = {new: 1e6 / pd.to_numeric(rows[old], errors="coerce") for new, old in per.items()}
    return rows.assign(**found)


def order(levels: list[object], known: list[str]) -> list[object]:
    return sorted(levels, key=lambda x: (known.index(str(x)) if str(x) in known else 99, x))
