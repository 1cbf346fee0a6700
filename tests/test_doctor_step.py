"""Beside a training step only what was measured with the loader's own workers counts."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.conditions import Condition
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.page import page
from datasets_impl.doctor.report.terminal import enough, print_diagnosis
from datasets_impl.errors import StudyError

UNSAID = "How long a trainer waits is not said"


def made(workers: int, step_ms: float | None = 6.0, **answers: Any) -> Diagnosis:
    """A batch of ten takes 10 ms in one process."""
    return diagnose("x", Heard({
        "look": {"iterable": True},
        "causes": {"total": 1e-3, "causes": {"reading": 1e-3}},
        "inside": {"settings": {"num_workers": workers}, "batch_size": 10, "iterable": True},
        "tried": {"iterable": True},
    } | answers), step_ms)  # fmt: skip


@pytest.mark.parametrize(
    "tried",
    [
        {"iterable": True},  # a stream
        {"own": [], "samples": 64, "batch": 10, "remedies": [], "late": ["as it is"]},
    ],
)
def test_the_time_of_one_process_is_none_of_workers(
    tried: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one = made(4, tried=tried)
    assert one.step is None
    assert any(f"{UNSAID}: no batch was timed with 4 workers" in said for said in one.not_done)
    print_diagnosis(one, None, Console(width=300))
    for said in (capsys.readouterr().out, page(one)):
        assert UNSAID in said and "No number" not in said and "Beside a step" not in said
    assert not one.verdict.startswith("Your loader is fine")
    for condition in ("waits>10%", "us>5"):
        with pytest.raises(StudyError, match="the loader's own workers"):
            Condition.of(condition).failed(one)


def test_without_workers_it_is_what_the_loader_takes() -> None:
    """And a number of workers that was never tried is not said to be too small."""
    one = made(0)
    assert one.step is not None and one.step.waits == pytest.approx(10 / 16)
    assert enough(one.step) == (
        "num_workers=0 does not keep this step fed, and no other number was tried."
    )
    assert not any(UNSAID in said for said in one.not_done)
    assert Condition.of("waits>10%").failed(one) and Condition.of("us>5").failed(one)


def test_what_was_measured_with_workers_counts() -> None:
    one = made(4, tried={"own": [250.0], "samples": 64, "batch": 10, "remedies": []})
    assert one.step is not None and one.step.waits == 0.0 and one.step.tried_workers == [4]
    assert not any(UNSAID in said for said in one.not_done)


def test_nobody_who_names_no_step_is_told_of_one() -> None:
    assert not any(UNSAID in said for said in made(4, None).not_done)
