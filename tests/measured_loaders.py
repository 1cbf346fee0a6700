"""Loaders of one task as if they had been measured: times by round, from which shares follow."""

from __future__ import annotations

import pandas as pd

from datasets_impl.factors import NAMES as FACTORS
from scripts.judging.evidence import Evidence, MachineResults

TIMES = {  # microseconds per image, by round
    "ceiling-decode": [100.0, 110.0, 120.0],
    "ceiling-decode-fast": [80.0, 88.0, 96.0],
    "threaded-pack": [125.0, 137.5, 150.0],
    "threaded-pack-fast": [100.0, 110.0, 120.0],
    "threaded-pack-again": [125.0, 137.5, 150.0],
    "dataloader-pil": [500.0, 550.0, 600.0],
    "ffcv": [150.0, 165.0, 180.0],
    "grain": [250.0, 275.0, 300.0],
}
STATE = {
    "cores": 2, "setting": {"threads": 2}, "tried": {"{}": 130.0}, "first_batch_ms": 9.5,
    "cpu_us": 251.5,
}  # fmt: skip
COSTS = {"value": 31.5, "conversion_seconds": 1.25, "bytes_on_disk": 10_000_000,
         "mean_difference": 0.0, "psnr": None}  # fmt: skip


def evidence(**more: list[float]) -> Evidence:
    rows = [
        dict.fromkeys(FACTORS)
        | {
            "machine": "bench", "benchmark": "arms.Decode", "name": "arms.Decode.track_decode",
            "metric": "decode", "unit": "us", "q25": None, "q75": None, "repeat": 3,
            "n": 1024, "px": 256, "impl": name, "samples": samples, "median": samples[1],
            "status": "ok", "reason": None,
        }
        for name, samples in (TIMES | more).items()
    ]  # fmt: skip
    log = [
        {
            "benchmark": benchmark,
            "factors": {"impl": "threaded-pack", "n": 1024, "px": 256},
            **state,
        }
        for benchmark, state in (
            ("arms.Decode", STATE | {"value": 130.0}),
            ("arms.DecodeCosts", COSTS),
        )
    ]
    machine = MachineResults("bench", "0" * 40, {}, {}, log, sampled=True)
    return Evidence(pd.DataFrame(rows, dtype=object), [machine])
