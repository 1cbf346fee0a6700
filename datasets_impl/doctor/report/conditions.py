"""`--fail-if "waits>10%"`: when a command that looks at a dataset is to fail."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from datasets_impl.doctor.findings.time_account import ORDER
from datasets_impl.doctor.report.comparing import Comparison
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.errors import BadArgument, StudyError

FAILED = 1  # exit code

Value = Callable[[Diagnosis], float | None]


def _waits(one: Diagnosis) -> float | None:
    return None if one.step is None else 100 * one.step.waits


def _hazards(one: Diagnosis) -> float | None:
    if not one.dataset:  # its process ended over the first sample
        return None
    return sum(found.kind == "wrong" for found in one.findings)


STEP = "--step-ms or --beside"
MEASURED = "time for batches with the loader's own workers (a larger --budget, no stream)"
VALUES: dict[str, tuple[Value, str, str]] = {  # name -> value, unit, what it takes
    "waits": (_waits, "%", f"{STEP}, and {MEASURED}"),
    "us": (lambda one: one.as_set, "", f"samples that can be read, and {MEASURED}"),
    "hazards": (_hazards, "", "samples that can be looked at"),
}
SLOWER = "slower"  # of a comparison: percent, by the end of the interval that is surer
_RULE = re.compile(r"\s*([A-Za-z][A-Za-z -]*?)\s*>\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_NAMES = {one.lower(): one for one in (*VALUES, SLOWER, *ORDER)}


@dataclass(frozen=True)
class Condition:
    """`name` > `limit`, as it was typed."""

    name: str
    limit: float
    text: str

    @classmethod
    def of(cls, text: str) -> Condition:
        """
        Raises:
            BadArgument: it is no condition.
        """
        found = _RULE.fullmatch(text)
        if not found:
            raise BadArgument(
                f'--fail-if must be like "waits>10%" or "decoding>50%", not {text[:80]!r}.'
            )
        name = _NAMES.get(found[1].lower(), found[1])
        one = cls(name, float(found[2]), text.strip())
        if found[3] and one.name in VALUES and not VALUES[one.name][1]:
            raise BadArgument(f"--fail-if {one.text}: no percentage; leave out the %.")
        if math.isinf(one.limit):
            raise BadArgument(f"--fail-if {one.name}: nothing is above it; give a smaller one.")
        return one

    def check_possible(self, *, step: bool) -> None:
        """Of the diagnosis of a target; `step` says whether a training step is compared with.

        Raises:
            BadArgument: an option is lacking.
        """
        if self.name == SLOWER:
            raise BadArgument("--fail-if slower takes --compare.")
        if self.name == "waits" and not step:
            raise BadArgument(f"--fail-if waits takes {STEP}.")

    def failed(self, one: Diagnosis) -> str:
        """What to say where it holds; "" where it does not.

        Raises:
            StudyError: there is no such value in this diagnosis.
        """
        if self.name in VALUES:
            value, unit, takes = VALUES[self.name]
            found = value(one)
            if found is None:
                raise StudyError(f"--fail-if {self.name} takes {takes}.")
            return self._said(found, unit)
        if self.name == SLOWER:
            raise StudyError("--fail-if slower takes --compare.")
        if not one.parts:
            raise StudyError(f"--fail-if {self.name}: it was not found out where the time goes.")
        shares = {part.cause: 100 * part.share for part in one.parts}
        return self._said(shares.get(self.name, 0.0), "%")

    def failed_between(self, one: Comparison) -> str:
        """The same of two diagnoses: of the later one, but for what compares them."""
        if self.name != SLOWER:
            return self.failed(one.after)
        if one.gain is None:
            raise StudyError("--fail-if slower: one of the two holds no time of the loader.")
        surest = one.high if one.high is not None else one.gain
        return self._said(100 * (1 / surest - 1), "%")

    def _said(self, value: float, unit: str) -> str:
        return f"{self.text}: it is {value:.3g}{unit}" if value > self.limit else ""


def check_known(conditions: list[Condition]) -> None:
    """
    Raises:
        BadArgument: one asks for what is never measured.
    """
    for one in conditions:
        if one.name not in _NAMES.values():
            known = ", ".join(sorted(_NAMES.values(), key=str.lower))
            raise BadArgument(f"--fail-if knows no {one.name!r}; it knows {known}.")
