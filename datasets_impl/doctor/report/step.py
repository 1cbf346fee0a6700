"""Loading beside a training step: how long a trainer waits, and how many workers it asks for."""

from __future__ import annotations

from itertools import pairwise

from datasets_impl.doctor.report.model import Step, Tried

IDLE = 0.05  # share of the time that a trainer may wait and its loader still be fine


def step_of(
    us: float | None,
    batch_size: int | None,
    step_ms: float | None,
    workers: int,
    remedies: list[Tried],
    cores: int,
) -> Step | None:
    """None where no step is given, or it is not known what a sample takes with these workers."""
    if step_ms is None or us is None:
        return None
    batch_ms = us * (batch_size or 1) / 1e3
    waits = _waits(batch_ms, step_ms, workers)
    best = next((one for one in remedies if one.recommended), None)
    enough, tried = _enough_workers(batch_ms, step_ms, workers, remedies, cores)
    return Step(
        step_ms=step_ms, batch_ms=batch_ms, workers=workers, batch_size=batch_size or 1,
        waits=waits, fine=waits <= IDLE, remedy=best.title if best else "",
        waits_then=_waits(batch_ms / best.gain, step_ms, best.workers) if best else None,
        enough_workers=enough, tried_workers=tried,
    )  # fmt: skip


def unsaid(workers: int) -> str:
    """Why there is no step, though one was given."""
    with_them = f" with {workers} worker{'s' if workers > 1 else ''}" if workers else ""
    return f"How long a trainer waits is not said: no batch was timed{with_them}."


def _enough_workers(
    batch_ms: float, step_ms: float, workers: int, remedies: list[Tried], cores: int
) -> tuple[int | None, list[int]]:
    """The fewest workers that keep the step fed, and the numbers that were measured; None where
    none does.

    Between two numbers that were measured, batches a second lie on a line from one to the other;
    below the fewest, and above the most as far as there are cores, each worker gives what those
    gave.
    """
    measured = {workers: batch_ms}
    for one in remedies:
        if one.name.startswith("workers-") and not one.noisy:
            measured[one.workers] = batch_ms / one.gain
    tried = sorted(measured)
    rates = {0: 0.0} | {many: 1 / measured[many] for many in tried if many}
    most = max(rates)
    if most and most < cores:
        rates[cores] = rates[most] * cores / most
    if 0 in measured and _waits(measured[0], step_ms, 0) <= IDLE:
        return 0, tried
    for (few, slow), (many, fast) in pairwise(sorted(rates.items())):
        for count in range(few + 1, many + 1):
            rate = slow + (fast - slow) * (count - few) / (many - few)
            if rate > 0 and _waits(1 / rate, step_ms, count) <= IDLE:
                return count, tried
    return None, tried


def _waits(batch_ms: float, step_ms: float, workers: int) -> float:
    """Workers load while the trainer steps, and make it wait for what they lack; without them
    loading and stepping take turns."""
    if workers:
        return max(0.0, batch_ms - step_ms) / max(batch_ms, step_ms)
    return batch_ms / (batch_ms + step_ms)
