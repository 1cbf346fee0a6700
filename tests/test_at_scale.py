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
from tests.synthetic_study import build
from tests.test_loaders_report import evidence


def paper() -> AtScale:
    """From constants of 400, 200 and 100 µs; a JPEG has 30,000 bytes."""
    px, count = 256, 2048
    names = {"ceiling-read-cold": 200.0, "threaded-pack": 100.0}
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
    corpora = [{"resolution": px, "count": count, "total_bytes": 30_000 * count}]
    facts = {"machine": {"ram_gb": 20.0}, "corpora": corpora}
    machine = replace(own.machines[0], provenance=facts)
    table = pd.DataFrame(rows, dtype=object)
    found = at_scale(Evidence(table, [machine]), 0.95)
    assert found is not None
    assert at_scale(Evidence(table[:2], [machine]), 0.95) is None, "a constant is missing"
    assert at_scale(Evidence(table, [replace(machine, provenance={})]), 0.95) is None
    return found


def test_converting_on_paper_by_hand() -> None:
    found = paper()
    read, convert = (one.us for one in sorted(found.constants, key=lambda one: one.us)[1:])
    assert (read, convert) == (pytest.approx(200, rel=0.01), pytest.approx(400, rel=0.01))
    one, sixteen, many = found.converting[:3]
    assert (one.workers, one.limit) == (1, "decoding")
    assert one.hours == pytest.approx(1_281_167 * convert / 1e6 / 3600) == one.core_hours
    assert one.low < one.hours < one.high
    assert (sixteen.limit, many.limit) == ("store", "store")
    assert sixteen.hours == many.hours == pytest.approx(1_281_167 * read / 1e6 / 3600)
    assert many.core_hours == pytest.approx(256 * many.hours)
    assert sixteen.read == pytest.approx(16 / convert * 1e6 * 30_000 / 1e9)
    assert sixteen.written == pytest.approx(16 / convert * 1e6 * 3 * 256**2 / 1e9)


def test_epochs_on_paper_by_hand() -> None:
    found = paper()
    rows = {(one.set, one.trainers): one for one in found.epochs}
    small, large = rows["ImageNet-1k", 8], rows["400 million", 256]
    assert (small.fits, small.limit) == (True, "decoding")
    assert small.seconds == pytest.approx(1_281_167 / 8 * min(c.us for c in found.constants) / 1e6)
    assert small.share_gb == pytest.approx(1_281_167 * 30_000 / 8 / 1e9)
    assert (large.fits, large.limit) == (False, "store")
    barely = rows["ImageNet-22k", 64]  # 6.65 GB, and an index of 0.34 GB
    assert barely.fits and not rows["ImageNet-22k", 8].fits


@pytest.mark.slow
def test_the_estimates_are_shown_with_their_constants() -> None:
    study = replace(build(), at_scale=paper())
    record = study_record(study)["at_scale"]
    assert [one["benchmark"] for one in record["constants"]]
    assert {one["limit"] for one in record["converting"]} == {"decoding", "store"}
    assert "at_scale" not in study_record(build())
    html = page(study, figures.build(study), "")
    assert 'id="at-scale"' in html and "the one store that all read from" in html
    assert html.count("400 million") == 6
