"""What judging gives: claims, their cells, loaders. Numbers and keys, no sentence for a reader.

Plain values, already sorted, so that the same evidence renders to the same bytes; `scripts/report`
puts them in words (`report/model.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from scripts.judging.environment_changes import Across
from scripts.judging.interval import Interval

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
class Bar:
    """What a number is held against; `within` the value of 1, for arms that are the same."""

    sign: Literal[">", "<", "=", ">=", "<=", "within"]
    value: float


ReasonKind = Literal[
    "logged",  # what the log says: (text,)
    "outdated",  # (version measured, version now)
    "failed",
    "unavailable",
    "incomplete",  # (blocks, of how many)
    "incomplete, logged",  # the same, and what the log says
    "all disturbed",
    "disturbed, untold",
    "other blocks",
    "other blocks of times",
    "none quiet",
    "no ratio",
    "one block",
    "no construction",
    "two levels",
    "timed apart",
    "unpaired",
    "counts elsewhere",  # (benchmark,)
    "counts instead",  # (label of the test that does,)
    "not after Holm",  # (cells of the family,)
    "at the bar",  # (most rounds that were tried,)
]


@dataclass(frozen=True)
class Reason:
    """Why a cell has no number, is unclear or is shown as it is; the report says it in words."""

    kind: ReasonKind
    about: tuple[str | int, ...] = ()


UNPAIRED = Reason("unpaired")


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
    bar: Bar | None = None
    counts: bool = True
    reasons: tuple[Reason, ...] = ()  # why a cell was skipped, is unclear, or is no plain reading
    reading: str = ""  # an exact value in words, for example "raises ValueError"
    treatment: str = ""  # the arm above the line, for example "naive"
    baseline: str = ""  # the arm below the line, for example "preloaded"
    p: float | None = None  # two-sided, against the bar; None for exact cells
    p_holm: float | None = None  # the same after Holm's correction on its machine
    more_rounds: int | None = None  # how many more rounds would decide an unclear cell
    unit: str = ""  # of an amount, for example "epochs" or "MB"
    loaded: tuple[int, ...] = ()  # rounds left out, because other programs disturbed an arm
    cold: ColdState | None = None  # None where nothing was measured cold

    @property
    def paired(self) -> bool:
        """False where the outcome rests on medians, without samples of the same blocks."""
        return UNPAIRED not in self.reasons


@dataclass(frozen=True)
class GridRow:
    """A test at one level of each factor that tells its outcome, with its cells by machine."""

    test: str
    levels: dict[str, Any]  # empty where the outcome is the same throughout
    cells: dict[str, list[Cell]]


@dataclass(frozen=True)
class Effect:
    """The headline effect of a claim: one cell, chosen in claims.toml before the run."""

    metric: str  # a benchmark's name for it, for example "epoch"; in words on the page
    arms: list[str]  # [treatment, baseline], or one name for a share or exact value
    estimate: float
    low: float | None
    high: float | None
    quantity: str
    factors: dict[str, Any]
    reading: str = ""  # an exact value in words, for example "1 of 20 reads"
    unit: str = ""  # of an amount, for example "epochs" or "MB"
    test: str = ""  # label of the test it is of


@dataclass(frozen=True)
class CellCounts:
    total: int
    for_: int
    against: int
    unclear: int
    skipped: int


@dataclass(frozen=True)
class Lacking:
    """What an undecided claim lacks; the report says it in words.

    `kind`: "needs", what the claims file says; "evidence", for `reasons` or because none of
    `benchmarks` was run; "quiet", `machines` had too many false alarms; "samples", there are only
    medians; "rounds", `more` of them; "any rounds", it is not known how many; "effect", more rounds
    alone would not decide it. `targets` of `make` measure it, each up to so many rounds where that
    is known, else 0.
    """

    kind: Literal["needs", "evidence", "quiet", "samples", "rounds", "any rounds", "effect"]
    benchmarks: tuple[str, ...] = ()
    targets: tuple[tuple[str, int], ...] = ()
    machines: tuple[str, ...] = ()
    unclear: int = 0
    counted: int = 0
    reasons: frozenset[tuple[Reason, ...]] = frozenset()  # of each cell, without repetitions
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A claim's verdict with the numbers that it rests on."""

    id: str
    verdict: Verdict
    lacking: Lacking | None = None  # of what is not tested or inconclusive
    effect: Effect | None
    cells: CellCounts
    evidence: list[Cell]
    by_machine: dict[str, Verdict]
    by_environment: dict[str, dict[str, Verdict]] = field(default_factory=dict)  # then machine
    starts: dict[str, set[str]] = field(default_factory=dict)  # start methods with a number, by it
    grid: list[GridRow] = field(default_factory=list)  # where a conditional claim holds


