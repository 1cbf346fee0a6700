"""Remedies side by side with the user's own way, in rounds, on the same samples."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from datasets_impl.doctor.loaders import (
    LEAST_BATCHES,
    Part,
    batch_size_of,
    collate_of,
    consume,
    opened,
)
from datasets_impl.doctor.loading import part_of
from datasets_impl.doctor.pictures import noting_sizes
from datasets_impl.doctor.probes import AGAIN, fingerprint, seconds_of_items
from datasets_impl.doctor.remedies import REMEDIES, Context, Remedy
from datasets_impl.doctor.target import Subject

LEAST_ROUNDS, MOST_ROUNDS = 4, 9
EPOCHS_WHOLE = 2  # where the start of workers is a part of what is tried
SETTING_UP = 0.45  # share of the time in which arms are made and warmed up
OWN = "own"


def tried(subject: Subject, seconds: float) -> dict[str, Any]:
    """Microseconds per sample of the user's way and of each remedy, by round.

    A remedy that fails is listed with the sentence that says why, and is left out of the rounds.
    """
    if subject.iterable or not subject.length:
        return {"iterable": True}
    begun = time.perf_counter()
    # Every arm goes over the part once to warm up and once a round.
    chosen = part_of(subject, seconds / 60)
    if not chosen:
        return {"iterable": True}
    batch = batch_size_of(subject) or 1
    part = Part(subject, chosen, max(len(chosen), min(LEAST_BATCHES * batch, 8 * len(chosen))))
    cost = sum(seconds_of_items(subject, chosen)) / len(chosen)
    if cost * len(part) > seconds / 40:  # slow samples: whole batches of them do not fit in
        part = Part(subject, chosen)
    with noting_sizes() as sizes:
        samples = [part[i] for i in range(min(len(part), batch_size_of(subject) or 1, 16))]
    collate, _ = collate_of(subject, samples)
    at = Context(subject, part, samples, _steady(part), _usual(sizes.seen), cost, collate)
    own = Remedy(OWN, "as it is", "", part, subject.workers)
    arms, failed = [own], {}
    for make in REMEDIES:
        try:
            arms += make(at)
        except Exception as error:
            failed[make.__name__] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    late: list[str] = []
    blocks = _rounds(subject, arms, collate, begun, seconds, failed, late)
    return {
        "samples": len(part),
        "rounds": len(blocks.get(OWN, [])),
        "own": blocks.get(OWN, []),
        "failed": failed,
        "late": late,
        "remedies": [
            {
                "name": arm.name, "title": arm.title, "lines": arm.lines, "claim": arm.claim,
                "cost": arm.cost, "caution": arm.caution, "once_seconds": arm.once_seconds,
                "workers": arm.workers, "whole": arm.whole,
                "blocks": blocks[arm.name], "beside": blocks["own-whole" if arm.whole else OWN],
            }
            for arm in arms[1:] if blocks.get(arm.name)
        ],
    }  # fmt: skip


def _steady(part: Part) -> bool:
    """Whether one sample is the same each time it is read."""
    return len({fingerprint(part[0]) for _ in range(AGAIN)}) == 1


def _usual(seen: list[tuple[int, int, str]]) -> tuple[int, int, str] | None:
    """The middle one by area of the pictures that were decoded."""
    return sorted(seen, key=lambda one: one[0] * one[1])[len(seen) // 2] if seen else None


def _rounds(
    subject: Subject,
    arms: list[Remedy],
    collate: Any,
    begun: float,
    seconds: float,
    failed: dict[str, str],
    late: list[str],
) -> dict[str, list[float]]:
    """Microseconds per sample, by arm and round; the arms take turns inside a round.

    Arms that there is no time for are added to `late`, those that raise to `failed`.
    """
    blocks: dict[str, list[float]] = {}
    with ExitStack() as stack:
        running: list[tuple[str, Any, int]] = []
        once = 0.0  # seconds of a round
        for arm in arms:
            spent = time.perf_counter() - begun
            if running and (spent > SETTING_UP * seconds or spent + LEAST_ROUNDS * once > seconds):
                late.append(arm.title)
                continue
            if arm.whole:
                continue
            try:
                loader = stack.enter_context(
                    opened(subject, arm.dataset, arm.workers, arm.collate or collate, **arm.changes)
                )
                warm = consume(loader)
                if arm.workers:  # the first pass holds the start of its workers
                    warm = consume(loader)
                once += warm
                running.append((arm.name, loader, len(arm.dataset)))  # type: ignore[arg-type]
            except Exception as error:
                failed[arm.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not running or running[0][0] != OWN:
            raise RuntimeError(failed.get(OWN, "the dataset could not be loaded"))
        for number in range(MOST_ROUNDS):
            spent = time.perf_counter() - begun
            if spent > (0.8 if number >= LEAST_ROUNDS else 1.2) * seconds:
                break
            for name, loader, count in running:
                blocks.setdefault(name, []).append(1e6 * consume(loader) / count)
    for arm in arms:
        if arm.whole and arm.title not in late:
            _whole(subject, arm, collate, blocks, begun + seconds)
    return blocks


def _whole(
    subject: Subject, arm: Remedy, collate: Any, blocks: dict[str, list[float]], until: float
) -> None:
    """Two epochs with the start of their workers, as the user has it and kept."""
    for _ in range(LEAST_ROUNDS):
        if time.perf_counter() > until:
            break
        for name, persistent in (("own-whole", False), (arm.name, True)):
            count = EPOCHS_WHOLE * len(arm.dataset)  # type: ignore[arg-type]
            begun = time.perf_counter()
            with opened(subject, arm.dataset, arm.workers, collate, persistent) as loader:
                for _ in range(EPOCHS_WHOLE):
                    consume(loader)
            blocks.setdefault(name, []).append(1e6 * (time.perf_counter() - begun) / count)
