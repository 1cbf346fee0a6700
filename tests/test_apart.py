"""What rests on another run than the rest, or on an earlier version of its benchmark, is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datasets_impl.factors import APART
from scripts.judging.declared import declared, earlier
from scripts.judging.runs import find_runs
from scripts.report import certainty
from scripts.report.study import load_study
from scripts.report.surroundings import VERSIONS
from tests.claims_text import HEAD, RATIO, claim
from tests.standard_suite import imported
from tests.synthetic_results import load_evidence
from tests.test_runs import wrote

CONTEST = RATIO.replace("item.ByImplementation", "arms.Decode").replace('"item"', '"decode"')


@pytest.mark.parametrize("profile", ["standard", *APART])
def test_the_text_of_the_benchmarks_says_their_versions(profile: str) -> None:
    with imported(profile) as prepare:
        told = {
            f"{one.__module__.rpartition('.')[2]}.{one.__name__}": int(one.version)
            for one in prepare.benchmark_classes()
        }
    assert told.items() <= declared().items()


def test_a_claim_of_another_run_and_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    results, claims = tmp_path / "results", tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO) + claim(CONTEST, identifier="X06"))
    wrote(
        results, "a", "loaders", started=0, provenance={"code_hash": "01", "claims_hash": "2" * 40}
    )
    wrote(results, "b", started=1, provenance={"code_hash": "02"})
    assert {version for version, _ in earlier(load_evidence([results]).cells).values()} == {1}
    study = load_study([results], claims)
    other, old, rule = study.apart
    assert other == (
        "X06 and every figure of the profile loaders come from another run of lab: of commit "
        f"{'a' * 10}, where the rest is of {'b' * 10}."
    )
    assert old.startswith("Benchmarks of `arms` that are at version 2 today were measured at ")
    assert old.endswith("in X06.") and set(study.apart) <= set(study.notes)
    assert rule == VERSIONS and "highest version that was measured anywhere here" in rule
    assert any("The loaders of lab were measured when claims.toml" in one for one in study.notes)
    first, contest = study.claims
    assert contest.verdict == "supported", "its cells are judged all the same"
    words = "All were measured by an earlier version of the benchmark."
    assert words in certainty.how_sure(contest, study)
    assert words not in certainty.how_sure(first, study)
    assert words not in certainty.how_sure(contest, replace(study, earlier=set()))


def test_runs_of_one_code_are_not_told_apart(tmp_path: Path) -> None:
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    facts = {"code_hash": "01"}
    wrote(tmp_path / "results", "a", "loaders", started=0, provenance=facts)
    wrote(tmp_path / "results", "b", started=1, provenance=facts)
    assert not [one for one in load_study([tmp_path / "results"], claims).apart if "run" in one]


def test_a_second_run_that_nothing_uses_is_named(tmp_path: Path) -> None:
    results, claims = tmp_path / "results", tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    wrote(results, "a", ending="-repeat", started=0, provenance={"code_hash": "01"})
    wrote(results, "b", started=1, provenance={"code_hash": "02"})
    (unused,) = find_runs([results]).unused
    told = [note for note in load_study([results], claims).notes if unused.path.stem in note]
    assert told and "compared with nothing" in told[0]
    wrote(results, "c", started=2, provenance={"code_hash": "01"})
    assert find_runs([results]).unused == []
