"""Results, claims and reports that are damaged or not ours end in one sentence; nothing is kept."""

from __future__ import annotations

import csv
import json
import math
import os
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import compare, update_readme
from scripts.render_report import main as render_main
from scripts.root import RESULTS
from tests.claims_text import HEAD, RATIO, SLOPE, claim
from tests.standard_suite import standard_suite
from tests.synthetic_results import Bench, Noise, edit_json, write_results

TEST = RATIO.replace("ByImplementation", "ByResolution")
RULES = HEAD + claim(TEST, headline='{ px = 256, impl = "naive" }', finding="It takes {headline}.")
NAME = "item.ByResolution.track_item"
FACTS = {"profile": "quick", "rounds": [{"started": "2026-01-01T00:00:00", "load": [0.1]}]}
CORPUS = {
    "label": "own", "content": "photographs", "resolution": 64, "count": 8, "quality": "98",
    "bytes_per_pixel": 0.5, "content_hash": "0", "skipped": [],
}  # fmt: skip
STEM = "01234567-existing-py3.11"
RESULT, LOG = f"lab/{STEM}.json", f"lab/{STEM}.observations.jsonl"
PROVENANCE = f"lab/{STEM}.provenance.jsonl"


def results(folder: Path, name: str = "lab", **more: Any) -> Path:
    noise = Noise(seed=len(folder.name))
    levels = {"n": [256], "px": [64, 256], "impl": ["naive", "preloaded"]}
    entry = {"benchmark": "item.ByResolution", "value": 1.0, "foreign_cores": 0.0,
             "factors": {"n": 256, "px": 64, "impl": "naive"}}  # fmt: skip
    write_results(
        folder,
        [Bench(NAME, levels, lambda f: noise.around(9.0 if f["impl"] == "naive" else 1.0))],
        machine=name,
        observations=[entry],
        provenance=FACTS | more,
    )
    return folder


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(RULES)
    return path


