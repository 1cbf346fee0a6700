"""What is asked of a dataset, each question in a process of its own (see `child`).

Every function takes the subject and the seconds it may use, and answers with plain values.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import psutil

from datasets_impl.doctor import clock
from datasets_impl.doctor.pictures import noting_sizes, used_size
from datasets_impl.doctor.raised import RAISED, sentence
from datasets_impl.doctor.randomness import is_random, noting_calls
from datasets_impl.doctor.samples import comparable, fingerprint, leaves, signature, size_of
from datasets_impl.doctor.static import parts
from datasets_impl.doctor.target import Subject

MOST = 400  # samples that are timed
LOOKED_AT = 64
LEAST_ALIKE = 3  # samples
LARGE = 1 << 26  # bytes of a sample, whose values are not compared


def indices(subject: Subject, most: int = MOST) -> list[int]:
    """Spread evenly over the dataset, the first and the last among them; without the broken."""
    count = subject.count
    evenly = range(count) if count <= most else {round(x) for x in np.linspace(0, count - 1, most)}
    return sorted(index for index in evenly if index not in subject.avoid)


def reads(subject: Subject, most: int = MOST) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """(index, how to read it); of an iterable dataset, its samples in their order."""
    if subject.iterable:
        arriving = iter(subject.dataset)
        yield from ((number, lambda: next(arriving)) for number in range(most))
    else:
        yield from ((i, lambda i=i: subject.read(i)) for i in indices(subject, most))


def look(
    subject: Subject, seconds: float, note: Callable[[dict[str, Any]], None] = lambda _: None
) -> dict[str, Any]:
    """What the dataset is and what its samples are made of.

    `note` is told what is known so far, and which sample is `reading`, before each of them.
    """
    until = clock.perf_counter() + seconds / 2
    known = _Looked(subject)
    random = [value for path, value, _ in parts(subject.dataset)
              if is_random(path.rpartition(".")[2], value)]  # fmt: skip
    for index, read in reads(subject, LOOKED_AT):
        note(known.answer() | {"reading": index})
        begun = clock.perf_counter()
        try:
            if random:  # the first time, before anything is kept
                with noting_calls(random) as called:
                    sample = read()
                known.called, random = bool(called), []
            else:
                sample = read()
        except StopIteration:
            break
        except RAISED as error:
            known.failures.append(f"sample {index}: {sentence(error)}")
            known.broken.append(index)
        else:
            known.add(sample, clock.perf_counter() - begun)
        if clock.perf_counter() > until and (known.times or len(known.broken) >= 3):
            break
    subject.cost, subject.nbytes = known.cost, known.nbytes
    subject.avoid |= set(known.broken)
    return known.answer()


class _Looked:
    """What is known of the samples that were looked at."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.kinds: Counter[tuple[str, ...]] = Counter()
        self.failures: list[str] = []
        self.broken: list[int] = []
        self.times: list[float] = []
        self.sizes: list[int] = []
        self.none = ""  # what samples are that are nothing
        self.nothing = 0
        self.prints: set[str] = set()
        self.compared = True  # whether that is all of them
        self.one: Any = None  # the first sample, and whether all others were that object
        self.all_one = True
        self.called = False
        self.example: list[dict[str, Any]] = []

    def add(self, sample: Any, seconds: float) -> None:
        self.one = sample if not self.times else self.one
        self.times.append(seconds)
        self.all_one &= sample is self.one
        if sample is None or sample is NotImplemented or sample is ...:
            self.none, self.nothing = repr(sample), self.nothing + 1
            return
        if len(self.prints) < 2 and self.compared:
            self.compared = size_of(sample) < LARGE and comparable(sample)
            self.prints.add(fingerprint(sample) if self.compared else "")
        self.kinds[signature(sample)] += 1
        self.sizes.append(size_of(sample))
        self.example = self.example or [
            {"path": leaf.path, "kind": leaf.kind, "bytes": leaf.nbytes} for leaf in leaves(sample)
        ]

    @property
    def cost(self) -> float:
        return float(np.median(self.times)) if self.times else 0.0

    @property
    def nbytes(self) -> float:
        return float(np.median(self.sizes)) if self.sizes else 0.0

    def answer(self) -> dict[str, Any]:
        return {
            "type": type(self.subject.dataset).__name__,
            "length": self.subject.length,
            "iterable": self.subject.iterable,
            "seen": len(self.times),
            "cost": self.cost,
            "none": self.none,
            "nothing": self.nothing,
            "all_one": self.all_one and len(self.times) >= LEAST_ALIKE,
            "all_equal": self.compared and len(self.prints) == 1 and len(self.times) >= LEAST_ALIKE,
            "random_called": self.called,
            "failures": self.failures,
            "broken": self.broken,
            "kinds": [[list(kind), count] for kind, count in self.kinds.most_common(4)],
            "bytes": self.nbytes,
            "example": self.example[:20],
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
    until, found = clock.perf_counter() + seconds, []
    for index, read in reads(subject):
        begun = clock.perf_counter()
        try:
            read()
        except StopIteration:
            break
        except RAISED:
            continue
        found.append((index, clock.perf_counter() - begun))
        if clock.perf_counter() > until:
            break
    return found


def _again(subject: Subject, first: Sequence[tuple[Any, float]], seconds: float) -> list[float]:
    """Of each index, a second time; of the slowest of both times, the quickest of some more."""
    until = clock.perf_counter() + 0.6 * seconds
    second = seconds_of_items(subject, [index for index, _ in first])
    both = np.minimum(second, [taken for _, taken in first]) if first else np.empty(0)
    for place in np.argsort(both)[::-1][: max(5, len(both) // 100)]:
        if clock.perf_counter() > until:
            break
        more = seconds_of_items(subject, [first[place][0]] * 3)
        second[place] = min(second[place], *more)
    return second


def seconds_of_items(subject: Subject, chosen: Sequence[Any]) -> list[float]:
    """Of each index; a sample that raises counts as long as it took to."""
    found = []
    for index in chosen:
        begun = clock.perf_counter()
        with contextlib.suppress(*RAISED):
            subject.read(index)
        found.append(clock.perf_counter() - begun)
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


def pictures(subject: Subject, seconds: float) -> dict[str, Any]:
    """Pixels of the pictures that are decoded for a sample, and of the one that it holds."""
    until = clock.perf_counter() + seconds
    decoded, used, sample = [], None, None
    for _, read in reads(subject, 32):
        with noting_sizes() as sizes:
            try:
                sample = read()
            except StopIteration:
                break
            except RAISED:
                continue
        decoded += sizes.seen
        used = used_size(sample) or used
        if clock.perf_counter() > until:
            break
    if not decoded or used is None:
        return {}
    decoded.sort(key=lambda one: one[0] * one[1])
    width, height, kind = decoded[len(decoded) // 2]
    return {"decoded": [width, height], "format": kind, "used": list(used)}


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
    "pickled": _late("again", "pickled"),
    "repeated": _late("again", "repeated"),
    "drawn": _late("again", "drawn"),
    "batches": _late("loading", "batches"),
    "growth": _late("loading", "growth"),
    "ceiling": _late("ceiling", "ceiling"),
    "tried": _late("trials", "tried"),
}
