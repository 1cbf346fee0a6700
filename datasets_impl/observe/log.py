"""A log of what surrounded each measurement: verified cache state, load, reasons for skipping.

asv keeps one number per sample. Everything else a reader needs to trust it is appended to the JSON
Lines file named by `DATASET_STUDY_OBSERVATIONS`, when a study sets it; a plain `asv run` does not.
"""

from __future__ import annotations

import json
import os
from typing import Any

LOG_VARIABLE = "DATASET_STUDY_OBSERVATIONS"
ROUND_VARIABLE = "DATASET_STUDY_ROUND"  # the study's number of the round, from 1
SPARSE = 3  # slow and steady benchmarks run in the first round and then in every third


def observe(record: dict[str, Any]) -> None:
    """Append one record as a single write, so that a killed run leaves no half line behind it."""
    path = os.environ.get(LOG_VARIABLE)
    if path:
        if os.environ.get(ROUND_VARIABLE):
            record = {**record, "round": int(os.environ[ROUND_VARIABLE])}
        line = json.dumps(record, sort_keys=True, default=str) + "\n"
        with open(path, "ab", buffering=0) as log:  # noqa: PTH123 - unbuffered append
            log.write(line.encode())