def refused(code: int, capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith(".\n"), error
    return error


def one_sample(value: Any) -> Callable[[Path], object]:
    def change(data: Any) -> None:
        column = data["result_columns"].index("samples")
        data["results"][NAME][column][0][1] = value

    return lambda folder: edit_json(folder / RESULT, change)


def in_result(column: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    def apply(data: Any) -> None:
        place, row = data["result_columns"].index(column), data["results"][NAME]
        row[place] = change(row[place])

    return lambda folder: edit_json(folder / RESULT, apply)


def put(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def gigabyte_instead(name: str) -> Callable[[Path], object]:
    """As large as it says, with nothing on the disk."""
    return lambda folder: os.truncate(folder / name, 1_000_000_000)


def folder_instead(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def pipe_instead(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def facts(**changes: Any) -> Callable[[Path], object]:
    return put(PROVENANCE, json.dumps(FACTS | changes))


def logged(**entry: Any) -> Callable[[Path], object]:
    whole = {"benchmark": "item.ByResolution", "factors": {"px": 64}, "value": 1.0}
    return put(LOG, json.dumps(whole | entry) + "\n")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(one_sample(math.nan), id="sample NaN"),
        pytest.param(one_sample(math.inf), id="sample infinite"),
        pytest.param(one_sample("12"), id="sample a text"),
        pytest.param(one_sample([1]), id="sample a list"),
        pytest.param(one_sample(-1.5), id="sample a time below 0"),
        pytest.param(one_sample(0), id="sample no time at all"),
        pytest.param(one_sample(True), id="sample true"),
        pytest.param(one_sample(10**400), id="sample too large for a number"),
        pytest.param(in_result("result", lambda old: [math.inf, *old[1:]]), id="result infinite"),
        pytest.param(
            in_result("params", lambda old: [[str(n) for n in range(2000)]] * 4), id="10^13 cells"
        ),
        pytest.param(in_result("started_at", lambda old: "noon"), id="start a text"),
        pytest.param(pipe_instead(RESULT), id="result a pipe"),
        pytest.param(pipe_instead("benchmarks.json"), id="benchmarks a pipe"),
        pytest.param(pipe_instead("lab/machine.json"), id="machine a pipe"),
        pytest.param(gigabyte_instead(RESULT), id="result of a gigabyte"),
        pytest.param(gigabyte_instead(LOG), id="log of a gigabyte"),
        pytest.param(gigabyte_instead(PROVENANCE), id="provenance of a gigabyte"),
        pytest.param(gigabyte_instead("benchmarks.json"), id="benchmarks of a gigabyte"),
        pytest.param(gigabyte_instead("lab/machine.json"), id="machine of a gigabyte"),
        pytest.param(logged(resident_before=math.nan), id="log NaN"),
        pytest.param(facts(corpora=[CORPUS | {"count": -1}]), id="corpus of a negative size"),
        pytest.param(put(RESULT, b"\xff\xfe\x00"), id="result no text"),
        pytest.param(put(RESULT, "[" * 100_000), id="result nested deeply"),
        pytest.param(folder_instead(RESULT), id="result a folder"),
        pytest.param(put("benchmarks.json", "[]"), id="benchmarks a list"),
        pytest.param(folder_instead("benchmarks.json"), id="benchmarks a folder"),
        pytest.param(folder_instead("lab/machine.json"), id="machine a folder"),
        pytest.param(put(PROVENANCE, b"\xff"), id="provenance no text"),
        pytest.param(folder_instead(PROVENANCE), id="provenance a folder"),
        pytest.param(folder_instead(LOG), id="log a folder"),
        pytest.param(facts(rounds=3), id="rounds a number"),
        pytest.param(facts(machine=[1]), id="machine facts a list"),
        pytest.param(facts(corpora=[{}]), id="corpus without fields"),
        pytest.param(facts(versions="1"), id="versions a text"),
        pytest.param(logged(factors=[1]), id="factors a list"),
        pytest.param(logged(foreign_cores="many"), id="load a text"),
        pytest.param(logged(round="first"), id="round a text"),
        pytest.param(logged(benchmark=["a"]), id="benchmark a list"),
    ],
)
def test_a_damaged_file_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object]
) -> None:
    folder, out = results(tmp_path / "results"), tmp_path / "out"
    arguments = ["--results", str(folder), "--claims", str(rules), "--out", str(out)]
    spoil(folder)
    assert str(folder) in refused(render_main(arguments), capsys)
    assert not out.exists()


def every_sample(value: Callable[[int], float]) -> Callable[[Path], object]:
    """By the number of the round."""

    def change(data: Any) -> None:
        column = data["result_columns"].index("samples")
        rows = data["results"][NAME][column]
        rows[:] = [[value(number) for number, _ in enumerate(row)] for row in rows]

    return lambda folder: edit_json(folder / RESULT, change)


def no_pixels(folder: Path) -> None:
    """At a resolution whose logarithm there is none of, along which a slope is asked for."""

    def change(data: Any) -> None:
        column = data["result_columns"].index("params")
        data["results"][NAME][column] = json.loads(
            json.dumps(data["results"][NAME][column]).replace('"64"', '"0"')
        )

    edit_json(folder / RESULT, change)


@pytest.mark.parametrize(
    ("spoil", "fits"),
    [
        (every_sample(lambda round: 1.7e308), False),
        (every_sample(lambda round: 5e-324 if round % 2 else 1.7e308), False),
        (no_pixels, False),
        (every_sample(lambda round: 1.0), True),
    ],
)
def test_numbers_that_cannot_be_judged_are_one_sentence(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    fits: bool,
) -> None:
    """And no line of NumPy's or LAPACK's own."""
    folder, rules = results(tmp_path / "results"), tmp_path / "slope.toml"
    slope = SLOPE.replace("ByImplementation", "ByResolution")
    rules.write_text(HEAD + claim(TEST, slope, headline='{ px = 256, impl = "naive" }',
                                  finding="It takes {headline}."))  # fmt: skip
    spoil(folder)
    arguments = ["--results", str(folder), "--claims", str(rules), "--out", str(tmp_path / "out")]
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests
        code = render_main(arguments)
    said = capfd.readouterr().err
    if fits:
        assert code == 0 and not said, said
    else:
        assert code == 2 and said.count("\n") == 1 and str(folder) in said, said
        assert not (tmp_path / "out").exists()


def test_results_of_another_machine_are_not_called_damaged(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path / "results")
    edit_json(folder / "lab/machine.json", lambda data: data.update(machine="elsewhere"))
    code = render_main(["--results", str(folder), "--claims", str(rules), "--out", str(tmp_path)])
    assert "is not of the machine elsewhere" in refused(code, capsys)


def test_a_pipe_in_the_place_of_the_log_is_not_waited_for(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path / "results")
    (folder / LOG).unlink()
    os.mkfifo(folder / LOG)
    code = render_main(["--results", str(folder), "--claims", str(rules), "--out", str(tmp_path)])
    assert "is no regular file" in refused(code, capsys)


@pytest.mark.parametrize("version", [0, 9])
@pytest.mark.parametrize("name", [RESULT, "benchmarks.json", "lab/machine.json"])
def test_files_of_another_asv_are_not_called_damaged(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str], name: str, version: int
) -> None:
    folder, out = results(tmp_path / "results"), tmp_path / "out"
    edit_json(folder / name, lambda data: data.update(version=version))
    code = render_main(["--results", str(folder), "--claims", str(rules), "--out", str(out)])
    said = refused(code, capsys)
    assert "another version of asv" in said and "delete" not in said


