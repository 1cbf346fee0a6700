"""Are samples what they should be? What a read leaves in the dataset, and what comes back."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.apart import apart
from datasets_impl.doctor.probes.epochs import told_epoch
from datasets_impl.doctor.probes.frozen import frozen
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.rereading import changes_with_epoch
from datasets_impl.doctor.probes.rewritten import rewritten
from datasets_impl.doctor.probes.samples import comparable, fingerprint, leaves, size_of
from datasets_impl.doctor.probes.source_lines import Line, of_part, set_within
from datasets_impl.doctor.probes.stores import sizes, stores
from datasets_impl.doctor.probes.swallowed import Swallowing
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import lines_apart

READ = 96  # samples that are compared with each other
LEAST_BYTES = 64  # of a sample, below which two may be equal by chance
LEAST_PAIRS = 8  # of listed files
SOME = 8  # samples that are read again and again
TRIES = 6  # reads that are compared line by line
DIGITS = re.compile(r"\d+")


def integrity(subject: Subject, seconds: float) -> dict[str, Any]:
    """Caches that reads fill, and whether what they keep was drawn; rows that reads change; one
    sample for many indices; lists of files that do not belong together; an epoch that workers do
    not hear of."""
    if subject.iterable or not subject.length:
        return {}
    until = clock.perf_counter() + seconds / 2
    found: dict[str, Any] = {"pairs": _pairs(subject.dataset), "lines": {}}
    lines: dict[str, list[Line]] = found["lines"]
    for path in found["pairs"][:2]:
        lines.setdefault("pairs", []).extend(of_part(subject.dataset, path))
    before = subject.stores or sizes(subject)
    prints, nbytes, read = defaultdict[str, list[int]](list), 0, list[int]()
    watching = Swallowing(subject, until)
    for index in indices(subject, READ):
        with contextlib.suppress(*RAISED):
            sample = watching.read(index)
            read.append(index)
            nbytes = max(nbytes, size_of(sample))
            prints[fingerprint(sample) if _tells(sample) else str(index)].append(index)
        if clock.perf_counter() > until and len(read) > 2:
            break
    found["read"] = len(read)
    found["swallowed"] = watching.told(prints, clock.perf_counter() + seconds / 8)
    common, *rest = sorted(prints.values(), key=len, reverse=True) or [[]]
    if common and nbytes >= LEAST_BYTES and all(len(one) == 1 for one in rest):
        found["replaced"] = len(common) if len(rest) > 1 else 0
        if found["replaced"] > 1:
            lines["replaced"] = _replacing(
                subject, common, [one for (one,) in rest], clock.perf_counter() + seconds / 4
            )
    filled = [(store, store.filled - before.get(store.path, 0)) for store in stores(subject)]
    caches = [(store, more) for store, more in filled if more > 0 and store.keeps]
    found["caches"] = [[store.path, more, store.most] for store, more in caches]
    lines["caches"] = caches[0][0].lines(subject) if caches else []
    if read:
        until = clock.perf_counter() + seconds / 4
        some = read[:: -(-len(read) // SOME)]  # of all parts that a dataset may have
        kept = frozen(subject, some, before, until)
        found["frozen"] = kept.path if kept else ""
        lines["frozen"] = kept.lines(subject) if kept else []
        found["apart"] = apart(subject, some, clock.perf_counter() + seconds / 8)
        until = clock.perf_counter() + seconds / 8
        known = {*read, *subject.avoid}
        found["rewritten"], lines["rewritten"] = rewritten(subject, some, known, until)
        found["stale"] = _stale(subject, read[0])
        told = told_epoch(subject.dataset) if found["stale"] else ()
        lines["stale"] = [line for one in told for line in set_within(one, "set_epoch")]
    return found


def _replacing(subject: Subject, some: list[int], others: list[int], until: float) -> list[Line]:
    """What runs where one sample comes in the place of another, and else does not."""

    def reads(indices: list[int]) -> list[Callable[[], Any]]:
        return [functools.partial(subject.read, index) for index in indices[:TRIES]]

    with contextlib.suppress(*RAISED):
        return lines_apart(reads(some), reads(others), until)
    return []


def _tells(sample: Any) -> bool:
    """Whether two equal ones are no chance, as two black pictures would be."""
    arrays = [leaf.array for leaf in leaves(sample) if leaf.array is not None and leaf.array.size]
    return comparable(sample) and any(
        (one != one.flat[0]).any() and (one == one).any()
        for one in arrays  # nor two of NaN
    )


def _stale(subject: Subject, index: int) -> bool:
    """Whether workers that stay go on with the epoch in which they were started."""
    settings = subject.settings
    if not subject.workers or not settings.get("persistent_workers"):
        return False
    if not changes_with_epoch(subject, index):
        return False
    key = subject.keys[index] if subject.keys else index
    loader = DataLoader(
        subject.dataset, batch_size=None, sampler=[key], num_workers=1, persistent_workers=True,
        multiprocessing_context=settings.get("start_method") or "fork", collate_fn=fingerprint,
        worker_init_fn=getattr(subject.loader, "worker_init_fn", None),
    )  # fmt: skip
    try:
        seen = []
        for epoch in (0, 1):
            for one in told_epoch(subject.dataset):
                one.set_epoch(epoch)
            seen += list(loader)
        return len(seen) == 2 and seen[0] == seen[1]
    finally:
        if loader._iterator is not None:
            loader._iterator._shutdown_workers()  # type: ignore[attr-defined]


def _pairs(dataset: Any) -> list[str]:
    """Two lists of files, equally long, whose names carry the same numbers in another order."""
    alike = defaultdict[int, list[tuple[str, Any]]](list)  # by their length
    for path, value, _ in parts(dataset):
        first = value[:LEAST_PAIRS] if isinstance(value, list | tuple) else ()
        if len(first) == LEAST_PAIRS and all(isinstance(one, str | Path) for one in first):
            alike[len(value)].append((path, value))
    for found in alike.values():
        lists = []
        for path, value in found if len(found) > 1 else []:
            keys = [_key(one) for one in value if isinstance(one, str | Path)]
            if len(set(keys)) == len(value):
                lists.append((path, keys, {str(one) for one in value}))
        for (path, keys, files), (other, others, those) in combinations(lists, 2):
            # The same files in another order were put there on purpose.
            if keys != others and set(keys) == set(others) and files != those:
                at = next(i for i, (a, b) in enumerate(zip(keys, others, strict=True)) if a != b)
                return [path, other, str(at), keys[at], others[at]]
    return []


def _key(name: Any) -> str:
    """What says which file it is: the last number in its name, or the name."""
    last = os.path.basename(name)  # noqa: PTH119 - there may be a million of them
    stem = last.rpartition(".")[0] or last
    numbers = DIGITS.findall(stem)
    return numbers[-1].lstrip("0") or "0" if numbers else stem
