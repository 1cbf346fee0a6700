"""What a remedy is, what it may know, and whether it gives the samples that the user's way does."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes import clock, pictures
from datasets_impl.doctor.probes.callees import Callee, callees
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.repeats import repeats
from datasets_impl.doctor.probes.room import Bytes, lacking
from datasets_impl.doctor.probes.samples import fingerprint, leaves, size_of
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.probes.target import Subject

REPEATS = 1.0  # seconds to look for work that is done again, where no probe has
FEW, SLOW = 4, 0.05  # samples that are compared; seconds of one beyond which it is one
DRAWS = (0, 1)  # places of the generators that samples are drawn from
MOST_APART = 0.2  # mean difference of a remedy's sample over the deviation of the user's


@dataclass
class Remedy:
    """Something to try: `dataset` and `workers` take the place of the user's in its trial."""

    name: str
    title: str
    lines: str
    dataset: Dataset[Any]
    workers: int
    claim: str = ""
    collate: Any = None  # in place of the user's function
    changes: dict[str, Any] = field(default_factory=dict)  # of the loader's settings
    cost: str = ""  # a sentence
    needs: Bytes = field(default_factory=dict)  # for all samples
    once_seconds: float = 0.0  # for all samples of the dataset, before the first epoch
    caution: str = ""
    whole: bool = False  # a start of workers belongs to it
    mends: tuple[str, ...] = ()  # names of findings whose cause it takes away
    divided: int = 1  # batches of the trainer's are made of so many
    threads: str = ""  # where they make batches, in place of workers


class Inapplicable(Exception):
    """A remedy that one would expect is left out; its text is a sentence that says why."""


@dataclass
class Context:
    """What the earlier probes know, for remedies to see whether they apply."""

    subject: Subject
    part: Part
    samples: list[Any]
    same_each_time: bool
    may_change: str  # why samples may differ all the same, "" where nothing in the code says so
    decoded: tuple[int, int, str] | None  # the usual width, height and format of what is decoded
    cost: float  # seconds of reading a sample
    collate: Any  # the user's function, or PyTorch's
    room: Bytes = field(default_factory=dict)  # what is free
    folder: Path = Path()  # for files, which go with it

    @cached_property
    def seen(self) -> dict[str, Any]:
        """What the earlier probes answered, as findings are made from it."""
        known = dict(self.subject.answers)
        if "repeats" not in known:
            known["repeats"] = repeats(self.subject, REPEATS)
        if "look" not in known:
            size = size_of(self.samples[0]) if self.samples else 0
            known["look"] = {"bytes": size, "cost": self.cost}
        return known | {"settings": self.subject.settings}

    @cached_property
    def found(self) -> list[str]:
        """Names of what was found, the most telling first."""
        return [one.name for one in findings(self.seen)]

    @cached_property
    def callees(self) -> dict[str, Callee]:
        """What the user's code calls, by the name that it has there."""
        return {one.name: one for one in callees(self.subject)}

    @cached_property
    def read(self) -> tuple[list[Any], float]:
        """Each of the samples that are tried, once, and the seconds that took."""
        begun = clock.perf_counter()
        samples = [self.part[place] for place in range(len(self.part.indices))]
        return samples, clock.perf_counter() - begun

    @property
    def times(self) -> float:
        """All samples over those that are tried."""
        return (self.subject.length or len(self.part.indices)) / len(self.part.indices)

    def ask_for(self, title: str, needs: Bytes) -> Bytes:
        """
        Raises:
            Inapplicable: there is no room for it.
        """
        if why := lacking(title, needs, self.room):
            raise Inapplicable(why)
        return needs


class Instead(Dataset[Any]):
    """Samples of `inner`, read while other functions stand in for those that the code calls."""

    def __init__(
        self, inner: Dataset[Any], pairs: Sequence[tuple[Callee, Callable[..., Any]]]
    ) -> None:
        self.inner, self.pairs = inner, pairs

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        with all_replaced(self.pairs):
            return self.inner[index]


class Patched(Dataset[Any]):
    """Another `PIL.Image.open` while a sample is read."""

    def __init__(self, inner: Dataset[Any], make: Callable[[], Callable[..., Any]]) -> None:
        self.inner, self.make = inner, make

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        with pictures.standing_in(self.make()):
            return self.inner[index]


def alike(at: Context, other: Dataset[Any], exactly: bool = False, draw: int = 0) -> bool:
    """Whether `other` gives nearly the user's samples: a crop of a smaller picture is another part
    of it, and a decoder that knows no orientation turns it. Random samples are compared with the
    global generators at the same place; those with a generator of their own cannot be."""
    few = FEW if at.cost < SLOW else 1
    for index in range(min(few, len(at.samples))):
        sample, again = seeded(at.part, index, draw), seeded(other, index, draw)
        steady = at.same_each_time
        if not steady and fingerprint(sample) != fingerprint(seeded(at.part, index, draw)):
            return False
        for own, made in zip(leaves(sample), leaves(again), strict=True):
            if not (_numeric(own.values) and _numeric(made.values)):
                if repr(own.value) != repr(made.value):
                    return False
                continue
            if own.values.shape != made.values.shape:
                return False
            spread = float(np.std(own.values)) or 1.0
            difference = np.abs(own.values.astype(float) - made.values.astype(float)).mean()
            if difference > (0.0 if exactly else MOST_APART * spread):
                return False
    return bool(at.samples)


def _numeric(values: np.ndarray[Any, Any] | None) -> TypeGuard[np.ndarray[Any, Any]]:
    return values is not None and values.dtype.kind in "biufc"


def unharmed(at: Context, other: Dataset[Any]) -> bool:
    """Whether it gives the user's samples exactly, each time, and raises nothing.

    The second time from another place of the generators: what was drawn must not have been kept.
    """
    try:
        return all(alike(at, other, exactly=True, draw=draw) for draw in DRAWS)
    except RAISED:
        return False


def used_by(made: Dataset[Any], used: Collection[str]) -> bool:
    """Whether a sample comes by what stands in, which notes that in `used`: read once, since the
    samples of most datasets do not."""
    try:
        made[0]
    except RAISED:
        return False
    return bool(used)


def seeded(dataset: Dataset[Any], index: int, draw: int = 0) -> Any:
    """A sample, drawn from the same place of the global generators each time, another for each
    `draw`."""
    seed = index + 1_000_003 * draw
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return dataset[index]