@dataclass(frozen=True)
class Noise:
    """A/A arms: the same implementation under two names."""

    cells: int
    false_alarms: int
    rate: float | None  # None when no A/A arm was measured
    widest: float | None  # largest |ratio - 1| among the A/A estimates
    evidence: list[Cell] = field(default_factory=list)


@dataclass(frozen=True)
class LoaderRow:
    """One way to do one task. Missing parts are None: not measured, or no rival to compare with."""

    arm: str
    origin: str  # "plain", "variant" or "peer"
    about: str
    exact: bool  # Pillow's pixels; otherwise the fast DCT
    order: str  # how far its order is from a true shuffle
    code: str  # what a user writes
    uses: str  # the class that it is built on, "" for none of this project's
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
    cpu_us: float | None  # microseconds of CPU per image, of all processes
    ceiling: str = ""  # the one that `share_of_ceiling` is of, among those of its task


@dataclass(frozen=True)
class LadderStep:
    """An arm that does one thing more than the one before; microseconds per image."""

    arm: str
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
    ceiling_ends: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    ladder: list[LadderStep] = field(default_factory=list)


@dataclass(frozen=True)
class RemoteRow:
    """An arm of *remote* over one line: its first epoch, and what the server counted of it.

    `uses`, `code` and the like: see `LoaderRow`.
    """

    arm: str
    origin: str
    exact: bool
    order: str
    about: str
    code: str
    uses: str
    setting: dict[str, Any]
    images_per_second: float
    low: float | None
    high: float | None
    blocks: int
    first_batch_seconds: float
    us_after_first: float  # of an image, after the first batch
    requests_per_image: float
    bytes_per_image: float
    share_of_line: float
    mean_difference: float | None = None  # of pixels, of 255; None where it was not measured


@dataclass(frozen=True)
class RemoteLine:
    """A line to an object store, in MB/s and ms to the first byte, and its arms, fastest first."""

    machine: str
    images: int
    px: int
    bandwidth: int
    latency_ms: int
    rows: list[RemoteRow]


@dataclass(frozen=True)
class ScaleRow:
    """Images per second of an arm at one level of a factor, everything else held."""

    machine: str
    benchmark: str  # for example "arms.ByThreads"
    level: str | int
    arm: str
    images_per_second: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Measured:
    """A machine's share in a run."""

    name: str
    profile: str = ""
    rules: str = ""  # hash of the rules it was measured under, "" where it is not known
    day: str = ""  # of its first round, "" where it is not known
    commit: str = ""
    apart: Mapping[str, str] = field(default_factory=dict)  # commits of the runs judged with it
    environment: str = ""  # "Python 3.11, torch 2.14"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A judged set of results."""

    commit: str
    dirty: bool
    profile: str
    rounds: int
    machines: Sequence[Measured]
    noise: Noise
    claims: Sequence[JudgedClaim]
    loaders: list[Loaders] = field(default_factory=list)  # what to use instead
    scale: list[ScaleRow] = field(default_factory=list)  # how loaders change with size
    remote: list[RemoteLine] = field(default_factory=list)  # loaders over lines of stated speed
    across: list[Across] = field(default_factory=list)  # environments beside the references


@dataclass(frozen=True)
class Repeat:
    """How a second, independent run of the same profile compares with the first."""

    first: Run
    second: Run
    same_rules: bool  # whether both were measured under the same ones
    verdicts: list[tuple[str, Verdict, Verdict]]  # claim id, first, second
    flips: int  # supported in one, challenged in the other
    cells: int  # cells decided in both
    agreeing: int  # of them, with the same outcome
    effects: pd.DataFrame  # claim, test, factors, first, second (estimates), both outcomes
