"""asv's own files in, one tidy table out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.evidence import Evidence, evidence_of
from scripts.judging.model import Reason
from scripts.judging.runs import find_runs
from scripts.report.reasons import in_words
from tests.synthetic_results import (
    FAILED,
    IMPL,
    PX,
    SKIPPED,
    Bench,
    edit_json,
    items,
    load_evidence,
    observation,
    steady,
    write_results,
)


def cell(evidence: Evidence, **wanted: Any) -> dict[str, Any]:
    rows = evidence.cells
    for name, level in wanted.items():
        rows = rows[rows[name] == level]
    assert len(rows) == 1, f"{len(rows)} rows with {wanted}"
    return {str(key): value for key, value in rows.iloc[0].items()}


def test_samples_come_back_in_their_own_cells_and_order(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady)])
    evidence = load_evidence([tmp_path])
    assert len(evidence.cells) == len(PX) * len(IMPL)
    for px in PX:
        for impl in IMPL:
            found = cell(evidence, px=px, impl=impl)
            expected = steady({"px": px, "impl": impl})
            assert found["samples"] == expected
            assert found["median"] == expected[1]
            assert (found["status"], found["reason"]) == ("ok", None)
            assert found["repeat"] == 3
            assert found["metric"] == "item" and found["unit"] == "us"
            assert found["benchmark"] == "item.ByImplementation"
            assert isinstance(found["px"], int)
    assert evidence.machines[0].sampled


def test_levels_keep_their_type_beside_benchmarks_without_the_factor(tmp_path: Path) -> None:
    shapes = Bench("exact.Shapes.track_mixed_shapes", {"mix": ["equal"]}, lambda f: 1.0, "outcome")
    write_results(tmp_path, [items(steady), shapes])
    evidence = load_evidence([tmp_path])
    assert {type(level) for level in evidence.cells["px"].dropna()} == {int}
    assert cell(evidence, benchmark="exact.Shapes")["px"] is None
    assert cell(evidence, benchmark="exact.Shapes")["median"] == 1.0


def test_trailing_nulls_that_asv_trims_are_failed_cells(tmp_path: Path) -> None:
    path = write_results(
        tmp_path,
        [
            items(lambda f: FAILED if f["px"] == 256 else steady(f)),
            items(lambda f: FAILED, "item.ByStage.track_item"),
        ],
    )
    saved = json.loads(path.read_text())["results"]["item.ByStage.track_item"]
    assert len(saved) < len(json.loads(path.read_text())["result_columns"])  # asv trimmed it
    evidence = load_evidence([tmp_path])
    for impl in IMPL:
        assert cell(evidence, benchmark="item.ByImplementation", px=64, impl=impl)["samples"]
    failed = evidence.cells[evidence.cells["status"] == "failed"]
    assert len(failed) == len(IMPL) + len(PX) * len(IMPL)
    assert set(failed["reason"]) == {Reason("failed")}
    assert failed["median"].isna().all() and failed["samples"].isna().all()


def test_a_skipped_cell_carries_the_reason_from_the_log(tmp_path: Path) -> None:
    write_results(
        tmp_path,
        [items(lambda f: SKIPPED if f["impl"] == "mapped" else steady(f))],
        observations=[
            observation(64, "naive", value="1"),
            observation(256, "mapped", skipped="no cold page cache here"),
        ],
    )
    evidence = load_evidence([tmp_path])
    told = cell(evidence, px=256, impl="mapped")
    assert (told["status"], in_words([told["reason"]])) == ("skipped", "no cold page cache here")
    untold = cell(evidence, px=64, impl="mapped")
    assert (untold["status"], untold["reason"]) == ("skipped", Reason("unavailable"))
    assert cell(evidence, px=64, impl="naive")["status"] == "ok"
    assert len(evidence.machines[0].observations) == 2


def test_a_failed_cell_carries_the_error_from_the_log(tmp_path: Path) -> None:
    write_results(
        tmp_path,
        [items(lambda f: FAILED if f["impl"] == "naive" else steady(f))],
        observations=[observation(64, "naive", failed="OSError: no space")],
    )
    found = cell(load_evidence([tmp_path]), px=64, impl="naive")
    assert (found["status"], found["reason"]) == (
        "failed",
        Reason("logged", ("OSError: no space",)),
    )


def test_fewer_samples_than_the_neighbours_is_incomplete(tmp_path: Path) -> None:
    def short(factors: dict[str, Any]) -> list[float]:
        return steady(factors)[1:] if factors["impl"] == "naive" else steady(factors)

    write_results(
        tmp_path, [items(short)], observations=[observation(64, "naive", failed="killed")]
    )
    evidence = load_evidence([tmp_path])
    lost = cell(evidence, px=64, impl="naive")
    assert lost["status"] == "incomplete" and lost["samples"] is None
    assert in_words([lost["reason"]]) == "only 2 of 3 blocks: killed"
    assert cell(evidence, px=64, impl="mapped")["status"] == "ok"


def test_results_without_samples_load_and_say_so(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady)], sampled=False)
    evidence = load_evidence([tmp_path])
    assert not evidence.machines[0].sampled
    assert evidence.cells["samples"].isna().all()
    found = cell(evidence, px=64, impl="naive")
    assert found["status"] == "ok" and found["median"] == pytest.approx(64001.5, rel=1e-4)
    assert found["q25"] < found["median"] < found["q75"] and found["repeat"] == 3


def test_benchmarks_of_the_suite_only_are_read(tmp_path: Path) -> None:
    foreign = Bench("other.Suite.track_item", {"px": [1]}, lambda f: 1.0)
    timing = Bench("item.ByImplementation.time_item", {"px": [1]}, lambda f: 1.0)
    write_results(tmp_path, [items(steady), foreign, timing])
    assert set(load_evidence([tmp_path]).cells["name"]) == {"item.ByImplementation.track_item"}


def test_numbers_of_another_version_of_a_benchmark_do_not_count(tmp_path: Path) -> None:
    old = items(steady, "item.ByStage.track_item")
    write_results(tmp_path, [items(steady), old])
    edit_json(tmp_path / "benchmarks.json", lambda data: data[old.name].update(version="2"))
    cells = load_evidence([tmp_path]).cells
    outdated = cells[cells["name"] == old.name]
    assert set(outdated["status"]) == {"skipped"} and set(outdated["samples"]) == {None}
    assert all("at version 2 now" in in_words([reason]) for reason in outdated["reason"])
    assert set(cells[cells["name"] != old.name]["status"]) == {"ok"}


@pytest.mark.parametrize("aside", [False, True])
def test_numbers_of_two_versions_are_not_compared(tmp_path: Path, aside: bool) -> None:
    """The older one does not count, in one set of machines or beside another run."""
    older, newer = tmp_path / "older", tmp_path / "newer"
    changed = items(steady, "item.ByStage.track_item")
    write_results(older, [items(steady), changed], machine="first")
    write_results(newer, [items(steady), replace(changed, version="10")], machine="second")
    runs = find_runs([older] if aside else [older, newer])
    cells = evidence_of(runs, find_runs([newer]).versions if aside else {}).cells
    of_older = cells[cells["machine"] == "first"].set_index("name")["status"].to_dict()
    assert set(of_older.items()) == {
        (changed.name, "skipped"), ("item.ByImplementation.track_item", "ok")
    }  # fmt: skip
    if not aside:
        assert set(cells[cells["machine"] == "second"]["status"]) == {"ok"}


def test_further_numbers_of_a_measurement_are_a_metric_of_their_own(tmp_path: Path) -> None:
    """Block by block, without those that were disturbed; not where asv got none."""
    values = {64: [1.0, 2.0, 3.0], 128: SKIPPED, 256: [5.0, 6.0, 7.0]}
    bench = Bench("item.ByStage.track_item", {"px": [64, 128, 256]}, lambda f: values[f["px"]])
    told: list[dict[str, Any]] = [
        {"benchmark": "item.ByStage", "factors": {"px": px}, "round": number, "value": 1.0,
         "also": {"cpu": 10.0 * number + px}, **({"loaded": True} if number == 2 else {})}
        for px in (64, 256) for number in (1, 2, 3)
    ]  # fmt: skip
    again = {**told[0], "also": {"cpu": 99.0}, "voided": "other programs used 1.00 cores"}
    write_results(tmp_path, [bench], observations=[again, *told])
    cells = load_evidence([tmp_path]).cells
    found = cells[cells["metric"] == "cpu"].set_index("px")
    assert set(found["name"]) == {"item.ByStage.cpu"} and set(found["unit"]) == {"us"}
    assert found.loc[64, "samples"] == pytest.approx([74.0, math.nan, 94.0], nan_ok=True)
    assert found.loc[256, "median"] == pytest.approx(276.0)
    assert found.loc[128, "status"] == "skipped"


def test_a_benchmark_that_the_suite_no_longer_lists_is_left_out(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady), items(steady, "item.Old.track_item")])
    edit_json(tmp_path / "benchmarks.json", lambda data: data.pop("item.Old.track_item"))
    assert set(load_evidence([tmp_path]).cells["benchmark"]) == {"item.ByImplementation"}


def doubled(factors: dict[str, Any]) -> list[float]:
    return [2 * sample for sample in steady(factors)]


@pytest.mark.parametrize("newest", ["a" * 40, "f" * 40])
def test_the_newest_result_file_of_a_machine_is_used(tmp_path: Path, newest: str) -> None:
    older = "b" * 40
    write_results(tmp_path, [items(steady)], commit=older, started=1_700_000_000)
    write_results(tmp_path, [items(doubled)], commit=newest, started=1_700_009_999)
    evidence = load_evidence([tmp_path])
    assert [machine.commit for machine in evidence.machines] == [newest]
    assert len(evidence.cells) == len(PX) * len(IMPL)
    assert cell(evidence, px=64, impl="naive")["samples"][0] == 128000.5


def test_two_machines_stay_apart(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady)], machine="one")
    write_results(
        tmp_path,
        [items(lambda f: FAILED if f["px"] == 256 else doubled(f))],
        machine="two",
        provenance={"profile": "quick"},
    )
    evidence = load_evidence([tmp_path])
    assert [machine.name for machine in evidence.machines] == ["one", "two"]
    assert [machine.provenance for machine in evidence.machines] == [{}, {"profile": "quick"}]
    assert cell(evidence, machine="one", px=64, impl="naive")["median"] == 64001.5
    assert cell(evidence, machine="two", px=64, impl="naive")["median"] == 128003.0
    assert set(evidence.cells["status"][evidence.cells["machine"] == "one"]) == {"ok"}


def test_machines_in_two_folders_are_read_together(tmp_path: Path) -> None:
    write_results(tmp_path / "first", [items(steady)], machine="one")
    write_results(tmp_path / "second", [items(steady)], machine="two")
    evidence = load_evidence([tmp_path / "second", tmp_path / "first"])
    assert [machine.name for machine in evidence.machines] == ["one", "two"]


def test_reading_twice_gives_the_same_table(tmp_path: Path) -> None:
    write_results(tmp_path, [items(steady)])
    first, second = load_evidence([tmp_path]), load_evidence([tmp_path])
    assert first.cells.equals(second.cells)


def test_the_folder_of_one_machine_is_enough(tmp_path: Path) -> None:
    for machine in ("one", "two"):
        write_results(tmp_path, [items(steady)], machine=machine)
    assert [machine.name for machine in load_evidence([tmp_path / "two"]).machines] == ["two"]


def test_samples_of_a_former_version_are_samples(tmp_path: Path) -> None:
    """Nothing of them counts, and still the page must not say that only medians were recorded."""
    levels = {"impl": ["naive", "preloaded"]}
    bench = Bench("item.ByResolution.track_item", levels, lambda _: [1.0, 2.0], version="1")
    write_results(tmp_path, [bench])
    edit_json(tmp_path / "benchmarks.json", lambda data: data[bench.name].update(version="2"))
    found = load_evidence([tmp_path])
    assert set(found.cells["status"]) == {"skipped"} and found.newest.sampled


def test_a_median_is_that_of_the_samples_whatever_stands_beside_them(tmp_path: Path) -> None:
    bench = Bench("item.ByStage.track_item", {"n": [1]}, lambda _: [1.0, 2.0, 9.0])
    write_results(tmp_path, [bench])
    (path,) = tmp_path.glob("*/*-*.json")

    def change(data: Any) -> None:
        row = data["results"]["item.ByStage.track_item"]
        row[data["result_columns"].index("result")] = [7.0]

    edit_json(path, change)
    (row,) = load_evidence([tmp_path]).cells.to_dict("records")
    assert row["median"] == 2.0
