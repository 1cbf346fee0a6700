"""What can be selected on the page: every preset and every environment that a study can show."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

from scripts.report.facets import ASKED, UNTESTED, beside, facets, presets, tokens
from scripts.report.instead import QUESTIONS, STORED
from tests.synthetic_study import ENVIRONMENTS, IDS, MACHINES, cell, selectable


def test_every_preset_selects_levels_that_there_are() -> None:
    shown = [*facets(selectable()), *ASKED]
    levels = {key: {value for value, _ in found} for key, _, found in shown} | {"claim": set(IDS)}
    told = presets(selectable())
    assert [words for words, _ in told] == [
        "JPEG on a network disk", "pixels fit in memory", "several workers", "Python 3.14"
    ]  # fmt: skip
    for _, selection in told:
        for key, _, value in (part.partition("=") for part in unquote(selection).split("&")):
            assert value in levels[key] or set(value.split(",")) <= levels[key], selection


def test_an_environment_whose_verdicts_stand_on_cards_is_a_level() -> None:
    base, other = selectable(), "Python 3.13, torch 2.14"
    machines = [replace(machine, environment=ENVIRONMENTS[0]) for machine in base.machines]
    none = {MACHINES[0]: UNTESTED}
    told = {ENVIRONMENTS[0]: {MACHINES[0]: "supported"}, other: {MACHINES[0]: "challenged"}}
    first = replace(base.claims[0], by_environment={**told, "Python 3.15": none})
    study = replace(base, machines=machines, claims=[first, *base.claims[1:]])
    (levels,) = [levels for key, _, levels in facets(study) if key == "env"]
    assert [words for _, words in levels] == [ENVIRONMENTS[0], other], "what nobody tested is none"
    assert beside(first, study) == f"Python 3.13 torch 2.14={MACHINES[0]}=challenged"
    assert not beside(base.claims[1], study)
    # Cells of another Python are not called by the name of one that was not measured.
    (last,) = [one for one in presets(study) if "start=" in one[1]]
    assert last == ("forkserver, as Python 3.14 starts workers", "start=forkserver&python=new")


def test_a_comma_in_a_name_is_none_between_levels() -> None:
    (levels,) = [levels for key, _, levels in facets(selectable()) if key == "env"]
    assert [words for _, words in levels] == list(ENVIRONMENTS)
    where = dict(zip(MACHINES, ENVIRONMENTS, strict=True))
    told = tokens(cell({"px": 256, "latency_ms": 10}, 1.2, "for"), where).split("|")
    assert told == [f"machine:{MACHINES[0]}", f"env:{levels[0][0]}", "px:256",
                    "medium:object-store"]  # fmt: skip
    assert not [value for value, _ in levels if "," in value]


def test_resolutions_are_sorted_by_size_beside_a_word() -> None:
    """One claim has a range of them as its level; "128 224 64" and no "px" would be the others."""
    base = selectable()
    levels_of = [64, 128, 224, 512, "64-1024"]
    cells = [cell({"px": px}, 1.2, "for") for px in levels_of]
    study = replace(base, claims=[replace(base.claims[0], evidence=cells)])
    (levels,) = [levels for key, _, levels in facets(study) if key == "px"]
    assert [words for _, words in levels] == ["64 px", "128 px", "224 px", "512 px", "64-1024"]


def test_a_place_of_files_is_asked_for_and_has_words() -> None:
    (asked,) = [levels for key, _, levels in ASKED if key == "storage"]
    places = {question.storage for question in QUESTIONS}
    assert places == set(STORED)
    assert {word for place in places for word in place.split()} == {value for value, _ in asked}
