"""Remedies side by side with the user's own way, in rounds, on the same samples."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.loaders import (
    LEAST_BATCHES,
    Part,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.pictures import noting_sizes
from datasets_impl.doctor.probes.raised import RAISED, said_by, sentence
from datasets_impl.doctor.probes.randomness import may_change
from datasets_impl.doctor.probes.reads import seconds_of_items
from datasets_impl.doctor.probes.rereading import versions
from datasets_impl.doctor.probes.room import lacking, room
from datasets_impl.doctor.probes.stores import stores
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Remedy
from datasets_impl.doctor.remedies.table import REMEDIES
from datasets_impl.errors import StudyError
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.system.cores import cores

LEAST_ROUNDS, MOST_ROUNDS = 4, 9
WHOLE_UNTIL = 1.3  # times the time, for epochs that begin with a start of workers
LEAST_ROUND = 0.2  # seconds of one of them
URGENT = 3  # remedies for the cause that is named first
SLOW_WORKERS = 2  # for each core, that slow samples are read by at the same time
MAKING = 0.3  # share of the time in which remedies are made and compared with the user's way
SETTING_UP = 0.5  # share of the time in which arms are made and warmed up
LEAST_SAMPLES = 4  # that are looked at: fewer tell little of a batch
OWN, KEPT = "own", "persistent"


def tried(subject: Subject, seconds: float, most: float = 0.0) -> dict[str, Any]:
    """Microseconds per sample of the user's way and of each remedy, by round.

    What is tried is made for so many `seconds`, and may take `most`, where that is more.

    A remedy that fails is listed with the sentence that says why, and is left out of the rounds; so
    is one that there is no room for.
    """
    if subject.iterable or not subject.length:
        return {"iterable": True}
    begun, there, most = clock.perf_counter(), room(), max(seconds, most)
    # Every arm goes over the part once to warm up and once a round.
    chosen = part_of(subject, seconds / 60)
    if not chosen:
        return {"iterable": True}
    part, batch = _part(subject, chosen, seconds / 40)
    with noting_sizes() as sizes:
        samples = [part[i] for i in range(min(len(part), max(LEAST_SAMPLES, batch), 16))]
    collate, _ = collate_of(subject, samples)
    steady = all(len(set(seen)) <= 1 for _, seen in versions(subject, seconds / 30))
    with tempfile.TemporaryDirectory(prefix="stored-", ignore_cleanup_errors=True) as folder:
        at = Context(
            subject, part, samples, steady, may_change_of(subject), _usual(sizes.seen),
            subject.cost, collate, there, Path(folder),
        )  # fmt: skip
        late: list[str] = []
        # Where all that came before took its time too, the first of them are still made.
        until = max(begun + MAKING * most, clock.perf_counter() + MAKING * most / 2)
        arms, failed, inapplicable = _arms(at, until, late)
        first = at.found[:1]
        arms.sort(key=lambda arm: (arm.name != OWN, not _mends(arm, first)))
        for arm in arms:
            arm.changes = {"batch_size": max(1, batch // arm.divided)} | arm.changes
        urgent = {arm.name for arm in arms if _mends(arm, first)}
        blocks = _rounds(subject, arms, collate, begun, most, failed, late, urgent)
    return {
        "samples": len(part),
        "batch": batch,
        "inapplicable": inapplicable,
        "rounds": len(blocks.get(OWN, [])),
        "own": blocks.get(OWN, []),
        "failed": failed,
        "late": list(dict.fromkeys(late)),
        "room": there,
        "remedies": [
            {
                "name": arm.name, "title": arm.title, "lines": arm.lines, "claim": arm.claim,
                "cost": arm.cost, "caution": arm.caution, "once_seconds": arm.once_seconds,
                "needs": arm.needs, "workers": arm.workers, "whole": arm.whole,
                "mends": list(arm.mends), "blocks": blocks[arm.name],
                "beside": blocks[f"beside-{arm.name}" if arm.whole else OWN],
            }
            for arm in arms[1:] if blocks.get(arm.name)
        ],
    }  # fmt: skip


def _arms(
    at: Context, until: float, late: list[str]
) -> tuple[list[Remedy], dict[str, str], list[str]]:
    """The user's way first; what failed, by name; sentences on what was left out. What there is no
    time to make is added to `late`."""
    arms = [Remedy(OWN, "as it is", "", at.part, at.subject.workers)]
    failed: dict[str, str] = {}
    left_out: list[str] = []
    for make in REMEDIES:
        if clock.perf_counter() > until:
            late.append(make.__name__.replace("_", " "))
            continue
        try:
            made = make(at)
        except Inapplicable as reason:
            left_out.append(str(reason))
        except RAISED as error:
            failed[make.__name__] = said_by(error)
        else:
            why = [lacking(one.title, one.needs, at.room) for one in made]
            arms += [one for one, without in zip(made, why, strict=True) if not without]
            left_out += filter(None, why)
    return arms, failed, list(dict.fromkeys(left_out))


def _mends(arm: Remedy, first: list[str]) -> bool:
    """Whether it takes away the cause that is named first."""
    return any(name in arm.mends for name in first)


def _part(subject: Subject, chosen: list[int], seconds: float) -> tuple[Part, int]:
    """What an epoch of a trial goes over, in about `seconds`, and the size of its batches.

    Whole batches of slow samples do not fit in, so these are smaller: with less than a batch for
    each of them, workers could not show what they give. Where samples are quick and only handing
    them over takes long, there are fewer batches, of the user's size: what a batch costs to hand
    over does not fall with its samples, and what is saved there would look small.
    """
    batch = trial_batch_of(subject, 2 * cores()) or 1
    subject.cost = subject.cost or sum(seconds_of_items(subject, chosen)) / len(chosen)
    count = max(len(chosen), min(LEAST_BATCHES * batch, 8 * len(chosen)))
    fit = int(seconds / max(1e-9, subject.cost + subject.handing))
    if subject.cost * count <= seconds:
        batches = max(fit // batch, subject.workers, 1)
        return Part(subject, chosen, min(count, batches * batch)), batch
    each = max(subject.workers, SLOW_WORKERS * cores())
    count = max(each, fit)
    return Part(subject, chosen, count), max(1, min(batch, count // (2 * each)))


def may_change_of(subject: Subject) -> str:
    """Why samples may differ from read to read, by the code that makes them."""
    for path, value, _ in parts(subject.dataset):
        if why := may_change(path.rpartition(".")[2], value):
            return why
    return ""


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
    urgent: set[str],
) -> dict[str, list[float]]:
    """Microseconds per sample, by arm and round; the arms take turns inside a round.

    Arms that there is no time for are added to `late`, those that raise to `failed`. The first few
    that are `urgent` are set up though fewer rounds come of it.
    """
    blocks: dict[str, list[float]] = {}
    until = begun + WHOLE_UNTIL * seconds
    for arm in arms:
        if arm.whole and arm.name in urgent:
            _try_whole(subject, arm, collate, blocks, until, late)
    with ExitStack() as stack:
        running: list[tuple[str, Any, int]] = []
        once = 0.0  # seconds of a round
        for arm in arms:
            if arm.name in blocks:
                continue
            spent = clock.perf_counter() - begun
            more = arm.name in urgent and len(running) <= URGENT
            ends, rounds = (0.9, 2) if more else (SETTING_UP, LEAST_ROUNDS)
            if running and (spent > ends * seconds or spent + rounds * once > seconds):
                late.append(arm.title)
                continue
            if arm.whole:
                continue
            try:
                loader = stack.enter_context(_loader_of(subject, arm, collate))
                warm = consume(loader)
                if arm.workers or arm.threads:  # the first pass holds the start of its workers
                    warm = consume(loader)
                once += warm
                running.append((arm.name, loader, len(arm.dataset)))  # type: ignore[arg-type]
            except RAISED as error:
                failed[arm.name] = sentence(error)
        if not running or running[0][0] != OWN:
            raise StudyError(failed.get(OWN, "the dataset could not be loaded"))
        for number in range(MOST_ROUNDS):
            spent = clock.perf_counter() - begun
            if spent > (0.8 if number >= LEAST_ROUNDS else 1.2) * seconds:
                break
            for name, loader, count in running:
                blocks.setdefault(name, []).append(1e6 * consume(loader) / count)
    for arm in arms:
        if arm.whole and arm.name not in blocks:
            _try_whole(subject, arm, collate, blocks, begun + seconds, late)
    return blocks


def _try_whole(
    subject: Subject, arm: Remedy, collate: Any, blocks: dict[str, list[float]], until: float,
    late: list[str],
) -> None:  # fmt: skip
    if arm.title not in late and not _whole(subject, arm, collate, blocks, until):
        late.append(arm.title)


def _loader_of(subject: Subject, arm: Remedy, collate: Any) -> AbstractContextManager[Any]:
    if not arm.threads:
        return opened(subject, arm.dataset, arm.workers, arm.collate or collate, **arm.changes)
    ahead = max(2, -(-arm.changes["threads"] // arm.changes["batch_size"]))  # work for all of them
    made: Any = ThreadedLoader(
        arm.dataset, collate_fn=arm.collate or collate, where=arm.threads,
        start_method="fork" if arm.threads == "process" else None, prefetch_factor=ahead,
        **arm.changes,
    )  # fmt: skip
    return nullcontext(made)


def _whole(
    subject: Subject, arm: Remedy, collate: Any, blocks: dict[str, list[float]], until: float
) -> bool:
    """An epoch with workers that are started for it, and one as the remedy has it: workers that
    stay, or that start in another way. False where there was no time for two rounds.

    The first finds no cache filled: what was read here before, workers would not have.
    """
    _empty_caches(subject)
    count = len(arm.dataset)  # type: ignore[arg-type]
    with ExitStack() as stack:
        kept, first, taken = None, 0.0, 0.0
        if arm.name == KEPT:  # whose first epoch is one with workers that are started for it
            begun = clock.perf_counter()
            kept = stack.enter_context(opened(subject, arm.dataset, arm.workers, collate))
            consume(kept)
            first = taken = clock.perf_counter() - begun
        for number in range(MOST_ROUNDS):
            _empty_caches(subject)
            begun = clock.perf_counter()
            starts = 2 if number == 0 and not kept else 1
            if begun + max(taken, LEAST_ROUND) * starts > until:
                break
            own = first if number == 0 and kept else _fresh(subject, arm, collate, {})
            other = consume(kept) if kept else _fresh(subject, arm, collate, arm.changes)
            blocks.setdefault(f"beside-{arm.name}", []).append(1e6 * own / count)
            blocks.setdefault(arm.name, []).append(1e6 * other / count)
            taken = max(first, clock.perf_counter() - begun)
    if len(blocks.get(arm.name, [])) < 2:
        blocks.pop(arm.name, None)
        return False
    return True


def _empty_caches(subject: Subject) -> None:
    """Those that reading has filled, and that were empty when the dataset was made."""
    filled = {path for path, *_ in subject.answers.get("integrity", {}).get("caches", [])}
    for store in stores(subject) if filled else []:
        if store.path in filled and subject.stores.get(store.path) == 0:
            store.clear()


def _fresh(subject: Subject, arm: Remedy, collate: Any, changes: dict[str, Any]) -> float:
    """Seconds of an epoch, from before its workers start."""
    batch = {"batch_size": arm.changes["batch_size"]}
    begun = clock.perf_counter()
    with opened(subject, arm.dataset, arm.workers, collate, False, **batch | changes) as loader:
        consume(loader)
        return clock.perf_counter() - begun
