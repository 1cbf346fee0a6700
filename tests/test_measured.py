"""Numbers of the benchmarks, what asv gets of them, and the log beside it."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from asv_runner.benchmarks.mark import SkipNotImplemented
from conftest import COUNT, PX

from benchmarks import epoch, item, startup
from benchmarks.common import tracked
from benchmarks.grids import Cell
from benchmarks.measures import epochs as measure
from benchmarks.measures import shares
from datasets_impl import registry
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.errors import Unsupported, VoidMeasurement
from datasets_impl.experiments.stages import STAGES, Times, staged_item
from datasets_impl.factors import LOCAL_MEDIA
from datasets_impl.files.paths import CACHE_VARIABLE
from datasets_impl.observe import page_cache
from datasets_impl.observe.log import LOG_VARIABLE
from tests.with_cells import records, tiny

IMPLEMENTATIONS = [*registry.IMPLEMENTATIONS, "naive-again"]


@pytest.fixture(autouse=True)
def short(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, corpus: Any
) -> Iterator[None]:
    """No repetition beyond the first, and nothing left behind in the cache."""
    monkeypatch.setattr(measure, "EPOCH_SECONDS", 0)
    monkeypatch.setattr(measure, "ITEM_SECONDS", 0)
    yield
    scratch = Path(os.environ[CACHE_VARIABLE]) / "scratch"
    assert not scratch.exists() or not list(scratch.iterdir())
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("function", ["epoch", "item", "item_share", "construction", "first_batch"])
def test_number_is_positive(function: str, impl: str) -> None:
    value, state = getattr(measure, function)(tiny(impl=impl))
    assert math.isfinite(value) and value > 0
    assert state["resident_before"] >= 0.99
    if function == "item_share":
        assert value <= 100


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize(
    ("function", "levels"),
    [
        ("epoch", {"workers": 2}),
        ("epoch", {"workers": 1, "impl": "mapped-fixed"}),
        ("epoch", {"transform": "heavy"}),
        ("first_batch", {"workers": 1}),
    ],
)
def test_number_is_positive_off_the_centre(function: str, levels: dict[str, Any]) -> None:
    assert getattr(measure, function)(tiny(**levels))[0] > 0


@pytest.mark.parametrize("medium", LOCAL_MEDIA)
@pytest.mark.parametrize("impl", ["naive", "mapped", "mapped-fixed", "preloaded"])
def test_epoch_on_every_medium(medium: str, impl: str) -> None:
    try:
        value, state = measure.epoch(tiny(medium=medium, impl=impl))
    except Unsupported as reason:
        pytest.skip(str(reason))
    assert value > 0
    if medium == "disk-cold":
        assert state["resident_before"] == 0
        assert state["bytes_read"] >= 0.9 * state["bytes_of_files"]
    else:
        assert state["resident_before"] >= 0.99


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("impl", ["naive", "lazy-cache"])
def test_with_workers_a_hundred_batches_are_timed_and_no_epoch_begins(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, limits = [], []
    iterate, run = torch.utils.data.DataLoader.__iter__, measure.run_epoch

    def begin(loader: Any) -> Any:
        begun.append(len(loader))
        return iterate(loader)

    def go(batches: Any, limit: int | None = None) -> int:
        limits.append(limit)
        return run(batches, limit)

    monkeypatch.setattr(torch.utils.data.DataLoader, "__iter__", begin)
    monkeypatch.setattr(measure, "run_epoch", go)
    value, state = measure.epoch(tiny(workers=2, impl=impl))
    assert value > 0 and state["batches"] == measure.PASS_BATCHES == 100
    assert limits == [1, 100] and begun == [1 + 100 + 6], "six batches more are on their way"
    assert state["resident_after"] >= 0.99


@pytest.mark.usefixtures("on_disk")
def test_files_that_left_the_page_cache_void_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([1.0, 0.5])
    monkeypatch.setattr(page_cache, "resident_share", lambda files: next(shares))
    with pytest.raises(VoidMeasurement, match=r"only 50\.0%"):
        measure.epoch(tiny(workers=1))


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("batches", [1, 3])
def test_the_start_of_an_epoch_is_a_part_of_short_epochs(batches: int) -> None:
    value, state = measure.start_of_epoch(tiny(workers=2, batches=batches))
    assert value > 0 and state["first_batch_ms"] > 0
    assert state["epochs"] == math.ceil(measure.PASS_BATCHES / batches)


def test_a_cache_is_full_before_its_epochs_are_timed(
    on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = JpegDataset.__getitem__

    def counted(dataset: JpegDataset, index: int) -> Any:
        made.append(index)
        return real(dataset, index)

    monkeypatch.setattr(JpegDataset, "__getitem__", counted)
    monkeypatch.setattr(measure, "WARM_UP_BATCHES", 0)
    monkeypatch.setattr(measure, "timed", lambda run: (made.clear(), run(), 1.0)[-1])
    measure.epoch(tiny(impl="lazy-cache"))
    assert made == []


def test_cold_sample_of_one_shared_file_is_refused(on_disk: None) -> None:
    with pytest.raises(Unsupported, match="cannot be verified"):
        measure.item(tiny(medium="disk-cold", impl="mapped"))


@pytest.mark.parametrize("medium", LOCAL_MEDIA)
@pytest.mark.parametrize("stage", STAGES)
def test_shares_of_the_stages_lie_within_the_whole(stage: str, medium: str) -> None:
    try:
        value, state = shares.stage_share(tiny(stage=stage, medium=medium))
    except Unsupported as reason:
        pytest.skip(str(reason))
    assert 0 < value < 100
    assert state["shares"][stage] == pytest.approx(value, abs=1e-3)
    assert 0 < sum(state["shares"].values()) <= 100
    assert state["items"] == COUNT * state["passes"] and state["us_per_item"] > 0
    assert state["clock_share"] > 0
    if medium == "disk-cold":
        assert state["resident_before"] == 0
        assert state["bytes_read"] >= 0.9 * state["bytes_of_files"]
    else:
        assert state["resident_before"] >= 0.99


def test_a_staged_item_is_the_naive_one_and_its_stages_are_parts_of_it(folder: Path) -> None:
    dataset = registry.build("naive", folder)
    for position, path in enumerate(dataset.image_paths):
        sample, times = staged_item(path)
        assert torch.equal(sample, dataset[position][0])
        parts = (times.read, times.decode, times.convert)
        assert min(parts) > 0 and math.fsum(parts) <= times.whole


def test_what_is_left_of_an_item_is_the_share_of_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of its own: the whole lasts from the first reading to the last."""
    monkeypatch.setattr(shares, "staged_item", lambda *_: (None, Times(1.0, 5.0, 2.0, 10.0)))
    passes = shares.Passes("decode", ["a", "b"])
    passes.visit()
    value, state = passes.measured({})
    assert value == 50 and state["shares"] == {"read": 10, "decode": 50, "convert": 20}
    assert (state["items"], state["us_per_item"]) == (2, 10e6)


