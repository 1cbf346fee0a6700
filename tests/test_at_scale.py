"""Estimates for many more images on many machines: by hand, as data, on the page."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from scripts.judging.at_scale import DISK, AtScale, at_scale
from scripts.judging.evidence import Evidence
from scripts.report import figures
from scripts.report.model import Study
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
    convert = us(found, "converting")
    assert convert == pytest.approx(400, rel=0.01)
    assert {one.name for one in found.constants} == {"converting", "reading", "loading"}
    rows = {(one.set, one.store, one.workers): one for one in found.converting}
    assert len(rows) == 3 * 4 * 3
    one = rows["ImageNet-1k", DISK, 1]
    assert one.limit == "processors", "as measured, with what one worker wrote"
    assert one.hours == pytest.approx(1_281_167 * convert / 1e6 / 3600) == one.core_hours
    assert one.low < one.hours < one.high
    sixteen, most = rows["ImageNet-1k", "1 GB/s", 16], rows["ImageNet-1k", "100 GB/s", 256]
    assert sixteen.limit == "writing"
    assert sixteen.hours == pytest.approx(1_281_167 * 3 * 256**2 / 1e9 / 3600)
    assert sixteen.low == sixteen.hours == sixteen.high, "a stated speed has no interval"
    assert sixteen.core_hours == pytest.approx(16 * sixteen.hours)
    assert sixteen.read == pytest.approx(16 / convert * 1e6 * 30_000 / 1e9)
    assert sixteen.written == pytest.approx(16 / convert * 1e6 * 3 * 256**2 / 1e9)
    assert most.limit == "writing" and most.written > 100
    assert rows["ImageNet-1k", "10 GB/s", 16].limit == "processors"


def test_more_workers_are_never_slower_and_one_is_as_fast_as_measured_on_each_store() -> None:
    for found in (paper(), paper(jpeg_bytes=300_000), paper(reading=10.0)):
        for one in found.converting:
            at_best = one.images * us(found, "converting") / one.workers / 1e6 / 3600
            assert one.hours >= at_best * 0.999
            assert (one.limit == "processors") == (one.hours <= at_best * 1.001)
            if one.workers == 1 and one.store != DISK:
                assert one.limit == "processors"


def test_a_disk_gives_what_was_read_of_it_and_takes_what_was_written_to_it() -> None:
    """Of a JPEG that has more bytes than its pixels, too, reading limits."""
    for found, limit in ((paper(), "writing"), (paper(reading=500.0), "reading")):
        disk, *others = found.stores
        assert disk.gives == pytest.approx(30_000 / us(found, "reading") / 1e3)
        assert disk.takes == pytest.approx(3 * 256**2 / us(found, "converting") / 1e3)
        assert [(one.gives, one.takes) for one in others] == [(1, 1), (10, 10), (100, 100)]
        (sixteen,) = (
            one for one in found.converting[:12] if (one.store, one.workers) == (DISK, 16)
        )
        assert sixteen.limit == limit and sixteen.low < sixteen.hours < sixteen.high
    larger = {(one.store, one.workers): one for one in paper(jpeg_bytes=300_000).converting[:12]}
    assert larger["1 GB/s", 256].limit == "reading"


def test_epochs_on_paper_by_hand() -> None:
    found = paper()
    rows = {(one.set, one.store, one.trainers): one for one in found.epochs}
    small, large = rows["ImageNet-1k", DISK, 8], rows["400 million", DISK, 256]
    assert (small.fits, small.limit) == (True, "processors")
    assert small.seconds == pytest.approx(1_281_167 / 8 * us(found, "loading") / 1e6)
    assert small.share_gb == pytest.approx(1_281_167 * 30_000 / 8 / 1e9)
    assert small.core_hours == pytest.approx(small.seconds / 3600 * 8 * 2)
    assert small.read == pytest.approx(8 / us(found, "loading") * 1e6 * 30_000 / 1e9)
    assert small.first_limit == "reading"
    assert small.first_seconds == pytest.approx(1_281_167 * us(found, "reading") / 1e6)
    assert small.first_low < small.first_seconds < small.first_high
    assert (large.fits, large.limit, large.first_limit) == (False, "reading", "reading")
    assert large.first_seconds == large.seconds
    assert rows["400 million", "1 GB/s", 256].seconds == pytest.approx(4e8 * 30_000 / 1e9)
    assert rows["400 million", "100 GB/s", 256].limit == "processors"
    barely = rows["ImageNet-22k", DISK, 64]  # 6.65 GB, and an index of 0.34 GB
    assert barely.fits and not rows["ImageNet-22k", DISK, 8].fits
    fast = {(one.set, one.store, one.trainers): one for one in paper(reading=1.0).epochs}
    assert fast["ImageNet-1k", DISK, 8].first_limit == "processors"
    assert fast["ImageNet-1k", DISK, 8].first_seconds == fast["ImageNet-1k", DISK, 8].seconds


@pytest.mark.slow
def test_the_estimates_are_shown_with_their_constants(study: Study, drawn: figures.Figures) -> None:
    study = replace(study, at_scale=paper(reading=10.0))
    record = study_record(study)["at_scale"]
    assert [one["benchmark"] for one in record["constants"]]
    assert {one["limit"] for one in record["converting"]} == {"processors", "writing"}
    assert {one["name"] for one in record["stores"]} == {one.name for one in paper().stores}
    assert "at_scale" not in study_record(build())
    html = page(study, drawn, "")
    assert 'id="at-scale"' in html and "writing" in html
    assert "An epoch reads the JPEG bytes from a pack" in html and "core-hours" in html
    assert html.count("400 million") == 2 * len(paper().stores), "a row for each store"
