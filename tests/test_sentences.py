"""What the sentences of a card say of its cells."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from scripts.judging.claims import Claim, load_claims
from scripts.judging.model import Cell
from scripts.report.sentences import finding
from scripts.root import CLAIMS
from tests.synthetic_study import cell


def records(structure: str, start_method: str, copied: float) -> Cell:
    where = {"structure": structure, "start_method": start_method}
    return cell(where, copied, "for", quantity="amount", unit="% of its size",
                test="copied by each worker, arrays", counts=False)  # fmt: skip


def test_a_range_is_told_apart_by_the_levels_of_a_factor() -> None:
    """Else one that stays shared and one that is copied are a single "0.1 to 129"."""
    claim = next(one for one in load_claims(CLAIMS).claim if one.id == "C09")
    cells = [
        records(structure, method, copied)
        for structure, all_ in {
            "numpy-bytes": {"fork": 0.1, "forkserver": 99.5, "spawn": 100.2},
            "packed-tensor": {"fork": 0.1, "forkserver": 129.4, "spawn": 0.1},
        }.items()
        for method, copied in all_.items()
    ]
    told = finding(claim, cells, None).replace("\u00a0", " ")
    for part in (
        "array it holds 0.100 % of its size under fork.",
        "forkserver and spawn it holds 99.5 to 100 % of its size.",
        "tensor it holds 0.100 % of its size under fork and spawn.",
        "Under forkserver it reads 129 % of its size, which can include",
    ):
        assert part in told
    assert "the list of tuples" not in told, "what was not measured has no sentence"
    other = [replace(one, factors={"structure": "numpy-bytes"}) for one in cells]
    assert "tensor it holds" not in finding(claim, other, None)


@pytest.mark.parametrize("claim", load_claims(CLAIMS).claim, ids=lambda claim: claim.id)
def test_a_level_that_a_finding_names_is_one_of_the_suite(claim: Claim) -> None:
    named = re.findall(r"@(\w+)=!?([\w-]+)", claim.finding)
    known = {"structure": {"numpy-bytes", "packed-tensor"},
             "start_method": {"fork", "forkserver", "spawn"}}  # fmt: skip
    assert all(level in known[factor] for factor, level in named)
