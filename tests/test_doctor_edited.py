"""What was written and then edited by somebody is refused in a sentence with its file and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.doctor.__main__ import main
from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.told import write
from datasets_impl.doctor.report.comparing import compared, verdict
from datasets_impl.doctor.report.model import Ceiling, Part, Start
from tests.test_doctor_compare import STEP, diagnosis, hazard

NONSENSE = (None, "text", float("nan"), float("inf"), -1, 10**400, True, [], {}, [[1]], {"a": {}})
FIELDS = ("target", "kinds", "sample_bytes", "settings", "parts.0.us", "parts.0.share", "own_us",
          "own_rounds.1", "findings.0.kind", "findings.0.places", "ceiling.us", "room.memory",
          "step.batch_ms", "before_first.0.seconds", "schema_version", "own_rounds", "findings",
          "step", "unknown")  # fmt: skip
MAY_BE_LEFT_OUT = ("own_rounds", "unknown", "schema_version", "memory")
FITS = {
    "target": [1],
    "settings": [8, 10],
    "ceiling": [0],
    "step": [0],
    "schema_version": [6],
    "findings": [7],
    "findings.0.places": [7],
    "own_rounds": [7],
    "kinds": [7],
    "own_us": [0],
}


def test_every_field_that_somebody_spoilt_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = diagnosis(
        step=STEP,
        findings=[hazard("frozen")],
        parts=[Part(cause="decoding", us=70, share=0.7)],
        ceiling=Ceiling(us=1, of="x", cores=2, times=None),
        before_first=[Start(part="a", seconds=1, each_epoch=False)],
        room={"memory": 5},
    )
    good = tmp_path / "good.json"
    good.write_text(diagnosis().model_dump_json())
    for field in FIELDS:
        *above, last = field.split(".")
        spoilt = [one for at, one in enumerate(NONSENSE) if at not in FITS.get(field, [])]
        for value in (*spoilt, "left out"):
            edited: Any = json.loads(whole.model_dump_json())
            place = edited
            for step in above:
                place = place[int(step) if step.isdecimal() else step]
            if value == "left out" and isinstance(place, dict):
                place.pop(last, None)
            else:
                place[int(last) if last.isdecimal() else last] = value
            bad = tmp_path / "bad.json"
            bad.write_text(json.dumps(edited))
            code = main(["--compare", str(good), str(bad)])
            said = capsys.readouterr().err
            if value == "left out" and last in (
                "own_rounds",
                "unknown",
                "schema_version",
                "memory",
            ):
                assert code == 0
                continue
            assert code == 2 and len(said.splitlines()) == 1, (field, value, said)
            assert "bad.json: see its field " + field.partition(".")[0] in said, (field, value)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"target": "\\ud800"}', '{"target": 1' + "0" * 5000 + "}", "\xff"]
)
def test_what_is_no_json_is_one_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text(text)
    bad = str(tmp_path / "bad.json")
    assert main(["--compare", bad, bad]) == 2
    assert main(["x:y", "--beside", bad]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.filterwarnings("error")
def test_times_beyond_all_measure_give_no_gain() -> None:
    least, most = diagnosis(5e-324, 0.0), diagnosis(1e17, 0.0)
    for one in (compared(least, most), compared(most, least)):
        assert "cannot be said" in verdict(one)


@pytest.mark.parametrize(
    ("field", "value"),
    [("median_ms", "1e17"), ("count", "true"), ("count", "-3"), ("batch_bytes", "1e400"),
     ("waits", "1.5"), ("batch_size", '"8"'), ("notes", "{}")],
)  # fmt: skip
def test_a_watched_loop_that_somebody_edited_is_refused(
    field: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record("any")
    for times in (record.steps, record.waits):
        times.add(0.0125)
    path = tmp_path / "watch.json"
    write(path, [record])
    text, many = re.subn(rf'("{field}": )[^,\]}}]+(\s*\])?', rf"\g<1>{value}", path.read_text())
    assert many
    path.write_text(text)
    assert main(["x:y", "--beside", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said and len(said.splitlines()) == 1
    assert "longer than a day" in said if field == "median_ms" else field in said
