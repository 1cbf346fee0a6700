"""What the page and the tables show: judged claims with their words, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from scripts.judging.at_scale import AtScale
from scripts.judging.model import JudgedClaim, Measured, Repeat, Run


@dataclass(frozen=True, kw_only=True)
class ClaimResult(JudgedClaim):
    """A claim with its verdict and everything needed to show why."""

    title: str  # a statement where the claim is supported, else a question
    section: str  # section of the post, or "beyond the post"
    origin: Literal["post", "beyond"]
    restated: str
    method: str  # how it is tested, one or two sentences
    advice: str  # what to do instead
    finding: str  # one sentence with numbers
    boundary: str  # one sentence on where it holds, "" where only the grid tells it
    unmeasured: list[str] = field(default_factory=list)  # labels of tests that lack all results
    missing: str  # for "not tested" and "inconclusive": which evidence is lacking; "" otherwise
    instead: tuple[str, str, str] | None = None  # task, arm to take, arm that it is compared with


@dataclass(frozen=True, kw_only=True)
class Machine(Measured):
    """Where and when a set of results was measured; `details` is shown as a two-column table."""

    summary: str  # one line: CPU, cores, RAM, storage
    details: dict[str, str]
    warnings: list[str]  # for example "dirty work tree", "no samples: medians only"


@dataclass(frozen=True)
class Corpus:
    """The images a run used, from the corpus manifest."""

    label: str  # "bundled photographs" or "own images"
    resolution: int
    count: int
    quality: str
    bytes_per_pixel: float
    content_hash: str
    skipped: list[str]  # one sentence per file that could not be read


@dataclass(frozen=True)
class FieldRow:
    """A published figure with ours beside it."""

    source: str  # for example "SPDL#303"
    url: str
    published: str  # the figure as its source states it, restated
    ours: str  # the same quantity in this run, with its interval; "not measured" where it was not
    agreement: Literal["agrees", "differs", "not measured"]
    because: str  # one sentence
    claim: str = ""  # the claim that holds the evidence, for a link


@dataclass(frozen=True)
class Point:
    """A sentence of the answer, and the claim that holds its evidence."""

    text: str
    claim: str
    measured: str = ""  # interval, size and machine


@dataclass(frozen=True, kw_only=True)
class Study(Run):
    """Everything the page and the tables show.

    `measurements`: one row per measured cell, for overview figures and CSV files; columns
    machine, benchmark, metric, unit, n, px, quality, workers, start_method, medium, transform,
    stage, impl, median, low, high, blocks. Rows are sorted; missing factors are "" or NaN.
    """

    claims_hash: str
    corpus_hash: str
    versions: dict[str, str]
    machines: list[Machine]
    corpora: list[Corpus]
    claims: list[ClaimResult]
    measurements: pd.DataFrame
    points: list[Point]  # of the answer
    notes: list[str]  # limits of this evidence, one sentence each
    skips: list[tuple[str, str]] = field(default_factory=list)  # what was skipped, and why
    field_rows: list[FieldRow] = field(default_factory=list)
    repeat: Repeat | None = None
    at_scale: AtScale | None = None  # many more images on many machines, on paper
    apart: list[str] = field(default_factory=list)  # of the notes, what another run measured
    # (machine, benchmark) whose numbers are of an earlier version of the benchmark.
    earlier: set[tuple[str, str]] = field(default_factory=set)

    @property
    def answer(self) -> str:
        """Plain text, a line for each point."""
        return "\n".join(point.text for point in self.points) or (
            "Nothing was measured that answers the question; run `make study`."
        )

    @property
    def answer_claims(self) -> list[str]:
        return [point.claim for point in self.points]
