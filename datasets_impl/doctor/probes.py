"""What is asked of a dataset, each question in a process of its own (see `child`).

Every function takes the subject and the seconds it may use, and answers with plain values.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import psutil
from torch.utils.data import DataLoader

from datasets_impl.doctor.pictures import noting_sizes, used_size
from datasets_impl.doctor.samples import leaves, signature, size_of
from datasets_impl.doctor.target import Subject

MOST = 400  # samples that are looked at
AGAIN = 8  # reads of one index


def indices(subject: Subject, most: int = MOST) -> list[int]:
    """Spread evenly over the dataset, the first and the last among them."""
    count = subject.length or 0
    if count <= most:
        return list(range(count))
    return sorted({round(at) for at in np.linspace(0, count - 1, most)})


def reads(subject: Subject, most: int = MOST) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """(index, how to read it); of an iterable dataset, its samples in their order."""
    if subject.iterable:
        arriving = iter(subject.dataset)
        yield from ((number, lambda: next(arriving)) for number in range(most))
    else:
        yield from ((i, lambda i=i: subject.read(i)) for i in indices(subject, most))


def look(subject: Subject, seconds: float) -> dict[str, Any]:
    """What the dataset is and what its samples are made of."""
    until = time.perf_counter() + seconds / 2
    kinds: Counter[tuple[str, ...]] = Counter()
    failures: list[str] = []
    sizes, none, seen = [], 0, 0
    example: list[dict[str, Any]] = []
    for index, read in reads(subject, 64):
        try:
            sample = read()
        except StopIteration:
            break
        except Exception as error:
            failures.append(f"sample {index}: {type(error).__name__}: {error}")
            continue
        seen += 1
        if sample is None:
            none += 1
            continue
        kinds[signature(sample)] += 1
        sizes.append(size_of(sample))
        example = example or [
            {"path": leaf.path, "kind": leaf.kind, "bytes": leaf.nbytes} for leaf in leaves(sample)
        ]
        if time.perf_counter() > until and seen >= 3:
            break
    return {
        "type": type(subject.dataset).__name__,
        "length": subject.length,
        "iterable": subject.iterable,
        "seen": seen,
        "none": none,
        "failures": failures,
        "kinds": [[list(kind), count] for kind, count in kinds.most_common(4)],
        "bytes": float(np.median(sizes)) if sizes else 0.0,
        "example": example[:20],
    }


def items(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds of each item, read twice; what was opened, listed and read meanwhile."""
    seen = _Audit()
    before = _bytes_asked()
    first = _timed(subject, seconds / 2)
    asked = _bytes_asked() - before
    seen.stop()
    chosen = [index for index, _ in first]
    second = [] if subject.iterable else _again(subject, first, seconds)
    return {
        "indices": chosen,
        "first": [taken for _, taken in first],
        "second": second,
        "bytes_asked": asked / max(1, len(first)),
        "opened": seen.opened.most_common(5),
        "opens": sum(seen.opened.values()) / max(1, len(first)),
        "listed": seen.listed / max(1, len(first)),
    }


def _timed(subject: Subject, seconds: float) -> list[tuple[Any, float]]:
    until, found = time.perf_counter() + seconds, []
    for index, read in reads(subject):
        begun = time.perf_counter()
        try:
            read()
        except StopIteration:
            break
        except Exception:
            continue
        found.append((index, time.perf_counter() - begun))
        if time.perf_counter() > until:
            break
    return found


