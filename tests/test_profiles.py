"""Which profiles stand in one folder: what is refused, what is judged, and one list for asv."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results

from datasets_impl.errors import StudyError
from scripts.judging.claims import load_claims
from scripts.judging.environments import Environment
from scripts.judging.evidence import evidence_of
from scripts.judging.profiles import Standing, spoiled
from scripts.judging.runs import every_run, find_runs
from scripts.judging.validity import reference, validity
from scripts.root import CLAIMS, ROOT
from scripts.session import provenance, publishing
from tests.sessions import FakeAsv, opened, publish, run
from tests.synthetic_results import Bench, write_results

REFERENCE, OLDER, LATER = (
    Environment("3.11", "2.14"), Environment("3.11", "2.9"), Environment("3.14", "2.14"),
)  # fmt: skip
NEWER = Environment("3.11", "2.15")


def of(profile: str, environment: Environment = REFERENCE, machine: str = "lab") -> Standing:
    return Standing(machine, environment, profile)


STANDARD, QUICK = of("standard"), of("quick")


@pytest.mark.parametrize(
    ("known", "new", "refused"),
    [
        pytest.param([], QUICK, False, id="an empty folder"),
        pytest.param([STANDARD], of("loaders"), False, id="no cell in common"),
        pytest.param([STANDARD], of("quick", LATER), False, id="another Python"),
        pytest.param([STANDARD], of("quick", OLDER), False, id="another torch"),
        pytest.param([STANDARD, of("loaders")], of("quick", LATER), False, id="loaders beside"),
        pytest.param([STANDARD], QUICK, False, id="the base of what is compared"),
        pytest.param([STANDARD, QUICK, of("quick", LATER)], STANDARD, False, id="measured again"),
        pytest.param([STANDARD, QUICK], of("loaders"), False, id="loaders beside the base"),
        pytest.param([QUICK], STANDARD, True, id="a quick run that is judged"),
        pytest.param([QUICK], of("loaders"), True, id="and the loaders"),
        pytest.param([STANDARD], of("full"), True, id="two that would be judged"),
        pytest.param([STANDARD], of("quick", NEWER), True, id="it would be the reference"),
        pytest.param([of("standard", LATER)], QUICK, True, id="by its Python too"),
        pytest.param([STANDARD, of("standard", LATER)], of("quick", LATER), True,
                     id="one environment that is no reference"),
        pytest.param([STANDARD, of("quick", LATER)], of("standard", LATER), True,
                     id="in either order"),
        pytest.param([STANDARD], of("quick", REFERENCE, "other"), True, id="another machine"),
        pytest.param([STANDARD], of("quick", LATER, "other"), True,
                     id="another machine that has no reference yet"),
        pytest.param([STANDARD, of("standard", REFERENCE, "other")],
                     of("quick", LATER, "other"), False, id="another machine that has one"),
    ],
)  # fmt: skip
def test_a_smaller_profile_stands_beside_and_never_in_the_place(
    known: list[Standing], new: Standing, refused: bool
) -> None:
    assert (spoiled(new, known) is not None) is refused
    assert (spoiled(new, known[::-1]) is not None) is refused


def finished(tmp_path: Path, target: Path, profile: str, **facts: Any) -> Path:
    """Measure `profile` where `facts` of the provenance hold, and publish it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in facts.items():
            patch.setattr(provenance, name, lambda value=value: value)
        session = opened(tmp_path, profile=profile)
        run(session)
        return publish(session, target)


@pytest.mark.slow
def test_quick_runs_are_published_beside_the_standard_one(asv: FakeAsv, tmp_path: Path) -> None:
    target, older = tmp_path / "results", {**provenance.versions(), "torch": "2.9.1"}
    here = {"python": "3.11.7", "versions": {**older, "torch": "2.14.1"}}
    finished(tmp_path, target, "standard", **here)
    before = {path: path.read_bytes() for path in target.glob("lab/*-*")}
    finished(tmp_path, target, "quick", **here)
    finished(tmp_path, target, "quick", **{**here, "python": "3.14.2"})
    finished(tmp_path, target, "quick", **{**here, "versions": older})
    assert {path: path.read_bytes() for path in before} == before
    runs = find_runs([target])
    assert [one.profile for one in (*runs.first, *runs.quick)] == ["standard", "quick"]
    told = [(str(one.first[0].environment), one.first[0].profile) for one in runs.others]
    assert told == [("Python 3.11, torch 2.9", "quick"), ("Python 3.14, torch 2.14", "quick")]
    with pytest.raises(StudyError, match="holds results of the profile quick"):
        finished(tmp_path, target, "standard", **{**here, "python": "3.14.2"})
    finished(tmp_path, target, "standard", **here)