def test_a_machine_that_may_not_be_read_is_not_left_out_unsaid(
    tmp_path: Path,
    rules: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = results(results(tmp_path / "results"), "attic")
    looked = os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path).name == "attic":
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr("scripts.judging.runs.os.scandir", refuse)
    out = tmp_path / "out"
    arguments = ["--results", str(folder), "--claims", str(rules), "--out", str(out)]
    said = refused(render_main(arguments), capsys)
    assert str(folder / "attic") in said and "mend its rights" in said
    assert not out.exists()


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
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str], make: Any
) -> None:
    make(tmp_path / "other")
    arguments = ["--results", str(tmp_path / "other"), "--claims", str(rules)]
    assert str(tmp_path / "other") in refused(
        render_main([*arguments, "--out", str(tmp_path / "out")]), capsys
    )
    assert not (tmp_path / "out").exists()


def test_files_of_others_among_the_results_are_passed_over(tmp_path: Path, rules: Path) -> None:
    folder = results(tmp_path / "results")
    for name in ("notes.txt", "claims.json", "lab/notes.json", "lab/a.pickle", "asv.conf.json"):
        (folder / name).write_bytes(b"\xff{")
    (folder / "holiday").mkdir()
    (folder / "holiday" / "picture.json").write_text("[")
    arguments = ["--results", str(folder), "--claims", str(rules)]
    assert render_main([*arguments, "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{headline}.", "{nothing}.", "C01"),
        ("{headline}.", "{range:seven}.", "C01"),
        ("{headline}.", "{headline.", "C01"),
        ('{ impl = "naive" }', '{ colour = "naive" }', "C01"),
        ('kind = "ratio"', 'kind = "ratio"\nbar = nan', "C01"),
        ('kind = "ratio"', 'kind = "exact"\nexpect = "== 1.2.3"', "C01"),
        ('kind = "ratio"', 'kind = "ratio"\nwhere = { colour = ["red"] }', "colour"),
        ("margin = 0.05", "margin = nan", "margin"),
        ("margin = 0.05", "margin = 5", "margin"),
    ],
)
def test_wrong_rules_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    named: str,
) -> None:
    suite = {name: one.levels for name, one in standard_suite().items()}
    monkeypatch.setattr("scripts.check_claims.suite", lambda: suite)  # a process takes seconds
    text = RULES.replace(old, new)
    if old.startswith("{ impl"):
        text = text.replace('baseline = { impl = "preloaded" }', 'baseline = { colour = "b" }')
    (tmp_path / "claims.toml").write_text(text)
    folder = results(tmp_path / "results")
    arguments = ["--results", str(folder), "--claims", str(tmp_path / "claims.toml")]
    assert named in refused(render_main([*arguments, "--out", str(tmp_path / "out")]), capsys)
    assert not (tmp_path / "out").exists()


def test_two_tests_of_one_label_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "claims.toml").write_text(RULES + TEST.replace("test.ratio", "test.again"))
    arguments = ["--results", str(tmp_path), "--claims", str(tmp_path / "claims.toml")]
    assert "same label" in refused(render_main(arguments), capsys)


NASTY = "<script>alert(1)</script> & \"q\" 'a' $x$ | _y_ \udcff \x1b[31m"


def test_names_with_markup_are_shown_in_every_file(tmp_path: Path, rules: Path) -> None:
    corpus = {"label": NASTY, "resolution": 64, "count": 1, "quality": NASTY, "skipped": [NASTY],
              "bytes_per_pixel": 1.0, "content_hash": "ab"}  # fmt: skip
    folder = results(tmp_path / "results", corpora=[corpus], machine={"cpu": NASTY})
    second = results(tmp_path / "second", name="other")
    for one in (folder / "lab", second / "other"):
        name = NASTY + one.name
        edit_json(one / "machine.json", lambda data, name=name: data.update(machine=name))
        edit_json(one / f"{STEM}.json", lambda data, name=name: data["params"].update(machine=name))
    out = tmp_path / "out"
    arguments = ["--results", str(folder), str(second), "--claims", str(rules), "--out", str(out)]
    assert render_main(arguments) == 0
    for path in out.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "\x1b" not in text
            if path.suffix in (".html", ".svg", ".md", ".tex"):
                assert "<script>alert" not in text, path
            if path.suffix == ".svg":
                ElementTree.fromstring(text)
    json.loads((out / "claims.json").read_text())
    assert len(list(csv.reader((out / "claims.csv").read_text().splitlines()))) == 2


