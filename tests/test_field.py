"""Published figures with ours beside them, from synthetic evidence whose answer is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest

from datasets_impl.factors import NAMES as FACTORS
from scripts.judging.field import compared
from scripts.judging.model import Reason
from scripts.report.field import FIGURES, field_rows
from scripts.report.model import FieldRow
from scripts.report.record import FieldRecord
from scripts.report.surroundings import skips_of

SPDL, TRANSPORT, DECODERS, COPIES, RAW = range(5)
NOISE = (0.99, 1.01, 1.0, 0.995, 1.005, 1.0)


def row(benchmark: str, metric: str, value: float, **factors: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(FACTORS), "machine": "lab", "benchmark": benchmark, "metric": metric,
        "unit": "us", "samples": [value * x for x in NOISE], "median": value, "status": "ok",
        "reason": None, **factors,
    }  # fmt: skip


def told(text: str) -> Reason:
    return Reason("logged", (text,))


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    columns = [*FACTORS, "machine", "benchmark", "metric", "samples", "median", "status", "reason"]
    return pd.DataFrame(list(rows), columns=columns, dtype=object)


def found(which: int, rows: Iterable[dict[str, Any]], log: Any = ()) -> FieldRow:
    return field_rows(compared(table(rows), list(log), 0.95))[which]


def workers(epoch: dict[int, float], first: dict[int, float]) -> list[dict[str, Any]]:
    at = {"n": 1000, "px": 256, "impl": "naive"}
    return [
        row(f"{topic}.{'ManyWorkers' if count > 4 else 'ByWorkers'}", metric, value,
            workers=count, **at)
        for topic, metric, levels in (("epoch", "epoch", epoch), ("startup", "first_batch", first))
        for count, value in levels.items()
    ]  # fmt: skip


def test_without_evidence_every_row_says_what_it_needs() -> None:
    rows = field_rows(compared(table([]), [], 0.95))
    assert len(rows) == len(FIGURES) == 5
    assert {one.agreement for one in rows} == {"not measured"}
    assert all(one.because.startswith("Needs ") and one.claim for one in rows)
    assert set(vars(rows[0])) == set(FieldRecord.model_fields)


def test_workers_whose_start_costs_more_than_they_gain() -> None:
    one = found(SPDL, workers({1: 1000, 4: 500, 16: 500}, {1: 100, 4: 200, 16: 3000}))
    # 0.5 ms and 0.2 ms an image against 0.5 ms and 3 ms
    assert one.agreement == "agrees"
    assert "most images/s with 4 workers" in one.ours
    assert "5.0\u00d7" in one.ours and "30.0\u00d7" in one.ours


def test_workers_that_go_on_helping_differ() -> None:
    one = found(SPDL, workers({1: 1000, 4: 500, 16: 100}, {1: 100, 4: 101, 16: 102}))
    assert one.agreement == "differs" and "not seen" in one.because


def test_few_workers_are_no_answer() -> None:
    one = found(SPDL, workers({1: 1000, 2: 500, 4: 500}, {1: 1, 2: 2, 4: 4}))
    assert one.agreement == "not measured"


def sent(numpy: float, tensor: float, **more: Any) -> list[dict[str, Any]]:
    at = {"kib": 32768, "workers": 1, **more}
    rows = [
        row("transport.BySize", "transport", value, carrier=carrier, **at)
        for carrier, value in (("numpy", numpy), ("tensor", tensor))
    ]
    rows[1]["samples"].reverse()  # noise of its own, so that the ratio has an interval
    return rows


def test_transport_in_megabytes_a_second() -> None:
    one = found(TRANSPORT, sent(40_000, 10_000))
    assert "NumPy 839 MB/s, tensor 3,355 MB/s" in one.ours
    assert one.agreement == "agrees" and "4.0\u00d7" in one.because


@pytest.mark.parametrize(
    ("numpy", "tensor", "why"),
    [
        (10_000, 40_000, "the other way round"),
        (100_000, 10_000, "beyond 1.5 times"),
        (10_010, 10_000, "does not exclude"),
    ],
)
def test_transport_that_differs_says_how(numpy: float, tensor: float, why: str) -> None:
    one = found(TRANSPORT, sent(numpy, tensor))
    assert one.agreement == "differs" and why in one.because


def test_other_sizes_and_the_trainer_itself_are_not_transport() -> None:
    assert found(TRANSPORT, sent(4, 1, kib=12)).agreement == "not measured"
    assert found(TRANSPORT, sent(4, 1, workers=0)).agreement == "not measured"


def test_decoders_at_the_largest_size_both_were_measured_at() -> None:
    rows = [
        row("item.ByImplementation", "item", value, impl=impl, px=px)
        for impl, px, value in (
            ("naive", 256, 500), ("decode-image", 256, 480), ("naive", 512, 1500),
            ("decode-image", 512, 1000), ("naive", 1024, 9000),
        )
    ]  # fmt: skip
    one = found(DECODERS, rows)
    assert one.agreement == "agrees" and "1.50\u00d7" in one.because
    assert one.ours == "At 512 px, per megapixel: torchvision 3.81 ms, PIL 5.72 ms."


@pytest.mark.parametrize(("copies", "agreement"), [(3.1, "agrees"), (1.1, "differs")])
def test_copies_of_a_preloaded_array(copies: float, agreement: str) -> None:
    size = 1024 * 256 * 256 * 3 / 1e6
    rows = [
        row("memory.StartMethod", "tree", value, n=n, px=256, start_method="forkserver",
            impl="preloaded-array")
        for n, value in ((128, 1.0), (1024, copies * size))
    ]  # fmt: skip
    one = found(COPIES, rows)
    assert one.agreement == agreement and "of 201 MB" in one.ours


def stored(ram: tuple[float, float], slow: tuple[float, float]) -> list[dict[str, Any]]:
    arms = ("naive", "raw-files")
    rows = [
        row("storage.ByMedium", "epoch", v, impl=i, medium="ramdisk", px=256)
        for i, v in zip(arms, ram, strict=True)
    ]
    for bandwidth, values in ((25, slow), (800, ram), (0, ram)):
        rows += [
            row("storage.ByBandwidth", "epoch", v, impl=i, bandwidth=bandwidth, px=256)
            for i, v in zip(arms, values, strict=True)
        ]
    return rows


def test_raw_pixels_that_win_in_memory_and_lose_on_a_slow_disk() -> None:
    log = [
        {"benchmark": "storage.ByBandwidth", "factors": {"impl": i, "px": 256}, "bytes_of_files": b}
        for i, b in (("naive", 100), ("raw-files", 520))
    ]
    one = found(RAW, stored((500, 50), (1000, 5000)), log)
    assert one.agreement == "agrees" and "at 25 MB/s" in one.ours
    assert "10.0\u00d7" in one.ours and "5.0\u00d7" in one.ours
    assert "5.2 times the bytes" in one.because


def test_raw_pixels_that_win_everywhere_differ() -> None:
    assert found(RAW, stored((500, 50), (1000, 900))).agreement == "differs"


def test_medians_without_samples_give_no_interval_and_no_agreement() -> None:
    rows = [{**one, "samples": None} for one in sent(40_000, 10_000)]
    one = found(TRANSPORT, rows)
    assert one.agreement == "differs" and "does not exclude" in one.because


def test_failed_cells_are_no_evidence() -> None:
    rows = [{**one, "status": "failed", "median": None} for one in sent(40_000, 10_000)]
    assert found(TRANSPORT, rows).agreement == "not measured"


def test_with_two_machines_the_one_that_measured_is_named() -> None:
    rows = [{**one, "machine": "other"} for one in sent(40_000, 10_000)]
    one = found(TRANSPORT, [row("item.A", "item", 1), *rows])
    assert one.ours.endswith("(other)")


def test_skips_say_what_and_why() -> None:
    rows = [row("storage.ByBandwidth", "epoch", 1, bandwidth=b, impl="naive") for b in (0, 25, 100)]
    for one in rows[1:]:
        one.update(status="skipped", reason=told("needs root"))
    rows.append(
        {
            **row("memory.Limit", "tree", 1),
            "status": "skipped",
            "reason": told("no limits"),
        }
    )
    rows.append({**row("item.A", "item", 1), "status": "failed", "reason": told("broke")})
    assert skips_of(table(rows)) == [
        ("memory.Limit: 1 cell", "no limits"),
        ("storage.ByBandwidth, at 25 and 100 MB/s: 2 cells", "needs root"),
    ]
    assert skips_of(table([])) == []
