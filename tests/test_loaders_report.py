"""What to use instead: shares and rivals by hand, the figure, the page, the data."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.contest.ceilings import CEILINGS
from datasets_impl.contest.code import main_class
from datasets_impl.contest.registry import ARMS
from scripts.judging.claims import load_claims
from scripts.judging.ladder import LADDERS
from scripts.judging.loaders import loaders
from scripts.judging.model import LoaderRow, Loaders
from scripts.judging.noise import noise_floor
from scripts.judging.prospects import prospects
from scripts.render_report import render
from scripts.report.ceilings import ceilings_json
from scripts.report.figures.loaders import loader_charts
from scripts.report.instead import QUESTIONS, STEPS, decisions, instead
from scripts.report.model import ClaimResult, Study
from scripts.report.record import study_record
from scripts.root import CLAIMS
from tests.measured_loaders import TIMES, evidence
from tests.synthetic_study import build, drawing_less


@pytest.fixture
def found() -> list[Loaders]:
    return loaders(evidence(), 0.95)


def row(found: list[Loaders], name: str) -> LoaderRow:
    (one,) = [row for row in found[0].rows if row.arm == name]
    return one


def test_arms_are_ranked_and_the_second_name_and_ceilings_are_none(found: list[Loaders]) -> None:
    (task,) = found
    assert [row.arm for row in task.rows] == [
        "threaded-pack-fast", "threaded-pack", "ffcv", "grain", "dataloader-pil",
    ]  # fmt: skip
    assert task.ceilings["decode"] == pytest.approx(1e6 / (100 * 110 * 120) ** (1 / 3))
    assert (task.images, task.px, task.machine) == (1024, 256, "bench")


def test_shares_are_taken_inside_blocks(found: list[Loaders]) -> None:
    """The rounds drift by a fifth; the share does not."""
    share = row(found, "threaded-pack").share_of_ceiling
    assert share is not None and share.low is not None and share.high is not None
    assert share.estimate == pytest.approx(0.8)
    assert share.low == pytest.approx(0.8) and share.high == pytest.approx(0.8)
    fast = row(found, "threaded-pack-fast").share_of_ceiling
    assert fast is not None and fast.estimate == pytest.approx(0.8), "of the fast ceiling"


def test_rivals_have_equal_or_better_fidelity(found: list[Loaders]) -> None:
    """FFCV decodes with the fast DCT: it is no rival of exact pixels."""
    assert ARMS["decode", "grain"].exact and not ARMS["decode", "ffcv"].exact
    exact, fast = row(found, "threaded-pack"), row(found, "threaded-pack-fast")
    assert (exact.rival, fast.rival) == ("grain", "ffcv")
    assert exact.times_rival is not None and fast.times_rival is not None
    assert exact.times_rival.estimate == pytest.approx(2.0)
    assert fast.times_rival.estimate == pytest.approx(1.5)


def test_epoch_starts_are_left_out_by_block() -> None:
    """Another rival may be the best one then; an arm without all blocks is none."""
    seen = evidence()
    (machine,) = seen.machines
    later = {
        "threaded-pack": {1: 100.0, 2: 120.0},
        "grain": {1: 180.0, 2: 216.0},
        "dali": {1: 150.0},
        "ffcv": {1: 90.0, 2: 90.0},
    }
    for name, blocks in later.items():
        for number, us in blocks.items():
            machine.observations.append(
                {"benchmark": "arms.Decode", "factors": {"impl": name, "n": 1024, "px": 256},
                 "value": 1.0, "round": number, "us_after_first": us}
            )  # fmt: skip
    one = row(loaders(seen, 0.95), "threaded-pack")
    assert one.rival_later == "grain" and one.times_rival_later is not None
    assert one.times_rival_later.estimate == pytest.approx(1.8)
    assert one.times_rival_later.blocks == 2


def test_costs_and_settings_come_from_the_log(found: list[Loaders]) -> None:
    one = row(found, "threaded-pack")
    assert (one.memory_mb, one.conversion_seconds, one.bytes_on_disk) == (31.5, 1.25, 10_000_000)
    assert (one.setting, one.first_batch_ms, one.psnr) == ({"threads": 2}, 9.5, None)
    assert one.cpu_us == 251.5
    assert row(found, "grain").memory_mb is None


def test_an_incomplete_cell_is_no_row() -> None:
    damaged = evidence()
    damaged.cells.loc[damaged.cells["impl"] == "ffcv", "status"] = "incomplete"
    assert "ffcv" not in [row.arm for row in loaders(damaged, 0.95)[0].rows]


def test_the_second_name_is_an_a_a_pair() -> None:
    noise = noise_floor(evidence().cells, load_claims(CLAIMS).rules)
    assert (noise.cells, noise.false_alarms) == (1, 0)


def test_data(found: list[Loaders]) -> None:
    (record,) = json.loads(ceilings_json(found))
    assert record["task"] == "decode" and len(record["arms"]) == 5
    best = record["arms"][0]
    assert best["arm"] == "threaded-pack-fast" and best["images_per_second"] > 0
    assert best["share_of_ceiling"]["estimate"] == pytest.approx(0.8)
    assert ceilings_json(found) == ceilings_json(loaders(evidence(), 0.95))


def test_decisions_end_in_code_and_a_measured_factor(found: list[Loaders]) -> None:
    made = decisions(found)
    (pack,) = [one for one in made if one.arm == "threaded-pack"]
    assert pack.take == "ThreadedLoader(DecodedImages)" and pack.question.storage == "local"
    assert pack.gain.startswith("4.0") and "ThreadedLoader(DecodedImages" in pack.code
    assert decisions([]) == []
    others = [one for one in made if one.arm != "threaded-pack"]
    assert {one.question.storage for one in others} == {"object"}, "what was not measured is out"
    for one in others:
        assert one.advice and not one.gain, "or said to be advice"
        assert "s3://bucket/" in one.code and '"photos"' not in one.code.partition("\n\n")[2]


def test_advice_for_a_network_is_in_the_code(found: list[Loaders]) -> None:
    """Reads wait there; whatever was measured from a local disk keeps its own setting."""
    files = replace(
        found[0].rows[0], arm="threaded-files", code=ARMS["decode", "threaded-files"].code
    )
    (task,) = [each for each in found if each.task == "decode"]
    made = decisions([replace(task, rows=[*task.rows, files])])
    (row_,) = [one for one in made if one.arm == "threaded-files"]
    assert "threads=64" in row_.code and "`threads=`" in row_.advice and not row_.gain
    (local,) = [one for one in made if one.arm == "threaded-pack"]
    assert "threads=" not in local.code and not local.advice


def test_steps_add_one_thing_each(found: list[Loaders]) -> None:
    """What was not measured is left out, and the next step is counted from the last one known."""
    first, second, last = found[0].ladder
    assert (first.arm, second.arm, last.arm) == (
        "ceiling-decode", "threaded-pack", "dataloader-pil",
    )  # fmt: skip
    assert (first.us, first.added) == (pytest.approx(110), pytest.approx(110))
    assert second.added == pytest.approx(27.5)  # 25, 27.5 and 30 in the three blocks
    assert second.low is not None and second.low < 27.5
    assert last.added == pytest.approx(550 - 137.5)


def test_every_step_is_an_arm_or_a_ceiling() -> None:
    for task, steps in LADDERS.items():
        for name in steps:
            assert ((task, name) in ARMS or name in CEILINGS) and STEPS[task, name]


def test_prospects_by_hand(found: list[Loaders]) -> None:
    """One core decodes in twice the ceiling's time; the rest of the loader's time is serial."""
    geometric = [
        1e-6 * math.prod(TIMES[arm]) ** (1 / 3) for arm in ("ceiling-decode", "threaded-pack")
    ]
    ceiling, own = geometric
    eight, many, most = prospects(found)
    assert 1 / eight.images_per_second == pytest.approx(2 * ceiling / 8 + own - ceiling)
    assert 1 / most.images_per_second == pytest.approx(2 * ceiling / 128 + own - ceiling)
    assert (eight.cores, many.cores, most.cores) == (8, 32, 128)
    assert most.limit == "the loader's serial part"
    assert most.epoch_seconds == pytest.approx(1_281_167 / most.images_per_second)
    assert prospects([]) == []


def led() -> list[ClaimResult]:
    """Synthetic claims that lead to the arms that the real ones lead to."""
    known = {claim.id: claim.instead for claim in load_claims(CLAIMS).claim}
    return [replace(claim, instead=known.get(claim.id)) for claim in build().claims]


def test_claims_say_what_to_use_instead(found: list[Loaders]) -> None:
    told = instead(found, led())
    assert told["C01"].startswith("`ThreadedLoader(DecodedImages)`: 4.0")
    assert "C17" not in told, "raw was not measured"
    assert study_record(replace(build(), loaders=found, claims=led()))["instead"] == told


def test_who_is_advised_to_decode_once_is_led_to_no_loader_that_decodes() -> None:
    told = {one.id: one for one in load_claims(CLAIMS).claim}
    assert "decode once" in told["C04"].advice
    assert {(told[name].instead or ("",))[0] for name in ("C04", "C06")} == {"raw"}
    assert told["C15"].instead is None, "no arm keeps pixels and crops them"


def test_every_claim_is_led_to_a_class() -> None:
    for task, name, usual in filter(None, (one.instead for one in load_claims(CLAIMS).claim)):
        assert (task, usual) in ARMS
        uses = ARMS[task, name].described()["uses"]
        assert uses and uses != "DataLoader"


@pytest.mark.parametrize(
    ("lines", "uses"),
    [
        ("ThreadedLoader(\n    DecodedImages('photos'), 64)", "ThreadedLoader(DecodedImages)"),
        ("data = CachedDataset(JpegDataset('photos'))\nThreadedLoader(data, 64)", "CachedDataset"),
        ("DataLoader(data, 64)  # no OldLoader(data)", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_class_of_a_program_is_one_that_it_calls(lines: str, uses: str) -> None:
    assert main_class(lines) == uses


@pytest.mark.slow
def test_page_and_figures(found: list[Loaders], tmp_path: Path) -> None:
    study: Study = replace(build(), loaders=found)
    (chart,) = loader_charts(study)
    assert chart.name == "loaders-decode" and len(chart.data) == 5
    with drawing_less():
        render(study, tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert 'id="instead"' in html and "threaded-pack" in html and "ThreadedLoader" in html
    assert (tmp_path / "figures" / "loaders-decode.svg").exists()
    assert json.loads((tmp_path / "ceilings.json").read_text())
    render(build(missing=True), tmp_path)
    assert 'id="instead"' not in (tmp_path / "index.html").read_text()
    assert not (tmp_path / "ceilings.json").exists()
    assert not (tmp_path / "figures" / "loaders-decode.svg").exists()


def test_every_decision_names_arms_that_exist() -> None:
    for question in QUESTIONS:
        arm: Any = ARMS[question.task, question.arm]  # type: ignore[index]
        assert (question.task, question.usual) in ARMS and arm.origin != "peer" and arm.code


def test_the_log_describes_an_arm_before_todays_code_does() -> None:
    seen = evidence()
    facts = ARMS["decode", "threaded-pack"].described() | {
        "about": "as it was",
        "uses": "OldLoader",
    }
    seen.machines[0].observations[-1]["arm"] = facts
    found = loaders(seen, 0.95)
    assert row(found, "threaded-pack").about == "as it was"
    assert instead(found, led())["C01"].startswith("`OldLoader`: 4.0")
