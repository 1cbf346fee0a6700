"""Read and check `claims.toml`: the claims, their tests and the rules of judgement."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from datasets_impl.errors import StudyError
from datasets_impl.files.records import content_of, spoilt
from scripts.judging.families import expanded
from scripts.root import CLAIMS

Level = str | int | float
OPERATORS = ("==", ">=", "<=")
MOST_BYTES = 1 << 24  # of the file; TOML is parsed by Python alone, a megabyte in a second
NAMES_TESTS = ("range", "readings", "trend")  # fields of a finding with tests: {range:epoch,mapped}
PLAIN = ("headline", "total", "for_", "against", "bandwidths")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rules(_Strict):
    margin: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0.5, lt=1)
    decided_share: float = Field(gt=0, le=1)
    false_alarm_gate: float = Field(ge=0, lt=1)


class Post(_Strict):
    title: str
    date: str


class _Test(_Strict):
    """What every test says; the kinds are explained at the head of `claims.toml`."""

    label: str
    metric: str
    benchmarks: list[str] = Field(min_length=1)
    where: dict[str, list[Level]] = {}
    counts: bool = True
    unless: str = ""  # a test of the same claim: this one counts only where that has no cell


class Barred(_Test):
    """A test of a number against a bar; without one of its own, against the margin."""

    direction: Literal["above", "below"] = "above"
    bar: float | None = Field(default=None, gt=0)


class Paired(Barred):
    """A test of two arms that differ in the same factors."""

    treatment: dict[str, Level] = Field(min_length=1)
    baseline: dict[str, Level]

    @model_validator(mode="after")
    def _same_factors(self) -> Paired:
        if self.treatment.keys() != self.baseline.keys():
            raise ValueError("treatment and baseline must name the same factors")
        return self


class Ratio(Paired):
    kind: Literal["ratio"] = "ratio"


class Share(Paired):
    kind: Literal["share"] = "share"
    bar: float = Field(gt=0, lt=1)


class Slope(Paired):
    kind: Literal["slope"] = "slope"
    over: str
    bar: float


class BreakEven(Paired):
    kind: Literal["break-even"] = "break-even"
    construction: list[str] = Field(min_length=1)  # its benchmarks, beside those of the epochs
    bar: float = Field(gt=0)
    unit: str = Field(min_length=1)


class MeasuredShare(Barred):
    kind: Literal["level"] = "level"
    bar: float = Field(gt=0, lt=1)


class Amount(Barred):
    kind: Literal["amount"] = "amount"
    bar: float = Field(gt=0)
    unit: str = Field(min_length=1)


class Exact(_Test):
    kind: Literal["exact"] = "exact"
    expect: str
    readings: dict[str, str] = {}
    unit: str = ""

    @field_validator("expect")
    @classmethod
    def _comparison(cls, expect: str) -> str:
        if not re.fullmatch(rf"({'|'.join(OPERATORS)}) -?\d+(\.\d+)?", expect):
            raise ValueError("an exact test needs what to expect, for example '>= 2'")
        return expect

    @property
    def sign(self) -> str:
        return self.expect.partition(" ")[0]

    @property
    def number(self) -> float:
        return float(self.expect.partition(" ")[2])


Test = Annotated[
    Ratio | Share | Slope | BreakEven | MeasuredShare | Amount | Exact, Field(discriminator="kind")
]
TestName = Annotated[str, Field(pattern=r"^[\w-]+(\.[\w-]+)?$")]  # of one of a family: family.word
KINDS: dict[str, type[_Test]] = {
    "ratio": Ratio, "share": Share, "slope": Slope, "break-even": BreakEven,
    "level": MeasuredShare, "amount": Amount, "exact": Exact,
}  # fmt: skip


class Claim(_Strict):
    id: str = Field(pattern=r"^[CX]\d\d$")
    title: str
    section: str
    restated: str
    method: str
    advice: str
    question: str = ""  # heads the claim unless it is supported
    instead: tuple[str, str, str] | None = None  # task, arm to take, arm that it is compared with
    finding: str = ""
    holds: str = "It holds"  # begins the sentence on where, if one factor tells that
    needs: str = ""
    headline: dict[str, Level] = {}
    test: dict[TestName, Test] = {}

    @property
    def origin(self) -> Literal["post", "beyond"]:
        return "post" if self.id.startswith("C") else "beyond"

    def tests(self, names: str) -> list[_Test]:
        """The tests of `names`, such as "epoch,mapped"; the name of a family stands for all of it.

        Raises:
            ValueError: a name is not known, or what follows its "@" is no factor=level.
        """
        found: list[_Test] = []
        for name in names.split(","):
            name, *levels = name.split("@")
            if any(not all(level.partition("=")) for level in levels):
                raise ValueError(f"behind {name}@ stands factor=level")
            own = [test for key, test in self.test.items() if name in (key, key.split(".")[0])]
            if not own:
                raise ValueError(f"no test is named {name!r}; there are {', '.join(self.test)}")
            found += own
        return found

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: object) -> object:
        """Every family in `test` as its tests, every test with what the claim's tests share."""
        fields = {name: kind.model_fields for name, kind in KINDS.items()}
        return expanded(data, fields) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        if bool(self.test) == bool(self.needs):
            raise ValueError("a claim has either tests or a word on which evidence it needs")
        if self.test and not (self.finding and self.advice and self.headline):
            raise ValueError("a tested claim needs finding, advice and headline")
        labels = [test.label for test in self.test.values()]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"two tests have the same label, {twice[0]!r}")
        for name, test in self.test.items():
            if test.unless and (test.unless not in self.test or self.test[test.unless].unless):
                raise ValueError(f"unless of {name!r} names no test that judges by itself")
        for name in (
            "title",
            "question",
            "section",
            "restated",
            "method",
            "advice",
            "holds",
            "needs",
        ):
            if set(getattr(self, name)) & {"{", "}"}:
                raise ValueError(f"{name} has a brace, and only the finding may quote a test")
        for _, field, names, _ in _fields(self.finding):
            if field in NAMES_TESTS:
                self.tests(names or "")
            elif field is not None and (field not in PLAIN or names):
                known = ", ".join([f"{name}:TEST" for name in NAMES_TESTS] + [*PLAIN])
                raise ValueError(f"the finding has the unknown field {field!r}; there are {known}")
        return self