@pytest.mark.parametrize("stage", ["guess", "item"])
def test_an_unknown_stage_is_an_error(on_disk: None, stage: str) -> None:
    with pytest.raises(ValueError, match="unknown stage"):
        shares.stage_share(tiny(stage=stage))


def test_repeated_stops_at_either_bound() -> None:
    assert measure.repeated(lambda: 0.25, 1.0) == [0.25] * 4
    assert measure.repeated(lambda: 0.0, 1.0, most=3) == [0.0] * 3
    assert measure.repeated(lambda: 9.0, 0.0) == [9.0]


EPOCH_LEVELS = (COUNT, PX, 0, "fork", "disk-warm", "none", "naive")


def test_sample_and_its_line(log: Path, on_disk: None) -> None:
    result = epoch.ByResolution().track_epoch(*EPOCH_LEVELS)
    item.ByStage().track_stage_share(COUNT, PX, "disk-warm", "read", "naive")
    startup.ConstructionByResolution().track_construction(COUNT, PX, "preloaded")
    first, second, third = records(log)
    assert result == {"samples": [first["value"]], "number": 1}
    assert first["value"] > 0 and first["seconds"] > 0
    assert first["benchmark"] == "epoch.ByResolution"
    assert first["factors"] == dict(zip(epoch.FACTORS, EPOCH_LEVELS, strict=True))
    assert first["resident_before"] == 1.0, "the verified state belongs in the log"
    assert {"load_before", "steal"} <= set(first)
    assert not {"skipped", "failed"} & set(first)
    assert second["benchmark"] == "item.ByStage"
    assert third["benchmark"] == "startup.ConstructionByResolution"


def test_an_arm_that_is_measured_twice_has_its_own_name_in_the_log_alone(log: Path) -> None:
    """And in asv, whose levels are those of the benchmark."""
    cells: list[Cell] = []
    track = tracked(lambda cell: (cells.append(cell), (1.0, {}))[1], "us")
    track(epoch.ByResolution(), *EPOCH_LEVELS[:-1], "naive-again")
    (record,) = records(log)
    assert [cell.impl for cell in cells] == ["naive"]
    assert record["factors"]["impl"] == "naive-again"


def test_cold_line_says_what_was_verified(log: Path, on_disk: None) -> None:
    levels = [*EPOCH_LEVELS]
    levels[epoch.FACTORS.index("medium")] = "disk-cold"
    epoch.ByStorage().track_epoch(*levels)
    (record,) = records(log)
    assert record["resident_before"] == 0
    assert record["bytes_read"] >= 0.9 * record["bytes_of_files"] > 0


def test_no_log_is_written_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: None
) -> None:
    monkeypatch.delenv(LOG_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert epoch.ByResolution().track_epoch(*EPOCH_LEVELS)["samples"][0] > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_skipped_cell_logs_its_reason(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*arguments: object) -> None:
        raise Unsupported("this machine has no such disk")

    monkeypatch.setattr(measure, "workspace", absent)
    with pytest.raises(SkipNotImplemented, match="no such disk"):
        epoch.ByResolution().track_epoch(*EPOCH_LEVELS)
    (record,) = records(log)
    assert record["skipped"] == "this machine has no such disk"
    assert record["factors"]["impl"] == "naive"
    assert "value" not in record


def test_void_measurement_fails_and_logs_why(
    log: Path, monkeypatch: pytest.MonkeyPatch, on_disk: None
) -> None:
    monkeypatch.setattr(page_cache, "evict", lambda paths: None)
    levels = [*EPOCH_LEVELS]
    levels[epoch.FACTORS.index("medium")] = "disk-cold"
    with pytest.raises(VoidMeasurement):
        epoch.ByStorage().track_epoch(*levels)
    (record,) = records(log)
    assert record["failed"].startswith("VoidMeasurement: 100.0% of 12 files")
    assert "value" not in record


def test_levels_must_fit_the_parameters(log: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        epoch.ByResolution().track_epoch(*EPOCH_LEVELS[:-1])


def test_no_worker_outlives_a_measurement(on_disk: None) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    measure.epoch(tiny(workers=2))
    measure.first_batch(tiny(workers=2))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
