"""What is written down while a watched loop runs. Seconds, by `time.perf_counter`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from datasets_impl.doctor.probes.raised import said_by
from datasets_impl.doctor.process.printable import shown

MOST_KEPT = 1 << 20  # steps of which every time is kept; of longer loops the last so many


class Times:
    """The times of one thing: all of them counted, the last `MOST_KEPT` of them kept.

    16 MB at most for a loop, however long it trains.
    """

    def __init__(self) -> None:
        self.kept = array("d")
        self.count = 0
        self.total = 0.0
        self.least = 0.0

    def add(self, seconds: float) -> None:
        if self.count < MOST_KEPT:
            self.kept.append(seconds)
        else:
            self.kept[self.count % MOST_KEPT] = seconds
        self.count += 1
        self.total += seconds
        if seconds < self.least:
            self.least = seconds


@dataclass
class Pair:
    """Seconds per step with the loader at work, and with batches that were there already."""

    usual: float
    free: float


@dataclass(eq=False)
class Record:
    """Everything that was seen of the loops over one loader, or those of one place in the code,
    epoch after epoch."""

    name: str
    seen: int = 0  # steps with the loader at work,
    steps: Times = field(default_factory=Times)  # and those that no block of held batches helped
    waits: Times = field(default_factory=Times)  # for every batch but the first of an epoch
    first_batches: Times = field(default_factory=Times)  # from the start of an epoch on
    blocks: int = 0  # of batches that were held back,
    pairs: list[Pair] = field(default_factory=list)  # and what was seen of those that were timed
    free_steps: Times = field(default_factory=Times)
    wakes: int = 0  # of a thread that asked for the GIL while a step ran,
    late_wakes: int = 0  # and those that the step let wait
    batch_size: int | None = None  # samples in the first batch
    batch_bytes: int = 0  # of the first batch
    told_epochs: dict[str, int | None] = field(default_factory=dict)  # of samplers and datasets
    notes: list[str] = field(default_factory=list)

    @property
    def clock_runs(self) -> bool:
        """Not where a user's own clock stands still, or goes backwards."""
        times = (self.steps, self.waits, self.first_batches)
        went = any(one.total for one in times) or not self.steps.count
        return went and all(one.least >= 0.0 for one in times)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def missed(self, what: str, error: Exception) -> None:
        """Training goes on where something of it cannot be measured: a sentence for each thing."""
        if not any(one.startswith(what) for one in self.notes):
            self.note(f"{what} could not be measured ({shown(said_by(error))}).")

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.missed(what, error)
