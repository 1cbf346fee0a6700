"""Trainers that use the machine as real ones do, so that a loader is judged beside them (X10, X11).

A trainer's step is a number of units of its work. How many fill a step of so many milliseconds is
found once a study, in a process of its own, so that every loader has the same work beside it, and
again where a step proves shorter than was asked. The step is timed alone and beside the loader; the
ratio is its slow-down.

    python -m datasets_impl.experiments.trainers NAME    # prints microseconds a unit
"""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import cache_dir
from datasets_impl.files.records import is_record
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.observe.log import LOG_VARIABLE
from datasets_impl.system.cores import cores

SIDE = 256  # of the multiplied matrices, float32
ELEMENTS = 64  # of the tensor of a small operation
BURSTS, BURST_SECONDS = 9, 0.02  # to find what a unit takes; the fastest is the least disturbed
OFF = 0.15  # of a step, by which it may be shorter than was asked


def wait(units: int) -> None:
    """Sleep for so many microseconds, as while a GPU computes; the GIL is free."""
    deadline = time.perf_counter() + units / 1e6
    while (left := deadline - time.perf_counter()) > 0:
        time.sleep(left)


def keep_books(units: int) -> None:
    """Add up numbers by name in pure Python, as metrics and callbacks do; holds the GIL."""
    sums: dict[int, float] = {}
    for number in range(units):
        sums[number & 255] = sums.get(number & 255, 0.0) + number


def launch(units: int) -> None:
    """Small operations of PyTorch, each of which takes and gives back the GIL."""
    numbers = torch.zeros(ELEMENTS)
    for _ in range(units):
        numbers.add_(1.0)


def multiply(units: int) -> None:
    """Matrix products on the CPU, with PyTorch's threads; the GIL is free meanwhile."""
    matrix, product = _matrices()
    for _ in range(units):
        torch.mm(matrix, matrix, out=product)


@functools.cache
def _matrices() -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.rand(SIDE, SIDE)
    return made, torch.empty_like(made)


@dataclass(frozen=True)
class Trainer:
    """`work(units)` is its step; `threads` are PyTorch's in its process, for operations on the CPU.

    A trainer that computes leaves half of the cores to the loader; the others hardly use theirs.
    """

    name: str
    work: Callable[[int], None]
    threads: int
    about: str

    def units(self, milliseconds: float) -> int:
        """How many fill a step of so many milliseconds, alone on this machine.

        Raises:
            StudyError: it cannot be found out.
        """
        return max(1, round(1e3 * milliseconds / us_per_unit(self)))

    def verified_units(self, milliseconds: float) -> int:
        """The same, once a step of so many is seen to last so long in this process.

        Whatever disturbs a timing makes a unit seem longer, and the steps made of it too short. A
        step that is too long was disturbed itself.

        Raises:
            StudyError: it cannot be found out.
        """
        units = self.units(milliseconds)
        if self.work is wait or 1e3 * fastest(self.work, units) >= (1 - OFF) * milliseconds:
            return units
        us_per_unit(self, anew=True)
        return self.units(milliseconds)


_ROWS = (
    Trainer("waiting", wait, cores(), "a GPU computes"),
    Trainer("bookkeeping", keep_books, cores(), "Python that holds the GIL"),
    Trainer("launching", launch, cores(), "many small operations"),
    Trainer("computing", multiply, max(1, cores() // 2), "matrix products on the CPU"),
)
TRAINERS: dict[str, Trainer] = {row.name: row for row in _ROWS}


def us_per_unit(trainer: Trainer, anew: bool = False) -> float:
    """Microseconds that a unit takes alone, found in a process of its own and kept in the cache.

    Of what is found `anew` in the same study and what was known, the shorter time is kept.

    Raises:
        StudyError: that process failed.
    """
    if trainer.work is wait:
        return 1.0
    key = [trainer.name, trainer.threads, torch.__version__, sys.version, platform.node()]
    key.append(os.environ.get(LOG_VARIABLE, ""))  # each run of a study has a log of its own
    path, kept = cache_dir() / "trainers" / f"{trainer.name}.json", math.inf
    try:
        known = json.loads(path.read_text())
        kept = float(known["us"]) if known["key"] == key else kept
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if kept < math.inf and not anew:
        return kept
    check_replaceable(path, _is_ours, what="what a unit of a trainer takes")
    asked = [sys.executable, "-m", __name__, trainer.name]
    answer = subprocess.run(asked, capture_output=True, text=True)
    if answer.returncode:
        raise StudyError(f"The trainer {trainer.name} cannot be timed: {answer.stderr.strip()}.")
    us = min(kept, float(answer.stdout))
    atomic_write(path, json.dumps({"key": key, "us": us}))
    return us


def _is_ours(path: Path) -> bool:
    return is_record(path, "key", "us")


def seconds_of(work: Callable[[int], None], units: int) -> float:
    """Seconds that so many units take."""
    begun = time.perf_counter()
    work(units)
    return time.perf_counter() - begun


def fastest(work: Callable[[int], None], units: int) -> float:
    """Seconds of the fastest of several times."""
    return min(seconds_of(work, units) for _ in range(BURSTS))


def timed_unit(trainer: Trainer) -> float:
    """Microseconds a unit takes in this process."""
    torch.set_num_threads(trainer.threads)
    units = 1
    while seconds_of(trainer.work, units) < BURST_SECONDS:
        units *= 2
    return 1e6 * fastest(trainer.work, units) / units


if __name__ == "__main__":
    print(timed_unit(TRAINERS[sys.argv[1]]))
