"""Every file of results that is damaged, of another suite or gone ends in one sentence that names
it, and nothing is written."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.render_report import main as render
from tests.claims_text import HEAD, RATIO, claim
from tests.commands import python, refused, sentence
from tests.synthetic_results import (
    COMMIT,
    Bench,
    edit_json,
    items,
    observation,
    steady,
    write_results,
)

STEM = f"lab/{COMMIT[:8]}-existing-py3.11"
RESULT, LOG, FACTS = (STEM + end for end in (".json", ".observations.jsonl", ".provenance.jsonl"))
SUITE, MACHINE = "benchmarks.json", "lab/machine.json"
FILES = RESULT, LOG, FACTS, SUITE, MACHINE
NAME = "item.ByImplementation.track_item"
CORPUS = {
    "label": "own", "content": "photographs", "resolution": 64, "count": -1, "quality": "98",
    "bytes_per_pixel": 0.5, "content_hash": "0", "skipped": [],
}  # fmt: skip
Change = Callable[[Path], object]  # of the folder of results


def written(folder: Path, machine: str = "lab") -> Path:
    seen, facts = [observation(64, "naive", value="1")], {"profile": "quick"}
    write_results(folder, [items(steady)], machine=machine, observations=seen, provenance=facts)
    return folder


@pytest.fixture
def report(tmp_path: Path) -> Callable[[Path], int]:
    """Renders a folder of results into `tmp_path / "out"`; the code that the command ends with."""
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))

    def rendered(folder: Path) -> int:
        given = {"--results": folder, "--claims": claims, "--out": tmp_path / "out"}
        return render([str(part) for pair in given.items() for part in pair])

    return rendered


@pytest.fixture
def said(
    tmp_path: Path, report: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> Callable[[Path], str]:
    """The one sentence that the report has for a folder that it refuses."""

    def told(folder: Path) -> str:
        error = sentence(report(folder), capsys)
        assert not (tmp_path / "out").exists()
        return error

    return told


def put(name: str, content: str | bytes) -> Change:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def edited(name: str, change: Callable[[Any], object]) -> Change:
    return lambda folder: edit_json(folder / name, change)


def cut(name: str) -> Change:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def gigabyte(name: str) -> Change:
    """As large as it says, with nothing on the disk."""
    return lambda folder: os.truncate(folder / name, 1_000_000_000)


def instead(make: Callable[[Path], object], name: str) -> Change:
    return lambda folder: ((folder / name).unlink(), make(folder / name))


def other_suite(folder: Path) -> None:
    shutil.rmtree(folder)
    write_results(folder, [Bench("sorting.Suite.track_swaps", {"n": [1, 2]}, lambda f: 1.0)])


def column(name: str, change: Callable[[Any], Any]) -> Change:
    """Of what asv's file holds of the one benchmark."""

    def apply(data: Any) -> None:
        place, row = data["result_columns"].index(name), data["results"][NAME]
        row[place] = change(row[place] if place < len(row) else None)

    return edited(RESULT, apply)


def sample(value: Any) -> Change:
    return column("samples", lambda cells: [[cells[0][0], value], *cells[1:]])


def level(text: str) -> Change:
    return column("params", lambda params: [params[0], [text, *params[1][1:]]])


DAMAGE: dict[str, tuple[str, Change]] = {  # and the file that is named
    **{f"{name} {how.__name__}": (name, how(name)) for how in (cut, gigabyte) for name in FILES},
    **{f"{name} a {how}": (name, instead(make, name))
       for how, make in (("folder", Path.mkdir), ("pipe", os.mkfifo)) for name in FILES},
    f"{RESULT} a folder": ("", instead(Path.mkdir, RESULT)),  # asv passes over it
    **{f"{name} {text[:20]!r}": (name, put(name, text))
       for name, texts in {
           RESULT: ("{}", "[]", "", "[" * 100_000), SUITE: ("[]",),
           LOG: ('"text"\n', '{"failed": "x"}\n'), FACTS: ("[1]", "", "\n"),
           MACHINE: ("{}", "[]")}.items()
       for text in texts},
    **{f"{name} no text": (name, put(name, b"\xff\xfe\x00")) for name in FILES},
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
    "machine missing": (MACHINE, lambda folder: (folder / MACHINE).unlink()),
    "another suite": ("", other_suite),
    "results a number": (RESULT, edited(RESULT, lambda data: data.update(results=3))),
    "values without their parameters": (
        RESULT, edited(RESULT, lambda data: data["results"].update({NAME: [3.5]}))
    ),
    "10^13 cells": (RESULT, column("params", lambda _: [[str(n) for n in range(2000)]] * 4)),
    "level that is no literal": (RESULT, level("open('x')")),
    "level of a deep expression": (RESULT, level("-" * 20_000 + "1")),
    "level of an expression not as deep": (RESULT, level("-" * 900 + "1")),
    "level without end": (RESULT, level("1e999")),
    "level a list": (RESULT, level("[1]")),
    **{f"sample {value!r:.9}": (RESULT, sample(value))
       for value in (math.nan, math.inf, "12", [1], -1.5, 0, True, 10**400)},
    "result infinite": (RESULT, column("result", lambda old: [math.inf, *old[1:]])),
    **{f"start {when!r}": (RESULT, column("started_at", lambda _, when=when: when))
       for when in ("noon", {"a": 1}, 1e300)},
    "log NaN": (LOG, put(LOG, '{"resident_before": NaN}\n')),
    "corpus of a negative size": ("", put(FACTS, json.dumps({"corpora": [CORPUS]}))),
}  # fmt: skip


