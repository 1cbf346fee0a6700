"""What foreign load does to a measurement: void, made again, or kept and marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks.common import _Benchmark
from benchmarks.grids import Cell
from datasets_impl.errors import MissingPackage, StudyError, Unsupported
from datasets_impl.observe import load
from datasets_impl.observe.load import RETRIES_VARIABLE, Load
from datasets_impl.observe.log import ROUND_VARIABLE
from tests.standard_suite import imported
from tests.with_cells import records

QUIET = Load(seconds=1.0, foreign=0.0, steal=0.0, stolen=0.0)
LOADED = Load(seconds=1.0, foreign=1.5, steal=0.0, stolen=0.0)


class Timed(_Benchmark):
    param_names: ClassVar[list[str]] = ["px", "impl"]


class Counted(Timed):
    spoilt_by_load = False


@pytest.fixture
def log(log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(RETRIES_VARIABLE)
    return log


def measured(
    monkeypatch: pytest.MonkeyPatch,
    loads: list[Load],
    values: Callable[[int], float] = float,
    benchmark: type[_Benchmark] = Timed,
) -> float:
    """The sample asv gets when the attempts are made under `loads`, one after the other."""
    waiting = iter(loads)
    monkeypatch.setattr(load, "between", lambda first, last: next(waiting))
    attempts: list[Cell] = []

    def measure(cell: Cell) -> tuple[float, dict[str, Any]]:
        attempts.append(cell)
        return values(len(attempts)), {"attempt": len(attempts)}

    result = benchmark().measured((64, "naive"), measure)
    assert len(attempts) == len(loads) and next(waiting, None) is None
    assert {(cell.px, cell.impl) for cell in attempts} == {(64, "naive")}
    (sample,) = result["samples"]
    return float(sample)


@pytest.mark.slow
def test_a_quiet_measurement_stands(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    assert measured(monkeypatch, [QUIET]) == 1.0
    (record,) = records(log)
    assert not {"voided", "loaded", "load"} & set(record)
    assert {"load_before", "steal", "foreign_cores", "mhz", "seconds"} <= set(record)


@pytest.mark.slow
def test_a_loaded_measurement_is_made_again_and_stays_in_the_log(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    assert measured(monkeypatch, [LOADED, QUIET]) == 2.0
    voided, kept = records(log)
    assert voided["voided"] == "other programs used 1.50 cores"
    assert (voided["value"], voided["attempt"], voided["foreign_cores"]) == (1.0, 1, 1.5)
    assert (kept["value"], kept["attempt"]) == (2.0, 2)
    assert "voided" not in kept and "loaded" not in kept
    assert not {"skipped", "failed"} & (set(voided) | set(kept))


def test_after_two_repetitions_a_loaded_measurement_is_kept_and_marked(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    assert measured(monkeypatch, [LOADED] * 3) == 3.0
    *voided, kept = records(log)
    assert [record["value"] for record in voided] == [1.0, 2.0]
    assert all("voided" in record for record in voided)
    assert kept["loaded"] is True and kept["load"] and "voided" not in kept


@pytest.mark.parametrize("values", [lambda n: 1.0 / n, lambda n: 10.0**n, lambda n: 5.0])
def test_values_decide_nothing(
    monkeypatch: pytest.MonkeyPatch, log: Path, values: Callable[[int], float]
) -> None:
    assert measured(monkeypatch, [LOADED, QUIET], values) == values(2)
    assert measured(monkeypatch, [QUIET], values) == values(1)
    assert measured(monkeypatch, [LOADED] * 3, values) == values(3)


def test_counts_are_not_spoilt(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    assert measured(monkeypatch, [LOADED], benchmark=Counted) == 1.0
    (record,) = records(log)
    assert "loaded" not in record


def test_repetitions_can_be_forbidden(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setenv(RETRIES_VARIABLE, "0")
    assert measured(monkeypatch, [LOADED]) == 1.0
    (record,) = records(log)
    assert record["loaded"] is True


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5", "9" * 5000])
def test_a_senseless_number_of_repetitions_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(RETRIES_VARIABLE, text)
    with pytest.raises(StudyError, match="whole number"):
        load.most_retries()


def test_no_repetition_that_asv_would_cut_short(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    long = Load(seconds=_Benchmark.timeout / 3, foreign=1.5, steal=0.0, stolen=0.0)
    assert measured(monkeypatch, [long]) == 1.0
    (record,) = records(log)
    assert record["loaded"] is True


@pytest.mark.parametrize("reason", [Unsupported, MissingPackage])
def test_a_skip_is_not_repeated(log: Path, reason: type[Exception]) -> None:
    """Also for what an environment lacks: with an older torch one decoder has no release."""

    def measure(cell: Cell) -> tuple[float, dict[str, Any]]:
        raise reason("no such disk")

    with pytest.raises(SkipNotImplemented):
        Timed().measured((64, "naive"), measure)
    (record,) = records(log)
    assert record["skipped"] == "no such disk"


def test_the_study_names_the_round(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setenv(ROUND_VARIABLE, "4")
    measured(monkeypatch, [LOADED, QUIET])
    assert [record["round"] for record in records(log)] == [4, 4]


def test_exact_findings_are_counts() -> None:
    with imported("standard") as prepare:
        exact = [one for one in prepare.benchmark_classes() if "exact" in one.__module__]
    assert {one.spoilt_by_load for one in exact} == {False}
