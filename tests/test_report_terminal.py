"""What the study prints at its end: the answer first, whole at every width."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.judging.model import Effect
from scripts.report import terminal
from scripts.report.model import Study
from scripts.report.record import study_record
from scripts.report.reference import differences
from tests.shown import in_a_terminal
from tests.synthetic_study import IDS, MACHINES, cell


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


def test_a_headline_that_is_a_word_gives_way_to_the_count_of_cells(study: Study) -> None:
    """As in the README; a headline with a number of its own stays."""
    cells = [
        cell({"mix": str(at)}, 1.0, "for" if at < 3 else "against", quantity="value",
             machine=machine, reading="refused")
        for machine in MACHINES for at in range(4)
    ]  # fmt: skip
    effect = Effect("outcome of mixed shapes", ["mapped"], 1.0, None, None, "value", {}, "refused")
    claim = replace(study.claims[0], effect=effect, evidence=cells)
    assert terminal.effect_text(claim) == "3 of 4 cells for it (outcome of mixed shapes)"
    counted = replace(claim, effect=replace(effect, reading="1 of 20"))
    assert terminal.effect_text(counted) == "1 of 20 (outcome of mixed shapes)"


def test_the_terminal_says_where_the_committed_results_differ_and_why(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study_record(study)
    first, second = record["claims"][0], record["claims"][5]
    first["verdict"] = second["verdict"] = "conditional"
    total = study.claims[0].cells.total
    more = [cell | {"machine": "elsewhere"} for cell in first["evidence"]]
    first["evidence"] = [*more, *more[:1], *first["evidence"]]  # of another machine, one cell more
    record["machines"][0]["name"] = "elsewhere"
    record["claims"][1]["verdict"] = "inconclusive"
    opened = next(one for one in record["claims"] if one["verdict"] == "not tested")
    opened["verdict"] = "supported"
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    told = differences(study, path)
    assert told[:2] == [
        f"C01: supported here, conditional in the committed results; the {study.profile} profile "
        f"measured {total} of the {total + 1} cells of a machine.",
        "C06: supported here, conditional in the committed results; bench-a is another machine "
        "than elsewhere.",
    ]
    assert told[3:] == [f"Decided in the committed results alone: {opened['id']}."]
    assert told[2].startswith("Decided here alone: C02"), "what is open in one of them is named"
    monkeypatch.setattr(terminal, "REFERENCE", path)
    assert "Other than the committed results" in in_a_terminal(study, tmp_path)
    # A name within another's is another machine; the same one is compared with itself.
    record["machines"][0]["name"] = "bench-a-2"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert "bench-a is another machine than bench-a-2." in differences(study, path)[1]
    record["machines"].append({"name": "bench-a"})
    second["by_machine"] = {"bench-a": "challenged", "bench-a-2": "supported"}
    path.write_text(json.dumps(record), encoding="utf-8")
    found = [one for one in differences(study, path) if one.startswith("C0")]
    assert found == [
        "C06: supported here, challenged in the committed results; the rounds differ."
    ], "the other machine's cells are not those of this one"
    for text in ("{", "[]", '{"claims": [1], "machines": []}'):
        path.write_text(text, encoding="utf-8")
        assert differences(study, path) == []
    assert differences(study, tmp_path / "absent.json") == []
