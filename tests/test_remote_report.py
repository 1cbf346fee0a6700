"""Loaders over lines to an object store: the numbers by hand, the decision, the table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from datasets_impl.contest.registry import ARMS
from datasets_impl.factors import NAMES as FACTORS
from scripts.judging.claims import load_claims
from scripts.judging.evidence import Evidence, MachineResults
from scripts.judging.model import RemoteLine
from scripts.judging.noise import noise_floor
from scripts.judging.remote import remote
from scripts.report import figures
from scripts.report.instead import LINE, decisions, first_machine
from scripts.report.page import page
from scripts.root import CLAIMS
from tests.synthetic_study import build, drawing_less

TIMES = {  # microseconds per image, by round
    "dataloader-objects": [4000.0, 5000.0],
    "threaded-objects": [2000.0, 2500.0],
    "shards-ahead": [500.0, 625.0],
    "shards-ahead-again": [500.0, 625.0],
}
FURTHER = {  # what decisions lead to besides
    "cached-objects": [2000.0, 2500.0],
    "crops-ahead": [1000.0, 1250.0],
    "dataloader-object-crops": [5000.0, 6250.0],
}
COUNTED = {
    "first_batch_seconds": 0.25,
    "us_after_first": 400.0,
    "requests_per_image": 0.0625,
    "bytes_per_image": 38_000.0,
    "share_of_line": 0.5,
}


def evidence(machine: str = "bench-a", times: dict[str, list[float]] = TIMES) -> Evidence:
    rows, log = [], []
    for latency in (20, 100):
        for name, samples in times.items():
            levels = {
                "n": 2048, "px": 256, "bandwidth": 250, "latency_ms": latency, "impl": name,
            }  # fmt: skip
            late = [each * latency / 20 for each in samples]
            rows.append(
                dict.fromkeys(FACTORS)
                | levels
                | {
                    "machine": machine, "benchmark": "remote.OverALine",
                    "name": "remote.OverALine.track_remote", "metric": "remote", "unit": "us",
                    "q25": None, "q75": None, "repeat": 2, "samples": late,
                    "median": sum(late) / 2, "status": "ok", "reason": None,
                }
            )  # fmt: skip
            arm = ARMS["remote", name.removesuffix("-again")]
            log.append(
                {"benchmark": "remote.OverALine", "factors": levels, "value": 1.0,
                 "arm": arm.described(), "setting": arm.settings[0], **COUNTED}
            )  # fmt: skip
    few = {"n": 64, "px": 256, "impl": "shards-ahead"}
    log.append({"benchmark": "remote.Costs", "factors": few, "value": 2.4, "mean_difference": 0.0})
    machines = [MachineResults(machine, "0" * 40, {}, {}, log, sampled=True)]
    return Evidence(pd.DataFrame(rows, dtype=object), machines)


@pytest.fixture
def found() -> list[RemoteLine]:
    return remote(evidence(), 0.95)


def test_arms_are_ranked_on_each_line(found: list[RemoteLine]) -> None:
    assert [(line.latency_ms, line.bandwidth) for line in found] == [(20, 250), (100, 250)]
    first = found[0]
    assert [row.arm for row in first.rows] == [
        "shards-ahead", "threaded-objects", "dataloader-objects",
    ]  # fmt: skip
    best = first.rows[0]
    assert best.images_per_second == pytest.approx(1e6 / (500 * 625) ** 0.5)
    assert best.low is not None and best.low < best.images_per_second < (best.high or 0)
    assert (best.share_of_line, best.requests_per_image, best.mean_difference) == (0.5, 0.0625, 0)
    assert first.rows[1].mean_difference is None
    assert best.uses == "ThreadedLoader(ShardsAhead)"


def test_what_the_log_does_not_tell_is_left_out() -> None:
    seen = evidence()
    seen.machines[0].observations[0].pop("share_of_line")
    assert [row.arm for row in remote(seen, 0.95)[0].rows] == ["shards-ahead", "threaded-objects"]
    seen.machines[0].observations.clear()
    assert remote(seen, 0.95) == []


def test_the_second_name_is_an_a_a_pair() -> None:
    noise = noise_floor(evidence().cells, load_claims(CLAIMS).rules)
    assert (noise.cells, noise.false_alarms) == (2, 0)


def test_the_decision_ends_in_a_class_and_its_code(found: list[RemoteLine]) -> None:
    assert LINE == (20, 250)
    made = decisions([], found)
    best, many = (one for one in made if one.gain)
    assert not best.advice and {one.arm for one in made if not one.gain} == {
        "cached-objects", "crops-ahead"
    }  # fmt: skip
    assert (best.take, many.take) == (
        "ThreadedLoader(ShardsAhead)", "ThreadedLoader(DecodedImages)",
    )  # fmt: skip
    assert best.gain.startswith("8.0") and many.gain.startswith("2.0")
    assert best.usual == many.usual == "DataLoader over s3fs"
    assert "ShardsAhead(DecodedImages(pack))" in best.code
    assert decisions([], found[1:]) == [], "another line was measured"


def test_every_decision_for_an_object_store_has_its_number() -> None:
    """Crops beside the usual way to crops."""
    made = decisions([], remote(evidence(times=TIMES | FURTHER), 0.95))
    gains = {one.arm: one.gain[:3] for one in made}
    assert gains == {
        "cached-objects": "2.0", "shards-ahead": "8.0", "threaded-objects": "2.0",
        "crops-ahead": "5.0",
    }  # fmt: skip
    assert not any(one.advice for one in made)
    usual = {one.arm: one.usual for one in made}
    assert "crops" in usual["crops-ahead"] and "crops" not in usual["shards-ahead"]


@pytest.mark.slow
def test_the_page_shows_every_line() -> None:
    both: Any = [*remote(evidence(), 0.95), *remote(evidence("bench-b"), 0.95)]
    study = replace(build(machines=2), remote=both)
    assert {line.machine for line in first_machine(study.remote)} == {"bench-a"}
    with drawing_less():
        html = page(study, figures.build(study), "")
    assert 'id="remote"' in html and "100 ms, 250 MB/s" in html
    assert html.count("Loaders over 2 lines") == 2
    assert "ThreadedLoader(ShardsAhead)" in html and 'href="#remote"' in html
    with drawing_less():
        assert 'id="remote"' not in page(build(), figures.build(build()), "")
