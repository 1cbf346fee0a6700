"""Two diagnoses side by side, and conditions under which the command fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_impl.doctor import __main__ as command
from datasets_impl.doctor.__main__ import main
from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.told import write
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.comparing import compared, read_diagnosis, verdict
from datasets_impl.doctor.report.conditions import Condition
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.model import Diagnosis, Found, Part, Step
from datasets_impl.errors import BadArgument, StudyError

NOTHING = diagnose("x", Heard({}))


def diagnosis(us: float = 100.0, spread: float = 0.01, **fields: Any) -> Diagnosis:
    """One whose loader takes `us` a sample, in five rounds."""
    rounds = [us * (1 + spread * one) for one in (-2, -1, 0, 1, 2)]
    known = {"own_us": us, "own_rounds": rounds, "total_us": us, "dataset": "Photos"}
    return NOTHING.model_copy(update=known | fields)


def hazard(name: str) -> Found:
    return Found(
        kind="wrong", name=name, title=name.capitalize(), evidence="", remedy="", lines="",
        claim="", places=[],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (50.0, "Faster: 2.00 times as fast"),
        (200.0, "Slower: a sample takes 2.00 times as long"),
        (100.5, "No difference that is certain"),
    ],
)
def test_what_changed_is_said_with_its_interval(after: float, said: str) -> None:
    one = compared(diagnosis(), diagnosis(after))
    assert verdict(one).startswith(said)
    assert one.low is not None and one.high is not None and one.low < 100 / after < one.high


def test_without_rounds_there_is_no_interval() -> None:
    one = compared(diagnosis(own_rounds=[]), diagnosis(50.0))
    assert (one.low, one.high) == (None, None) and "too few rounds" in verdict(one)
    assert "cannot be said" in verdict(compared(diagnosis(own_us=None), diagnosis()))


@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(gain: float) -> None:
    """Of 200 comparisons 10 are expected to miss it."""
    draw = np.random.default_rng(5)
    missed = 0
    for _ in range(200):
        before = diagnosis(own_rounds=np.exp(draw.normal(0, 0.1, 5)).tolist())
        after = diagnosis(own_rounds=np.exp(draw.normal(-np.log(gain), 0.1, 5)).tolist())
        one = compared(before, after)
        assert one.low is not None and one.high is not None
        missed += not one.low <= gain <= one.high
    assert 2 <= missed <= 22


def test_findings_that_went_and_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, findings in (("before", ["frozen", "both"]), ("after", ["both", "stale"])):
        found = diagnosis(findings=[hazard(one) for one in findings])
        (tmp_path / f"{name}.json").write_text(found.model_dump_json())
    assert main(["--compare", *(str(tmp_path / f"{one}.json") for one in ("before", "after"))]) == 0
    said = capsys.readouterr().out
    assert said.index("Gone") < said.index("Frozen") < said.index("New") < said.index("Stale")
    assert "Both" not in said


def test_settings_that_changed_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"num_workers": 0, "batch_size": 8}
    for name, workers in (("a", 0), ("b", 4)):
        found = diagnosis(settings=settings | {"num_workers": workers})
        (tmp_path / name).write_text(found.model_dump_json())
    assert main(["--compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "Other settings: num_workers 0 -> 4." in capsys.readouterr().out


@pytest.mark.parametrize(("gil", "recommended"), [(None, True), (0.8, False)])
def test_threads_are_not_advised_beside_a_step_that_keeps_the_gil(
    gil: float | None, recommended: bool
) -> None:
    own = [100.0, 101.0, 99.0, 100.0]
    one = {"name": "threads-trainer", "title": "", "lines": "", "claim": "", "cost": "",
           "caution": "", "once_seconds": 0.0, "beside": own,
           "blocks": [50.0, 51.0, 49.0, 50.0], "workers": 0, "whole": False}  # fmt: skip
    heard = Heard({"tried": {"own": own, "samples": 10, "remedies": [one]}})
    (told,) = diagnose("x", heard, 5.0, gil).remedies
    assert told.recommended is recommended and ("keeps the GIL 80%" in told.caution) is bool(gil)


def _written(path: Path, **edited: Any) -> Path:
    """A diagnosis that somebody has edited."""
    path.write_text(json.dumps(json.loads(diagnosis().model_dump_json()) | edited))
    return path


@pytest.mark.filterwarnings("error")
def test_times_of_a_clock_that_stood_still_have_no_interval() -> None:
    assert compared(diagnosis(own_rounds=[0.0, 1.0, 2.0]), diagnosis()).low is None


def test_a_file_that_the_doctor_did_not_write_is_refused(tmp_path: Path) -> None:
    for text in ("", "{}", "[]", '{"target": 5}', "\x00"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(StudyError, match="that --out wrote"):
            read_diagnosis(tmp_path / "a.json")
    for us in (float("nan"), float("inf"), -1.0):
        with pytest.raises(StudyError, match="see its field own_us"):
            read_diagnosis(_written(tmp_path / "c.json", own_us=us))
        with pytest.raises(StudyError, match=r"see its field own_rounds\.0"):
            read_diagnosis(_written(tmp_path / "c.json", own_rounds=[us]))
    with pytest.raises(StudyError, match="No such file"):
        read_diagnosis(tmp_path / "b.json")
    with pytest.raises(StudyError):
        read_diagnosis(tmp_path)


STEP = Step(step_ms=5, batch_ms=10, workers=0, batch_size=4, waits=0.3, fine=False, remedy="",
            waits_then=None)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("waits>10%", True),
        ("waits > 30 %", False),
        ("us>99", True),
        ("us>100", False),
        ("hazards>0", True),
        ("hazards>1", False),
        ("decoding>50%", True),
        ("decoding>70%", False),
        ("reading>0%", False),
        ("parsing JSON>20%", True),
        ("Parsing json>30%", False),
    ],
)
def test_a_condition_holds_or_not(text: str, fails: bool) -> None:
    found = diagnosis(
        step=STEP,
        findings=[hazard("frozen")],
        parts=[
            Part(cause="decoding", us=70, share=0.7),
            Part(cause="parsing JSON", us=30, share=0.3),
        ],
    )
    assert bool(Condition.of(text).failed(found)) is fails


@pytest.mark.parametrize(("after", "fails"), [(120.0, True), (104.0, False), (50.0, False)])
def test_slower_is_judged_by_the_surer_end(after: float, fails: bool) -> None:
    one = compared(diagnosis(), diagnosis(after))
    assert bool(Condition.of("slower>5%").failed_between(one)) is fails


@pytest.mark.parametrize("text", ["waits>10%", "slower>1%", "reading>1%"])
def test_a_condition_without_its_value_is_an_error(text: str) -> None:
    with pytest.raises(StudyError, match="--fail-if"):
        Condition.of(text).failed(diagnosis())


@given(st.text(max_size=20))
def test_nonsense_is_no_condition(text: str) -> None:
    try:
        assert Condition.of(text).limit >= 0
    except BadArgument as error:
        assert "waits>10%" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        ["x", "--fail-if", "nothing>3"],
        ["x", "--fail-if", "waits"],
        ["x", "--fail-if", "waits>10%"],
        ["x", "--fail-if", "slower>5%"],
        ["x", "--fail-if", "us>50%"],
        ["x", "--fail-if", "hazards>0%"],
        ["x", "--fail-if", f"us>{'9' * 400}"],
        ["x:y", "--out", "folder", "--svg", "folder/index.html"],
        ["x", "--beside", "missing.json"],
        ["--compare", "missing.json", "missing.json"],
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "examine", lambda *_: pytest.fail("it began to measure"))
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "unused",
    [["--out", "x"], ["--svg", "x"], ["--step-ms", "5"], ["--kwargs", "{}x"], ["--budget", "20"]],
)
def test_no_option_is_passed_over_in_a_comparison(
    unused: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [str(_written(tmp_path / name)) for name in "ab"]
    with pytest.raises(SystemExit, match="2"):
        main(["--compare", *both, *unused])
    assert f"{unused[0]} goes with a TARGET" in capsys.readouterr().err


def test_arguments_for_a_folder_of_pictures_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), "--kwargs", '{"size": 3}'])
    assert "not with a folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["x", "--compare", "a", "b"]])
def test_a_target_or_two_files_are_needed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "TARGET" in capsys.readouterr().err


def test_where_nothing_could_be_looked_at_no_hazard_is_not_said() -> None:
    condition = Condition.of("hazards>0")
    assert condition.failed(diagnosis()) == ""
    with pytest.raises(StudyError, match="takes samples that can be looked at"):
        condition.failed(NOTHING)


def test_the_command_fails_where_a_condition_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, us in (("a", 100.0), ("b", 300.0)):
        (tmp_path / name).write_text(diagnosis(us).model_dump_json())
    both = ["--compare", str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*both, "--fail-if", "slower>5%"]) == 1
    assert "failed: slower>5%" in capsys.readouterr().err
    assert main([*both, "--fail-if", "slower>500%"]) == 0


def test_the_step_comes_from_a_watched_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = {"own": [1000.0], "samples": 9, "remedies": []}
    monkeypatch.setattr(command, "examine", lambda *_: Heard({"tried": timed}))
    record = Record("any")
    for _ in range(3):
        record.steps.add(0.0125)
    write(tmp_path / "watch.json", [record])
    assert main(["x:y", "--beside", str(tmp_path / "watch.json")]) == 0
    assert "Step 12.5 ms" in capsys.readouterr().out
