"""Batches held back, so that a loop sees what training without loading would be.

Some batches are fetched ahead of time and given to the trainer one straight after the other. They
are the same batches in the same order, so training does not change; the loader rests meanwhile.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from datasets_impl.doctor.probes import clock

BLOCK = 8  # steps in a row with the loader at rest, and as many before them as usual
APART = 32  # steps from one block to the next: what the loader had ready by then is used up
SETTLE = APART - BLOCK  # steps after a block that the batches waiting then may speed up
BLOCKS = 10  # in all; every third one looks at the GIL, and is not timed
LEAST_BLOCK = 3  # fewer batches than these are no block
MOST_BYTES = 1 << 28  # of held batches, and no more than a tenth of what is free
SHARED = Path("/dev/shm")  # noqa: S108
REST = 0.05  # seconds in which a loader at rest uses less than a fifth of a core
PATIENCE = 1.0  # seconds to wait for that


def due(step: int, blocks: int) -> bool:
    """Whether a block of held batches comes before this step, counted over epochs from 0."""
    return blocks < BLOCKS and step >= APART and step % APART == 0


def starts_window(step: int, blocks: int) -> bool:
    """Whether the usual steps to compare with begin here."""
    return due(step + BLOCK, blocks)


def looks_at_gil(block: int) -> bool:
    return block % 3 == 1


def how_many(batch_bytes: int) -> int:
    """How many batches may be held at once; 0 where memory does not allow a block."""
    room = min(MOST_BYTES, psutil.virtual_memory().available // 10)
    if SHARED.exists():  # where workers put them
        room = min(room, psutil.disk_usage(str(SHARED)).free // 2)
    many = BLOCK if batch_bytes == 0 else min(BLOCK, room // batch_bytes)
    return many if many >= LEAST_BLOCK else 0


def why_not(loader: Any, asked: bool) -> str:
    """Why no batch of this loader may be fetched before its step; "" where it may.

    Args:
        asked: the user has asked for it, and so knows that a batch may be lost at a break.
    """
    if getattr(loader, "overwrite", False):
        return "The loader overwrites its batches, so none can be held back."
    if asked:
        return ""
    if isinstance(loader, Iterator):
        return (
            "An iterator gives each batch once, so none was fetched before its step; free=True "
            "does, and loses up to 8 batches if the loop breaks."
        )
    if hasattr(loader, "state_dict"):
        return (
            "The loader can be saved in mid-epoch (state_dict), so no batch was fetched before "
            "its step; free=True does, for runs that are not resumed."
        )
    if not (is_torch_loader(loader) and loader.num_workers):
        return (
            "Without workers a batch may depend on the step before it (random numbers, a sampler, "
            "memory that is used again), so none was fetched before its step; free=True does."
        )
    return ""


def is_torch_loader(loader: Any) -> bool:
    """Whether it is PyTorch's `DataLoader`, whose workers make batches before they are asked for,
    each in memory of its own."""
    utils = sys.modules.get("torch.utils.data")
    return utils is not None and isinstance(loader, utils.DataLoader)


def fetched(batches: Iterator[Any], many: int) -> tuple[list[Any], BaseException | None]:
    """Up to `many` batches, fewer where the epoch ends; and the error that ended it, if one did."""
    found: list[Any] = []
    try:
        found.extend(itertools.islice(batches, many))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also the end of the program, if the loader asks for it
        return found, error
    return found, None


def wait_for_rest() -> bool:
    """Until the loader has filled up what it fetches ahead; whether it came to rest in time."""
    used = _cpu_seconds()
    for _ in range(round(PATIENCE / REST)):
        clock.sleep(REST)
        before, used = used, _cpu_seconds()
        if used - before < REST / 5:
            return True
    return False


def on_cuda() -> bool:
    """Whether this program uses a CUDA device, which does what it was asked for later."""
    torch = sys.modules.get("torch")
    return bool(torch and torch.cuda.is_available() and torch.cuda.is_initialized())


def synchronize() -> None:
    """Until the CUDA device has done what was asked of it, where one is in use."""
    if on_cuda():
        sys.modules["torch"].cuda.synchronize()


def _cpu_seconds() -> float:
    """Of this process and all that descend from it and live."""
    process = psutil.Process()
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total
