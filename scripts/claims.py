"""Read and check `claims.toml`: the claims, their tests and the rules of judgement."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets_impl.errors import StudyError

Level = str | int | float
OPERATORS = ("==", ">=", "<=")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rules(_Strict):
    margin: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0.5, lt=1)
    decided_share: float = Field(gt=0, le=1)
    false_alarm_gate: float = Field(ge=0, lt=1)


class Post(_Strict):
    title: str
    date: str


class Test(_Strict):
    """One comparison; `kind` is explained at the head of `claims.toml`."""

    label: str
    kind: Literal["ratio", "share", "level", "slope", "amount", "break-even", "exact"]
    metric: str
    benchmarks: list[str] = Field(min_length=1)
    construction: list[str] = []  # benchmarks of a break-even, beside those of its epochs
    where: dict[str, list[Level]] = {}
    treatment: dict[str, Level] = {}
    baseline: dict[str, Level] = {}
    over: str | None = None
    direction: Literal["above", "below"] = "above"
    bar: float | None = None
    expect: str | None = None
    readings: dict[str, str] = {}
    unit: str = ""
    counts: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Test:
        paired = self.kind in ("ratio", "share", "slope", "break-even")
        if paired and (not self.treatment or self.treatment.keys() != self.baseline.keys()):
            raise ValueError("treatment and baseline must name the same factors")
        if self.bar is not None and not math.isfinite(self.bar):
            raise ValueError("the bar must be a finite number")
        if self.kind == "slope" and not self.over:
            raise ValueError("a slope needs the factor it runs over")
        if self.kind not in ("ratio", "exact") and self.bar is None:
            raise ValueError(f"a test of kind {self.kind} needs a bar")
        if self.bar is not None and self.kind not in ("slope", "exact") and self.bar <= 0:
            raise ValueError("the bar must be above zero")
        if self.kind in ("level", "share") and (self.bar or 0) >= 1:
            raise ValueError(f"the bar of a {self.kind} is a share, below one")
        if self.kind in ("amount", "break-even") and not self.unit:
            raise ValueError(f"a test of kind {self.kind} needs a unit")
        if (self.kind == "break-even") != bool(self.construction):
            raise ValueError("a break-even, and only that, needs benchmarks of the construction")
        if self.kind == "exact" and not re.fullmatch(
            rf"({'|'.join(OPERATORS)}) -?\d+(\.\d+)?", self.expect or ""
        ):
            raise ValueError("an exact test needs what to expect, for example '>= 2'")
        return self


class Claim(_Strict):
    id: str = Field(pattern=r"^[CX]\d\d$")
    title: str
    section: str
    origin: Literal["post", "beyond"]
    restated: str
    method: str
    advice: str
    finding: str = ""
    needs: str = ""
    headline: dict[str, Level] = {}
    test: list[Test] = []

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        if bool(self.test) == bool(self.needs):
            raise ValueError("a claim has either tests or a word on which evidence it needs")
        if self.test and not (self.finding and self.advice and self.headline):
            raise ValueError("a tested claim needs finding, advice and headline")
        labels = [test.label for test in self.test]
        if len(labels) > len(set(labels)):
            raise ValueError("two tests have the same label")
        return self


class Claims(_Strict):
    rules: Rules
    post: Post
    claim: list[Claim] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Claims:
        ids = [claim.id for claim in self.claim]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"claim ids occur twice: {', '.join(twice)}")
        return self


def load_claims(path: Path) -> Claims:
    """The claims in `path`.

    Raises:
        StudyError: the file is missing, no TOML, or a field is wrong; the sentence names the field.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(
            f"{path} is missing; restore it with `git checkout -- {path.name}`."
        ) from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}; mend its rights.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StudyError(f"{path} is not valid TOML ({error}); mend that line.") from error
    try:
        return Claims.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(
            f"{path} is wrong at {_place(data, first['loc'])}: {first['msg']}; mend that field."
        ) from error


def _place(data: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """A field's place in words: the claim's id instead of its position."""
    if len(location) >= 2 and location[0] == "claim" and isinstance(location[1], int):
        entry = data["claim"][location[1]]
        known = entry.get("id") if isinstance(entry, dict) else None
        identifier = known or f"claim number {location[1] + 1}"
        return ".".join([str(identifier), *map(str, location[2:])])
    return ".".join(map(str, location)) or "the top level"
