"""What the page says of load during measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts import load as load_report
from scripts import page
from scripts.describe import describe_machine
from scripts.evidence import MachineResults, load_evidence
from scripts.judge import load_study
from tests.claims_text import HEAD, claim
from tests.synthetic_results import SKIPPED, Bench, Noise, write_results


def entry(px: int, number: int | None = None, **more: Any) -> dict[str, Any]:
    told = {} if number is None else {"round": number}
    return {
        "benchmark": "epoch.ByResolution",
        "factors": {"px": px, "impl": "naive"},
        "foreign_cores": 0.01,
        "value": 1.0,
        **told,
        **more,
    }


VOID = {"voided": "other programs used 1.50 cores", "foreign_cores": 1.5}
KEPT = {"loaded": True, "load": "other programs used 0.90 cores", "foreign_cores": 0.9}
PLACE_64 = ("epoch.ByResolution", (("impl", "naive"), ("px", 64)))
PLACE_128 = ("epoch.ByResolution", (("impl", "naive"), ("px", 128)))


def test_flagged_cells_carry_their_rounds() -> None:
    log = [
        entry(64, 1),
        entry(128, 1, **VOID),
        entry(128, 1),
        entry(64, 2, **KEPT),
        entry(128, 2, **VOID),
        entry(128, 2, **KEPT),
        entry(64, 3, **KEPT),
        {"factors": {"px": 64}, "benchmark": "exact.X", "skipped": "no disk", "round": 3},
        {"note": "no measurement"},
    ]
    assert load_report.flagged(log) == {PLACE_64: (2, 3), PLACE_128: (2,)}
    assert load_report.remark((2, 3)) == "kept under foreign load in rounds 2, 3"
    assert load_report.remark((2,)) == "kept under foreign load in round 2"
    assert load_report.remark(()) == ""


def test_rounds_are_counted_where_the_log_names_none() -> None:
    log = [entry(64), entry(64, **VOID), entry(64, **VOID), entry(64), entry(64, **KEPT)]
    assert load_report.flagged(log) == {PLACE_64: (3,)}


def test_summary_counts_voided_repeated_and_kept() -> None:
    log = [
        entry(64, 1, **VOID),
        entry(64, 1, **VOID),
        entry(64, 1),
        entry(128, 1, **VOID),
        entry(128, 1, **KEPT),
        entry(64, 2),
    ]
    sentence = load_report.summary(log)
    assert "3 of 6 measurements were voided" in sentence
    assert "2 were made again" in sentence and "1 kept under load" in sentence
    assert sentence.endswith("0.01 cores")
    assert load_report.summary([{"benchmark": "a", "factors": {}, "value": 1.0}]) == ""


def test_the_page_names_the_load_of_a_machine() -> None:
    log = [entry(64, 1, mhz=2600), entry(64, 2, mhz=2900, **KEPT), entry(64, 3, **VOID)]
    machine = MachineResults("lab", "f" * 40, {}, {}, log, sampled=True)
    details = describe_machine(machine).details
    assert "1 of 3 measurements were voided" in details["load during cells"]
    assert details["cells kept under load"] == "epoch.ByResolution (naive, 64 px): round 2"
    assert details["CPU frequency during cells"] == "2,600 to 2,900 MHz"
    assert (
        "load during cells"
        not in describe_machine(MachineResults("lab", "f" * 40, {}, {}, [], sampled=True)).details
    )


RATIO = """
[claim.test.ratio]
label = "naive / preloaded"
kind = "ratio"
metric = "epoch"
benchmarks = ["epoch.ByResolution"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
[claim.test.slope]
label = "slope"
kind = "slope"
metric = "epoch"
benchmarks = ["epoch.ByResolution"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
over = "px"
bar = 0.0
"""
RULES = HEAD + claim(
    RATIO,
    headline='{ px = 64, impl = "naive" }',
    identifier="C14",
    title="Preloading makes epochs cheaper",
    finding="It takes {headline}.",
)


def test_flagged_cells_are_marked_on_the_page(tmp_path: Path) -> None:
    """Whichever arm it was; other cells, and other benchmarks with the same levels, are not."""
    noise = Noise()
    bench = Bench(
        "epoch.ByResolution.track_epoch",
        {"px": [64, 128, 256], "impl": ["naive", "preloaded"]},
        lambda factors: noise.around(300.0 if factors["impl"] == "naive" else 1.0),
    )
    baseline = {"px": 128, "impl": "preloaded"}
    log = [
        entry(64, 2, **KEPT),
        {**entry(128, 3, **KEPT), "factors": baseline},
        {**entry(256, 4, **KEPT), "benchmark": "epoch.ByWorkers"},
        entry(256, 5, **VOID),
    ]
    write_results(tmp_path / "results", [bench], observations=log)
    (tmp_path / "claims.toml").write_text(RULES)
    study = load_study([tmp_path / "results"], tmp_path / "claims.toml")
    cells = {(cell.test, cell.factors["px"]): cell for cell in study.claims[0].evidence}
    assert cells["naive / preloaded", 64].loaded == (2,)
    assert cells["naive / preloaded", 128].loaded == (3,)
    assert cells["naive / preloaded", 256].loaded == ()
    assert cells["slope", "64 to 256"].loaded == (2, 3)
    assert cells["naive / preloaded", 64].outcome == "for", "a flag decides nothing"
    remark = page.remark(cells["naive / preloaded", 64], "> 1.05")
    assert remark == "kept under foreign load in round 2"


def test_many_flagged_cells_are_cut_short() -> None:
    log = [entry(px, 1, **KEPT) for px in range(64, 64 + load_report.NAMED + 5)]
    assert load_report.kept_under_load(log).endswith("; 5 more, in the log")


def test_voided_cold_measurements_are_not_counted_as_verified() -> None:
    cold = {"bytes_read": 100, "bytes_of_files": 100, "resident_before": 0.0}
    log = [entry(64, 1, **cold, **VOID), entry(64, 1, **cold)]
    machine = MachineResults("lab", "f" * 40, {}, {}, log, sampled=True)
    assert describe_machine(machine).details["verified states"].startswith("1 cold measurements")


def test_a_voided_record_does_not_look_like_a_failure(tmp_path: Path) -> None:
    """Evidence takes its reasons for missing cells from the log."""
    bench = Bench(
        "epoch.ByResolution.track_epoch",
        {"px": [64, 128], "impl": ["naive"]},
        lambda factors: [1.0, 2.0] if factors["px"] == 64 else SKIPPED,
    )
    skip = {"benchmark": "epoch.ByResolution", "factors": {"px": 128, "impl": "naive"}}
    log = [entry(64, 1, **VOID), entry(64, 1), {**skip, "skipped": "no disk"}, entry(128, **VOID)]
    write_results(tmp_path, [bench], observations=log)
    cells = load_evidence([tmp_path]).cells.set_index("px")
    assert (cells.loc[64, "status"], cells.loc[64, "reason"]) == ("ok", "")
    assert (cells.loc[128, "status"], cells.loc[128, "reason"]) == ("skipped", "no disk")
