"""Samples that are read again and again, in one process and in workers."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, get_worker_info

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import attribute, told_epoch
from datasets_impl.doctor.probes.idle import idle
from datasets_impl.doctor.probes.loaders import initialised, trial_batch_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import LOOKED_AT, indices
from datasets_impl.doctor.probes.samples import fingerprint, leaves
from datasets_impl.doctor.probes.seeding import seeded
from datasets_impl.doctor.probes.splitting import split_late
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.worker_seeds import seed_of_workers

AGAIN = 8  # reads of one index; in each of two workers twice as many
OTHERS = 4  # reads of other indices, to see a random transform that seldom does something
EQUAL = ("workers_equal", "epochs_equal")
CHANCE = 0.01  # that two epochs are equal; it is tried twice
MOST = 4096  # samples of a stream
SHARED = 0.9  # of the samples of one worker, that the other gives as well


def versions(subject: Subject, seconds: float) -> Iterator[tuple[int, list[str]]]:
    """Indices and the fingerprints of some reads of each, as many as there is time for."""
    until = clock.perf_counter() + seconds
    for number, index in enumerate(indices(subject, LOOKED_AT)):
        seen: list[str] = []
        with contextlib.suppress(*RAISED):  # broken samples are told elsewhere
            while len(seen) < (OTHERS if number else AGAIN):
                seen.append(fingerprint(subject.read(index)))
                if len(seen) > 1 and clock.perf_counter() > until:
                    break
        yield index, seen
        if clock.perf_counter() > until:
            break


def repeated(subject: Subject, seconds: float) -> dict[str, Any]:
    """Is a sample the same each time, and in two workers? Can it be written to, and stays so?
    Of a stream: do two workers give the same, or do the same work?"""
    if subject.iterable:
        if subject.workers < 2 or subject.workers_hang:
            return {}
        until = clock.perf_counter() + seconds
        if order := _all_from_each(subject, seconds / 3):
            return {"all_from_each": True, "order": order}
        with contextlib.suppress(*RAISED):
            found = {"idle": idle(subject, (until - clock.perf_counter()) / 2)}
            return found | {"split": split_late(subject, until - clock.perf_counter())}
        return {}
    some = indices(subject, LOOKED_AT)
    if not some:
        return {}
    varied, reads, samples = None, 0, 0
    for index, seen in versions(subject, seconds / 2):
        reads, samples = reads + len(seen), samples + 1
        if len(set(seen)) > 1:
            varied = index
            break
    equal = dict.fromkeys(EQUAL, False)
    if varied is not None and not subject.workers_hang:
        equal |= drawn(subject, seconds / 3, varied)
    same = varied is None and not changes_with_epoch(subject, some[0])
    return {
        "distinct": 1 if same else 2,
        "seeded": seeded(subject, seconds / 3) if same else {},
        "reads": reads,
        "samples": samples,
        "varied": varied,
        **equal,
        "worker_seed": seed_of_workers(subject, equal[EQUAL[1]]) if any(equal.values()) else {},
        "shared": _lent(subject, some[0]),
    }


def _all_from_each(subject: Subject, seconds: float) -> str:
    """In which order two workers give the same samples, where each should give a part of them:
    "" where they do not.

    Another order is known by an epoch that comes to its end, and whose samples are seldom equal.
    """
    until, given, ended = clock.perf_counter() + seconds, ([], []), False  # type: ignore[var-annotated]
    loader = DataLoader(
        subject.dataset, batch_size=None, num_workers=2, multiprocessing_context="fork",
        collate_fn=_of_worker, worker_init_fn=initialised(subject),
    )  # fmt: skip
    arriving = iter(loader)
    for number, (worker, print_) in enumerate(arriving, 1):
        given[worker].append(print_)
        if number == 2 * AGAIN and given[0] == given[1] and len(set(given[0])) > 1:
            break
        if number >= 2 * AGAIN and (number >= MOST or clock.perf_counter() > until):
            break
    else:
        ended = True
    arriving._shutdown_workers()  # type: ignore[attr-defined]
    one, other = given
    if one == other and len(set(one)) > 1:
        return "the same order"
    both = (Counter(one) & Counter(other)).total()
    differ = 2 * len(set(one)) > len(one) > 1
    return "another order" if ended and differ and both >= SHARED * len(max(given, key=len)) else ""


def _of_worker(sample: Any) -> tuple[int, str]:
    return get_worker_info().id, fingerprint(sample)  # type: ignore[union-attr]


def changes_with_epoch(subject: Subject, index: int) -> bool:
    """Whether another epoch gives another sample, of a dataset that is told its epoch, or holds
    what is told: what it draws may depend on that alone."""
    told = list(told_epoch(subject.dataset))
    seen = []
    for epoch in (0, 1) if told else ():
        for one in told:
            one.set_epoch(epoch)
        seen.append(fingerprint(subject.read(index)))
    return len(set(seen)) > 1


def drawn(subject: Subject, seconds: float, index: int) -> dict[str, bool]:
    """Whether two workers read the same versions of one sample, one after the other; else whether
    they read the same in another epoch, for which they are started anew."""
    count = int(min(2 * AGAIN, max(2, seconds / max(1e-6, subject.cost))))
    key = subject.keys[index] if subject.keys else index
    loader = DataLoader(
        subject.dataset, batch_size=None, sampler=[key] * 2 * count, num_workers=2,
        multiprocessing_context="fork", collate_fn=fingerprint,
        worker_init_fn=initialised(subject),
    )  # fmt: skip
    seen = list(loader)  # taken in turns from one worker and the other
    found = dict.fromkeys(EQUAL, False)
    found[EQUAL[0]] = len(set(seen)) > 1 and seen[::2] == seen[1::2]
    restarted = subject.loader is None or (
        subject.workers > 0 and not subject.settings.get("persistent_workers")
    )
    by_chance = sum((times / len(seen)) ** 2 for times in Counter(seen).values()) ** len(seen)
    if restarted and not found[EQUAL[0]] and by_chance < CHANCE:
        set_epoch = attribute(subject.dataset, "set_epoch")
        if callable(set_epoch):
            set_epoch(1)
        found[EQUAL[1]] = list(loader) == seen
    return found


def _lent(subject: Subject, index: int) -> list[str]:
    """What a trainer gets that is the same writable memory as a later read of the sample."""
    one, other = subject.read(index), subject.read(index)
    if subject.loader is None:
        return shared_memory(one, other)
    if subject.workers:  # what a worker sends is a copy
        return []
    batched = subject.loader.batch_size is not None or subject.loader.batch_sampler is not None
    try:
        made = subject.loader.collate_fn([one] * (trial_batch_of(subject) or 1) if batched else one)
    except RAISED:  # said elsewhere: they cannot be collated
        return []
    return shared_memory(made, other)


def shared_memory(given: Any, later: Any) -> list[str]:
    """Leaves of what was given that are writable and the same memory as some of a later read."""
    stores = [leaf.array for leaf in leaves(later) if leaf.array is not None and leaf.nbytes]
    return [
        f"{leaf.path}: {leaf.kind}"
        for leaf in leaves(given)
        if leaf.array is not None and leaf.nbytes and leaf.array.flags.writeable
        and any(np.shares_memory(leaf.array, store) for store in stores)
    ]  # fmt: skip
