"""What every worker that is not forked is sent."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED, said_by
from datasets_impl.doctor.probes.target import Subject


class _Counted:
    """A file that keeps nothing: there may be no room for a second copy of a dataset."""

    nbytes = 0

    def write(self, data: Any) -> int:
        self.nbytes += memoryview(data).nbytes
        return memoryview(data).nbytes


def pickled(subject: Subject, seconds: float) -> dict[str, Any]:
    """Bytes and seconds of what every worker that is not forked is sent; what refuses to be."""
    refused: list[list[str]] = []
    begun, size = clock.perf_counter(), 0
    try:
        counted = _Counted()
        pickle.dump(subject.dataset, counted, pickle.HIGHEST_PROTOCOL)
        size = counted.nbytes
    except RAISED as error:
        refused.append(["the dataset", said_by(error)])
    taken = clock.perf_counter() - begun
    for name in ("collate_fn", "worker_init_fn"):
        try:
            ForkingPickler.dumps(getattr(subject.loader, name, None))
        except RAISED as error:
            refused.append([name, said_by(error)])
    return {"bytes": size, "seconds": taken, "refused": refused}
