"""Loaded by the workers of a Dask cluster: each shard leaves a line when it is begun and when it is
made, and waits in between while there is a file that says how many may begin."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from datasets_impl.formats import shards

FILE, HELD = "SHARDS_BEGUN", "SHARDS_HELD"
real = shards.convert_plan


def counted(plan: Any, form: Any, path: Path, **more: Any) -> Path:
    _say("begun")
    while _is_held():
        time.sleep(0.01)
    made = real(plan, form, path, **more)
    _say("made")
    return made


def _is_held() -> bool:
    """Whether as many shards have begun as the file says that are to begin, while it is there."""
    try:
        most = int(Path(os.environ[HELD]).read_text())
    except FileNotFoundError:
        return False
    return Path(os.environ[FILE]).read_text().count("begun") >= most


def _say(what: str) -> None:
    with open(os.environ[FILE], "a") as file:  # noqa: PTH123
        file.write(f"{what} {os.getpid()}\n")


def dask_setup(worker: Any) -> None:
    """Called by a worker that this module is a preload of."""
    shards.convert_plan = counted
