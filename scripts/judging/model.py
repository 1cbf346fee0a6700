"""What flows from inference to the page: the study, its claims, their cells.

These dataclasses are the whole interface between judging (`inference.py`) and showing
(`render_report.py`, `figures.py`, `tables.py`). They hold plain values, already sorted, so that
the same evidence renders to the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from scripts.judging.inference import Interval

Verdict = Literal["supported", "challenged", "conditional", "inconclusive", "not tested"]
Outcome = Literal["for", "against", "unclear", "skipped"]
VERDICTS: tuple[Verdict, ...] = (
    "supported",
    "challenged",
    "conditional",
    "inconclusive",
    "not tested",
)


@dataclass(frozen=True)
class ColdState:
    """What was verified of a cold measurement; over both arms and all rounds, the worst."""

    resident_before: float  # share of the files' pages in memory before, 0-1
    read_share: float  # bytes that came from the device, over the bytes of the files
    share_of_limit: float | None = None  # reading speed over the throttle's limit


@dataclass(frozen=True)
class Cell:
    """One combination of factor levels, judged.

    `estimate`, `low`, `high`: a ratio (1 = equal), a share (0-1), a slope, an amount in `unit` or
    an exact value, as `quantity` says; `low`/`high` are the 95 % interval over blocks, None for
    exact cells and for evidence without samples. A break-even that never comes is infinite, and
    one whose interval is open above has `low` only. `counts` is False for context cells, which are
    shown but not judged.
    """

    test: str  # label of the test within the claim, for example "naive / preloaded, per epoch"
    quantity: Literal["ratio", "share", "slope", "amount", "value"]
    factors: dict[str, Any]  # for example {"n": 1024, "px": 256, "workers": 2}
    estimate: float | None
    low: float | None
    high: float | None
    outcome: Outcome
    blocks: int
    benchmark: str  # asv name, for example "epoch.ByResolution.track_epoch"
    machine: str
    bar: str = ""  # the bar in words, for example "> 1.05" or "= 0"
    counts: bool = True
    reason: str = ""  # why a cell was skipped or is unclear
    reading: str = ""  # an exact value in words, for example "raises ValueError"
    treatment: str = ""  # the arm above the line, for example "naive"
    baseline: str = ""  # the arm below the line, for example "preloaded"
    p: float | None = None  # two-sided, against the bar; None for exact cells
    p_holm: float | None = None  # the same after Holm's correction over the claim's cells
    more_rounds: int | None = None  # how many more rounds would decide an unclear cell
    unit: str = ""  # of an amount, for example "epochs" or "MB"
    loaded: tuple[int, ...] = ()  # rounds left out, because other programs disturbed an arm
    cold: ColdState | None = None  # None where nothing was measured cold


@dataclass(frozen=True)
class Effect:
    """The headline effect of a claim: one cell, chosen in claims.toml before the run."""

    metric: str  # for example "microseconds per image, one epoch"
    arms: list[str]  # [treatment, baseline], or one name for a share or exact value
    estimate: float
    low: float | None
    high: float | None
    quantity: str
    factors: dict[str, Any]
    reading: str = ""  # an exact value in words, for example "1 of 20 reads"
    unit: str = ""  # of an amount, for example "epochs" or "MB"


@dataclass(frozen=True)
class CellCounts:
    total: int
    for_: int
    against: int
    unclear: int
    skipped: int


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its verdict and everything needed to show why."""

    id: str
    title: str
    section: str  # section of the post, or "beyond the post"
    origin: Literal["post", "beyond"]
    restated: str
    method: str  # how it is tested, one or two sentences
    advice: str  # what to do instead
    verdict: Verdict
    finding: str  # one sentence with numbers
    boundary: str  # where a conditional verdict flips; "" otherwise
    missing: str  # for "not tested" and "inconclusive": which evidence is lacking; "" otherwise
    effect: Effect | None
    cells: CellCounts
    evidence: list[Cell]
    by_machine: dict[str, Verdict]


