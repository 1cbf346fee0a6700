"""A separate process leaves nothing behind: no slot, no file, no descriptor, no child."""

from __future__ import annotations

import contextlib
import gc
import random
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import Dataset

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.loader import ThreadedLoader
from tests.leftovers import left, present, shared, until
from tests.numbered import child_of
from tests.samples import every_method


class Cheap(Dataset[Any]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        if index == 13:
            raise ValueError(index)
        return torch.zeros(2**16, dtype=torch.uint8), index


def slots_of(process: psutil.Process) -> int:
    """Memory for batches that a process holds: it has no name, and a descriptor."""
    found = 0
    for file in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was the one to look through them by
            found += str(file.readlink()).startswith("/memfd:batches")
    return found


@every_method
def test_epochs_that_are_given_up_leave_no_slot(method: str) -> None:
    """Of early ends, errors, two at a time and batches that were kept for a while."""
    made: Any = ThreadedLoader(Cheap(), 2, start_method=method)
    before, kept = slots_of(psutil.Process()), []
    for epoch in range(24):
        batches, beside = iter(made), iter(made)
        with contextlib.suppress(ValueError):
            next(beside)
            for _, batch in zip(range(epoch % 9), batches, strict=False):
                kept.append(batch)
        del kept[12:]
    assert slots_of(child_of(made)) > 12, "while the trainer keeps batches"
    del batches, beside, batch, kept
    gc.collect()
    for _ in range(2):
        for _batch in zip(range(6), made, strict=False):
            pass
    most = 2 * (made.prefetch_factor + 2)  # those in use, and as many that are free
    assert 0 < slots_of(child_of(made)) <= most
    assert slots_of(psutil.Process()) - before <= most
    made.close()
    del _batch
    gc.collect()
    assert slots_of(psutil.Process()) == before


def test_a_hundred_epochs_leave_nothing() -> None:
    """Ended early, by an error, by a kill, and two at a time."""
    draw, me = random.Random(7), psutil.Process()
    made: Any = ThreadedLoader(Cheap(), 2)
    next(iter(made))
    gc.collect()
    since, files = time.time(), present()
    before, children = me.num_fds(), set(me.children(recursive=True))
    for epoch in range(100):
        batches = iter(made)
        stop = draw.randrange(9)
        try:
            if draw.random() < 0.1:
                next(iter(made))
            for _, _batch in zip(range(stop), batches, strict=False):
                if epoch % 20 == 19:
                    child_of(made).kill()
        except (ValueError, LoaderFailed):
            continue
    del batches, _batch, made
    gc.collect()
    assert me.num_fds() <= before and not set(me.children(recursive=True)) - children
    assert until(lambda: not shared(left(files, since)))
