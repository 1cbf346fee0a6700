"""What is asked of a process of probes, and what was heard from all of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_impl.doctor.process.printable import shown_in

LONGEST_HEARD = 4000  # characters of a text: lines of code are long, and are not to be cut
LOOK = "look"  # the probe that tells of every sample that it begins to read
STARTING = "starting"  # the one that tells what it knows before it tries more


@dataclass(frozen=True)
class Ask:
    """A probe by name, the seconds it should take, and what else it is told.

    It is left out when the probe that it `needs` has failed: where one sample cannot be read at
    all, waiting for others tells nothing.
    """

    probe: str
    seconds: float
    needs: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Heard:
    """Answers by probe; what failed, as a sentence by probe; "" is the target itself."""

    answers: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)  # probes that there was no time for
    # [index, why, the user's lines where it stood] of samples to be avoided
    stuck: list[list[Any]] = field(default_factory=list)
    hung: dict[str, Any] = field(default_factory=dict)  # a worker, as `Workers.hung` tells it
    user_error: str = ""  # a sentence for somebody who named the wrong target
    partial: dict[str, Any] = field(default_factory=dict)  # of the probe that looks at samples
    looked: dict[str, Any] = field(default_factory=dict)  # the same, once a sample was seen
    writes: str = ""  # what making the dataset does to files of the user's
    once: list[str] = field(default_factory=list)  # probes that would have it made once more
    until: float | None = None  # on the monotonic clock; from when on nothing more is begun

    @property
    def left(self) -> float:
        """Seconds; the first import and the making of the dataset take none of them."""
        return float("inf") if self.until is None else self.until - time.monotonic()

    @property
    def cost(self) -> float:
        """Seconds of a sample, 0 while that is not known."""
        return float(self.answers.get(LOOK, {}).get("cost", 0.0))

    @property
    def settled(self) -> set[str]:
        return {*self.answers, *self.failures, *self.late, *self.once}

    @property
    def avoid(self) -> list[int]:
        """Indices that hang or end the process, and those that raised."""
        broken: list[int] = self.answers.get(LOOK, {}).get("broken", [])
        return [*broken, *(one[0] for one in self.stuck)]


def complete_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [
        shown_in(json.loads(line), LONGEST_HEARD)
        for line in text[: text.rfind("\n") + 1].splitlines()
    ]
