"""The page's first figure, and the README's: images per second by resolution, with best loaders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scripts.judging.loaders import CEILING, PREFIX
from scripts.judging.model import Loaders, ScaleRow
from scripts.report.figures.chart import Chart
from scripts.report.figures.plots import chart, lines
from scripts.report.figures.style import FRONT, NARROW
from scripts.report.figures.sweeps import select, with_throughput
from scripts.report.level_words import join
from scripts.report.model import Machine, Study

IMPLS = ("naive", "preloaded", "mapped")
LIMIT = "limit"  # and after a comma of what, as a loader's arm and what it loads
WIDEST = 2.0  # the upper end of an interval over its lower one; a wider one tells nothing
BEST = {"decode": ("JPEG", "arms.ByResolution"), "raw": ("pixels", "")}  # its name, its sweep


def front_chart(study: Study) -> Chart | None:
    """Of the first machine; None where no epoch was measured at two resolutions."""
    rows = with_throughput(select(study, "epoch", "px", workers=0))
    rows = rows[rows["impl"].isin(IMPLS)]
    if rows.empty or rows["px"].nunique() < 2:
        return None
    first = study.machines[0]
    rows = rows[rows["machine"] == first.name]
    best = [
        _best(each, study.scale, limits=not _another_run(first))
        for each in study.loaders if each.machine == first.name and each.task in BEST
    ]  # fmt: skip
    rows = pd.concat([rows, *best], ignore_index=True)
    return chart(
        study,
        "images-per-second",
        "Images per second by resolution",
        lead(first, rows["impl"]),
        rows,
        ["px"],
        lambda ax, part, layout: lines(ax, part, layout, "px", []),
        "images per second, log scale",
        (FRONT, NARROW),
    )


def lead(machine: Machine, impls: Iterable[str]) -> str:
    """What the figure shows: of which machine, and of loaders and limits those that are there."""
    drawn = dict.fromkeys(impls)
    cores = machine.details.get("cores", "?")
    told = (
        f"Images per second on {machine.name}, with {cores} core{'s' * (cores != '1')}; higher is "
        "better. The post's datasets run in a DataLoader without workers: naive decodes JPEG "
        "files, preloaded has pixels in memory, mapped in a file."
    )
    limits = [name for name in drawn if name.startswith(LIMIT)]
    ours = sorted({name.rpartition(", ")[0] for name in drawn if name not in limits} - {""})
    if ours:
        many = "s" * (len(ours) > 1)
        told += f" Our fastest loader{many}, {join(ours)}, use{'' if many else 's'} all cores."
        if run := _another_run(machine):
            told += (
                f" {'They were' if many else 'It was'} measured in another run, of commit "
                f"{run[:10]}: do not compare {'them' if many else 'it'} with the datasets."
            )
    if limits:
        told += " The limit is what the machine does without any loader."
    return told


def _another_run(machine: Machine) -> str:
    """The commit that measured the loaders, "" where it is that of the rest."""
    run = machine.apart.get("loaders", machine.commit)
    return run if run != machine.commit else ""


def _best(found: Loaders, scale: Sequence[ScaleRow], limits: bool) -> pd.DataFrame:
    """The fastest loader of this project whose pixels equal Pillow's, and the limit beside it.

    At the resolution of the comparison, and at others where a sweep measured the loader there; not
    where its interval says too little. Without `limits`, which another run would put below what the
    datasets reach.
    """
    name, sweep = BEST[found.task]
    points: list[tuple[str, int, float, float | None, float | None]] = []
    row = next((row for row in found.rows if row.origin == "variant" and row.exact), None)
    if row is not None:
        ours = f"{row.arm}, {name}"
        points = [(ours, found.px, row.images_per_second, row.low, row.high)]
        points += [
            (ours, int(one.level), one.images_per_second, one.low, one.high)
            for one in scale
            if (one.machine, one.benchmark, one.arm) == (found.machine, sweep, row.arm)
            and one.level != found.px
        ]
        points = [one for one in points if one[4] is None or one[4] <= WIDEST * (one[3] or 0.0)]
    if limits and (limit := found.ceilings.get(CEILING[found.task].removeprefix(PREFIX))):  # type: ignore[index]
        points.append((f"{LIMIT}, {name}", found.px, limit, None, None))
    cells = [
        {"benchmark": f"arms.{found.task.title()}", "machine": found.machine, "impl": impl,
         "px": float(px), "value": value, "value_low": low, "value_high": high}
        for impl, px, value, low, high in points
    ]  # fmt: skip
    columns = ["benchmark", "machine", "impl", "px", "value", "value_low", "value_high"]
    return pd.DataFrame(cells, columns=columns).astype({"value_low": float, "value_high": float})
