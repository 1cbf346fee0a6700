"""A seed that is set anew, and always to the same, whenever a sample is read.

While samples are read, others stand in the place of what sets a seed and of what makes a generator
from one. They note which line asks for it; then they leave that seed out, to see what it keeps from
changing.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import SequentialSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import Callee, users_modules
from datasets_impl.doctor.probes.generators import as_class
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.samples import fingerprint
from datasets_impl.doctor.probes.source_lines import line_at
from datasets_impl.doctor.probes.standing import Key, all_replaced, key_of_call
from datasets_impl.doctor.probes.target import Subject

SEEDS = ((random, "seed"), (np.random, "seed"), (torch, "manual_seed"))
MAKERS = ((np.random, "default_rng"), (np.random, "RandomState"), (random, "Random"))
SEEDING = "seed"  # in the name of a function: of interest is who calls it
PASSING = ("epoch", "step", "iteration")  # in a line: its seed is another one later
READ, LEAST = 6, 3  # samples; and those for which the seed is the same
AGAIN = 8  # reads of one sample without the seed
Place = tuple[str, int]


@dataclass
class Noted:
    """Seeds by the line that asks for them. Those of the lines that are left out are not set."""

    keys: dict[Place, set[tuple[Place, str, Key]]] = field(default_factory=lambda: defaultdict(set))
    indices: dict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))
    index: int = -1  # of the sample that is read
    left_out: frozenset[Place] = frozenset()

    def leaves_out(self, name: str, *given: Any, **options: Any) -> bool:
        """Notes a call, and says whether it is to set no seed."""
        if all(one is None for one in (*given, *options.values())):
            return False  # it takes one that differs from call to call
        lines = list(_users_lines())
        if not lines:
            return False
        asking = next((line for line, setting in lines if not setting), lines[-1][0])
        self.keys[asking].add((lines[0][0], name, key_of_call(given, options)))
        self.indices[asking].add(self.index)
        return asking in self.left_out

    def same(self) -> frozenset[Place]:
        """The lines that set the same seed for several samples."""
        return frozenset(
            asking for asking, known in self.keys.items()
            if len(self.indices[asking]) >= LEAST
            and all(key is not None for _, _, key in known)
            and len({(line, name) for line, name, _ in known}) == len(known)
            and not any(passing in line_at(*line)[2].lower() for passing in PASSING
                        for line in (asking, *(line for line, _, _ in known)))
        )  # fmt: skip


def seeded(subject: Subject, seconds: float) -> dict[str, Any]:
    """The line that sets the same seed whatever sample is read, and how many versions reads of one
    give without it.

    Empty where they give one alone, and for a loader that goes through samples in their order: in
    validation they may well stay as they are.
    """
    if isinstance(getattr(subject.loader, "sampler", None), SequentialSampler):
        return {}
    until, noted, some = clock.perf_counter() + seconds, Noted(), indices(subject, READ)
    with contextlib.suppress(*RAISED), all_replaced(list(_pairs(subject, noted))):
        for index in some:
            _shake()
            noted.index = index
            subject.read(index)
            if clock.perf_counter() > until:
                break
        noted.left_out = noted.same()
        for index in some if noted.left_out else ():
            seen, reads = set[str](), 0
            while reads < AGAIN and (reads < 2 or clock.perf_counter() < until):
                seen.add(fingerprint(subject.read(index)))
                reads += 1
            if len(seen) > 1:
                return _told(noted) | {"versions": len(seen), "reads": reads}
            if clock.perf_counter() > until:
                break
    return {}


def _told(noted: Noted) -> dict[str, Any]:
    asking = sorted(noted.left_out)
    found = sorted((line, name) for one in asking for line, name, _ in noted.keys[one])
    lines = dict.fromkeys([*asking, *(line for line, _ in found)])
    names = dict.fromkeys(name for _, name in found)
    return {"names": list(names), "lines": [line_at(*line) for line in lines]}


def _shake() -> None:
    """A seed that is computed from the state of another generator is not the same, then."""
    random.seed()
    np.random.seed()
    torch.seed()


def _users_lines() -> Iterator[tuple[Place, bool]]:
    """From the inner to the outer, each with whether it is of a function that sets seeds."""
    frame = sys._getframe(1)
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            place = frame.f_code.co_filename, frame.f_lineno
            yield place, SEEDING in frame.f_code.co_name.lower()
        frame = frame.f_back  # type: ignore[assignment]


def _pairs(subject: Subject, noted: Noted) -> Iterator[tuple[Callee, Any]]:
    """What stands in for what, wherever the user's modules have it by a name of their own.

    A generator that a read makes for itself may be meant to give the same always. It counts only
    where a loader is there, which mixes samples: that is training.
    """
    homes = [random, np.random, torch, torch.random, *users_modules(subject)]
    makers = (*MAKERS, (torch, "Generator")) if subject.loader is not None else ()
    for home, attribute in (*SEEDS, *makers):
        original = getattr(home, attribute)
        name = f"{home.__name__}.{attribute}"
        if (home, attribute) in SEEDS:
            other: Any = _setting(original, name, noted)
        elif inspect.isclass(original):
            other = as_class(original, _making(original, name, noted))
        else:
            other = _making(original, name, noted)
        for owner in homes:
            for known, value in list(vars(owner).items()):
                if value is original:
                    yield Callee(known, owner, known), other


def _setting(original: Callable[..., Any], name: str, noted: Noted) -> Callable[..., Any]:
    def called(*given: Any, **options: Any) -> Any:
        if noted.leaves_out(name, *given, **options):
            return torch.default_generator if name == "torch.manual_seed" else None
        return original(*given, **options)

    return called


def _making(original: Callable[..., Any], name: str, noted: Noted) -> Callable[..., Any]:
    def called(*given: Any, **options: Any) -> Any:
        if original is _Generator.__base__:
            return _Generator(noted, *given, **options)
        by_user = inspect.isclass(original) or is_users(sys._getframe(1).f_code.co_filename)
        if by_user and noted.leaves_out(name, *given, **options):
            return original()
        return original(*given, **options)

    return called


class _Generator(torch.Generator):
    noted: Noted

    def __new__(cls, noted: Noted, *given: Any, **options: Any) -> Any:
        made = super().__new__(cls, *given, **options)
        made.noted = noted
        return made

    def manual_seed(self, seed: int) -> torch.Generator:
        if self.noted.leaves_out("torch.Generator.manual_seed", seed):
            self.seed()
            return self
        return super().manual_seed(seed)