EPOCH = "epoch.ByWorkers.track_epoch"


def bench(n: int, px: list[int], impl: list[str], version: str = "1") -> Bench:
    return Bench(EPOCH, {"n": [n], "px": px, "impl": impl}, lambda _: [2.0, 3.0], version=version)


def combined(folder: Path, first: Bench, second: Bench) -> tuple[dict[str, Any], list[Path]]:
    """`benchmarks.json` once a run of `second` was added to one of `first`, and their results."""
    path = write_results(folder, [first], environment="existing-py3.11-standard")
    more = write_results(folder / "more", [second], environment="existing-py3.14-quick")
    said = (folder / "more" / "benchmarks.json").read_bytes()
    made = publishing.benchmarks_of(said, [json.loads(more.read_text())], folder)
    return json.loads(made), [path, more]


@pytest.mark.parametrize("turned", [False, True])
def test_asv_s_list_has_the_levels_of_every_profile(tmp_path: Path, turned: bool) -> None:
    """asv shows no others: with one profile's alone, the cells of the other would be gone."""
    quick, standard = bench(256, [64, 256], ["naive"]), bench(1024, [64, 128], ["naive", "mapped"])
    given = (quick, standard) if turned else (standard, quick)
    said, paths = combined(tmp_path, *given)
    n, px, impl = said[EPOCH]["params"]
    assert (n, px, sorted(impl)) == (
        ["256", "1024"], ["64", "128", "256"], ["'mapped'", "'naive'"]
    )  # fmt: skip
    for path, one in zip(paths, given, strict=True):
        results = Results.load(str(path))
        shown = results.get_result_value(EPOCH, said[EPOCH]["params"])
        cells = list(itertools.product(*one.levels.values()))
        assert [value for value in shown if value is not None] == [2.5] * len(cells)


def test_levels_of_a_former_version_are_nobodys(tmp_path: Path) -> None:
    said, _ = combined(tmp_path, bench(1024, [64], ["naive"]), bench(256, [64], ["naive"], "2"))
    assert said[EPOCH]["params"] == [["256"], ["64"], ["'naive'"]]


def test_a_newer_version_in_one_environment_makes_nothing_outdated_in_another(
    tmp_path: Path,
) -> None:
    for version, python in (("1", "3.11"), ("2", "3.14")):
        write_results(
            tmp_path, [bench(256, [64], ["naive"], version)], commit=version * 40,
            environment=f"existing-py{python}-standard", params={"python": python},
            provenance={"profile": "standard"},
        )  # fmt: skip
    runs = find_runs([tmp_path])
    for one in (runs, *runs.others):
        assert set(evidence_of(one).cells["status"]) == {"ok"}


def test_each_run_is_valid_by_the_cells_of_its_own_profile(tmp_path: Path) -> None:
    for profile, one in (("standard", bench(1024, [64, 128], ["naive"])),
                         ("quick", bench(256, [64], ["naive", "mapped"]))):  # fmt: skip
        write_results(tmp_path, [one], environment=f"existing-py3.11-{profile}")
    with pytest.raises(StudyError, match=r"nowhere\.txt cannot be read"):
        reference(load_claims(CLAIMS), ROOT / "nowhere.txt", [])
    known = reference(load_claims(CLAIMS), ROOT / "requirements.txt", [])
    for each in every_run([tmp_path]):
        (cells,) = (one for one in validity(each, known).checks if one.name == "cells")
        assert (cells.level, cells.found[:9]) == ("holds", "0 of 2 ha")
