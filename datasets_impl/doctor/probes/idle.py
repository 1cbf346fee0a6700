"""Workers of a stream that have nothing to give: there are fewer shards than workers."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, get_worker_info

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.loaders import LATE, initialised
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.loading import ending_workers
from datasets_impl.system.cores import cores

ROUNDS = 2  # samples of each worker
MOST = 16  # workers that are started


def idle(subject: Subject, seconds: float) -> dict[str, int]:
    """How many of the workers gave none, while others gave several; nothing where there was no time
    for that."""
    workers, until = min(subject.workers, MOST), clock.perf_counter() + seconds
    first = float(subject.answers.get("look", {}).get("first", 0.0))
    if workers < 2 or (first + ROUNDS * subject.cost) * workers / cores() > seconds:
        return {}
    loader: DataLoader[Any] = DataLoader(
        subject.dataset, batch_size=None, num_workers=workers, prefetch_factor=1,
        multiprocessing_context="fork", collate_fn=_worker, worker_init_fn=initialised(subject),
        timeout=LATE, persistent_workers=True,
    )  # fmt: skip
    gave = dict[int, int]()
    with ending_workers(loader):
        for worker in loader:
            gave[worker] = gave.get(worker, 0) + 1
            if max(gave.values()) > ROUNDS:  # they take turns: one that is left out has ended
                break
            if clock.perf_counter() > until:
                return {}
    return {"workers": workers, "idle": workers - len(gave)} if gave else {}


def _worker(_: Any) -> int:
    return get_worker_info().id  # type: ignore[union-attr]