@pytest.mark.parametrize(("name", "spoil"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, said: Callable[[Path], str], name: str, spoil: Change
) -> None:
    spoil(folder := written(tmp_path / "results"))
    assert str(folder / name) in said(folder)


def test_whole_they_are_read_and_files_of_others_among_them_are_passed_over(
    tmp_path: Path, report: Callable[[Path], int]
) -> None:
    folder = written(tmp_path / "results")
    for name in ("notes.txt", "claims.json", "lab/notes.json", "lab/a.pickle", "asv.conf.json"):
        (folder / name).write_bytes(b"\xff{")
    (folder / "holiday").mkdir()
    (folder / "holiday" / "picture.json").write_text("[")
    assert report(folder) == 0


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("<<<<<<< HEAD\n", "\n=======\n{}\n>>>>>>> theirs\n", "conflict markers of git"),
        ("\ufeff", "", "byte order mark (BOM); save it as UTF-8 without"),
    ],
)
def test_what_git_or_an_editor_did_is_said(
    tmp_path: Path,
    said: Callable[[Path], str],
    name: str,
    before: str,
    after: str,
    words: str,
) -> None:
    path = written(tmp_path / "results") / name
    path.write_text(before + path.read_text() + after, encoding="utf-8")
    told = said(tmp_path / "results")
    assert str(path) in told and words in told


@pytest.mark.parametrize("version", [0, 9])
@pytest.mark.parametrize("name", [RESULT, SUITE, MACHINE])
def test_files_of_another_asv_are_not_called_damaged(
    tmp_path: Path, said: Callable[[Path], str], name: str, version: int
) -> None:
    edit_json(written(tmp_path / "results") / name, lambda data: data.update(version=version))
    told = said(tmp_path / "results")
    assert "another version of asv" in told and "delete" not in told


def test_results_of_another_machine_are_not_called_damaged(
    tmp_path: Path, said: Callable[[Path], str]
) -> None:
    folder = written(tmp_path / "results")
    edit_json(folder / MACHINE, lambda data: data.update(machine="elsewhere"))
    assert "is not of the machine elsewhere" in said(folder)


def test_one_machine_of_two_that_is_damaged_is_not_dropped_silently(
    tmp_path: Path, said: Callable[[Path], str]
) -> None:
    folder = written(written(tmp_path / "results"), "two")
    (folder / "two" / "machine.json").unlink()
    assert str(folder / "two") in said(folder)


def test_a_machine_that_may_not_be_read_is_not_left_out_unsaid(
    tmp_path: Path, said: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(written(tmp_path / "results"), "attic")
    looked = os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path).name == "attic":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr("scripts.judging.runs.os.scandir", refuse)
    told = said(folder)
    assert str(folder / "attic") in told and "mend its rights" in told


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.mkdir(), id="empty"),
        pytest.param(lambda path: path.write_text("x"), id="a file"),
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: (path.mkdir(), (path / "a.json").write_text("{")), id="broken"),
    ],
)
def test_a_folder_without_results_is_one_sentence(
    tmp_path: Path, said: Callable[[Path], str], make: Change
) -> None:
    make(tmp_path / "other")
    assert str(tmp_path / "other") in said(tmp_path / "other")


@pytest.mark.parametrize("name", ["_LOCAL_12", "2", ".old", " copy"])
def test_a_copy_beside_a_run_is_not_judged_in_its_place(
    tmp_path: Path, said: Callable[[Path], str], name: str
) -> None:
    folder = written(tmp_path / "results")
    copy = shutil.copy(folder / RESULT, folder / f"{STEM}{name}.json")
    told = said(folder)
    assert f"{copy} holds the run" in told and "under another name" in told


@pytest.mark.slow
def test_the_command_ends_with_2_and_one_sentence(tmp_path: Path) -> None:
    cut(RESULT)(folder := written(tmp_path / "results"))
    done = python("scripts/render_report.py", "--results", folder, "--out", tmp_path / "to")
    refused(done, str(folder / RESULT))
