"""What `claims.json` holds, taken from a study field by field; its JSON schema lies beside it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from scripts.judging.grid import outcome
from scripts.judging.model import Cell, Outcome, Verdict
from scripts.report import reasons, repeat, wording
from scripts.report.fields import (
    Count,
    Level,
    Named,
    Number,
    Object,
    Probability,
    Quantity,
    Share,
    Texts,
)
from scripts.report.further_records import AcrossRecord, AtScaleRecord
from scripts.report.instead import first_machine, instead
from scripts.report.model import ClaimResult, Study


class CorpusRecord(Object):
    label: str
    resolution: Count
    count: Count
    quality: str
    bytes_per_pixel: Number
    content_hash: str
    skipped: list[str]


class StudyRecord(Object):
    commit: str
    dirty: bool
    claims_hash: str = Field(
        description="SHA-256 of the rules in claims.toml (ids, headlines, tests and bars, not the "
        "wording), fixed before the numbers; python -m scripts.check_claims prints it"
    )
    corpus_hash: str
    profile: str
    rounds: Count
    versions: Texts
    answer: str = Field(description="plain text, a line for each point")
    answer_claims: list[str] = Field(description="the claim behind each line of the answer")
    notes: list[str]
    corpora: list[CorpusRecord]


class MachineRecord(Object):
    name: str
    summary: str
    details: Texts
    warnings: list[str]


class NoiseRecord(Object):
    cells: Count
    false_alarms: Count
    rate: Probability
    widest: Share


class EffectRecord(Object):
    metric: str
    arms: list[str]
    quantity: Quantity
    unit: str = Field(description="of an amount")
    factors: dict[str, Level]
    estimate: Number
    low: Number
    high: Number


class CellRecord(Object):
    """One cell; every further property is a factor of the cell and its level."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Level]

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
        description="after Holm's correction over the claim's counted cells on this machine"
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
    share_of_limit: Share = Field(
        default=None, description="throttled cells: reading speed over the limit, the largest"
    )


def cell_record(cell: Cell) -> dict[str, Any]:
    """A cell with its factors flattened; a factor named like a field gets the prefix `factor_`."""
    told = {"bar": wording.bar(cell.bar), "reason": reasons.in_words(cell.reasons)}
    own = [name for name, field in CellRecord.model_fields.items() if field.is_required()]
    factors = {f"factor_{name}" if name in own else name: v for name, v in cell.factors.items()}
    fixed = {name: told[name] if name in told else getattr(cell, name) for name in own}
    return {**factors, **fixed, **(vars(cell.cold) if cell.cold else {})}


class CountsRecord(Object):
    total: Count
    for_: Count = Field(validation_alias=AliasChoices("for", "for_"), serialization_alias="for")
    against: Count
    unclear: Count
    skipped: Count


class GridRecord(Object):
    test: str
    levels: dict[str, Level] = Field(description="of the factors that tell; empty: all of the test")
    outcomes: dict[str, Outcome | Literal["mixed"]] = Field(description="by machine")


class ClaimRecord(Object):
    id: str = Field(pattern="^[CX][0-9]{2}$")
    title: Named
    section: str
    origin: Literal["post", "beyond"]
    restated: str
    method: str
    advice: str
    verdict: Verdict
    headline: str = Field(description="the effect and its interval in words")
    finding: str
    boundary: str = Field(description="where it holds, if one factor tells; otherwise see the grid")
    grid: list[GridRecord] = Field(description="where a conditional claim holds")
    missing: str
    effect: EffectRecord | None
    cells: CountsRecord
    by_machine: dict[str, Verdict]
    by_environment: dict[str, dict[str, Verdict]] = Field(
        description="Python and torch, then machine; the verdict is over each machine's reference"
    )
    evidence: list[CellRecord]

    @model_validator(mode="before")
    @classmethod
    def _in_words(cls, data: object) -> object:
        if not isinstance(data, ClaimResult):
            return data
        cells = [cell_record(cell) for cell in data.evidence]
        rows = [
            {"test": row.test, "levels": row.levels,
             "outcomes": {name: outcome(own) for name, own in row.cells.items()}}
            for row in data.grid
        ]  # fmt: skip
        told = {"headline": wording.headline(data), "evidence": cells, "grid": rows}
        return {name: told.get(name, getattr(data, name, None)) for name in cls.model_fields}


class FieldRecord(Object):
    source: Named
    url: str = Field(pattern="^https://")
    published: str
    ours: str
    agreement: Literal["agrees", "differs", "not measured"]
    because: Named
    claim: str = Field(pattern="^([CX][0-9]{2})?$")


class VerdictsRecord(Object):
    claim: str
    first: Verdict
    second: Verdict


class RepeatRecord(Object):
    first: str
    second: str
    verdicts: list[VerdictsRecord]
    verdicts_agreeing: Count
    flips: Count = Field(description="supported in one, challenged in the other")
    cells: Count = Field(description="decided in both")
    cells_agreeing: Count
    decided_in_one_only: Count


class SkipRecord(Object):
    what: str
    why: str


class Report(Object):
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
    at_scale: AtScaleRecord | None = Field(
        default=None, description="many more images on many machines, on paper; absent without"
    )
    across: list[AcrossRecord] | None = Field(
        default=None, description="environments beside the references; absent without"
    )


def claim_record(claim: ClaimResult) -> dict[str, Any]:
    """One claim as plain values."""
    return ClaimRecord.model_validate(claim).model_dump(by_alias=True, exclude_unset=True)


def study_record(study: Study) -> dict[str, Any]:
    """The whole of claims.json as plain values.

    Raises:
        pydantic.ValidationError: it does not fit, a fault of this program and not of the user's.
    """
    more: dict[str, Any] = {}
    if study.repeat:
        more["repeat"] = repeat.record(study.repeat)
    if study.loaders:
        more["instead"] = instead(first_machine(study.loaders), study.claims)
    if study.at_scale:
        more["at_scale"] = AtScaleRecord.model_validate(study.at_scale)
    if study.across:
        more["across"] = [AcrossRecord.model_validate(each) for each in study.across]
    found = Report(
        study=StudyRecord.model_validate(study),
        machines=[MachineRecord.model_validate(each) for each in study.machines],
        noise=NoiseRecord.model_validate(study.noise),
        claims=[ClaimRecord.model_validate(each) for each in study.claims],
        field=[FieldRecord.model_validate(each) for each in study.field_rows],
        skips=[SkipRecord(what=what, why=why) for what, why in study.skips],
        **more,
    )
    return found.model_dump(by_alias=True, exclude_unset=True)


def schema() -> str:
    """`claims.schema.json`."""
    found: dict[str, Any] = Report.model_json_schema()
    return json.dumps(found, indent=1, sort_keys=True) + "\n"