@pytest.mark.parametrize("option", ["--results", "--out", "--claims"])
def test_a_name_that_cannot_be_is_one_sentence(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    given = {"--results": str(results(tmp_path / "results")), "--claims": str(rules),
             "--out": str(tmp_path / "out")}  # fmt: skip
    given[option] = str(tmp_path / ("a" * 300))
    refused(render_main([part for pair in given.items() for part in pair]), capsys)


def test_results_that_would_count_twice_are_refused(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = results(tmp_path / "one"), results(tmp_path / "other")
    arguments = ["--results", str(one), str(other), "--claims", str(rules)]
    error = refused(render_main([*arguments, "--out", str(tmp_path / "out")]), capsys)
    assert "machine" in error and "name" in error and not (tmp_path / "out").exists()


def test_a_folder_that_is_named_twice_is_read_once(tmp_path: Path, rules: Path) -> None:
    one = results(tmp_path / "one")
    arguments = ["--results", str(one), str(one / "lab"), "--claims", str(rules)]
    assert render_main([*arguments, "--out", str(tmp_path / "out")]) == 0


def test_tilde_is_the_home_folder(
    tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    results(tmp_path / "results")
    arguments = ["--results", "~/results", "--claims", "~/claims.toml", "--out", "~/out"]
    assert render_main(arguments) == 0 and (tmp_path / "out" / "index.html").is_file()


# ---------------------------------------------------------------------------- two sets


def test_sets_of_two_profiles_are_refused(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = results(tmp_path / "one"), results(tmp_path / "other", profile="standard")
    arguments = [str(one), str(other), "--claims", str(rules), "--out", str(tmp_path / "out")]
    error = refused(compare.main(arguments), capsys)
    assert "'quick'" in error and "'standard'" in error and not (tmp_path / "out").exists()


def test_one_folder_under_two_names_is_refused(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = results(tmp_path / "one")
    arguments = [str(one), f"{one}/../one", "--claims", str(rules), "--out", str(tmp_path / "out")]
    assert "named twice" in refused(compare.main(arguments), capsys)


def test_sets_measured_under_two_versions_of_the_rules_say_so(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = results(tmp_path / "one", claims_hash="aaaa")
    other = results(tmp_path / "second", claims_hash="bbbb")
    out = tmp_path / "out"
    assert compare.main([str(one), str(other), "--claims", str(rules), "--out", str(out)]) == 0
    printed, html = capsys.readouterr().out, (out / "index.html").read_text()
    for rule in ("rules aaaa", "rules bbbb"):
        assert rule in printed.replace("\n", " ") and rule in html


# ---------------------------------------------------------------------------- the README


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(update_readme, "ROOT", tmp_path)
    lines = [
        line.format(name)
        for name in update_readme.PARTS
        for line in (update_readme.BEGIN, update_readme.END)
    ]
    (tmp_path / "README.md").write_text("\n".join(["before", *lines, "after"]))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "claims.json").write_bytes(
        (RESULTS / "report" / "claims.json").read_bytes()
    )
    return tmp_path


def test_the_readme_is_written_between_its_markers(project: Path) -> None:
    assert update_readme.main(["--report", str(project / "report")]) == 0
    text = (project / "README.md").read_text()
    assert text.startswith("before") and text.endswith("after") and "**[C01]" in text


def test_the_readme_keeps_its_line_ends(project: Path) -> None:
    """Also two kinds of them, outside of what is written anew."""
    readme, arguments = project / "README.md", ["--report", str(project / "report")]
    assert update_readme.main(arguments) == 0
    usual = readme.read_bytes()
    for others in (usual.replace(b"\n", b"\r\n"), b"one\nmore\r\n" + usual):
        readme.write_bytes(others)
        assert update_readme.main(arguments) == 0
        assert readme.read_bytes() == others


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda p: (p / "README.md").unlink(), id="no README"),
        pytest.param(lambda p: (p / "README.md").write_bytes(b"\xff"), id="README no text"),
        pytest.param(lambda p: (p / "README.md").write_text("mine"), id="README without markers"),
        pytest.param(lambda p: (p / "report/claims.json").unlink(), id="no report"),
        *(
            pytest.param(lambda p, t=text: (p / "report/claims.json").write_bytes(t), id=str(text))
            for text in (b"", b"{", b"[]", b"{}", b"3", b"null", b"\xff", b'{"claims": [{}]}',
                         b"[" * 50_000)
        ),
        pytest.param(
            lambda p: edit_json(p / "report/claims.json", lambda d: d["noise"].update(cells="x")),
            id="a field of another type",
        ),
    ],
)  # fmt: skip
def test_a_readme_that_cannot_be_written_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object]
) -> None:
    spoil(project)
    readme = project / "README.md"
    before = readme.read_bytes() if readme.exists() else None
    refused(update_readme.main(["--report", str(project / "report")]), capsys)
    assert (readme.read_bytes() if readme.exists() else None) == before


def test_a_readme_that_is_a_link_is_not_replaced(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "README.md").rename(project / "elsewhere.md")
    (project / "README.md").symlink_to(project / "elsewhere.md")
    assert "link" in refused(update_readme.main(["--report", str(project / "report")]), capsys)
    assert (project / "README.md").is_symlink()
