"""The shape of `claims.json`; its JSON schema is written beside it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scripts.judging.model import Outcome, Verdict

Count = Annotated[int, Field(ge=0)]
Number = float | None
Probability = Annotated[float, Field(ge=0, le=1)] | None
Share = Annotated[float, Field(ge=0)]
Texts = dict[str, str]
Scalar = str | int | float | bool | None
Named = Annotated[str, Field(min_length=1)]
Quantity = Literal["ratio", "share", "slope", "amount", "value"]


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class CorpusRecord(_Object):
    label: str
    resolution: Count
    count: Count
    quality: str
    bytes_per_pixel: Number
    content_hash: str
    skipped: list[str]


class StudyRecord(_Object):
    commit: str
    dirty: bool
    claims_hash: str = Field(
        description="SHA-256 of the rules in claims.toml (ids, headlines, tests and bars, not the "
        "wording), fixed before the numbers; python -m scripts.judging.claims prints it"
    )
    corpus_hash: str
    profile: str
    rounds: Count
    versions: Texts
    answer: str = Field(description="plain text, a line for each point")
    notes: list[str]
    corpora: list[CorpusRecord]


class MachineRecord(_Object):
    name: str
    summary: str
    details: Texts
    warnings: list[str]


class NoiseRecord(_Object):
    cells: Count
    false_alarms: Count
    rate: Probability
    widest: Share | None


class EffectRecord(_Object):
    metric: str
    arms: list[str]
    quantity: Quantity
    unit: str = Field(description="of an amount")
    factors: dict[str, Scalar]
    estimate: Number
    low: Number
    high: Number


class CellRecord(_Object):
    """One cell; every further property is a factor of the cell and its level."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Scalar]

    benchmark: str
    machine: str
    test: str
    quantity: Quantity
    treatment: str
    baseline: str
    estimate: Number
    low: Number
    high: Number
    outcome: Outcome
    bar: str
    blocks: Count
    counts: bool
    reason: str
    reading: str
    p: Probability = Field(description="two-sided, against the bar; null for exact cells")
    p_holm: Probability = Field(
        description="after Holm's correction over the claim's counted cells"
    )
    more_rounds: Count | None = Field(
        description="further rounds that would decide an unclear cell with 80 % power"
    )
    unit: str = Field(description="of an amount")
    resident_before: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="cold cells: share of the files in the page cache before, the largest of both "
        "arms and all rounds",
    )
    read_share: Share = Field(
        default=0.0,
        description="cold cells: bytes that came from the device over bytes of the files, the "
        "smallest",
    )
    share_of_limit: Share | None = Field(
        default=None, description="throttled cells: reading speed over the limit, the largest"
    )


class CountsRecord(_Object):
    total: Count
    for_: Count = Field(alias="for")
    against: Count
    unclear: Count
    skipped: Count


class ClaimRecord(_Object):
    id: str = Field(pattern="^[CX][0-9]{2}$")
    title: Named
    section: str
    origin: Literal["post", "beyond"]
    restated: str
    method: str
    advice: str
    verdict: Verdict
    finding: str
    boundary: str
    missing: str
    effect: EffectRecord | None
    cells: CountsRecord
    by_machine: dict[str, Verdict]
    evidence: list[CellRecord]


class FieldRecord(_Object):
    source: Named
    url: str = Field(pattern="^https://")
    published: str
    ours: str
    agreement: Literal["agrees", "differs", "not measured"]
    because: Named
    claim: str = Field(pattern="^([CX][0-9]{2})?$")


class VerdictsRecord(_Object):
    claim: str
    first: Verdict
    second: Verdict


class RepeatRecord(_Object):
    first: str
    second: str
    verdicts: list[VerdictsRecord]
    verdicts_agreeing: Count
    flips: Count = Field(description="supported in one, challenged in the other")
    cells: Count = Field(description="decided in both")
    cells_agreeing: Count
    decided_in_one_only: Count


class SkipRecord(_Object):
    what: str
    why: str


class Report(_Object):
    """claims.json: verdicts of the study and the cells behind them."""

    study: StudyRecord
    machines: list[MachineRecord]
    noise: NoiseRecord
    claims: list[ClaimRecord]
    field: list[FieldRecord] = Field(description="published figures with ours beside them")
    skips: list[SkipRecord] = Field(description="what this machine could not measure")
    repeat: RepeatRecord | None = Field(
        default=None, description="a second, separate run compared with this one; absent without"
    )
    instead: Texts | None = Field(
        default=None, description="claim: what to use instead, with its factor"
    )


def schema() -> str:
    """`claims.schema.json`."""
    found: dict[str, Any] = Report.model_json_schema()
    return json.dumps(found, indent=1, sort_keys=True) + "\n"
