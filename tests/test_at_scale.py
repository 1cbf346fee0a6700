"""Estimates for many more images on many machines: by hand, as data, on the page."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from scripts.judging.at_scale import AtScale, at_scale
from scripts.judging.evidence import Evidence
from scripts.report import figures
from scripts.report.page import page
from scripts.report.record import study_record
from tests.measured_loaders import evidence
from tests.synthetic_study import build


def paper(jpeg_bytes: int = 30_000, reading: float = 200.0) -> AtScale:
    """From constants of 400 µs to convert, 200 to read and 100 to load."""
    px, count = 256, 2048
    names = {"ceiling-read-cold": reading, "threaded-pack": 100.0}
    own = evidence()
    rows = [
        row
        | {"impl": name, "samples": [us * each for each in (0.9, 1.0, 1.1)], "n": count, "px": px}
        for name, us in names.items()
        for row in own.cells.to_dict("records")[:1]
    ]
    samples = [400.0 * count / 1e3 * each for each in (0.9, 1.0, 1.1)]
    more = {"impl": "mapped-fixed", "benchmark": "startup.Construction", "samples": samples}
    rows.append(rows[0] | more)
    corpora = [{"resolution": px, "count": count, "total_bytes": jpeg_bytes * count}]
    facts = {"machine": {"ram_gb": 20.0, "threads": 2}, "corpora": corpora}
    machine = replace(own.machines[0], provenance=facts)
    table = pd.DataFrame(rows, dtype=object)
    found = at_scale(Evidence(table, [machine]), 0.95)
    assert found is not None
    assert at_scale(Evidence(table[:2], [machine]), 0.95) is None, "a constant is missing"
    assert at_scale(Evidence(table, [replace(machine, provenance={})]), 0.95) is None
    of_unknown = replace(machine, provenance={**facts, "machine": {"ram_gb": 20.0}})
    assert at_scale(Evidence(table, [of_unknown]), 0.95) is None, "how many cores, is not told"
    return found


def us(found: AtScale, name: str) -> float:
    (one,) = (one for one in found.constants if one.name == name)
    return one.us


def test_converting_on_paper_by_hand() -> None:
    found = paper()
    read, write, convert = (us(found, name) for name in ("reading", "writing", "converting"))
    assert (read, convert) == (pytest.approx(200, rel=0.01), pytest.approx(400, rel=0.01))
    assert write == pytest.approx(read * 3 * 256**2 / 30_000), "as fast as the store gives bytes"
    one, sixteen, many = found.converting[:3]
    assert [each.limit for each in (one, sixteen, many)] == ["writing"] * 3
    assert one.hours == pytest.approx(1_281_167 * write / 1e6 / 3600) == one.core_hours
    assert one.low < one.hours < one.high
    assert sixteen.hours == many.hours == one.hours
    assert many.core_hours == pytest.approx(256 * many.hours)
    assert sixteen.read == pytest.approx(16 / convert * 1e6 * 30_000 / 1e9)
    assert sixteen.written == pytest.approx(16 / convert * 1e6 * 3 * 256**2 / 1e9)


def test_the_first_limit_of_converting_is_the_slowest_step() -> None:
    """Of a JPEG that has more bytes than its pixels, of a fast store, and of the usual one."""
    larger, fast = paper(jpeg_bytes=300_000), paper(reading=10.0)
    assert [each.limit for each in larger.converting[:3]] == ["decoding", "reading", "reading"]
    assert [each.limit for each in fast.converting[:3]] == ["decoding", "writing", "writing"]
    one = fast.converting[0]
    assert one.hours == pytest.approx(1_281_167 * us(fast, "converting") / 1e6 / 3600)


def test_epochs_on_paper_by_hand() -> None:
    found = paper()
    rows = {(one.set, one.trainers): one for one in found.epochs}
    small, large = rows["ImageNet-1k", 8], rows["400 million", 256]
    assert (small.fits, small.limit) == (True, "decoding")
    assert small.seconds == pytest.approx(1_281_167 / 8 * us(found, "loading") / 1e6)
    assert small.share_gb == pytest.approx(1_281_167 * 30_000 / 8 / 1e9)
    assert small.core_hours == pytest.approx(small.seconds / 3600 * 8 * 2)
    assert small.first_limit == "reading"
    assert small.first_seconds == pytest.approx(1_281_167 * us(found, "reading") / 1e6)
    assert small.first_low < small.first_seconds < small.first_high
    assert (large.fits, large.limit, large.first_limit) == (False, "reading", "reading")
    assert large.first_seconds == large.seconds
    barely = rows["ImageNet-22k", 64]  # 6.65 GB, and an index of 0.34 GB
    assert barely.fits and not rows["ImageNet-22k", 8].fits
    fast = {(one.set, one.trainers): one for one in paper(reading=1.0).epochs}
    assert fast["ImageNet-1k", 8].first_limit == "decoding"
    assert fast["ImageNet-1k", 8].first_seconds == fast["ImageNet-1k", 8].seconds


@pytest.mark.slow
def test_the_estimates_are_shown_with_their_constants() -> None:
    study = replace(build(), at_scale=paper(reading=10.0))
    record = study_record(study)["at_scale"]
    assert [one["benchmark"] for one in record["constants"]]
    assert {one["limit"] for one in record["converting"]} == {"decoding", "writing"}
    assert "at_scale" not in study_record(build())
    html = page(study, figures.build(study), "")
    assert 'id="at-scale"' in html and "writing pixels to the store" in html
    assert "An epoch reads the JPEG bytes from a pack" in html and "core-hours" in html
    assert html.count("400 million") == 6
