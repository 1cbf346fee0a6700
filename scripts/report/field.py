"""Published figures of others with ours beside them: agrees, differs, or not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scripts.judging.field import WITHIN, Factor, Figure, Found
from scripts.judging.inference import Interval
from scripts.report import wording
from scripts.report.model import FieldRow


@dataclass(frozen=True)
class Published:
    source: str
    url: str
    figure: str
    claim: str
    needs: str  # what a run must hold to be compared
    ours: Callable[[bool, Mapping[str, Any]], tuple[str, str]]  # ours in words, and why


def field_rows(compared: Mapping[Figure, Found]) -> list[FieldRow]:
    """One row for each published figure."""
    return [_row(published, compared.get(key)) for key, published in FIGURES.items()]


def _row(published: Published, found: Found | None) -> FieldRow:
    row = FieldRow(
        published.source, published.url, published.figure, "not measured", "not measured",
        f"Needs {published.needs}.", published.claim,
    )  # fmt: skip
    if found is None:
        return row
    ours, why = published.ours(found.agrees, found.numbers)
    return replace(
        row,
        ours=ours + (f" ({found.machine})" if found.machine else ""),
        agreement="agrees" if found.agrees else "differs",
        because=f"{why[0].upper()}{why[1:]}.",
    )


def _times(found: Interval, quantity: str = "ratio") -> str:
    value = wording.estimate(found.estimate, quantity)
    return f"{value} {wording.interval(found.estimate, found.low, found.high, quantity)}".strip()


def _factor(factor: Factor) -> str:
    """Do factor and direction agree, and why."""
    words = (
        f"the published factor is {wording.estimate(factor.published, 'ratio')}, ours "
        f"{_times(factor.ours)}"
    )
    if not factor.same_way:
        return f"the ordering is the other way round: {words}"
    if not factor.clear:
        return f"our interval does not exclude that both take the same: {words}"
    inside = "within" if factor.close else "beyond"
    return f"same ordering, and {words}, {inside} {WITHIN:g} times of it"


def _many_workers(agrees: bool, found: Mapping[str, Any]) -> tuple[str, str]:
    best, most = found["best"], found["most"]
    first, last = (f"{seconds:.2g} s" for seconds in found["seconds"])
    return (
        f"Start included, most images/s with {best} workers; with {most} an epoch of "
        f"{found['images']:,} images takes {_times(found['slower'])} as long. First batch {first} "
        f"with {found['least']}, {last} with {most}: {_times(found['start'])}.",
        f"asked: a peak below the largest count and a first batch that grows, both "
        f"{'seen' if agrees else 'not seen'}; once running, {most} workers take "
        f"{_times(found['running'])} the time of {best}, so the loss is the start, as in the "
        "source, where 107 of 109 s pass before the first batch",
    )


def _transport(_: bool, found: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"One worker, 32 MiB samples: NumPy {found['numpy']:,.0f} MB/s, tensor "
        f"{found['tensor']:,.0f} MB/s.",
        f"{_factor(found['factor'])}; ours goes through a DataLoader, theirs through a queue",
    )


def _decoders(_: bool, found: Mapping[str, Any]) -> tuple[str, str]:
    px = found["px"]
    return (
        f"At {px} px, per megapixel: torchvision {found['vision']:.2f} ms, PIL "
        f"{found['pil']:.2f} ms.",
        f"{_factor(found['factor'])}; our item also opens and reads the file, makes the tensor, "
        f"and is {1920 * 1080 / px**2:.0f} times smaller, theirs decodes bytes in memory",
    )


def _copies(agrees: bool, found: Mapping[str, Any]) -> tuple[str, str]:
    workers = found["workers"]
    return (
        f"{_times(found['copies'], 'amount')} copies of {found['mb']:,.0f} MB with {workers} "
        "workers.",
        f"asked: {1 + workers} copies to the nearest whole number, one for each worker and one for "
        f"the trainer; {'found' if agrees else 'not found'}",
    )


def _raw_pixels(agrees: bool, found: Mapping[str, Any]) -> tuple[str, str]:
    bound = "" if found["bytes"] is None else (
        f"; raw files have {found['bytes']:.1f} times the bytes of our JPEG files, and storage "
        "alone cannot make them lose by more"
    )  # fmt: skip
    return (
        f"From a RAM disk JPEG takes {_times(found['wins'])} the time of raw files; at "
        f"{found['limit']} MB/s raw files take {_times(found['loses'])} the time of JPEG.",
        f"asked: raw faster in RAM and slower on slow storage, "
        f"{'both seen' if agrees else 'not both seen'}{bound}",
    )


FIGURES: dict[Figure, Published] = {
    "many workers": Published(
        "SPDL, pull request 303",
        "https://github.com/facebookresearch/spdl/pull/303",
        "DataLoader over 10,000 images: most images/s with 4 workers, a fifth of it with 32; "
        "first batch after 3.5 s with 1 worker, 107 s with 32.",
        "C20",
        "epochs and first batches with at least three counts of workers, up to 8 or more",
        _many_workers,
    ),
    "transport": Published(
        "SPDL, transport benchmark",
        "https://facebookresearch.github.io/spdl/main/generated/benchmark_arena_transport.html",
        "Payloads of 32 MiB between processes: NumPy by pickle 647 MB/s, tensor 2,899 MB/s.",
        "X03",
        "samples of 32 MiB from one worker, as NumPy array and as tensor",
        _transport,
    ),
    "decoders": Published(
        "TorchCodec, pull request 1620",
        "https://github.com/meta-pytorch/torchcodec/pull/1620",
        "A 1080p JPEG in one thread: torchvision 6.01 ms, PIL 9.25 ms (2.90 and 4.46 ms per "
        "megapixel).",
        "C13",
        "items decoded by PIL and by torchvision",
        _decoders,
    ),
    "copies": Published(
        "Ultralytics, pull request 26086",
        "https://github.com/ultralytics/ultralytics/pull/26086",
        "Under forkserver a preloaded NumPy array costs (1 + workers) times its size.",
        "X01",
        "memory of the process tree of a preloaded array under forkserver",
        _copies,
    ),
    "raw pixels": Published(
        "FFCV documentation",
        "https://docs.ffcv.io/benchmarks.html",
        "At 256 px raw pixels beat JPEG in RAM and lose by 8.5 times on a slow network disk "
        "(1,956 against 16,631 images/s).",
        "X05",
        "raw files and JPEG files from a RAM disk and from throttled storage",
        _raw_pixels,
    ),
}
