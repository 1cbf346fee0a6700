"""Are samples what they should be? What a read leaves in the dataset, and what comes back."""

from __future__ import annotations

import contextlib
import copy
import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from xxhash import xxh3_64

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import told_epoch
from datasets_impl.doctor.probes.inside import parts, store_sizes
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.rereading import changes_with_epoch
from datasets_impl.doctor.probes.samples import comparable, fingerprint, leaves, size_of
from datasets_impl.doctor.probes.source_lines import Line, of_part, put_into, set_within
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import lines_apart, lines_that_change

READ = 96  # samples that are compared with each other
LEAST_ROW = 16  # numbers in a row of an array, for it to be data and no counter
LEAST_BYTES = 64  # of a sample, below which two may be equal by chance
LEAST_PAIRS = 8  # of listed files
LEAST_DIFFERENT = 3  # of twice so many tries, for a sample to differ often
AGREEING = 40  # reads, after which what differs often had differed
TRIES = 6  # reads after a cache was emptied, or that are compared line by line
TRACED = 1.0  # seconds of a read that is followed line by line
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
    sizes = subject.stores or store_sizes(subject.dataset)
    prints, nbytes, read = defaultdict[str, list[int]](list), 0, list[int]()
    for index in indices(subject, READ):
        with contextlib.suppress(*RAISED):
            sample = subject.read(index)
            read.append(index)
            nbytes = max(nbytes, size_of(sample))
            prints[fingerprint(sample) if _tells(sample) else str(index)].append(index)
        if clock.perf_counter() > until and len(read) > 2:
            break
    found["read"] = len(read)
    common, *rest = sorted(prints.values(), key=len, reverse=True) or [[]]
    if common and nbytes >= LEAST_BYTES and all(len(one) == 1 for one in rest):
        found["replaced"] = len(common) if len(rest) > 1 else 0
        if found["replaced"] > 1:
            lines["replaced"] = _replacing(
                subject, common, [one for (one,) in rest], clock.perf_counter() + seconds / 4
            )
    found["caches"] = [
        [path, len(value) - sizes[path]]
        for path, value, _ in parts(subject.dataset)
        if path in sizes and len(value) > sizes[path] and _keeps(value)
    ]
    if found["caches"]:
        lines["caches"] = of_part(subject.dataset, f"{found['caches'][0][0]}[0]")
    if read:
        found["frozen"] = _frozen(subject, read[:LEAST_PAIRS], clock.perf_counter() + seconds / 4)
        lines["frozen"] = put_into(subject.dataset, found["frozen"]) if found["frozen"] else []
        found["rewritten"] = _rewritten(subject, read[0])
        if found["rewritten"]:
            known = {*read, *subject.avoid}  # what drifted far is changed by a small step no more
            fresh = next((one for one in range(subject.count) if one not in known), read[0])
            lines["rewritten"] = _rewriting(subject, fresh, found["rewritten"])
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


def _keeps(store: Any) -> bool:
    """Whether what was put in last is as large as data: names and numbers are an index."""
    values = list(store.values() if isinstance(store, MutableMapping) else store)
    return bool(values) and size_of(values[-1]) >= LEAST_BYTES


def _tells(sample: Any) -> bool:
    """Whether two equal ones are no chance, as two black pictures would be."""
    arrays = [leaf.array for leaf in leaves(sample) if leaf.array is not None and leaf.array.size]
    return comparable(sample) and any((one != one.flat[0]).any() for one in arrays)


def _frozen(subject: Subject, some: list[int], until: float) -> str:
    """Which of the dataset's stores keeps what was drawn once: emptied, it gives other samples.

    Only where reads with the store as it is all agree.
    """
    for name, value in list(vars(subject.dataset).items()):
        empty = _emptied(value)
        if empty is None:
            continue
        for index in some:
            if clock.perf_counter() > until:
                return ""
            with contextlib.suppress(*RAISED):
                if _differ_without(subject, name, value, index):
                    return str(name)
    return ""


