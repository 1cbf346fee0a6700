"""What the study prints at its end: the answer first, whole at every width."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.report import terminal
from scripts.report.model import Study
from scripts.report.record import study_record
from scripts.report.reference import differences
from tests.shown import in_a_terminal
from tests.synthetic_study import IDS


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_terminal_answers_first_and_cuts_nothing(
    study: Study, tmp_path: Path, columns: int
) -> None:
    shown = in_a_terminal(study, tmp_path, columns)
    lines = shown.splitlines()
    assert max(len(line) for line in lines) <= columns
    assert all(any(line.startswith(name) for line in lines) for name in IDS)
    assert "\u2026" not in shown
    flat = re.sub(r"\s+", "", shown)
    assert all(re.sub(r"\s+", "", claim.title) in flat for claim in study.claims) or columns < 160
    places = [flat.find(re.sub(r"\s+", "", part)) for part in (
        f"{study.points[0].text} [C13]", "claimverdict" if columns > 99 else "idclaim",
        "Undecided, and what would decide it", "Images: bundled photographs", "Report: index.html",
        "make doctor TARGET=",
    )]  # fmt: skip
    assert -1 not in places and places == sorted(places)
    assert "(naive/preloaded)" in flat or columns < 160, "an effect has its subject"


def test_the_terminal_says_where_the_committed_results_differ_and_why(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study_record(study)
    first, second = record["claims"][0], record["claims"][5]
    first["verdict"] = second["verdict"] = "conditional"
    first["cells"]["total"] += 9
    record["machines"][0]["name"] = "elsewhere"
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    total = study.claims[0].cells.total
    assert differences(study, path) == [
        f"C01: supported here, conditional in the committed results; the {study.profile} profile "
        f"has {total} of its {total + 9} cells.",
        "C06: supported here, conditional in the committed results; bench-a is another machine "
        "than elsewhere.",
    ]
    monkeypatch.setattr(terminal, "REFERENCE", path)
    assert "Other than the committed results" in in_a_terminal(study, tmp_path)
    for text in ("{", "[]", '{"claims": [1], "machines": []}'):
        path.write_text(text, encoding="utf-8")
        assert differences(study, path) == []
    assert differences(study, tmp_path / "absent.json") == []
