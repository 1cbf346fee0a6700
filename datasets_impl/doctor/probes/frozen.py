"""Whether what the user's code keeps was drawn before it was kept: it never changes again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.rereading import changes_with_epoch
from datasets_impl.doctor.probes.samples import fingerprint
from datasets_impl.doctor.probes.stores import Store, stores
from datasets_impl.doctor.probes.target import Subject

LEAST_DIFFERENT = 3  # of twice so many tries, for a sample to differ often
FEW, AGREEING = 3, 40  # reads; and those after which what differs often had differed
TRIES = 6  # reads after a cache was emptied
LEAST_KEPT = 3  # elements: one that is drawn once, such as an order, is for all samples


def frozen(
    subject: Subject, some: list[int], before: Mapping[str, int], until: float
) -> Store | None:
    """What gives other samples when it is emptied, of which reads as it is all agree.

    Only what these reads fill again, so that it is no setting that they only look at.

    Args:
        before: what stores held before any sample was read.
    """
    agree: dict[int, bool] = {}
    for store in _candidates(subject, before):
        for index in some:
            if clock.perf_counter() > until:
                return None
            with contextlib.suppress(*RAISED):
                if index not in agree:
                    agree[index] = not _differs(subject, index, FEW)
                if not agree[index]:
                    continue
                seen = _without(subject, store, index, until)
                if not seen:
                    break  # it is no store that reads fill
                if _differ(seen) and not _differs(subject, index, AGREEING):
                    # What is kept for one epoch is drawn anew for the next.
                    anew = any(changes_with_epoch(subject, one) for one in some)
                    return None if anew else store
    return None


def _candidates(subject: Subject, before: Mapping[str, int]) -> list[Store]:
    """Those that reads have filled first. A dictionary that the dataset holds may have been filled
    before; of a list nobody knows what it does without its elements."""
    known = [store for store in stores(subject)
             if store.can_be_emptied and store.filled >= LEAST_KEPT]  # fmt: skip
    grown = [store for store in known if store.filled > before.get(store.path, 0)]
    return grown + [
        store for store in known
        if store not in grown
        and (store.is_function
             or (store.path.startswith("dataset.") and isinstance(store.value, dict)))
    ]  # fmt: skip


def _differs(subject: Subject, index: int, count: int) -> bool:
    return len({fingerprint(subject.read(index)) for _ in range(count)}) > 1


def _without(subject: Subject, store: Store, index: int, until: float) -> list[str]:
    """Some versions of a sample, read with nothing in the store; more where they differ. None where
    it cannot be read so, or not in time."""
    found = list[str]()
    for tries in (TRIES, 2 * TRIES):
        while len(found) < tries:
            made = _read_without(subject, store, index)
            if not made or clock.perf_counter() > until:
                return []
            found.append(made)
        if len(set(found)) < 2:
            break
    return found


def _differ(seen: list[str]) -> bool:
    """Whether they do so often: a change that comes now and then may not have come in a few reads
    with the store."""
    (_, usual), *_ = Counter(seen).most_common(1)
    return len(seen) - usual >= LEAST_DIFFERENT


def _read_without(subject: Subject, store: Store, index: int) -> str:
    """The sample with nothing in the store; "" where it cannot be read so, or fills it not."""
    with contextlib.suppress(*RAISED), store.emptied():
        sample = fingerprint(subject.read(index))
        return sample if store.is_function or store.filled else ""
    return ""
