"""Rows of a table, slices of a packed volume, an object for each sample: what is done for each and
could be done once is named with its line, and doing it once is tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.remedies.grouped import Grouped, grouped
from datasets_impl.doctor.remedies.kept_results import read_once, unpacked
from tests import doctor_lookups
from tests.test_doctor_again import context, line_of, said_first, same_samples, with_share


def line(name: str) -> str:
    return f"doctor_lookups.py:{line_of(name)}  "


LOOKING_UP = with_share("pandas look-ups")


@pytest.mark.parametrize("name", ["Masked", "GroupedAnew"])
def test_looking_up_rows_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    first = said_first(getattr(doctor_lookups, name)(tmp_path), tmp_path)
    assert first.name == "pandas look-ups" and "group the table once" in first.remedy
    assert first.places[0].startswith(line(name))


@pytest.mark.parametrize(
    ("name", "table", "column", "how"),
    [
        ("Masked", "self.visits", "patient", 'self.visits[self.visits["patient"] == value]'),
        ("MaskedTwice", "self.visits", "patient", '["patient"] == value]'),
        ("GroupedAnew", "self.visits", "patient", '.groupby("patient").get_group(value)'),
        ("OfModule", "VISITS", "ward", 'VISITS[VISITS["ward"] == value]'),
    ],
)
def test_rows_are_found_by_an_index(
    name: str, table: str, column: str, how: str, tmp_path: Path
) -> None:
    made = getattr(doctor_lookups, name)(tmp_path)
    at = context(made, tmp_path, **LOOKING_UP)
    (remedy,) = grouped(at)
    assert f'{table}.groupby("{column}").indices' in remedy.lines and how in remedy.lines
    assert "pandas look-ups" in remedy.mends
    same_samples(at, remedy)
    for holder in (made, doctor_lookups):
        kept = [one for one in vars(holder).values() if isinstance(one, Grouped)]
        assert not kept, "the user's own table is in its place again"


@pytest.mark.parametrize(
    ("ask", "further"),
    [
        (lambda one, p, _: one[one["patient"] == p], ""),
        (lambda one, p, _: one[(one["patient"] == p) & (one["value"] < 0.5)], '["value"] < 0.5]'),
        (lambda one, p, day: one[(one.day >= day) & (one.patient == p)], '["day"] >= other]'),
        (
            lambda one, p, _: one.loc[(one.patient == p) & (one.day != 3) & (one.value <= 0.9)],
            '(part["day"] != 3) & (part["value"] <= 0.9)]',
        ),
        (lambda one, p, _: one.groupby("patient").get_group(p), ""),
        (lambda one, p, _: one.groupby("patient")["value"].get_group(p), '["value"]  # in place'),
        (lambda one, p, _: one.groupby("patient")[["value"]].get_group(p), "[['value']]"),
    ],
)
def test_lines_keep_what_else_is_asked_of_rows(ask: Any, further: str, tmp_path: Path) -> None:
    made = doctor_lookups.Masked(tmp_path)
    table = made.visits.iloc[::-1]
    asked = Grouped(table)
    for day in (4000, 9000):
        ask(asked, "patient-007", day)
    assert asked._used is not None
    first, _, others = asked._used.lines("self.visits").partition("\n")
    assert further in others
    made.visits = table
    space = {"self": made}
    exec(first, space)
    for patient in ("patient-003", "patient-399", "nobody"):
        if patient != "nobody" or "get_group" not in others:
            exec(others, space | {"value": patient, "other": 4000}, found := {})
            assert ask(table, patient, 4000).equals(found["part"])


def test_rows_that_are_grouped_for_something_else_are_left() -> None:
    table = pd.DataFrame({"a": [1, 2, 1], "c": range(3)})
    asked = Grouped(table)
    assert asked.groupby("a")["c"].sum().equals(table.groupby("a")["c"].sum())
    assert asked.groupby(["a", "c"]).get_group((1, 2)).equals(table.iloc[2:])
    assert asked._used is None


@pytest.mark.parametrize("name", ["Counted", "TokeniserAnew"])
def test_where_no_value_is_looked_up_nothing_is_grouped(name: str, tmp_path: Path) -> None:
    at = context(getattr(doctor_lookups, name)(tmp_path), tmp_path, **LOOKING_UP)
    assert grouped(at) == []


def test_a_grouped_table_answers_as_the_table_does() -> None:
    table = pd.DataFrame({"a": [1, 2, 1, None], "b": list("xyxz"), "c": range(4)})
    made = Grouped(table)

    def both(ask: Any) -> None:
        plain, found = ask(table), ask(made)
        same = plain.equals(found) if hasattr(plain, "equals") else plain == found
        assert same, (plain, found)

    for ask in (
        lambda one: one[one["a"] == 1], lambda one: one[one.a == 7], lambda one: one[one.a != 1],
        lambda one: one[(one.b == "x") & (one.c > 0)], lambda one: one[(one.c < 2) | (one.a == 1)],
        lambda one: one[~(one.b == "x")], lambda one: one.loc[one.b == "z", "c"],
        lambda one: one.loc[one.b == "z"], lambda one: one.loc[2, "b"], lambda one: one.iloc[1],
        lambda one: one[["a", "b"]], lambda one: one["c"].sum(), lambda one: len(one),
        lambda one: list(one["b"]), lambda one: (one.c >= 1).sum(), lambda one: one.shape,
        lambda one: one[one.a == one.c], lambda one: one[one.c <= 1]["b"],
        lambda one: one["c"][one.b == "x"], lambda one: one[one.a == float("nan")],
    ):  # fmt: skip
        both(ask)


def test_a_packed_volume_is_unpacked_once(tmp_path: Path) -> None:
    at = context(doctor_lookups.Volumes(tmp_path), tmp_path, **with_share("decompressing"))
    first = findings(at.seen)[0]
    assert first.name == "reads-too-much" and first.places[0].startswith(line("Volumes"))
    assert "scan-" in first.evidence and "737.3 kB for a sample of 36.9 kB" in first.evidence
    (remedy,) = unpacked(at)
    assert "np.save(stored, np.load(path))" in remedy.lines and first.name in remedy.mends
    same_samples(at, remedy)


def test_an_object_that_is_made_for_each_sample_is_made_once(tmp_path: Path) -> None:
    at = context(doctor_lookups.TokeniserAnew(tmp_path), tmp_path, **with_share("python"))
    first = findings(at.seen)[0]
    assert first.name == "same-work" and first.title.startswith("An object is made anew")
    assert first.places[0].startswith(line("TokeniserAnew"))
    assert "Tokeniser was made" in first.evidence and "constructor" in first.remedy
    (remedy,) = read_once(at)
    assert remedy.title == "Make it once" and "self.made = Tokeniser(...)" in remedy.lines
    assert first.name in remedy.mends
    same_samples(at, remedy)


def test_an_object_that_samples_change_is_left(tmp_path: Path) -> None:
    at = context(doctor_lookups.Learning(tmp_path), tmp_path, **with_share("python"))
    assert read_once(at) == []
