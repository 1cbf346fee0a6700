"""Which of the result files of a folder are judged, and which of them are compared."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts.judging.environments import Environment, reference
from scripts.judging.judge import judge, judge_both, judge_repeat
from scripts.judging.runs import Runs, find_runs
from scripts.report.figures import Figures
from scripts.report.page import page
from scripts.report.study import load_study
from scripts.report.tables import claims_csv
from tests.claims_text import HEAD, RATIO, claim
from tests.synthetic_results import SKIPPED, Bench, Noise, edit_json, load_evidence, write_results

ITEM, ARMS = "item.ByImplementation.track_item", "arms.Decode.track_decode"
LEVELS = {"px": [64, 256], "impl": ["naive", "preloaded"]}


def wrote(
    folder: Path,
    commit: str,
    profile: str = "standard",
    *,
    started: int,
    ending: str = "",
    **more: Any,
) -> Path:
    """A run of `profile`, in asv's shape, beside those that `folder` has."""
    noise, name = Noise(seed=started), ARMS if profile == "loaders" else ITEM
    known = folder / "benchmarks.json"
    former = json.loads(known.read_text()) if known.exists() else {}
    path = write_results(
        folder,
        [Bench(name, LEVELS, lambda f: noise.around(2.0 if f["impl"] == "naive" else 1.0))],
        commit=commit * 40,
        started=1_700_000_000 + started,
        provenance={"profile": profile, "partial": False, **more.pop("provenance", {})},
        environment=f"existing-py3.11-{profile}{ending}",
        **more,
    )
    edit_json(known, lambda data: data.update(former | data))
    return path


def chosen(runs: Runs) -> tuple[str, str, str]:
    """The first digit of the commits that are judged, of the loaders', and of the second run."""
    kinds = (runs.first, runs.apart, runs.second)
    first, contest, second = ("".join(one.path.name[0] for one in kind) for kind in kinds)
    return first, contest, second


SAME, OTHER = {"code_hash": "0123"}, {"code_hash": "4567"}
Run = tuple[str, str, str, dict[str, Any]]  # commit, profile, ending, provenance


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param([("a", "standard", "", {}), ("b", "standard", "", {})], ("b", "", ""),
                     id="the newest is judged"),
        pytest.param([("a", "standard", "", {}), ("b", "standard", "-repeat", {})], ("a", "", "b"),
                     id="a second run is compared, though it is newer"),
        pytest.param([("a", "standard", "-repeat", {}), ("b", "standard", "", {})], ("b", "", "a"),
                     id="or older"),
        pytest.param([("a", "standard", "-repeat", OTHER), ("b", "standard", "", SAME)],
                     ("b", "", ""), id="a second run of other code"),
        pytest.param([("a", "standard", "-repeat", {})], ("a", "", ""),
                     id="a second run without a first"),
        pytest.param([("a", "standard", "", SAME), ("b", "standard", "", SAME)], ("b", "", "a"),
                     id="the same code, measured before"),
        pytest.param([("a", "standard", "", SAME), ("b", "standard", "", OTHER)], ("b", "", ""),
                     id="other code, measured before"),
        pytest.param([("a", "standard", "", {**SAME, "partial": True}),
                      ("b", "standard", "", SAME)], ("b", "", ""),
                     id="a part of it, measured before"),
        pytest.param([("a", "quick", "", SAME), ("b", "standard", "", SAME)], ("b", "", ""),
                     id="another profile, measured before"),
        pytest.param([("a", "standard", "", SAME), ("b", "quick", "", SAME)], ("a", "", ""),
                     id="a quick run beside a wider one is not judged, though it is newer"),
        pytest.param([("a", "quick", "-repeat", {}), ("b", "standard", "", {})], ("b", "", ""),
                     id="a second run of another profile"),
        pytest.param([("a", "standard", "", {}), ("b", "loaders", "", {})], ("a", "b", ""),
                     id="the loaders go with the standard profile"),
        pytest.param([("a", "loaders", "", {}), ("b", "standard", "", {}),
                      ("c", "loaders", "", {}), ("d", "standard", "-repeat", {})], ("b", "c", "d"),
                     id="all together"),
        pytest.param([("a", "loaders", "", {})], ("a", "", ""), id="the loaders alone"),
    ],
)  # fmt: skip
def test_which_runs_are_judged(
    tmp_path: Path, written: list[Run], expected: tuple[str, str, str]
) -> None:
    for when, (commit, profile, ending, told) in enumerate(written):
        wrote(tmp_path, commit, profile, started=when, ending=ending, provenance=told)
    assert chosen(find_runs([tmp_path])) == expected


