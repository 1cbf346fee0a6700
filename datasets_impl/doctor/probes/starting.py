"""What comes before the first batch: making the dataset and its loader, and the sampler's start."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.target import Subject


def starting(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds until the sampler gives its first index, and of making everything once more, with
    the samples that this reads. A first time may have built files that are there now."""
    found: dict[str, Any] = {"made": subject.made_seconds}
    loader = subject.loader
    if loader is not None and not subject.iterable and loader.batch_sampler is not None:
        begun = clock.perf_counter()
        with contextlib.suppress(*RAISED):
            next(iter(loader.batch_sampler), None)
            found["sampler"] = clock.perf_counter() - begun
            found["batches"] = len(loader.batch_sampler)  # type: ignore[arg-type]
            found["batch"] = int(getattr(loader.batch_sampler, "batch_size", 1) or 1)
        found["kind"] = type(loader.sampler).__name__
    if subject.make is None or not seconds / 20 < subject.made_seconds < 2 * seconds:
        return found
    reads = 0
    method = getattr(type(subject.dataset), "__getitem__", None)
    code = getattr(method, "__code__", None)

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal reads
        reads += event == "call" and frame.f_code is code

    begun = clock.perf_counter()
    sys.setprofile(count)
    try:
        with contextlib.suppress(*RAISED):
            subject.make()
    finally:
        sys.setprofile(None)
    again = clock.perf_counter() - begun
    return found | {"again": min(again, subject.made_seconds), "reads": reads}
