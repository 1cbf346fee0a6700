"""A judged set of results, as `judge` gives it to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.judging import bandwidth
from scripts.judging.at_scale import AtScale
from scripts.judging.claims import Claims
from scripts.judging.evidence import Evidence
from scripts.judging.model import Run


@dataclass(frozen=True, kw_only=True)
class Judgement(Run):
    """A judged set of results, with the rules and the evidence that it was judged by.

    `others` are those of environments beside the reference of each machine.
    """

    known: Claims
    evidence: Evidence
    bandwidths: list[bandwidth.BreakEven]
    at_scale: AtScale | None = None  # many more images on many machines, on paper
    others: Sequence[Judgement] = ()
