"""Whether results may stand: every reason seen in files made for it, and the committed ones."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.claims import load_claims
from scripts.judging.noise import noise_floor
from scripts.judging.runs import every_run
from scripts.judging.validity import LIMITED, VALID, VOID, Validity, reference, validity
from scripts.root import CLAIMS, RESULTS, ROOT
from scripts.validate import main, validate
from tests.synthetic_results import (
    COMMIT,
    SKIPPED,
    Bench,
    Noise,
    Value,
    edit_json,
    load_evidence,
    write_results,
)

CLAIMS_KNOWN = load_claims(CLAIMS)
CORPUS = {
    "label": "own",
    "content": "photographs",
    "bytes_per_pixel": 0.5,
    "skipped": [],
    "resolution": 64,
    "count": 32,
    "quality": "98",
    "content_hash": "abc",
    "folder": None,
}
COLD = {"resident_before": 0.0, "bytes_read": 1000, "bytes_of_files": 1000}


def arms(times: float = 1.0, blocks: int = 6) -> Bench:
    around = Noise(blocks)

    def value(factors: dict[str, Any]) -> Value:
        return around.around(times if factors["impl"].endswith("-again") else 1.0)

    return Bench("controls.Item.track_item", {"impl": ["naive", "naive-again"]}, value)


def entry(number: int = 1, **more: Any) -> dict[str, Any]:
    factors = {"impl": "naive"}
    base = {"benchmark": "controls.Item", "factors": factors, "value": 1.0, "round": number}
    return base | more


def provenance(**more: Any) -> dict[str, Any]:
    base = {
        "commit": COMMIT,
        "dirty": False,
        "partial": False,
        "profile": "standard",
        "claims_hash": CLAIMS_KNOWN.rules_hash,
        "corpora": [CORPUS],
        "versions": {"torch": "2.14.1"},
    }
    return base | more


def logged(folder: Path) -> None:
    """Have the log say every number of asv's: in the records it has, or in one more."""
    (run,) = every_run([folder])
    log = run.beside.observations
    for key in run.results.get_all_result_keys():
        params = run.results.get_result_params(key)
        samples = run.results.get_result_samples(key, params)
        names, benchmark = run.suite[key]["param_names"], key.rpartition(".")[0]
        for levels, cell in zip(itertools.product(*params), samples, strict=True):
            factors = dict(zip(names, map(ast.literal_eval, levels), strict=True))
            told = [each for each in log if each["factors"] == factors and "value" in each]
            told = [each for each in told if each["benchmark"] == benchmark]
            for number, value in enumerate(cell or [], 1):
                own = next((each for each in told if each.get("round") == number), None)
                if own is None:
                    log.append(own := entry(number, benchmark=benchmark, factors=factors))
                own["value"] = value
    run.beside.log.write_text("".join(json.dumps(each) + "\n" for each in log))


def judged(folder: Path, *benches: Bench, **more: Any) -> Validity:
    given = {"observations": [entry(n) for n in range(1, 7)], "provenance": provenance()} | more
    write_results(folder, benches or [arms()], **given)
    if given["observations"]:
        logged(folder)
    (run,) = every_run([folder])
    return validity(run, reference(CLAIMS_KNOWN, ROOT / "requirements.txt", []))


def levels(found: Validity) -> dict[str, str]:
    return {check.name: check.level for check in found.checks if check.level != "holds"}


