"""Every file of results that is damaged, of another suite or gone is named in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from tests.commands import python, refused
from tests.synthetic_results import (
    Bench,
    edit_json,
    items,
    load_evidence,
    observation,
    steady,
    write_results,
)

STEM = "lab/01234567-existing-py3.11"
RESULT, LOG, FACTS = (STEM + end for end in (".json", ".observations.jsonl", ".provenance.jsonl"))
SUITE, MACHINE = "benchmarks.json", "lab/machine.json"
NAME = "item.ByImplementation.track_item"
Change = Callable[[Path], object]  # of the folder of results


def put(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def edited(name: str, change: Callable[[Any], object]) -> Change:
    return lambda folder: edit_json(folder / name, change)


def cut(name: str) -> Change:
    def half(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return half


def other_suite(folder: Path) -> None:
    shutil.rmtree(folder)
    write_results(folder, [Bench("sorting.Suite.track_swaps", {"n": [1, 2]}, lambda f: 1.0)])


def level(text: str) -> Change:
    return edited(RESULT, lambda data: data["results"][NAME][1][1].__setitem__(0, text))


def started(data: Any, when: object) -> None:
    data["results"][NAME][data["result_columns"].index("started_at")] = when


FILES = RESULT, LOG, FACTS, SUITE, MACHINE
DAMAGE: dict[str, tuple[str, Change]] = {  # and the file that is named
    **{f"{name} cut": (name, cut(name)) for name in FILES},
    **{f"{name} {text!r}": (name, put(name, text))
       for name, texts in {RESULT: ("{}", "[]", ""), LOG: ('"text"\n', '{"failed": "x"}\n'),
                           FACTS: ("[1]", "", "\n"), MACHINE: ("{}", "[]")}.items()
       for text in texts},
    "suite empty": (RESULT, put(SUITE, '{"version": 2}')),
    "suite missing": (SUITE, lambda folder: (folder / SUITE).unlink()),
    "suite of other factors": (
        SUITE, edited(SUITE, lambda data: data[NAME]["param_names"].append("px2"))
    ),
    "factors that no row can have": (
        SUITE, edited(SUITE, lambda data: data[NAME]["param_names"].__setitem__(0, "machine"))
    ),
    "a factor twice": (
        SUITE, edited(SUITE, lambda data: data[NAME]["param_names"].__setitem__(0, "impl"))
    ),
    "a unit that is none": (SUITE, edited(SUITE, lambda data: data[NAME].update(unit={}))),
    "a benchmark that is nothing": (SUITE, edited(SUITE, lambda data: data.update({NAME: None}))),
    "one side of a merge": (SUITE, edited(SUITE, lambda data: data.pop(NAME))),
    "another suite": (RESULT, other_suite),
    "results a number": (RESULT, edited(RESULT, lambda data: data.update(results=3))),
    "values without their parameters": (
        RESULT, edited(RESULT, lambda data: data["results"].update({NAME: [3.5]}))
    ),
    "level that is no literal": (
        RESULT, edited(RESULT, lambda data: data["results"][NAME][1][1].__setitem__(0, "open('x')"))
    ),
    "level of a deep expression": (RESULT, level("-" * 20_000 + "1")),
    "level of an expression not as deep": (RESULT, level("-" * 900 + "1")),
    "level without end": (RESULT, level("1e999")),
    "level a list": (RESULT, level("[1]")),
    "start an object": (RESULT, edited(RESULT, lambda data: started(data, {"a": 1}))),
    "start beyond all times": (RESULT, edited(RESULT, lambda data: started(data, 1e300))),
}  # fmt: skip


@pytest.mark.parametrize(("name", "spoil"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_in_one_sentence(tmp_path: Path, name: str, spoil: Change) -> None:
    folder = tmp_path / "results"
    write_results(
        folder,
        [items(steady)],
        observations=[observation(64, "naive", value="1")],
        provenance={"profile": "quick"},
    )
    load_evidence([folder])  # whole, it loads
    spoil(folder)
    with pytest.raises(StudyError) as error:
        load_evidence([folder])
    text = str(error.value)
    assert str(folder / name) in text
    assert "\n" not in text and text.endswith(".")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<<<<<<< HEAD\n", "\n=======\n{}\n>>>>>>> theirs\n", "conflict markers of git"),
        ("\ufeff", "", "byte order mark (BOM); save it as UTF-8 without"),
    ],
)
def test_what_git_or_an_editor_did_is_said(
    tmp_path: Path, name: str, before: str, after: str, said: str
) -> None:
    facts = {"profile": "quick"}
    seen = [observation(64, "naive", value="1")]
    write_results(tmp_path, [items(steady)], observations=seen, provenance=facts)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(before + text + after, encoding="utf-8")
    with pytest.raises(StudyError) as error:
        load_evidence([tmp_path])
    assert str(tmp_path / name) in str(error.value) and said in str(error.value)


def test_a_machine_folder_without_machine_json_is_not_dropped_silently(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady)], machine="one")
    write_results(tmp_path, [items(steady)], machine="two")
    (tmp_path / "two" / "machine.json").unlink()
    with pytest.raises(StudyError, match="two"):
        load_evidence([tmp_path])


@pytest.mark.parametrize("name", ["_LOCAL_12", "2", ".old", " copy"])
def test_a_copy_beside_a_run_is_not_judged_in_its_place(tmp_path: Path, name: str) -> None:
    write_results(tmp_path, [items(steady)])
    load_evidence([tmp_path])
    copy = shutil.copy(tmp_path / RESULT, tmp_path / f"{STEM}{name}.json")
    with pytest.raises(StudyError, match=r"under another name, .* move it away") as error:
        load_evidence([tmp_path])
    assert str(copy) in str(error.value)


def test_a_benchmark_that_this_project_has_no_more_is_passed_over(tmp_path: Path) -> None:
    former = Bench("item.ByFormerThing.track_item", {"px": [64]}, lambda _: 1.0)
    write_results(tmp_path, [items(steady), former])
    edit_json(tmp_path / SUITE, lambda data: data.pop(former.name))
    assert set(load_evidence([tmp_path]).cells["name"]) == {NAME}


@pytest.mark.slow
def test_the_command_ends_with_2_and_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    write_results(folder, [items(steady)])
    cut(RESULT)(folder)
    done = python("scripts/render_report.py", "--results", folder, "--out", tmp_path / "to")
    refused(done, str(folder / RESULT))
    assert not (tmp_path / "to").exists()