def test_rounds_added_under_another_name_are_no_second_run(tmp_path: Path) -> None:
    """They hold the samples of the first: of one commit there is one run."""
    wrote(tmp_path, "a", started=0, provenance=SAME)
    wrote(tmp_path, "a", started=1, ending="-more", provenance=SAME)
    assert chosen(find_runs([tmp_path])) == ("a", "", "")


def test_each_machine_has_runs_of_its_own(tmp_path: Path) -> None:
    wrote(tmp_path, "a", started=0, machine="one")
    wrote(tmp_path, "b", started=5, machine="two")
    wrote(tmp_path, "c", started=1, machine="one", ending="-repeat")
    wrote(tmp_path, "d", "loaders", started=2, machine="three")
    assert chosen(find_runs([tmp_path])) == ("adb", "", "c")


def test_what_is_judged_together_is_one_table(tmp_path: Path) -> None:
    log = {"benchmark": "item.ByImplementation", "factors": {}}
    wrote(tmp_path, "a", started=0, observations=[log])
    wrote(tmp_path, "b", "loaders", started=1, observations=[log, log])
    evidence = load_evidence([tmp_path])
    assert set(evidence.cells["name"]) == {ITEM, ARMS} and len(evidence.cells) == 8
    (machine,) = evidence.machines
    assert machine.provenance["profile"] == "standard" and machine.commit == "a" * 40
    assert len(machine.observations) == 3


def test_the_loaders_may_stand_in_a_folder_of_their_own(tmp_path: Path) -> None:
    wrote(tmp_path / "one", "a", started=0)
    wrote(tmp_path / "two", "b", "loaders", started=1)
    assert chosen(find_runs([tmp_path / "one", tmp_path / "two"])) == ("a", "b", "")


def test_cells_that_would_count_twice_are_refused(tmp_path: Path) -> None:
    """Somebody measured the claims under the name of the loaders."""
    wrote(tmp_path, "a", started=0)
    wrote(tmp_path, "b", "full", started=1)
    log = next((tmp_path / "lab").glob("b*.provenance.jsonl"))
    edit_json(log, lambda facts: facts.update(profile="loaders"))
    with pytest.raises(StudyError, match=r"item\.ByImplementation of the machine lab"):
        load_evidence([tmp_path])


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(HEAD + claim(RATIO))
    return path


def test_a_second_run_is_judged_without_the_loaders(tmp_path: Path, claims: Path) -> None:
    results = tmp_path / "results"
    wrote(results, "a", started=0)
    assert judge_repeat([results], claims) is None
    wrote(results, "b", started=1, ending="-repeat")
    wrote(results, "c", "loaders", started=2)
    wrote(results, "d", started=3, machine="other")
    both = judge_repeat([results], claims)
    assert both is not None
    assert [one.commit[0] for one in both] == ["a", "b"]
    for one in both:
        assert set(one.evidence.cells["name"]) == {ITEM}
        assert [machine.name for machine in one.machines] == ["lab"]


@pytest.mark.parametrize("together", [True, False])
def test_the_loaders_are_compared_where_both_have_them(
    tmp_path: Path, claims: Path, together: bool
) -> None:
    for seed, name in enumerate(("one", "two")):
        wrote(tmp_path / name, "a", started=seed)
        if together or name == "one":
            wrote(tmp_path / name, "b", "loaders", started=10 + seed)
    for one in judge_both([tmp_path / "one"], [tmp_path / "two"], claims):
        assert set(one.evidence.cells["name"]) == ({ITEM, ARMS} if together else {ITEM})


NEW, OLD, LATER = (
    {"python": "3.11", "torch": "2.14.1"},
    {"python": "3.11", "torch": "2.9.1"},
    {"python": "3.14", "torch": "2.14.1"},
)


