"""Loaded by the workers of a Dask cluster: each shard leaves a line when it is begun and when it is
made, and takes a moment longer, so that there is time to kill somebody."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from datasets_impl.formats import shards

FILE, PAUSE = "SHARDS_BEGUN", "SHARDS_PAUSE"
real = shards.convert_plan


def counted(plan: Any, form: Any, path: Path, **more: Any) -> Path:
    _say("begun")
    time.sleep(float(os.environ[PAUSE]))
    made = real(plan, form, path, **more)
    _say("made")
    return made


def _say(what: str) -> None:
    with open(os.environ[FILE], "a") as file:  # noqa: PTH123
        file.write(f"{what} {os.getpid()}\n")


def dask_setup(worker: Any) -> None:
    """Called by a worker that this module is a preload of."""
    shards.convert_plan = counted
