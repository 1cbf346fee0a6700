"""What a change touches, measured on both revisions: which benchmarks, the verdict, the command."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from rich.console import Console

from benchmarks.touched import touched
from scripts import compare_revisions as command
from scripts.judging.revisions import Change
from scripts.session import provenance, revisions
from scripts.session.rounds import measurements_bar
from tests.clones import git
from tests.commands import Done, python
from tests.sessions import PLAN, FakeAsv, opened
from tests.stand_in import without_torchvision
from tests.synthetic_results import SKIPPED, Bench, Noise, Value, write_results

STAGE, CONTROL = "item.ByStage", "controls.Item"


def found_by(*files: str, bench: str | None = None) -> dict[str, list[str]]:
    controls: dict[str, list[str]] = touched(files, bench)["controls"]
    return controls


@pytest.mark.parametrize(
    ("file", "some", "none"),
    [
        ("datasets_impl/variants/row_loop.py", {"item.NeedlessWork"}, {"item.ByStage"}),
        ("datasets_impl/documented/inefficient.py", {"item.ByStage", "epoch.ByWorkers"}, set()),
        ("benchmarks/transport.py", {"transport.BySize"}, {"item.ByStage", "stall.ByStep"}),
        ("datasets_impl/contest/peers/spdl_peer.py", {"trainers.Decode"}, {"item.ByStage"}),
        ("benchmarks/grids.py", {"transport.BySize", "item.ByStage", "exact.Shapes"}, set()),
        ("datasets_impl/doctor/__main__.py", set(), {"item.ByStage"}),
        ("datasets_impl/there_no_more.py", set(), {"item.ByStage"}),
    ],
)  # fmt: skip
def test_a_benchmark_is_touched_by_what_it_imports(
    file: str, some: set[str], none: set[str]
) -> None:
    found = found_by(file)
    assert some <= found.keys() and not none & found.keys()
    assert not [name for name in found if name.startswith("controls.")]


def test_arms_that_are_the_same_are_measured_beside() -> None:
    plan = touched(["benchmarks/grids.py"])
    assert plan["controls"]["item.ByImplementation"] == [CONTROL]
    assert plan["controls"][STAGE] == [], "nothing of its metric is measured twice"
    assert set(plan["controls"]["epoch.ByWorkers"]) == {"controls.Epoch", "controls.ColdEpoch"}
    assert plan["controls"]["loader.ByLoop"] == ["controls.Loop"]
    assert {"controls.Item", "controls.Loop", STAGE} <= plan["benchmarks"].keys()
    assert found_by("benchmarks/grids.py", bench="item.ByStage") == {STAGE: []}


def both(tmp_path: Path, *pairs: tuple[Bench, Bench]) -> list[Change]:
    names = [list(each) for each in zip(*pairs, strict=True)]
    for folder, benches in zip(("base", "head"), names, strict=True):
        write_results(tmp_path / folder, benches)
    controls = {
        one.name.rpartition(".")[0]: [CONTROL] for one in names[1] if CONTROL not in one.name
    }
    return command.judged(tmp_path / "base", tmp_path / "head", controls)


def pair(
    name: str, value: Callable[[dict[str, Any]], float], **levels: list[Any]
) -> tuple[Bench, Bench]:
    """One benchmark on both revisions: of 100 before, and `value` times that after."""
    before, after = Noise(seed=3), Noise(seed=3)
    after.random = Noise(seed=4).random
    return (
        Bench(name, levels, lambda factors: before.around(100.0)),
        Bench(name, levels, lambda factors: after.around(100.0 * value(factors))),
    )


def arms(apart: float, metric: str = "item") -> tuple[Bench, Bench]:
    levels = {"px": [64], "impl": ["naive", "naive-again"]}
    around = Noise()
    made = Bench(f"{CONTROL}.track_{metric}", levels,
                 lambda f: around.around(apart if f["impl"] == "naive" else 1.0))  # fmt: skip
    return made, made


def test_slower_is_what_lies_beyond_what_the_same_arms_differ_by(tmp_path: Path) -> None:
    changed = pair(f"{STAGE}.track_item", lambda f: 1.2, stage=["read", "item"])
    (quiet,) = both(tmp_path / "quiet", changed, arms(1.01))
    assert (quiet.benchmark, quiet.outcome, quiet.levels) == (STAGE, "slower", {})
    assert quiet.noise == 0.05
    assert quiet.interval and quiet.interval.estimate == pytest.approx(1.2, abs=0.01)
    (noisy,) = both(tmp_path / "noisy", changed, arms(1.3))
    assert noisy.outcome == "no change" and noisy.noise == pytest.approx(0.3, abs=0.01)


def test_faster_and_unchanged(tmp_path: Path) -> None:
    found = both(
        tmp_path,
        pair(f"{STAGE}.track_item", lambda f: 0.5, stage=["read"]),
        pair("item.ByCount.track_item", lambda f: 1.02, n=[64]),
        arms(1.0),
    )
    assert {one.benchmark: one.outcome for one in found} == {
        STAGE: "faster", "item.ByCount": "no change",
    }  # fmt: skip


def test_one_slow_cell_among_many_is_told_beside_its_benchmark(tmp_path: Path) -> None:
    slow = pair(
        f"{STAGE}.track_item", lambda f: 2.0 if f["px"] == 64 else 1.0, px=[64, *range(100, 130)]
    )
    whole, cell = both(tmp_path, slow, arms(1.0))
    assert (whole.outcome, whole.levels) == ("no change", {})
    assert (cell.outcome, cell.levels) == ("slower", {"px": 64})


def bench(value: Callable[[dict[str, Any]], Value], version: str = "1") -> Bench:
    return Bench(f"{STAGE}.track_item", {"px": [64]}, value, version=version)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (bench(lambda f: [1.0] * 4), bench(lambda f: SKIPPED), "skipped after"),
        (bench(lambda f: None), bench(lambda f: [1.0] * 4), "failed before"),
        (bench(lambda f: [1.0] * 4), bench(lambda f: [1.0] * 4, "2"), "skipped before"),
        (bench(lambda f: [1.0] * 4), bench(lambda f: [1.0] * 5), "other rounds"),
    ],
)
def test_what_has_no_ratio_is_not_compared(
    tmp_path: Path, before: Bench, after: Bench, why: str
) -> None:
    (found,) = both(tmp_path, (before, after), arms(1.0))
    assert (found.outcome, found.why) == ("not compared", why)


def test_a_count_is_the_same_or_not(tmp_path: Path) -> None:
    name, levels = "exact.FilesOpened.track_opened", {"impl": ["naive", "mapped"]}
    one = Bench(name, levels, lambda f: [2.0], "files per image")
    more = Bench(name, levels, lambda f: [3.0 if f["impl"] == "naive" else 2.0], "files per image")
    assert [found.outcome for found in both(tmp_path / "a", (one, one))] == ["no change"]
    assert [found.outcome for found in both(tmp_path / "b", (one, more))] == ["changed"]


def shown(found: list[Change]) -> tuple[int, str]:
    screen = io.StringIO()
    code = command.show(found, Console(file=screen, width=200))
    return code, screen.getvalue()


def test_the_table_is_80_columns_wide_and_the_exit_code_says_slower(tmp_path: Path) -> None:
    name = "startup.ConstructionByResolution.track_construction"
    found = both(tmp_path, pair(name, lambda f: 3.0, px=[64]), arms(1.0, "construction"))
    code, text = shown(found)
    assert code == 1 and "slower" in text and max(map(len, text.splitlines())) <= 80
    assert "3.0" in text and "to" in text
    same = pair(name, lambda f: 1.0, px=[64])
    found = both(tmp_path / "same", same, arms(1.0, "construction"))
    code, text = shown(found)
    assert code == 0 and "no change beyond 5%" in text and "Slower: 0" in text


@pytest.mark.parametrize(("ratio", "outcome"), [(1.0, "no change"), (2.0, "slower")])
def test_noise_that_no_arms_have_shown_is_said_to_be_assumed(
    ratio: float, outcome: str, tmp_path: Path
) -> None:
    """Without arms, and with some of another metric; not where counts are compared."""
    changed = pair(f"{STAGE}.track_item", lambda f: ratio, px=[64])
    levels = {"px": [64], "impl": ["naive", "naive-again"]}
    elsewhere = Bench(f"{CONTROL}.track_epoch", levels, lambda f: [1.0] * 8)
    for number, more in enumerate(([], [(elsewhere, elsewhere)])):
        found = both(tmp_path / str(number), changed, *more)
        _, text = shown(found)
        said = " ".join(text.split())
        assert f"{outcome} (noise unknown, 5% assumed)" in said, text
        assert found[0].outcome == outcome and not found[0].known
        assert max(map(len, text.splitlines())) <= 80
        assert command._plain(found[0])["noise_known"] is False
    found = both(tmp_path / "arms", changed, arms(1.0))
    assert "assumed" not in shown(found)[1] and found[0].known
    count = Bench("exact.FilesOpened.track_opened", {"px": [64]}, lambda f: [2.0], "files")
    assert "assumed" not in shown(both(tmp_path / "count", (count, count)))[1]


def test_rounds_are_measured_in_turn(asv: FakeAsv, tmp_path: Path) -> None:
    code = {"commit": "f" * 40, "dirty": False, "hash": "x"}
    (tmp_path / "b").mkdir()
    sessions = [opened(tmp_path), opened(tmp_path / "b", code=code, root=tmp_path / "b")]
    console = Console(file=io.StringIO())
    with measurements_bar(console) as progress:
        sessions[0].run_round(1, progress)  # of a comparison that was stopped
    revisions.measure_in_turn(sessions, console)
    order = [given[given.index("--set-commit-hash") + 1][0] for given in asv.commands]
    assert order == ["0", "f", "f", "0", "0", "f"] and PLAN["rounds"] == 3
    where = [json.loads((one.folder / "asv.conf.json").read_text()) for one in sessions]
    assert [one["benchmark_dir"] for one in where] == [
        str(ROOT / "benchmarks"), str(tmp_path / "b" / "benchmarks"),
    ]  # fmt: skip


@pytest.mark.parametrize("base", ["", "no-such-revision", "--all", "HEAD:README.md", "a b"])
def test_a_base_that_is_no_revision_is_one_sentence(
    base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([f"--base={base}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: BASE is ") and said.count("\n") == 1


def test_a_dirty_tree_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {**provenance.code_state(), "dirty": True}
    monkeypatch.setattr(provenance, "code_state", lambda: state)
    assert command.main(["--base=HEAD"]) == 2
    said = capsys.readouterr().err
    assert "commit or undo" in said and said.count("\n") == 1


@pytest.mark.parametrize("given", ["--rounds=1", "--profile=x", "--out=scripts"])
def test_an_option_that_cannot_be_meant_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = {"controls": {STAGE: []}}
    monkeypatch.setattr(provenance, "code_state", lambda: {"commit": "f" * 40, "dirty": False})
    monkeypatch.setattr(revisions, "changed_files", lambda *given: [])
    monkeypatch.setattr(revisions, "touched", lambda *given: plan)
    monkeypatch.chdir(ROOT)
    assert command.main(["--base=HEAD", given]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith(f"error: {given.partition('=')[0]} ")


@pytest.mark.parametrize("content", ['[{"mine": 1}]', "{}", "[1]", "notes", "[" * 100_000])
def test_somebody_elses_comparison_stays(
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(provenance, "code_state", lambda: {"commit": "f" * 40, "dirty": False})
    monkeypatch.setattr(revisions, "changed_files", lambda *given: [])
    monkeypatch.setattr(revisions, "touched", lambda *given: {"controls": {STAGE: []}})
    monkeypatch.setattr("scripts.session.measuring.end_orphans", lambda: 0)
    (tmp_path / "comparison.json").write_text(content)
    assert command.main(["--base=HEAD", f"--out={tmp_path}"]) == 2
    assert "comparison.json holds something else than a comparison" in capsys.readouterr().err
    assert (tmp_path / "comparison.json").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]


def test_rounds_of_other_benchmarks_are_another_session(
    asv: FakeAsv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A comparison that was stopped, and is begun again with another --bench."""
    monkeypatch.setattr(revisions, "run_child", lambda *given, **more: None)
    monkeypatch.setattr(revisions, "git", lambda *given: "t" * 40)
    root = tmp_path / "root"
    root.mkdir()
    (root / "corpora.json").write_text("[]")
    found = []
    for names in (["item.ByStage"], ["item.ByStage"], ["epoch.ByWorkers"]):
        plan = {"rounds": 3, "benchmarks": {name: {"cells": 1, "every": 1} for name in names}}
        variables = dict(os.environ)
        found.append(revisions.open_session(
            tmp_path / "session", "f" * 40, plan, root, variables, "quick", None
        ))  # fmt: skip
    assert found[0].state["key"] == found[1].state["key"] != found[2].state["key"]


