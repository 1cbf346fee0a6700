"""Loaded by the workers of a Dask cluster: each shard that is made leaves a line, and takes a
moment longer, so that there is time to kill somebody."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from datasets_impl.formats import shards

FILE, PAUSE = "SHARDS_BEGUN", "SHARDS_PAUSE"
real = shards.convert_plan


def counted(plan: Any, form: Any, path: Path, **more: Any) -> Path:
    with open(os.environ[FILE], "a") as file:  # noqa: PTH123
        file.write(f"{path.name}\n")
    time.sleep(float(os.environ[PAUSE]))
    return real(plan, form, path, **more)


def dask_setup(worker: Any) -> None:
    """Called by a worker that this module is a preload of."""
    shards.convert_plan = counted
