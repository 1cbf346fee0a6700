"""The break-even bandwidth: the formula, the crossing, and both from results as asv saves them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import FAILED, SKIPPED, Bench, Noise, write_results

from scripts.judging import bandwidth
from scripts.judging.bandwidth import BreakEven, crossing, in_turns, overlapped, prediction
from scripts.report.bandwidths import in_words, sentence
from tests.synthetic_results import load_evidence
from tests.synthetic_study import cell

PX = 256
RAW_BYTES, JPEG_BYTES = 3 * PX**2, 40_000.0
JPEG_US, RAW_US = 500.0, 50.0
LEVELS = [25, 100, 400, 800]
TRUE = (RAW_BYTES - JPEG_BYTES) / (JPEG_US - RAW_US)


def test_formula() -> None:
    """156,608 bytes more against 450 us less: 348 bytes per microsecond, that is MB/s."""
    assert in_turns(RAW_BYTES, JPEG_BYTES, JPEG_US, RAW_US) == pytest.approx(348.0, abs=0.1)
    assert overlapped(RAW_BYTES, JPEG_US, RAW_US) == pytest.approx(393.2, abs=0.1)


def test_raw_pixels_that_cost_as_much_time_never_win() -> None:
    assert in_turns(RAW_BYTES, JPEG_BYTES, 50, 50) is None
    assert overlapped(RAW_BYTES, 50, 60) is None


def test_raw_pixels_no_larger_win_everywhere() -> None:
    assert in_turns(100, 200, 500, 50) == 0


@given(st.floats(1e3, 1e7), st.floats(1e2, 9e2), st.floats(51, 1e4))
def test_both_take_as_long_at_the_break_even(raw: float, jpeg: float, jpeg_us: float) -> None:
    at = in_turns(raw, jpeg, jpeg_us, 50)
    assert at is not None
    assert jpeg_us + jpeg / at == pytest.approx(50 + raw / at, rel=1e-6)


def test_crossing_is_interpolated_on_log_log_axes() -> None:
    assert crossing([(100, 0.5), (400, 2.0)]) == pytest.approx(200)
    assert crossing([(400, 2.0), (100, 0.5), (25, 0.1)]) == pytest.approx(200), "any order"
    assert crossing([(100, 1.0), (400, 2.0)]) == pytest.approx(100)
    assert crossing([(100, 0.5), (400, 0.9)]) is None
    assert crossing([(100, 1.5), (400, 2.0)]) is None
    assert crossing([]) is None


@given(st.floats(30, 700))
def test_crossing_of_a_power_law_is_exact(at: float) -> None:
    assert crossing([(b, b / at) for b in LEVELS]) == pytest.approx(at)


def time_of(factors: dict[str, Any]) -> float:
    """Reading and computing by turns."""
    size, cpu = (JPEG_BYTES, JPEG_US) if factors["impl"] == "naive" else (RAW_BYTES, RAW_US)
    return cpu + (size / factors["bandwidth"] if factors.get("bandwidth") else 0)


def benches(throttled: Any = None) -> list[Bench]:
    noise = Noise()
    arms = ["naive", "raw-files", "mapped-fixed"]
    return [
        Bench(
            "storage.ByMedium.track_epoch",
            {"n": [256], "px": [PX], "medium": ["ramdisk", "disk-warm"], "impl": arms[:2]},
            lambda f: noise.around(time_of(f) * (1 if f["medium"] == "disk-warm" else 9)),
        ),
        Bench(
            "storage.ByBandwidth.track_epoch",
            {"n": [4096], "px": [PX], "bandwidth": LEVELS, "impl": arms},
            throttled or (lambda f: noise.around(time_of(f))),
        ),
    ]


OBSERVED = [
    {
        "benchmark": "storage.ByBandwidth",
        "factors": {"px": PX, "impl": impl},
        "images": 128,
        "bytes_of_files": 128 * size,
    }
    for impl, size in (("raw-files", RAW_BYTES), ("naive", JPEG_BYTES))
]


def predicted(folder: Path, throttled: Any = None, observed: Any = OBSERVED) -> list[BreakEven]:
    write_results(folder, benches(throttled), observations=observed)
    return prediction(load_evidence([folder]))


def test_prediction_meets_measurement(tmp_path: Path) -> None:
    (found,) = predicted(tmp_path)
    assert (found.machine, found.px, found.raw_bytes, found.jpeg_bytes) == (
        "lab",
        PX,
        RAW_BYTES,
        JPEG_BYTES,
    )
    # Times are medians over blocks whose drift is some ten percent.
    assert found.jpeg_us == pytest.approx(JPEG_US, rel=0.4)
    assert found.jpeg_us / found.raw_us == pytest.approx(JPEG_US / RAW_US, rel=0.02)
    assert [level for level, _ in found.ratios] == LEVELS
    for level, ratio in found.ratios:
        times = [time_of({"impl": impl, "bandwidth": level}) for impl in ("naive", "raw-files")]
        assert ratio == pytest.approx(times[0] / times[1], rel=0.02), "drift cancels in a block"
    assert found.flips == pytest.approx(TRUE, rel=0.05)
    assert f"from {found.flips:,.0f} MB/s on" in in_words(found)


def test_where_the_flip_was_measured_and_where_it_is_interpolated_is_told_apart() -> None:
    found = BreakEven("lab", 256, 1, 1.0, 1.0, 1.0, 300.0, 300.0,
                      ((25, 0.2), (100, 0.6), (400, 1.4)), 230.0)  # fmt: skip
    told = sentence([found], several=False)
    assert "Measured, they do at 400 MB/s, not at 100. Interpolated between the two" in told
    where = {"px": 256, "bandwidth": 400}
    undecided = cell(where, 1.4, "unclear", benchmark="storage.ByBandwidth.track_epoch",
                     machine="lab", treatment="naive", baseline="raw-files")  # fmt: skip
    assert "at 400 MB/s (unclear), not at 100." in sentence([found], False, [undecided])
    for other in (replace(undecided, outcome="for"), replace(undecided, machine="other"),
                  replace(undecided, baseline="mapped-fixed")):  # fmt: skip
        assert "unclear" not in sentence([found], False, [other])


def test_skipped_and_failed_levels_are_left_out(tmp_path: Path) -> None:
    def throttled(factors: dict[str, Any]) -> Any:
        if factors["bandwidth"] == 800:
            return SKIPPED
        if factors["bandwidth"] == 25 and factors["impl"] == "raw-files":
            return FAILED
        return [time_of(factors)] * 6

    (found,) = predicted(tmp_path, throttled)
    assert [level for level, _ in found.ratios] == [100, 400]
    assert found.flips is not None and 100 < found.flips < 400


def test_no_flip_between_the_levels_is_said(tmp_path: Path) -> None:
    (found,) = predicted(tmp_path, lambda f: [1.0 if f["impl"] == "naive" else 2.0] * 6)
    assert found.flips is None
    assert "Measured, JPEG files win from 25 to 800 MB/s" in in_words(found)
    assert found.in_turns is not None


def test_without_throttled_cells(tmp_path: Path) -> None:
    (found,) = predicted(tmp_path, lambda f: SKIPPED)
    assert found.ratios == () and found.flips is None
    assert "No throttled disk was measured" in in_words(found)


def test_without_file_sizes_nothing_is_predicted(tmp_path: Path) -> None:
    assert predicted(tmp_path, observed=[]) == []
    assert predicted(tmp_path, observed=OBSERVED[:1]) == [], "raw files say nothing of JPEG files"


def test_results_without_the_topic(tmp_path: Path) -> None:
    write_results(
        tmp_path, [Bench("epoch.ByResolution.track_epoch", {"px": [64]}, lambda f: [1.0] * 6)]
    )
    assert prediction(load_evidence([tmp_path])) == []


def test_finding_when_raw_never_wins() -> None:
    found = BreakEven("lab", 64, 1, 1.0, 1.0, 2.0, None, None, ((25, 0.5),), None)
    assert in_words(found) == (
        "At 64 px JPEG files are predicted to win at every bandwidth. "
        "Measured, JPEG files win at 25 MB/s."
    )


def test_names_are_those_of_the_suite() -> None:
    """A benchmark or an arm that is renamed would silently empty the prediction."""
    from benchmarks import storage

    assert f"storage.{storage.ByBandwidth.__name__}" == bandwidth.THROTTLED
    assert f"storage.{storage.ByMedium.__name__}" == bandwidth.UNTHROTTLED
    for benchmark in (storage.ByBandwidth, storage.ByMedium):
        assert {bandwidth.JPEG, bandwidth.RAW} <= set(benchmark.params[-1])
    assert math.isfinite(TRUE)