def _fields(finding: str) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    try:
        yield from Formatter().parse(finding)
    except ValueError as error:
        raise ValueError(f"the finding has a broken {{...}} ({error})") from error


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

    def canonical(self) -> str:
        """All that decides a verdict or a headline as sorted JSON, without the wording."""
        claims = {
            claim.id: {
                "headline": claim.headline,
                "tests": {
                    test.label: test.model_dump(exclude={"label", "readings"})
                    for test in claim.test.values()
                },
            }
            for claim in self.claim
        }
        return json.dumps({"rules": self.rules.model_dump(), "claims": claims}, sort_keys=True)

    @property
    def rules_hash(self) -> str:
        """SHA-256 of the canonical form: the same for other wording, another for other rules."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def load_claims(path: Path) -> Claims:
    """The claims in `path`.

    Raises:
        StudyError: the file is missing, no TOML, or a field is wrong; the sentence names the field.
    """
    try:
        data: dict[str, Any] = tomllib.loads(content_of(path, MOST_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        ours = path.resolve() == CLAIMS.resolve()
        then = f"restore it with `git checkout -- {path}`" if ours else "name the file of claims"
        raise StudyError(f"{path} is missing; {then}.") from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}; mend its rights.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        why = spoilt(path, f"is not valid TOML ({error}); mend that line.", marked=True)
        raise StudyError(f"{path} {why}") from error
    except ValueError as error:
        raise StudyError(f"{path} cannot be read: {error}; name the file of claims.") from error
    try:
        return Claims.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        what = first["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")
        raise StudyError(
            f"{path} is wrong at {_place(data, first['loc'])}: {what}; mend that field."
        ) from error


def _place(data: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """A field's place in words: the claim's id instead of its position, a test without its kind."""
    if len(location) >= 2 and location[0] == "claim" and isinstance(location[1], int):
        entry = data["claim"][location[1]]
        known = entry.get("id") if isinstance(entry, dict) else None
        identifier = known or f"claim number {location[1] + 1}"
        inside = [part for at, part in enumerate(location[2:]) if at != 2 or part not in KINDS]
        return ".".join([str(identifier), *map(str, inside)])
    return ".".join(map(str, location)) or "the top level"