def test_a_comparison_of_before_is_known(tmp_path: Path) -> None:
    found = both(tmp_path, pair(f"{STAGE}.track_item", lambda f: 1.0, px=[64]), arms(1.0))
    (tmp_path / "comparison.json").write_text(json.dumps([command._plain(one) for one in found]))
    command._check(tmp_path)


def edit(clone: Path, file: str, before: str, after: str) -> None:
    text = (clone / file).read_text()
    assert before in text
    (clone / file).write_text(text.replace(before, after, 1))
    git(clone, "commit", "--quiet", "--all", "--message", "another")


def compared(clone: Path, tmp_path: Path, *words: str) -> Done:
    module = ("-m", "scripts.compare_revisions", "--base=HEAD~1")
    light = without_torchvision(tmp_path, clone, torch=False)
    return python(*module, *words, at=clone, HOME=tmp_path, **light)


def test_a_change_of_words_touches_nothing(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(clone, "datasets_impl/experiments/structures.py", '"""', '"""More words.\n\n')
    monkeypatch.setattr(provenance, "ROOT", clone)
    monkeypatch.setattr(revisions, "touched", lambda files, bench, _: touched(files, bench))
    assert command.main(["--base=HEAD~1"]) == 0
    assert "No benchmark imports code that differs" in capsys.readouterr().out


@pytest.mark.slow
def test_a_slow_change_is_found_from_end_to_end(clone: Path, tmp_path: Path) -> None:
    """A million times as much: in two rounds no load of a machine hides that."""
    edit(clone, "benchmarks/common.py", "spoilt_by_load = True", "spoilt_by_load = False")
    edit(clone, "benchmarks/structures.py", '("label", "image")', '("label",)')
    edit(clone, "benchmarks/structures.py", '("list", "numpy", "tensor")', '("numpy",)')
    value = "value = scale * statistics.median(times) - loop"
    edit(clone, "benchmarks/measures/samples.py", value, f"{value}\n    value *= 1_000_000")
    done = compared(clone, tmp_path, "--rounds=2", "--bench=^structures")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "structures.ByAccess access" in done.stdout and "slower" in done.stdout
    (out,) = (clone / "out").glob("compare-*")
    (found, *_) = json.loads((out / "comparison.json").read_text())
    assert found["outcome"] == "slower" and found["ratio"] > 10
    assert git(clone, "status", "--porcelain") == ""
