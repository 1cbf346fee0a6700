"""The doctor's answer as data: what the terminal, the page and the JSON file are made from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NOISY = 20.0  # times its lower end, of an interval that tells nothing
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def noisy(low: float | None, high: float | None) -> bool:
    """Whether an interval is too wide to tell anything."""
    return low is not None and high is not None and high > NOISY * low


def as_set(own: float | None, alone: float | None, workers: int) -> float | None:
    """What a sample takes with the loader as it is set, where that was measured. The time of one
    process is `alone`, which tells nothing of several."""
    return own or (None if workers else alone)


class Part(_Model):
    """Of the time of a sample: a cause, microseconds, and its share."""

    cause: str
    us: float
    share: float


class Place(_Model):
    """A line of the user's and what it takes of a sample, without other lines that it leads to.

    `kind` is the work that takes most of that; without the line a sample is `at_most` so many times
    as fast.
    """

    file: str
    line: int
    function: str
    code: str
    us: float
    share: float
    kind: str
    at_most: float


class Found(_Model):
    """A hazard or a cause, the most telling first."""

    kind: Literal["wrong", "mechanism", "time", "note"]
    name: str
    title: str
    evidence: str
    remedy: str
    lines: str
    claim: str
    places: list[str]


class Tried(_Model):
    """A remedy that was run. `gain` is how many times as many samples per second, `low` to `high`
    its 95 % interval over rounds; `break_even_epochs` where something is paid once."""

    name: str
    title: str
    gain: float
    low: float | None
    high: float | None
    rounds: int
    workers: int
    recommended: bool
    lines: str
    claim: str
    cost: str
    needs: dict[str, int]  # bytes for all samples, by place
    caution: str
    once_seconds: float
    break_even_epochs: float | None
    mends: list[str] = []  # names of findings whose cause it takes away

    @property
    def noisy(self) -> bool:
        """Rounds differ so much that they prove nothing, wherever their interval lies."""
        return noisy(self.low, self.high)


class Ceiling(_Model):
    """What the machine could do, microseconds per sample; the loader takes `times` that."""

    us: float
    of: str
    cores: int
    times: float | None


class Step(_Model):
    """Beside a training step of so many milliseconds: the share of time a trainer would wait, and
    what it would with the remedy that helps most ("" and None where none does).
    `enough_workers` is the smallest number of workers that keeps the step fed, an estimate where it
    is none of `tried_workers`."""

    step_ms: float
    batch_ms: float
    workers: int
    batch_size: int
    waits: float
    fine: bool
    remedy: str
    waits_then: float | None
    enough_workers: int | None = None
    tried_workers: list[int] = []


class Machine(_Model):
    """What may be used of it, and bytes of memory that workers will take: `worker_bytes` each, None
    where that was not measured, and `ready_bytes` for batches."""

    cores: int
    visible: int
    quota: float | None
    workers: int
    worker_bytes: int | None
    ready_bytes: int
    free_bytes: int | None


class Start(_Model):
    """Of what passes before the first batch; `each_epoch`: it comes back with every epoch."""

    part: str
    seconds: float
    each_epoch: bool


class Diagnosis(_Model):
    """Everything the doctor says of one target. Times are microseconds per sample."""

    schema_version: Literal[1] = 1
    target: str
    verdict: str
    dataset: str
    note: str  # what the doctor itself does to the samples
    length: int | None
    kinds: list[list[str]]
    sample_bytes: float
    settings: dict[str, Any]
    total_us: float | None
    parts: list[Part]
    looping_us: Time = 0.0  # of the part that is Python's own, in lines that are begun often
    unattributed_us: float
    places: list[Place]
    own_us: Time | None
    own_rounds: list[Time] = []  # what `own_us` is the median of
    hand_over_us: float | None
    first_batch_s: float | None
    before_first: list[Start] = []
    findings: list[Found]
    remedies: list[Tried]
    ceiling: Ceiling | None
    step: Step | None
    room: dict[str, int]  # bytes that are free, by place
    machine: Machine | None = None
    not_done: list[str]

    @property
    def as_set(self) -> float | None:
        return as_set(self.own_us, self.total_us, int(self.settings.get("num_workers") or 0))

    @property
    def wrong(self) -> bool:
        """Whether something is wrong, beside which no time matters yet."""
        return bool(self.findings) and self.findings[0].kind == "wrong"
