"""What is said of remedies, by what their rounds prove."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies.remedies import other_workers, worker_for_each_core
from datasets_impl.doctor.remedies.threads import HANDS_OVER
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.page import page
from datasets_impl.doctor.report.terminal import helping, print_diagnosis
from datasets_impl.doctor.report.wording import times_as
from tests import doctor_again
from tests.test_doctor_again import context

OWN = [100.0, 101.0, 99.0, 100.0]  # microseconds of a sample, by round


def diagnosed(
    share: float = 0.9, mends: dict[str, Sequence[str]] | None = None, more: Any = None,
    **blocks: list[float],
) -> Diagnosis:  # fmt: skip
    """Of remedies, by name with what a sample takes with them, which mend the cause where `mends`
    names no other."""
    remedies = [
        {"name": name.replace("_", "-"), "title": f"Use {name}", "blocks": taken, "beside": OWN,
         "lines": "", "claim": "", "cost": "", "caution": "", "once_seconds": 0.0, "workers": 0,
         "whole": False, "needs": {"disk": 1_500_000_000},
         "mends": (mends or {}).get(name, ["python"])}
        for name, taken in blocks.items()
    ]  # fmt: skip
    answers = {
        "look": {"type": "Rows", "length": 10, "kinds": [], "bytes": 1.0},
        "causes": {"total": 1e-4, "causes": {"python": share * 1e-4}},
        "tried": {"own": OWN, "samples": 10, "remedies": remedies},
    }
    return diagnose("x", Heard(answers | (more or {})))


def steadily(us: float) -> list[float]:
    return [us, 1.02 * us, us, 0.98 * us]


def test_rounds_that_differ_too_much_prove_nothing() -> None:
    found = diagnosed(wild=[1.0, 180.0, 2.0, 40.0], fair=steadily(80.0))
    fair, wild = found.remedies
    assert (fair.title, wild.title) == ("Use fair", "Use wild"), "though its mean is the larger one"
    assert wild.gain > fair.gain and wild.noisy and not wild.recommended and not fair.noisy
    file = io.StringIO()
    print_diagnosis(found, None, Console(width=80, file=file, highlight=False))
    for said in (file.getvalue(), page(found)):
        assert "too noisy to tell" in said and times_as(wild.gain, 2) not in said
    assert found.verdict.endswith("What mends it: use fair (1.3x).")
    assert Diagnosis.model_validate_json(found.model_dump_json()).remedies[1].gain == wild.gain


def test_a_gain_above_the_bar_is_none_where_rounds_differ_too_much() -> None:
    found = diagnosed(wild=[0.1, 8.0, 0.2, 20.0])
    (wild,) = found.remedies
    assert wild.low is not None and wild.low > 1.1 and not wild.recommended
    assert "too noisy to tell" in found.findings[0].remedy and "mends" not in found.verdict


def test_where_nothing_is_wrong_what_was_too_noisy_is_not_called_useless() -> None:
    wild, none = [1.0, 180.0, 2.0, 40.0], steadily(100.0)
    assert "or was too noisy to tell" in diagnosed(0.0, wild=wild, none=none).verdict
    assert "nothing that was tried would help" in diagnosed(0.0, none=none).verdict


@pytest.mark.parametrize(
    ("results", "samples", "first"),
    [
        (20.0, 12.0, "stored-results"),  # nearly as much
        (90.0, 12.0, "stored"),
        (5.0, 12.0, "stored-results"),
    ],
)
def test_of_two_ways_of_storing_the_one_that_gains_far_more_comes_first(
    results: float, samples: float, first: str
) -> None:
    wide = [0.5, 2.0, 0.7, 1.4] if results == 20.0 else [1.0, 1.02, 1.0, 0.98]
    found = diagnosed(stored_results=[results * one for one in wide], stored=steadily(samples))
    assert found.remedies[0].name == first


def test_what_mends_the_cause_itself_comes_before_storing_all_samples() -> None:
    found = diagnosed(mapped=steadily(60.0), stored_results=steadily(80.0), stored=steadily(5.0))
    assert [one.name for one in found.remedies] == ["mapped", "stored", "stored-results"]


def test_loading_without_workers_hands_nothing_over(tmp_path: Path) -> None:
    """Where it gains more than threads do, it is what is advised."""
    at = context(doctor_again.things(tmp_path), tmp_path, repeats={"calls": [], "queries": []})
    (none,) = (one for one in [*worker_for_each_core(at), *other_workers(at)] if not one.workers)
    assert {"many-tensors", "workers-cost"} <= set(none.mends) and "waiting" not in none.mends
    mends = {"workers_0": none.mends, "threads_trainer": HANDS_OVER}
    found = diagnosed(
        mends=mends, workers_0=steadily(2.0), threads_trainer=steadily(5.0), other=steadily(1.0)
    )
    assert found.findings[0].name == "python" and found.remedies[0].name == "other"
    names = [one.name for one in found.remedies if set(one.mends) & set(HANDS_OVER)]
    assert names == ["workers-0", "threads-trainer"]


NEARLY = [70.0, 60.0, 95.0, 62.0]  # 1.4 times as fast, from 1.02 to 1.9 times


def test_what_mends_the_cause_is_named_before_storing_samples_also_where_it_is_not_sure() -> None:
    found = diagnosed(clones=NEARLY, stored=steadily(2.0), cached=steadily(1.0))
    clones, stored, _ = found.remedies
    assert (clones.name, stored.name) == ("clones", "cached") and not clones.recommended
    assert "What may mend it: use clones (1.4x; not sure, as its rounds differ). Of what was" in (
        found.verdict
    )
    assert found.verdict.endswith("by: use cached (100x; takes 1.5 GB of disk).")
    assert "Perhaps too: use clones (1.4x; not sure" in found.findings[0].remedy
    assert [one.name for one in helping(found)] == ["clones", "cached", "stored"], "with its code"
    only = diagnosed(clones=NEARLY)
    assert only.verdict.endswith("What may mend it: use clones (1.4x; not sure, as its rounds "
                                 "differ).")  # fmt: skip
    assert only.findings[0].remedy.startswith("Perhaps helps: use clones")


def test_what_surely_mends_the_cause_needs_no_other_word() -> None:
    found = diagnosed(clones=steadily(70.0), perhaps=NEARLY, stored=steadily(2.0))
    assert [one.name for one in found.remedies] == ["clones", "perhaps", "stored"]
    assert found.verdict.endswith("What mends it: use clones (1.4x).")
    loses = diagnosed(clones=[40.0, 160.0, 45.0, 150.0], stored=steadily(2.0))
    assert loses.verdict.endswith("What mends it: use stored (50.0x; takes 1.5 GB of disk).")


@pytest.mark.parametrize("handles", [[], ["dataset.file, an open file"]])
def test_storing_samples_is_no_remedy_of_a_lock(handles: list[str]) -> None:
    """It would be the lock that is to be given up, for what it lets the workers do one by one."""
    answer = {"held": 0.95, "met": 0.4, "lines": [[__file__, 3, "with self.lock:"]]}
    seen = {
        "batches": {"in_turn": answer}, "ceiling": {"cores": 2, "limit": 1e-3, "of": ""},
        "inside": {"settings": {"num_workers": 4}, "start_method": "fork", "handles": handles},
    }  # fmt: skip
    mends = {"unlocked": ["wait-in-turn", "handles"]}
    given = {"stored": steadily(2.0), "cached": steadily(2.0)}
    for blocks in (given, {**given, "unlocked": steadily(50.0)}):
        found = diagnosed(mends=mends, more=seen, **blocks)
        assert found.findings[bool(handles)].name == "wait-in-turn"
        assert "use stored" not in found.verdict and "use cached" not in found.verdict
        first = found.remedies[0].name == "unlocked"
        assert (
            first
            is ("What mends it: use unlocked (2.0x)" in found.verdict)
            is ("unlocked" in blocks)
        )
