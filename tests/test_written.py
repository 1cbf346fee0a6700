"""What the report and the comparison write: nothing of anybody else's is replaced or deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_impl.errors import StudyError
from scripts import compare, publish, render_report, validate
from scripts.render_report import main as render_main
from scripts.render_report import render
from scripts.report import written
from scripts.report.written import LIST, check, write_all
from scripts.root import RESULTS
from scripts.session.places import check_place
from tests.folders import snapshot
from tests.synthetic_study import build

CONTENTS = {"index.html": "<p>", "figures/a.svg": "<svg/>", "figures/a.csv": "a\n"}
USER = "what a user wrote"


def write(out: Path, contents: dict[str, str] = CONTENTS) -> None:
    write_all(out, contents, "report")


@pytest.mark.parametrize("name", [*CONTENTS, LIST])
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_users_file_is_left_and_nothing_is_written(
    tmp_path: Path, name: str, ran_before: bool
) -> None:
    if ran_before:
        write(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(USER)
    before = snapshot(tmp_path)
    with pytest.raises(StudyError, match=name) as error:
        write(tmp_path, CONTENTS | {"figures/b.svg": "new"})
    assert "\n" not in str(error.value) and snapshot(tmp_path) == before


def test_a_report_that_git_gave_other_line_ends_is_known_and_keeps_them(tmp_path: Path) -> None:
    write(tmp_path, CONTENTS | {"figures/b.svg": "old\n"})
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = snapshot(tmp_path)
    write(tmp_path, CONTENTS | {"figures/b.svg": "old\n"})
    assert snapshot(tmp_path) == before
    write(tmp_path)
    assert set(snapshot(tmp_path)) == {*CONTENTS, LIST}


def test_a_file_that_is_no_longer_written_goes_unless_somebody_changed_it(tmp_path: Path) -> None:
    write(tmp_path, CONTENTS | {"figures/b.svg": "old", "figures/c.svg": "old"})
    (tmp_path / "figures" / "c.svg").write_text(USER)
    (tmp_path / "figures" / "mine.svg").write_text(USER)
    write(tmp_path)
    found = snapshot(tmp_path)
    assert set(found) == {*CONTENTS, LIST, "figures/c.svg", "figures/mine.svg"}
    assert found["figures/c.svg"] == found["figures/mine.svg"] == USER.encode()


@pytest.mark.parametrize("after", range(5))
def test_a_run_that_was_killed_half_way_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(tmp_path)
    changed = {name: f"{text} and more" for name, text in CONTENTS.items()} | {"new.md": "new"}
    del changed["figures/a.csv"]
    left = iter(range(after))
    atomic_write = written.atomic_write

    def killed(path: Path, content: str | bytes) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        atomic_write(path, content)

    monkeypatch.setattr(written, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, changed)
    monkeypatch.undo()
    write(tmp_path, changed)
    whole = tmp_path / "whole"
    write(whole, changed)
    shutil.move(whole, tmp_path.with_name(f"{tmp_path.name}-whole"))
    assert snapshot(tmp_path) == snapshot(tmp_path.with_name(f"{tmp_path.name}-whole"))


@settings(max_examples=40)
@given(
    users=st.dictionaries(
        st.sampled_from(["index.html", "figures/a.svg", "figures/z.svg", "notes/n.txt", "b.csv"]),
        st.text(max_size=5),
        max_size=4,
    ),
    runs=st.lists(st.dictionaries(st.sampled_from([*CONTENTS, "b.csv"]), st.text()), max_size=4),
)
def test_whatever_is_written_before_and_after_a_users_files_stay(
    tmp_path_factory: pytest.TempPathFactory, users: dict[str, str], runs: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name, text in users.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(f"{USER} {text}", "utf-8")
    before = snapshot(folder)
    for contents in runs:
        try:
            write(folder, contents)
        except StudyError:
            assert set(contents) & set(users)
    found = snapshot(folder)
    assert {name: found[name] for name in before} == before


@pytest.mark.parametrize("name", ["index.html", "figures"])
def test_a_link_is_not_written_through(tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    if name == "figures":
        target.mkdir()
    else:
        target.write_text(USER)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).symlink_to(target)
    with pytest.raises(StudyError):
        write(out)
    assert list(snapshot(tmp_path)) == ([] if name == "figures" else ["elsewhere", f"out/{name}"])


def test_a_report_and_a_comparison_do_not_replace_each_other(tmp_path: Path) -> None:
    write(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(StudyError, match="holds a report"):
        write_all(tmp_path, {"index.html": "<p>"}, "comparison")
    assert snapshot(tmp_path) == before


def test_results_are_not_written_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    machine = results / "lab"
    shutil.copytree(RESULTS / "intel-xeon-2-cores", machine)
    shutil.copy(RESULTS / "benchmarks.json", results)
    before = snapshot(results)
    for out in (results, machine, machine / "report"):
        for command in (
            lambda place: render_main(["--results", str(results), "--out", str(place)]),
            lambda place: compare.main([str(results), str(machine), "--out", str(place)]),
        ):
            assert command(out) == 2
            error = capsys.readouterr().err
            assert error.count("\n") == 1 and "holds asv's results" in error
    for command in (
        lambda place: compare.main([str(results), str(machine), "--out", str(place)]),
        lambda place: validate.main([str(results), "--out", str(place)]),
        lambda place: publish.main(["--results", str(results), "--out", str(place)]),
    ):
        assert command(results / "report") == 2
        assert "holds asv's results" in capsys.readouterr().err
    assert snapshot(results) == before


@pytest.mark.parametrize("name", render_report.FILES)
def test_a_users_file_is_refused_before_anything_is_judged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(USER)
    monkeypatch.setattr(render_report, "check_named", lambda *_: pytest.fail("it was judged"))
    assert render_report.main(["--out", str(tmp_path)]) == 2
    assert f"{name} holds something else" in capsys.readouterr().err


def test_a_study_may_add_to_results(tmp_path: Path) -> None:
    check_place("--results", RESULTS)
    (tmp_path / "benchmarks.json").touch()
    check_place("--results", tmp_path)
    check_place("--out", tmp_path / "a file of that name is somebody's, and no results")


def test_a_source_is_never_the_target(tmp_path: Path) -> None:
    rules = tmp_path / "claims.csv"
    rules.write_text(USER)
    with pytest.raises(StudyError, match="only read"):
        render(build(missing=True), tmp_path, sources=[rules])
    assert snapshot(tmp_path) == {"claims.csv": USER.encode()}


def test_the_committed_report_is_recognised() -> None:
    record = json.loads((RESULTS / "report" / LIST).read_text())
    names = {str(path.relative_to(RESULTS / "report")) for path in (RESULTS / "report").rglob("*")}
    assert set(record["files"]) == names - {LIST, "figures"}
    written.check(RESULTS / "report", record["files"], "report")


def test_a_lone_surrogate_is_written_escaped(tmp_path: Path) -> None:
    write(tmp_path, {"index.html": "photo-\udcff.jpg"})
    assert (tmp_path / "index.html").read_text() == "photo-\\udcff.jpg"


@pytest.mark.parametrize("out", ["/proc/report", "/dev/null/report"])
def test_where_nothing_can_be_written_is_told_before_anything_is_rendered(out: str) -> None:
    with pytest.raises(StudyError, match=out):
        check(Path(out), ["index.html"], "report")


def test_a_full_disk_leaves_the_earlier_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not some of its files beside some of the new one."""
    before, after = {"a": "one", "b": "two"}, {"a": "1" * 100, "b": "2" * 50}
    write_all(tmp_path, before, "report")
    held = snapshot(tmp_path)
    full = shutil.disk_usage(tmp_path)._replace(free=97 + 47 + 100 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(StudyError, match=r"disk is full: .* needs 244 bytes; free some space"):
        write_all(tmp_path, after, "report")
    assert snapshot(tmp_path) == held
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full._replace(free=full.free + 1))
    write_all(tmp_path, after, "report")
    assert {name: (tmp_path / name).read_text() for name in after} == after
