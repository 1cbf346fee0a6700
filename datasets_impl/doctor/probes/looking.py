"""What the dataset is, and what its samples are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import median_low
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.finite import Finite
from datasets_impl.doctor.probes.narrower import Narrower
from datasets_impl.doctor.probes.padding import Padding
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.preparing import attributes
from datasets_impl.doctor.probes.raised import RAISED, sentence
from datasets_impl.doctor.probes.randomness import is_random, noting_calls
from datasets_impl.doctor.probes.reads import LOOKED_AT, reads
from datasets_impl.doctor.probes.samples import (
    Leaf,
    comparable,
    fingerprint,
    leaves,
    signature,
    size_of,
)
from datasets_impl.doctor.probes.set_threads import NOTED
from datasets_impl.doctor.probes.stores import sizes
from datasets_impl.doctor.probes.target import Subject

LEAST_ALIKE = 3  # samples
AGAIN = 3.0  # times the time there is: a first sample that takes less is not the only one read
LARGE = 1 << 26  # bytes of a sample, whose values are not compared


def look(
    subject: Subject, seconds: float, note: Callable[[dict[str, Any]], None] = lambda _: None
) -> dict[str, Any]:
    """What the dataset is and what its samples are made of.

    `note` is told what is known so far, and which sample is `reading`, before each of them.
    """
    until = clock.perf_counter() + seconds / 2
    NOTED.clear()  # of what was made before: workers begin with one thread
    subject.stores = sizes(subject)
    subject.attributes = attributes(subject.dataset)
    known, least = _Looked(subject), 3 if subject.iterable else 2  # the first may be slow
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
        except RAISED as error:
            if subject.iterable and isinstance(error, StopIteration):
                break
            known.failures.append(f"sample {index}: {sentence(error)}")
            known.broken.append(index)
        else:
            known.add(sample, clock.perf_counter() - begun)
            known.finite.add(index, sample)
        if len(known.times) == 1 and known.times[0] < AGAIN * seconds:
            continue  # what the first of them made may be there for all others
        if clock.perf_counter() > until and (len(known.times) >= least or len(known.broken) >= 3):
            break
    subject.cost, subject.nbytes, subject.turn = known.cost, known.nbytes, clock.turn()
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
        self.grad = ""  # where in the first sample a tensor is that requires grad
        self.narrower = Narrower()
        self.padding = Padding()
        self.finite = Finite()

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
        self.narrower.add(sample)
        self.padding.add(sample)
        if not self.example:
            self.grad = next((f"sample{leaf.path}" for leaf in leaves(sample) if _grad(leaf)), "")
        self.example = self.example or [
            {"path": leaf.path, "kind": leaf.kind, "bytes": leaf.nbytes} for leaf in leaves(sample)
        ]

    @property
    def cost(self) -> float:
        """Of two the lower: what is opened or loaded at first is no part of a usual sample."""
        return median_low(self.times) if self.times else 0.0

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
            "turn": self.subject.turn,
            "threads": dict(NOTED),
            "first": self.times[0] if self.times else 0.0,
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
            "grad": self.grad,
            "narrower": self.narrower.answer(),
            "padding": self.padding.answer(),
            "not_finite": self.finite.answer(),
        }


def _grad(leaf: Leaf) -> bool:
    return isinstance(leaf.value, torch.Tensor) and leaf.value.requires_grad
