"""The command that a claim's undecided evidence needs: its target of `make`, and its rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datasets_impl.contest.registry import ARMS
from datasets_impl.factors import APART, PEERS
from scripts.judging.targets import measuring
from scripts.report import certainty, page
from scripts.report.model import Study
from scripts.report.study import load_study
from tests.claims_text import HEAD, RATIO, claim
from tests.judging import first
from tests.standard_suite import imported
from tests.synthetic_results import SKIPPED, Bench, edit_json, write_results
from tests.synthetic_study import build
from tests.test_judge_many import NULL, STRONG, WEAK, scattered

CONTEST = RATIO.replace("item.ByImplementation", "arms.Raw").replace('"item"', '"raw"')


@pytest.mark.parametrize("profile", ["standard", *APART])
def test_the_profile_of_a_target_has_its_benchmarks(profile: str) -> None:
    with imported(profile) as prepare:
        found = [
            f"{one.__module__.rpartition('.')[2]}.{one.__name__}"
            for one in prepare.benchmark_classes()
        ]
    assert found and {measuring(name) for name in found} == {profile}
    assert {measuring(f"{name}.track_x") for name in found} == {profile}


def test_arms_of_peers_are_told_by_their_names() -> None:
    for (task, name), arm in ARMS.items():
        target = measuring(f"arms.{task.title()}", [name])
        assert (target == "peers") is (arm.origin == "peer") is (name.split("-")[0] in PEERS)


def both_runs(tmp_path: Path, text: str, rival: str = "naive", blocks: int = 5) -> Study:
    """Seven rounds of the standard profile, and `blocks` of the loaders on the same machine."""
    levels = {"px": [256, 1, 2], "impl": [rival, "preloaded"]}
    ratios = {256: STRONG, 1: (1.2, 0.13), 2: (1.2, 0.13)}

    def values(factors: dict[str, int | str], count: int) -> list[float]:
        px = int(factors["px"])
        return scattered(*ratios[px], count) if factors["impl"] == rival else [1.0] * count

    item = Bench("item.ByImplementation.track_item", levels, lambda f: values(f, 7))
    arms = Bench("arms.Raw.track_raw", levels, lambda f: values(f, blocks))
    for bench, profile in ((item, "standard"), (arms, "loaders")):
        facts = {"profile": profile}
        where = f"existing-py3.11-{profile}"
        write_results(tmp_path / "results", [bench], environment=where, provenance=facts)
    every = {one.name: one.entry for one in (item, arms)}
    edit_json(tmp_path / "results" / "benchmarks.json", lambda data: data.update(every))
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + text)
    return load_study([tmp_path / "results"], claims)


@pytest.mark.parametrize(("rival", "target"), [("naive", "loaders"), ("ffcv", "peers")])
def test_rounds_are_asked_of_the_run_that_has_the_cells(
    tmp_path: Path, rival: str, target: str
) -> None:
    found = both_runs(tmp_path, claim(CONTEST.replace('"naive"', f'"{rival}"')), rival)
    (judged,) = found.claims
    more = max(cell.more_rounds or 0 for cell in judged.evidence)
    assert 0 < more < 15, "every round has a block, so a block takes one round"
    assert f"`make {target} ROUNDS={5 + more}`" in judged.missing
    assert found.rounds == 7, "the study's rounds are those of the profile that it names"


def test_what_two_runs_measure_takes_two_commands(tmp_path: Path) -> None:
    other = CONTEST.replace("test.ratio", "test.raw").replace("naive / pre", "raw, naive / pre")
    found = both_runs(tmp_path, claim(RATIO + other), blocks=4).claims[0].missing
    assert "`make standard ROUNDS=" in found and ", then `make loaders ROUNDS=" in found


def test_what_was_skipped_for_a_reason_names_what_measures_it(tmp_path: Path) -> None:
    levels = {"px": [256], "impl": ["naive", "preloaded"]}
    log = [{"benchmark": "arms.Raw", "factors": {"px": 256, "impl": impl}, "skipped": "no room"}
           for impl in levels["impl"]]  # fmt: skip
    none = Bench("arms.Raw.track_raw", levels, lambda _: SKIPPED)
    found = first(tmp_path, claim(CONTEST), none, observations=log)
    assert found.verdict == "not tested"
    assert "no room" in found.missing and "`make loaders`" in found.missing


def test_what_is_undecided_counts_its_cells_as_the_verdict_does(tmp_path: Path) -> None:
    """Those that were skipped are counted apart, everywhere."""
    sizes = {256: WEAK, 1: NULL, 2: NULL, 3: NULL}

    def value(factors: dict[str, int | str]) -> list[float] | float:
        px = int(factors["px"])
        if px not in sizes:
            return SKIPPED
        return scattered(*sizes[px]) if factors["impl"] == "naive" else [1.0] * 6

    levels = {"px": [*sizes, 5, 6], "impl": ["naive", "preloaded"]}
    found = first(tmp_path, claim(RATIO), Bench("item.ByImplementation.track_item", levels, value))
    assert (found.cells.total, found.cells.skipped) == (6, 2)
    assert found.missing.startswith("4 of 4 measured cells are unclear.")
    assert page.decided(found) == "4 unclear (of 4 measured), 2 skipped"
    study = replace(build(), claims=[found])
    assert certainty.how_sure(found, study)[0] == "0 of 4 measured cells are decided."


@pytest.mark.parametrize(("profile", "target"), [("quick", "study"), ("standard", "standard")])
def test_the_method_names_the_command_of_its_own_profile(profile: str, target: str) -> None:
    html = page.environment().get_template("method.html.j2")
    study = replace(build(missing=True), profile=profile)
    from scripts.report import figures

    context = page.context(study, figures.build(study), "")
    module = page.environment().get_template("macros.html.j2").make_module(context)
    assert f"<code>make {target} ROUNDS=n</code>" in html.render(**context, m=module)