@dataclass(frozen=True)
class Noise:
    """A/A arms: the same implementation under two names."""

    cells: int
    false_alarms: int
    rate: float | None  # None when no A/A arm was measured
    widest: float | None  # largest |ratio - 1| among the A/A estimates
    evidence: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Machine:
    """Where and when a set of results was measured; `details` is shown as a two-column table."""

    name: str
    summary: str  # one line: CPU, cores, RAM, storage
    details: dict[str, str]
    warnings: list[str]  # for example "dirty work tree", "no samples: medians only"
    profile: str = ""
    rules: str = ""  # hash of the claims file it was measured under, "" where it is not known


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
class Repeat:
    """How a second, independent run of the same profile compares with the first."""

    first: str  # when and what, for example "intel-xeon-2-cores, 2026-11-23, 6 rounds"
    second: str
    verdicts: list[tuple[str, Verdict, Verdict]]  # claim id, first, second
    flips: int  # supported in one, challenged in the other
    cells: int  # cells decided in both
    agreeing: int  # of them, with the same outcome
    effects: pd.DataFrame  # claim, test, factors, first, second (estimates), both outcomes


@dataclass(frozen=True)
class LoaderRow:
    """One way to do one task. Missing parts are None: not measured, or no rival to compare with."""

    arm: str
    origin: str  # "plain", "variant" or "peer"
    about: str
    exact: bool  # Pillow's pixels; otherwise the fast DCT
    order: str  # how far its order is from a true shuffle
    code: str  # what a user writes
    images_per_second: float
    low: float | None
    high: float | None
    blocks: int
    share_of_ceiling: Interval | None
    rival: str  # the fastest specialised loader of equal or better fidelity
    times_rival: Interval | None  # images per second over the rival's
    rival_later: str  # the best one when the time to each epoch's first batch is left out
    times_rival_later: Interval | None
    memory_mb: float | None  # of the process tree at its peak, without the page cache
    conversion_seconds: float | None
    bytes_on_disk: int | None  # beside the photographs
    mean_difference: float | None  # of 255 levels, from the reference pixels
    psnr: float | None  # dB; None where nothing differs
    setting: dict[str, Any]  # the one that the search kept
    tried: dict[str, float]  # microseconds per image of every setting tried
    first_batch_ms: float | None
    us_after_first: float | None


@dataclass(frozen=True)
class LadderStep:
    """An arm that does one thing more than the one before; microseconds per image."""

    arm: str
    adds: str
    us: float
    added: float  # beyond the step before, or all of it on the first
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Loaders:
    """A task on one machine: its arms, fastest first, its ceilings in images per second, and what
    the time between them is spent on."""

    machine: str
    task: str
    images: int
    px: int
    cores: int
    ceilings: dict[str, float]
    rows: list[LoaderRow]
    ladder: list[LadderStep] = field(default_factory=list)


@dataclass(frozen=True)
class ScaleRow:
    """Images per second of an arm at one level of a factor, everything else held."""

    machine: str
    what: str  # for example "threads or workers"
    level: str
    arm: str
    images_per_second: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Study:
    """Everything the page and the tables show.

    `measurements`: one row per measured cell, for overview figures and CSV files; columns
    machine, benchmark, metric, unit, n, px, quality, workers, start_method, medium, transform,
    stage, impl, median, low, high, blocks. Rows are sorted; missing factors are "" or NaN.
    """

    commit: str
    dirty: bool
    claims_hash: str
    corpus_hash: str
    profile: str
    rounds: int
    versions: dict[str, str]
    machines: list[Machine]
    corpora: list[Corpus]
    noise: Noise
    claims: list[ClaimResult]
    measurements: pd.DataFrame
    answer: str  # plain text, a line for each point
    notes: list[str]  # limits of this evidence, one sentence each
    skips: list[tuple[str, str]] = field(default_factory=list)  # what was skipped, and why
    field_rows: list[FieldRow] = field(default_factory=list)
    repeat: Repeat | None = None
    loaders: list[Loaders] = field(default_factory=list)  # what to use instead
    scale: list[ScaleRow] = field(default_factory=list)  # how loaders change with size