def test_a_clean_run_is_valid(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert (found.verdict, levels(found)) == (VALID, {})
    assert {check.name for check in found.checks} == {
        *("code", "rules", "pictures", "versions", "log", "load", "cold cache"),
        *("A/A arms", "rounds", "cells"),
    }


@pytest.mark.parametrize(
    ("check", "changed", "said"),
    [
        ("code", {"partial": True}, "only a part"),
        ("rules", {"claims_hash": "old"}, "measured under old, judged by"),
        ("pictures", {"corpora": []}, "not told"),
        ("pictures", {"corpora": [{**CORPUS, "folder": "/home/me"}]}, "the measurer's own"),
        ("versions", {"versions": {"torch": "2.6.0", "asv": "0.6.6"}}, "torch 2.6.0 (pinned"),
        ("versions", {"versions": {}}, "not told"),
        ("GIL", {"machine": {"python": "3.14.1t", "gil": True}}, "an extension turned it on"),
        ("GIL", {"machine": {"python": "3.14.1t"}}, "is not told"),
    ],
)
def test_limits_of_the_provenance(
    check: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = judged(tmp_path, provenance=provenance(**changed))
    assert (found.verdict, levels(found)) == (LIMITED, {check: "limits"})
    assert any(said in one.found for one in found.checks)


@pytest.mark.parametrize("machine", [{"python": "3.14.1t", "gil": False}, {"python": "3.14.1"}])
def test_a_python_with_the_lock_it_is_named_by_is_no_limit(
    machine: dict[str, Any], tmp_path: Path
) -> None:
    found = judged(tmp_path, provenance=provenance(machine=machine))
    assert (found.verdict, levels(found)) == (VALID, {})
    named = [check.found for check in found.checks if check.name == "GIL"]
    assert named == (["off once all was imported"] if "gil" in machine else [])


@pytest.mark.parametrize(
    ("check", "more", "said"),
    [
        ("code", {"provenance": provenance(dirty=True)}, "changes that are not in commit"),
        ("code", {"provenance": provenance(commit="f" * 40)}, "says commit ffffffffff"),
        ("provenance", {"provenance": None}, "no file says"),
        ("log", {"observations": []}, "no log says"),
        ("load", {"observations": [entry(n, loaded=n < 4) for n in range(1, 7)]}, "3 of 12"),
        ("cold cache", {"observations": [entry(**{**COLD, "resident_before": 0.1})]}, "1 of 1"),
        ("cold cache", {"observations": [entry(**{**COLD, "bytes_read": 899})]}, "1 of 1"),
    ],
)
def test_what_voids(check: str, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    found = judged(tmp_path, **more)
    assert (found.verdict, levels(found).get(check)) == (VOID, "voids")
    assert any(said in one.found for one in found.checks if one.name == check)


def test_little_load_limits_and_cold_cells_are_counted(tmp_path: Path) -> None:
    log = [entry(n, **COLD, loaded=n == 3) for n in range(1, 7)]
    found = judged(tmp_path, observations=log)
    assert levels(found) == {"load": "limits"}
    (cold,) = [check for check in found.checks if check.name == "cold cache"]
    assert cold.found == "1 cold cells, none resident before, at least 100% read"


def failing(share: float) -> Bench:
    """Of twenty cells, so many have no number and no reason."""
    lost = round(20 * share)
    return Bench(
        "item.ByStage.track_item", {"n": range(20)}, lambda f: None if f["n"] < lost else [1.0] * 6
    )


@pytest.mark.parametrize(
    ("benches", "wanted"),
    [
        ([arms(1.3)], {"A/A arms": "voids"}),
        ([failing(0.0)], {"A/A arms": "limits"}),
        ([arms(blocks=3)], {"rounds": "limits"}),
        ([arms(blocks=1)], {"rounds": "voids"}),
        ([arms(), failing(0.1)], {"cells": "limits"}),
        ([arms(), failing(0.5)], {"cells": "voids"}),
    ],
)
def test_what_the_numbers_say(benches: list[Bench], wanted: dict[str, str], tmp_path: Path) -> None:
    found = levels(judged(tmp_path, *benches))
    assert {name: found.get(name) for name in wanted} == wanted


def test_a_reason_that_is_logged_is_no_fault(tmp_path: Path) -> None:
    absent = Bench("storage.Cold.track_epoch", {"medium": ["throttled"]}, lambda _: SKIPPED)
    reason = {"benchmark": "storage.Cold", "factors": {"medium": "throttled"}, "skipped": "no root"}
    found = judged(tmp_path, arms(), absent, observations=[*map(entry, range(1, 7)), reason])
    assert found.verdict == VALID
    untold = judged(tmp_path / "untold", arms(), absent)
    assert levels(untold)["cells"] != "holds"


def test_what_an_earlier_version_of_a_benchmark_measured_limits(tmp_path: Path) -> None:
    old = Bench("item.ByStage.track_item", {"n": range(40)}, lambda _: [1.0] * 6)
    judged(tmp_path, arms(), old)
    edit_json(tmp_path / "benchmarks.json", lambda data: data[old.name].update(version="2"))
    (run,) = every_run([tmp_path])
    found = validity(run, reference(CLAIMS_KNOWN, ROOT / "requirements.txt", []))
    assert (found.verdict, levels(found)) == (LIMITED, {"cells": "limits"})
    assert "40 are of an earlier version" in found.checks[-1].found


@pytest.mark.parametrize("changed", ["result", "samples", "log", "half of the log"])
def test_numbers_that_the_log_does_not_hold_void(
    changed: str, written: Callable[..., Path]
) -> None:
    (run,) = every_run([written()])
    lines = run.beside.log.read_text().splitlines(keepends=True)
    if changed in ("result", "samples"):
        data = json.loads(run.path.read_text())
        column = data["result_columns"].index(changed)
        held = data["results"]["controls.Item.track_item"][column]
        if changed == "samples":
            held[0][2] *= 3
        else:
            held[0] *= -1
        run.path.write_text(json.dumps(data))
    elif changed == "log":
        lines[3] = json.dumps(json.loads(lines[3]) | {"value": 7.0}) + "\n"
        run.beside.log.write_text("".join(lines))
    else:
        run.beside.log.write_text("".join(lines[: len(lines) // 2]))
    (found,) = validate(run.path.parents[1])
    assert found.verdict == VOID and levels(found)["log"] == "voids"
    (check,) = [check for check in found.checks if check.name == "log"]
    assert check.found == "1 of 2 cells have a number that the log does not"


def test_pictures_are_held_against_the_committed_ones(tmp_path: Path) -> None:
    write_results(tmp_path / "here", [arms()], provenance=provenance())
    other = {**CORPUS, "content_hash": "other"}
    write_results(tmp_path / "there", [arms()], provenance=provenance(corpora=[other, CORPUS]))
    known = reference(CLAIMS_KNOWN, ROOT / "requirements.txt", every_run([tmp_path / "here"]))
    (run,) = every_run([tmp_path / "there"])
    (found,) = [check for check in validity(run, known).checks if check.name == "pictures"]
    assert (found.level, found.found.partition(" differ")[0]) == ("limits", "1 of 2 corpora")


# --- the command -----------------------------------------------------------------------------


def test_no_committed_run_is_void() -> None:
    """And the rate of false alarms is that of the report."""
    found = validate(RESULTS)
    assert {one.file for one in found} == {run.path.name for run in every_run([RESULTS])}
    assert [one.file for one in found if one.verdict == VOID] == []
    told = json.loads((RESULTS / "report" / "claims.json").read_text())["noise"]
    assert told["false_alarms"] == 0
    controls = {one.file: c.found for one in found for c in one.checks if c.name == "A/A arms"}
    apart = "-trainers.json"  # a profile that has no identical arms
    assert all(
        said.startswith("none was measured" if file.endswith(apart) else "0 of ")
        for file, said in controls.items()
    ), controls


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(**more: Any) -> Path:
        given = {"observations": [entry(n) for n in range(1, 7)], "provenance": provenance()}
        write_results(tmp_path / "results", [arms()], **(given | more))
        logged(tmp_path / "results")
        return tmp_path / "results"

    return write


def test_what_is_sent_is_valid_again(
    written: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, out = written(), tmp_path / "out"
    assert main([str(results), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "VALID" in told and "open a pull request" in told and str(out) in told
    sent = {path.relative_to(out / "results") for path in (out / "results").rglob("*.json*")}
    there = {path.relative_to(results) for path in results.rglob("*.json*")}
    assert sent == there - {Path("benchmarks.json")}, "a clone has the suite itself"
    shutil.copy(results / "benchmarks.json", out / "results")
    (again,) = validate(out / "results" / "lab")
    (first,) = json.loads((out / "validity.json").read_text())
    assert first["verdict"] == again.verdict
    assert first["checks"] == [vars(check) for check in again.checks]
    assert main([str(results), "--out", str(out)]) == 0, "what was written may be written again"


def test_void_results_are_not_sent(written: Callable[..., Path], tmp_path: Path) -> None:
    assert (
        main([str(written(provenance=provenance(dirty=True))), "--out", str(tmp_path / "o")]) == 1
    )
    assert not (tmp_path / "o").exists()


def test_bad_input(
    written: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    assert "does not exist" in " ".join(capsys.readouterr().err.split())
    results = written()
    assert main([str(results), "--out", str(results)]) == 2
    assert "only read" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("lacking", ["folder", "suite", "numbers"])
def test_no_option_is_named_that_the_command_does_not_have(
    lacking: str,
    written: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = tmp_path / "nothing" if lacking == "folder" else written()
    if lacking == "suite":
        (results / "benchmarks.json").unlink()
    if lacking == "numbers":
        shutil.rmtree(results)
        write_results(results, [Bench("sorting.Suite.track_swaps", {"n": [1, 2]}, lambda f: 1.0)])
    assert main([str(results)]) == 2
    said = capsys.readouterr().err
    assert str(results) in said and " name " in said and "--results" not in said


def test_false_alarms_are_those_of_the_judge() -> None:
    machine = RESULTS / "intel-xeon-2-cores"
    noise = noise_floor(load_evidence([machine]).cells, CLAIMS_KNOWN.rules)
    checks = [c for one in validate(machine) for c in one.checks if c.name == "A/A arms"]
    told = [re.match(r"(\d+) of (\d+) pairs", each.found) for each in checks]
    pairs = [(int(each[1]), int(each[2])) for each in told if each]
    assert len(pairs) >= 2
    assert [sum(part) for part in zip(*pairs, strict=True)] == [noise.false_alarms, noise.cells]