def _differ_without(subject: Subject, name: str, value: Any, index: int) -> bool:
    """Whether reads of a sample differ often without the store, and with it never: a change that
    comes now and then may not have come in a few reads."""

    def differs(count: int) -> bool:
        return len({fingerprint(subject.read(index)) for _ in range(count)}) > 1

    def anew() -> list[str]:
        return [_read_with(subject, name, _emptied(value), index) for _ in range(TRIES)]

    found = [] if differs(3) else anew()
    if len({one for one in found if one}) < 2:
        return False
    found += anew()
    (_, usual), *_ = Counter(found).most_common(1)
    return len(found) - usual >= LEAST_DIFFERENT and not differs(AGREEING)


def _emptied(value: Any) -> Any:
    """The same kind of store with nothing in it; None for what is no store that was filled."""
    if isinstance(value, MutableMapping) and value:
        with contextlib.suppress(*RAISED):
            empty: Any = copy.copy(value)
            empty.clear()
            return empty
    if isinstance(value, list) and any(one is not None for one in value[:READ]):
        return [None] * len(value)
    return None


def _read_with(subject: Subject, name: str, store: Any, index: int) -> str:
    """The sample with another store, of a copy of the dataset; "" where it cannot be read so."""
    other = copy.copy(subject.dataset)
    setattr(other, name, store)
    own, subject.dataset = subject.dataset, other
    try:
        return fingerprint(subject.read(index))
    except RAISED:
        return ""
    finally:
        subject.dataset = own


def _rewritten(subject: Subject, index: int) -> str:
    """What of the dataset's own data another read of the same sample changed, after it had been
    read before: a cache would be filled by then."""
    key = subject.keys[index] if subject.keys else index
    if not isinstance(key, int | np.integer):
        return ""
    with contextlib.suppress(*RAISED):
        subject.read(index)
        before = dict(_rows(subject, int(key)))
        subject.read(index)
        after = dict(_rows(subject, int(key)))
        return next((path for path, row in after.items() if before.get(path, row) != row), "")
    return ""


def _rewriting(subject: Subject, index: int, path: str) -> list[Line]:
    """The lines that write into the row."""
    (value,) = (value for name, value, _ in parts(subject.dataset) if name == path)
    key = int(subject.keys[index]) if subject.keys else index
    until = clock.perf_counter() + TRACED
    with contextlib.suppress(*RAISED):
        return lines_that_change(
            lambda: subject.read(index), lambda: _print_of_row(value[key]), until
        )
    return []


def _print_of_row(row: Any) -> str:
    held = np.ascontiguousarray(np.asarray(row))
    if held.dtype.hasobject:
        return repr(row)
    return str(xxh3_64(held.reshape(-1).view(np.uint8).data).hexdigest())


def _rows(subject: Subject, index: int) -> Iterator[tuple[str, str]]:
    """Fingerprints of the rows that belong to an index, of all data as long as the dataset."""
    for path, value, _ in parts(subject.dataset):
        if isinstance(value, np.ndarray | torch.Tensor | list) and _len(value) == subject.length:
            row = value[index]
            if isinstance(row, np.ndarray | torch.Tensor) and _size(row) >= LEAST_ROW:
                with contextlib.suppress(TypeError, ValueError, RuntimeError):
                    yield path, _print_of_row(row)


def _len(value: Any) -> int:
    return len(value) if getattr(value, "ndim", 1) else 0


def _size(row: Any) -> int:
    return int(row.size if isinstance(row, np.ndarray) else row.numel())


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
    lists = []
    for path, value, _ in parts(dataset):
        if not isinstance(value, list | tuple) or len(value) < LEAST_PAIRS:
            continue
        keys = [_key(one) for one in value if isinstance(one, str | Path)]
        if len(set(keys)) == len(value):
            lists.append((path, keys, {str(one) for one in value}))
    for number, (path, keys, files) in enumerate(lists):
        for other, others, those in lists[number + 1 :]:
            # The same files in another order were put there on purpose.
            if keys != others and set(keys) == set(others) and files != those:
                at = next(i for i, (a, b) in enumerate(zip(keys, others, strict=True)) if a != b)
                return [path, other, str(at), keys[at], others[at]]
    return []


def _key(name: Any) -> str:
    """What says which file it is: the last number in its name, or the name."""
    stem = Path(name).stem
    numbers = DIGITS.findall(stem)
    return numbers[-1].lstrip("0") or "0" if numbers else stem