def test_an_environment_is_judged_by_itself_and_the_reference_counts(tmp_path: Path) -> None:
    """Newest torch on the reference's Python, however late the others were measured."""
    wrote(tmp_path, "a", started=0, params=NEW, provenance=SAME)
    wrote(tmp_path, "b", started=1, params=LATER, provenance=SAME)
    wrote(tmp_path, "c", started=2, params=OLD, provenance=SAME)
    wrote(tmp_path, "d", started=3, params=LATER, ending="-repeat", provenance=SAME)
    wrote(tmp_path, "e", started=4, params=LATER, machine="two")
    runs = find_runs([tmp_path])
    assert chosen(runs) == ("ae", "", ""), "a second run is of the same environment"
    told = [(str(one.first[0].environment), *chosen(one)) for one in runs.others]
    assert told == [
        ("Python 3.11, torch 2.9", "c", "", ""),
        ("Python 3.14, torch 2.14", "b", "", "d"),
    ]


def test_patches_of_torch_are_no_environments(tmp_path: Path) -> None:
    wrote(tmp_path, "a", started=0, params=NEW)
    wrote(tmp_path, "b", started=1, params={**NEW, "torch": "2.14.2+cpu"})
    assert chosen(find_runs([tmp_path])) == ("b", "", "")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([("3.14", "2.15"), ("3.11", "2.9")], "Python 3.11, torch 2.9"),
        ([("3.9", "2.9"), ("3.12", "2.9"), ("3.12", "2.14")], "Python 3.12, torch 2.14"),
        ([("3.14t", "2.14"), ("3.14", "2.9")], "Python 3.14t, torch 2.14"),
        ([("", ""), ("of mine", "2.9")], "Python of mine, torch 2.9"),
    ],
)
def test_the_reference_of_a_machine(versions: list[tuple[str, str]], expected: str) -> None:
    found = [Environment.of({"python": python, "torch": torch}) for python, torch in versions]
    assert str(reference(found)) == str(reference(found[::-1])) == expected


def test_start_methods_are_those_that_have_a_number(tmp_path: Path) -> None:
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    for params, method, started in ((NEW, "fork", 0), (LATER, "forkserver", 1)):

        def value(factors: dict[str, Any], method: str = method) -> Any:
            return [1.0, 2.0] if factors["start_method"] == method else SKIPPED

        levels = {**LEVELS, "start_method": ["fork", "forkserver"]}
        write_results(
            tmp_path / "results", [Bench(ITEM, levels, value)], started=1_700_000_000 + started,
            environment=f"existing-py{params['python']}-standard", params=params,
            commit=f"{started}" * 40, provenance={"profile": "standard"},
        )  # fmt: skip
    assert judge([tmp_path / "results"], claims).claims[0].starts == {
        "Python 3.11, torch 2.14": {"fork"}, "Python 3.14, torch 2.14": {"forkserver"},
    }  # fmt: skip


def test_verdicts_of_other_environments_stand_beside(tmp_path: Path) -> None:
    """They change neither the verdict nor the cells of the reference."""
    results, claims = tmp_path / "results", tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    wrote(results, "a", started=0, params=NEW)
    alone = judge([results], claims).claims[0]
    turned = Noise(seed=9)
    write_results(
        results,
        [Bench(ITEM, LEVELS, lambda f: turned.around(0.5 if f["impl"] == "naive" else 1.0))],
        commit="b" * 40, started=1_800_000_000, environment="existing-py3.14-standard",
        params=LATER, provenance={"profile": "standard"},
    )  # fmt: skip
    found = judge([results], claims).claims[0]
    assert found.by_environment == {
        "Python 3.11, torch 2.14": {"lab": "supported"},
        "Python 3.14, torch 2.14": {"lab": "challenged"},
    }
    assert (found.verdict, found.by_machine) == ("supported", {"lab": "supported"})
    assert found.evidence == alone.evidence
    assert found.starts == {"Python 3.11, torch 2.14": set(), "Python 3.14, torch 2.14": set()}
    study = load_study([results], claims)
    html = page(study, Figures(), "")
    assert "lab, Python 3.14, torch 2.14: challenged" in html
    assert "Verdicts of Python 3.14, torch 2.14 stand on the cards" in html
    assert "Under Python 3.14 workers start by forkserver" in html
    head, row = csv.reader(claims_csv(study).splitlines())
    assert dict(zip(head, row, strict=True))["verdict on lab, Python 3.14, torch 2.14"] == (
        "challenged"
    )