def _again(subject: Subject, first: Sequence[tuple[Any, float]], seconds: float) -> list[float]:
    """Of each index, a second time; of the slowest of both times, the quickest of some more."""
    until = time.perf_counter() + seconds
    second = seconds_of_items(subject, [index for index, _ in first])
    both = np.minimum(second, [taken for _, taken in first]) if first else np.empty(0)
    for place in np.argsort(both)[::-1][: max(5, len(both) // 100)]:
        if time.perf_counter() > until:
            break
        more = seconds_of_items(subject, [first[place][0]] * 3)
        second[place] = min(second[place], *more)
    return second


def seconds_of_items(subject: Subject, chosen: Sequence[Any]) -> list[float]:
    """Of each index; a sample that raises counts as long as it took to."""
    found = []
    for index in chosen:
        begun = time.perf_counter()
        with contextlib.suppress(Exception):
            subject.read(index)
        found.append(time.perf_counter() - begun)
    return found


def _bytes_asked() -> int:
    """Bytes that this process asked the system for; 0 where it is not told."""
    try:
        return int(psutil.Process().io_counters().read_chars)
    except (AttributeError, psutil.Error):
        return 0


class _Audit:
    """Files opened and folders listed by this process, from Python's own audit events."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.listed = 0
        self.on = True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[0], str):
            self.opened[arguments[0]] += 1
        elif event in ("os.listdir", "os.scandir", "glob.glob"):
            self.listed += 1

    def stop(self) -> None:
        self.on = False  # a hook cannot be removed


def pickled(subject: Subject, seconds: float) -> dict[str, Any]:
    """Bytes and seconds of what every worker that is not forked is sent."""
    begun = time.perf_counter()
    try:
        size = len(pickle.dumps(subject.dataset, pickle.HIGHEST_PROTOCOL))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"bytes": size, "seconds": time.perf_counter() - begun}


def repeated(subject: Subject, seconds: float) -> dict[str, Any]:
    """Is a sample the same each time, and in two workers? Can it be written to, and stays so?"""
    if subject.iterable or not subject.length:
        return {}
    index = indices(subject)[0]
    held = [subject.read(index) for _ in range(AGAIN)]
    prints = [fingerprint(sample) for sample in held]
    loader = DataLoader(
        subject.dataset, batch_size=None, sampler=[index, index], num_workers=2,
        multiprocessing_context="fork", collate_fn=fingerprint,
        worker_init_fn=getattr(subject.loader, "worker_init_fn", None),
    )  # fmt: skip
    in_workers = list(itertools.islice(loader, 2))
    return {
        "distinct": len(set(prints)),
        "workers_equal": len(set(in_workers)) == 1,
        "shared": shared_memory(held[0], held[1]),
    }


def shared_memory(one: Any, other: Any) -> list[str]:
    """Leaves of two reads of one sample that are the same writable memory."""
    found = []
    for left, right in zip(leaves(one), leaves(other), strict=False):
        a, b = left.array, right.array
        if a is None or b is None or not a.nbytes or not a.flags.writeable:
            continue
        if np.shares_memory(a, b):
            found.append(f"{left.path}: {left.kind}")
    return found


def pictures(subject: Subject, seconds: float) -> dict[str, Any]:
    """Pixels of the pictures that are decoded for a sample, and of the one that it holds."""
    until = time.perf_counter() + seconds
    decoded, used, sample = [], None, None
    for _, read in reads(subject, 32):
        with noting_sizes() as sizes:
            try:
                sample = read()
            except StopIteration:
                break
            except Exception:
                continue
        decoded += sizes.seen
        used = used_size(sample) or used
        if time.perf_counter() > until:
            break
    if not decoded or used is None:
        return {}
    decoded.sort(key=lambda one: one[0] * one[1])
    width, height, kind = decoded[len(decoded) // 2]
    return {"decoded": [width, height], "format": kind, "used": list(used)}


def fingerprint(sample: Any) -> str:
    """A fingerprint of a sample's values."""
    from xxhash import xxh3_64_hexdigest

    parts = []
    for leaf in leaves(sample):
        array = leaf.array
        parts.append(array.tobytes() if array is not None else repr(leaf.value).encode())
    return xxh3_64_hexdigest(b"\0".join(parts))


def _late(module: str, name: str) -> Callable[..., Any]:
    """A probe of another module, which builds on this one."""

    def probe(subject: Subject, seconds: float, **options: Any) -> Any:
        function = getattr(import_module(f"datasets_impl.doctor.{module}"), name)
        return function(subject, seconds, **options)

    return probe


PROBES: dict[str, Callable[..., Any]] = {
    "look": look,
    "inside": _late("static", "look_inside"),
    "items": items,
    "causes": _late("loading", "causes"),
    "pictures": pictures,
    "pickled": pickled,
    "repeated": repeated,
    "batches": _late("loading", "batches"),
    "growth": _late("loading", "growth"),
    "ceiling": _late("ceiling", "ceiling"),
    "tried": _late("trials", "tried"),
}
