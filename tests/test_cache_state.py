"""Cold and throttled cells carry their verified state into JSON and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import ColdState
from scripts.judging.observed import cold_states, worst
from scripts.report.log_words import in_words
from scripts.report.record import Report, cell_record, study_record
from scripts.report.remarks import remark
from scripts.report.study import load_study
from tests.claims_text import HEAD, RATIO, claim
from tests.synthetic_results import Bench, write_results

STORED = RATIO.replace("preloaded", "mapped").replace('"item"', '"epoch"')
STORED = STORED.replace("item.ByImplementation", "epoch.ByStorage") + 'direction = "above"\n'


def record(impl: str, medium: str = "disk-cold", **more: Any) -> dict[str, Any]:
    factors = {"impl": impl, "medium": medium}
    return {"benchmark": "epoch.ByStorage", "factors": factors, "resident_before": 0.0, **more}


def cold(impl: str, read: int, resident: float = 0.0, **more: Any) -> dict[str, Any]:
    return record(impl, bytes_read=read, bytes_of_files=100, **more) | {"resident_before": resident}


def test_the_worst_of_arms_and_rounds_reaches_page_and_tables(tmp_path: Path) -> None:
    log = [
        cold("naive", 130, round=1),
        cold("mapped", 99, round=1),
        cold("naive", 120, 0.01, round=2),
        cold("mapped", 100, round=2),
        cold("mapped", 1, 1.0, round=2, voided="other programs used 1.00 cores"),
        record("naive", "disk-warm") | {"resident_before": 1.0},
        record("mapped", "disk-warm") | {"resident_before": 1.0},
    ]

    def value(factors: dict[str, Any]) -> list[float]:
        return [20.0, 21.0, 20.5] if factors["impl"] == "naive" else [10.0, 10.1, 10.2]

    levels = {"medium": ["disk-warm", "disk-cold"], "impl": ["naive", "mapped"]}
    results, claims = tmp_path / "results", tmp_path / "claims.toml"
    write_results(results, [Bench("epoch.ByStorage.track_epoch", levels, value)], observations=log)
    claims.write_text(HEAD + claim(STORED, headline='{ medium = "disk-cold" }'))
    study = load_study([results], claims)
    by_medium = {cell.factors["medium"]: cell for cell in study.claims[0].evidence}
    state = ColdState(resident_before=0.01, read_share=0.99)
    assert by_medium["disk-cold"].cold == state and by_medium["disk-warm"].cold is None
    words = remark(by_medium["disk-cold"], "").replace("\u00a0", " ")
    assert words.endswith("1 % resident before, 0.99 times the bytes read after")
    assert cell_record(by_medium["disk-cold"])["read_share"] == 0.99
    assert "read_share" not in cell_record(by_medium["disk-warm"])
    assert Report.model_validate(study_record(study))


def test_throttled_cells_say_how_near_the_limit_they_were_read() -> None:
    (state,) = cold_states(
        [cold("naive", 100, limit=25_000_000, bytes_per_second=24_500_000)]
    ).values()
    assert state.share_of_limit == pytest.approx(0.98)
    faster = ColdState(0.0, 1.0, 1.01)
    assert worst([state, faster, ColdState(0.0, 1.2)]).share_of_limit == 1.01
    assert in_words(faster).replace("\u00a0", " ").endswith("at 1.01 times the limit")


def test_what_reads_no_file_has_no_state() -> None:
    assert cold_states([record("preloaded", bytes_read=0, bytes_of_files=0)]) == {}
    limited = cold("mapped", 0, peak_bytes=10**9)
    assert cold_states([limited]) == {}, "what fits into its memory is read before"
    assert cold_states([{"benchmark": "a.B", "skipped": "no disk", "factors": {}}]) == {}
