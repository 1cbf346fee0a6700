"""Every measured cell as a row, for overview figures and their data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from datasets_impl.factors import NAMES, is_second_name
from scripts.judging import inference
from scripts.judging.pairing import factors_of, records

COLUMNS = ["machine", "benchmark", "metric", "unit", *NAMES, "median", "low", "high", "blocks"]


def measurements(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row for each measured cell: its median over blocks with the interval of the mean."""
    rows = []
    for row in records(cells):
        if row["status"] != "ok" or is_second_name(row.get("impl")):
            continue
        (samples,) = inference.undisturbed(row["samples"] or [row["median"]])
        low = high = None
        if row["samples"] and len(samples) > 1 and samples.min() > 0:
            _, low, high = np.exp(inference.mean_interval(np.log(samples).tolist(), confidence))
        rows.append(
            {
                "machine": row["machine"],
                "benchmark": row["benchmark"],
                "metric": row["metric"],
                "unit": row["unit"],
                **factors_of(row),
                "median": float(np.median(samples)),
                "low": low,
                "high": high,
                "blocks": len(samples),
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)  # also where nothing was measured
    return table.astype({name: float for name in ("median", "low", "high")})
