"""Published figures of others with ours beside them: agrees, differs, or not measured.

Where a figure is a factor between two arms, ours agrees when it goes the same way and is within
1.5 times of it; absolute times belong to a machine and are shown, not compared. Where a figure is
an ordering or a number of copies, the row says what was asked of ours instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from scripts.judging import field_compare as compare
from scripts.judging.model import FieldRow


@dataclass(frozen=True)
class Published:
    source: str
    url: str
    figure: str
    claim: str
    needs: str  # what a run must hold to be compared
    ours: Callable[[pd.DataFrame, list[dict[str, Any]]], compare.Found | None]


def field_rows(cells: pd.DataFrame, observations: list[dict[str, Any]]) -> list[FieldRow]:
    """One row for each published figure, from the first machine that measured what it needs.

    `cells`: the evidence table (see `evidence.py`). `observations`: the log entries of all
    machines, from which the bytes an arm read are taken.
    """
    machines = sorted(set(cells["machine"])) if len(cells) else []
    rows = []
    for figure in FIGURES:
        row = FieldRow(
            figure.source, figure.url, figure.figure, "not measured", "not measured",
            f"Needs {figure.needs}.", figure.claim,
        )  # fmt: skip
        for machine in machines:
            found = figure.ours(cells[cells["machine"] == machine], observations)
            if found:
                where = f" ({machine})" if len(machines) > 1 else ""
                verdict: Literal["agrees", "differs"] = "agrees" if found.agrees else "differs"
                row = replace(
                    row, ours=found.ours + where, agreement=verdict, because=found.because
                )
                break
        rows.append(row)
    return rows


FIGURES = (
    Published(
        "SPDL, pull request 303",
        "https://github.com/facebookresearch/spdl/pull/303",
        "DataLoader over 10,000 images: most images/s with 4 workers, a fifth of it with 32; "
        "first batch after 3.5 s with 1 worker, 107 s with 32.",
        "C20",
        "epochs and first batches with at least three counts of workers, up to 8 or more",
        compare.many_workers,
    ),
    Published(
        "SPDL, transport benchmark",
        "https://facebookresearch.github.io/spdl/main/generated/benchmark_arena_transport.html",
        "Payloads of 32 MiB between processes: NumPy by pickle 647 MB/s, tensor 2,899 MB/s.",
        "X03",
        "samples of 32 MiB from one worker, as NumPy array and as tensor",
        compare.transport,
    ),
    Published(
        "TorchCodec, pull request 1620",
        "https://github.com/meta-pytorch/torchcodec/pull/1620",
        "A 1080p JPEG in one thread: torchvision 6.01 ms, PIL 9.25 ms (2.90 and 4.46 ms per "
        "megapixel).",
        "C13",
        "items decoded by PIL and by torchvision",
        compare.decoders,
    ),
    Published(
        "Ultralytics, pull request 26086",
        "https://github.com/ultralytics/ultralytics/pull/26086",
        "Under forkserver a preloaded NumPy array costs (1 + workers) times its size.",
        "X01",
        "memory of the process tree of a preloaded array under forkserver",
        compare.copies,
    ),
    Published(
        "FFCV documentation",
        "https://docs.ffcv.io/benchmarks.html",
        "At 256 px raw pixels beat JPEG in RAM and lose by 8.5 times on a slow network disk "
        "(1,956 against 16,631 images/s).",
        "X05",
        "raw files and JPEG files from a RAM disk and from throttled storage",
        compare.raw_pixels,
    ),
)
