"""What the page says of load during measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.judging.correction import in_rounds
from scripts.judging.evidence import MachineResults
from scripts.judging.model import Cell, Reason
from scripts.judging.observed import flagged
from scripts.report import log_words, remarks
from scripts.report.reasons import in_words
from scripts.report.study import load_study
from scripts.report.surroundings import describe_machine
from tests.claims_text import HEAD, RATIO, SLOPE, claim
from tests.synthetic_results import SKIPPED, Bench, Noise, load_evidence, write_results


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
    assert flagged(log) == {PLACE_64: (2, 3), PLACE_128: (2,)}
    assert log_words.remark((2, 3)) == ("rounds 2, 3 left out: disturbed by other programs")
    assert log_words.remark((2,)) == "round 2 left out: disturbed by other programs"
    assert log_words.remark(()) == ""


def test_results_without_a_log_are_named(tmp_path: Path) -> None:
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    for name, log in (("bare", []), ("logged", [entry(64, 1)])):
        noise = Noise(seed=1)
        bench = Bench(
            "item.ByImplementation.track_item",
            {"px": [64], "impl": ["naive", "preloaded"]},
            lambda f, noise=noise: noise.around(1.0),
        )
        write_results(tmp_path / "results", [bench], machine=name, observations=log)
    told = [note for note in load_study([tmp_path / "results"], claims).notes if "No log" in note]
    assert [note.split(": ")[0] for note in told] == ["No log came with the results of bare"]


def test_rounds_are_counted_where_the_log_names_none() -> None:
    log = [entry(64), entry(64, **VOID), entry(64, **VOID), entry(64), entry(64, **KEPT)]
    assert flagged(log) == {PLACE_64: (3,)}


def test_summary_counts_voided_repeated_and_kept() -> None:
    log = [
        entry(64, 1, **VOID),
        entry(64, 1, **VOID),
        entry(64, 1),
        entry(128, 1, **VOID),
        entry(128, 1, **KEPT),
        entry(64, 2),
    ]
    sentence = log_words.summary(log)
    assert "3 of 6 measurements were voided" in sentence
    assert "They are of 2 cells in a round, each made again" in sentence
    assert "1 stayed disturbed and is left out" in sentence
    assert sentence.endswith("0.01 cores")
    assert log_words.summary([{"benchmark": "a", "factors": {}, "value": 1.0}]) == ""


def test_the_page_names_the_load_of_a_machine() -> None:
    log = [entry(64, 1, mhz=2600), entry(64, 2, mhz=2900, **KEPT), entry(64, 3, **VOID)]
    machine = MachineResults("lab", "f" * 40, {}, {}, log, sampled=True)
    details = describe_machine(machine).details
    assert "1 of 3 measurements were voided" in details["load during cells"]
    assert (
        details["rounds left out for foreign load"] == "epoch.ByResolution (naive, 64 px): round 2"
    )
    assert details["CPU frequency during cells"] == "2,600 to 2,900 MHz"
    assert (
        "load during cells"
        not in describe_machine(MachineResults("lab", "f" * 40, {}, {}, [], sampled=True)).details
    )


EPOCHS = (
    (RATIO + SLOPE)
    .replace("item.ByImplementation", "epoch.ByResolution")
    .replace('metric = "item"', 'metric = "epoch"')
)
RULES = HEAD + claim(
    EPOCHS,
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
    numbers = range(1, 7)
    log = [
        *(entry(64, number, **(KEPT if number == 2 else {})) for number in numbers),
        *(
            {**entry(128, number, **(KEPT if number == 3 else {})), "factors": baseline}
            for number in numbers
        ),
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
    remark = remarks.remark(cells["naive / preloaded", 64], "> 1.05")
    assert remark == "round 2 left out: disturbed by other programs"


SLOW = {  # equally fast, but that another program made one naive epoch three times as long
    "naive": [1.0, 3.0, 1.01, 0.99, 1.0, 1.0],
    "preloaded": [1.0, 1.0, 1.0, 1.0, 1.01, 0.99],
}
ALONE = {"px": [64], "impl": ["naive", "preloaded"]}


def judged(folder: Path, log: list[dict[str, Any]], samples: dict[str, list[float]]) -> Cell:
    """The one cell of the ratio, from a log that holds every round of both arms."""
    bench = Bench("epoch.ByResolution.track_epoch", ALONE, lambda f: samples[f["impl"]])
    write_results(folder / "results", [bench], observations=log)
    (folder / "claims.toml").write_text(RULES)
    study = load_study([folder / "results"], folder / "claims.toml")
    return study.claims[0].evidence[0]


def rounds(impl: str, loaded: tuple[int, ...], count: int = 6) -> list[dict[str, Any]]:
    made = [entry(64, n, **(KEPT if n in loaded else {})) for n in range(1, count + 1)]
    return [{**each, "factors": {"px": 64, "impl": impl}} for each in made]


def test_a_disturbed_round_is_left_out_of_both_arms(tmp_path: Path) -> None:
    quiet = judged(tmp_path / "a", rounds("naive", ()) + rounds("preloaded", ()), SLOW)
    found = judged(tmp_path / "b", rounds("naive", (2,)) + rounds("preloaded", (4,)), SLOW)
    assert quiet.estimate is not None and quiet.estimate > 1.1 and quiet.blocks == 6
    assert found.blocks == 4 and found.loaded == (2, 4)
    assert found.estimate == pytest.approx(1.0, abs=0.01) and found.outcome == "against"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (rounds("naive", (1, 2, 3, 4, 5, 6)), "every round was disturbed"),
        (rounds("naive", (1, 2, 3)) + rounds("preloaded", (4, 5, 6)), "in every block"),
        (rounds("naive", (2,), count=5), "cannot be told"),
        (rounds("naive", (1, 2, 3, 4, 5)), "one block gives no interval"),
    ],
)
def test_a_cell_with_too_little_left_is_undecided_and_counts_as_such(
    tmp_path: Path, log: list[dict[str, Any]], reason: str
) -> None:
    found = judged(tmp_path, log, SLOW)
    assert found.outcome == "unclear" and reason in in_words(found.reasons) and found.counts


def test_rounds_without_a_number_are_told_apart_by_their_order(tmp_path: Path) -> None:
    log = [{k: v for k, v in each.items() if k != "round"} for each in rounds("naive", (2,))]
    assert judged(tmp_path, log, SLOW).blocks == 5


def test_a_disturbed_sparse_round_takes_as_long_to_make_again() -> None:
    cell = Cell("t", "ratio", {}, 1.1, 0.9, 1.4, "unclear", 5, "b.B.track_b", "lab", more_rounds=2,
                loaded=(3,))  # fmt: skip
    assert in_rounds([cell], {("lab", "b.B.track_b"): 6})[0].more_rounds == 2, (
        "five and one are all six rounds"
    )


def test_many_flagged_cells_are_cut_short() -> None:
    log = [entry(px, 1, **KEPT) for px in range(64, 64 + log_words.NAMED + 5)]
    assert log_words.left_out_by_name(log).endswith("; 5 more, in the log")


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
    assert (cells.loc[64, "status"], cells.loc[64, "reason"]) == ("ok", None)
    assert (cells.loc[128, "status"], cells.loc[128, "reason"]) == (
        "skipped",
        Reason("logged", ("no disk",)),
    )
