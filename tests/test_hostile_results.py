"""Results, rules and a README that are not as they should be: one sentence, and nothing is lost.

Files of results that are damaged: `test_damaged_results`; fields of the rules: `test_claims_read`.
"""

from __future__ import annotations

import csv
import json
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
STEM = "01234567-existing-py3.11"
RESULT = f"lab/{STEM}.json"


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


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("{headline}.", "{nothing}.", "C01"),
        ('kind = "ratio"', 'kind = "ratio"\nwhere = { colour = ["red"] }', "colour"),
    ],
)
def test_wrong_rules_are_one_sentence(
    tmp_path: Path,
    rules: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    named: str,
) -> None:
    suite = {name: one.levels for name, one in standard_suite().items()}
    monkeypatch.setattr("scripts.check_claims.suite", lambda: suite)  # a process takes seconds
    rules.write_text(RULES.replace(old, new))
    arguments = ["--results", str(results(tmp_path / "results")), "--claims", str(rules)]
    assert named in refused(render_main([*arguments, "--out", str(tmp_path / "out")]), capsys)
    assert not (tmp_path / "out").exists()


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
