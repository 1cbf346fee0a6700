"""The ranked figures of "what to use instead": images per second of every loader, by task."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from datasets_impl.factors import LOCAL_TASKS
from scripts.judging.model import LoaderRow, Loaders
from scripts.report import wording
from scripts.report.ceilings import called, table
from scripts.report.figures.chart import Chart, source_line
from scripts.report.figures.labels import compact
from scripts.report.figures.panels import ROWS
from scripts.report.figures.style import (
    INK,
    LAYOUTS,
    SERIES,
    TEXT,
    Layout,
    drawing,
    finish,
    plain_axes,
    to_svg,
)
from scripts.report.model import Study

TITLES = {
    "decode": "Decode: JPEG photographs of one size",
    "raw": "Raw: pixels that are decoded already",
    "train": "Train: random crops of larger photographs",
}
ORIGINS = {  # its words and ink
    "variant": ("this project's", SERIES[2]),
    "peer": ("specialised", SERIES[1]),
    "plain": ("DataLoader", INK["unclear"]),
}
HEAD, FOOT = 0.5, 0.42  # inches above and below the rows of a machine


def loader_charts(study: Study) -> list[Chart]:
    """A figure for each task that was measured."""
    found = []
    for task in LOCAL_TASKS:
        own = [each for each in study.loaders if each.task == task]
        if own:
            found.append(_chart(study, task, own))
    return found


def _chart(study: Study, task: str, found: Sequence[Loaders]) -> Chart:
    name, title = f"loaders-{task}", TITLES[task]
    names = [each.machine for each in found]
    shown = [each for each in found if each.machine in wording.drawn(names)]
    lead = (
        "Images per second in batches of 64, with their 95 % intervals. The upright stroke in a "
        "row is its ceiling: the same decoding or copying without a loader, measured in the same "
        "rounds. The factor is the loader's speed over it. Hollow ends: the fast DCT, not "
        "Pillow's pixels."
    )
    svgs = []
    panels = [(each, own) for each in shown for own in parts(each.rows)]
    if len(panels) > len(shown):
        lead += " Each kind of loader has a panel of its own; a machine's share one scale."
    for layout in LAYOUTS:
        heights = [HEAD + FOOT + layout.row * len(own) for _, own in panels]
        with drawing(name + layout.suffix):
            figure = Figure(figsize=(layout.width, sum(heights)))
            top = sum(heights)
            for (each, own), height in zip(panels, heights, strict=True):
                _panel(figure, each, own, layout, top)
                top -= height
            svgs.append(finish(to_svg(figure), name + layout.suffix, title, lead))
    more = f" {told}" if (told := wording.not_drawn(names)) else ""
    source = source_line(
        study, [f"arms.{task.title()}"], sum(len(each.rows) for each in found), wording.drawn(names)
    )
    return Chart(name, title, f"{lead}{more} {source}", svgs[0], svgs[1], table(found))


def parts(rows: Sequence[LoaderRow]) -> list[list[LoaderRow]]:
    """Panels of at most `ROWS` rows: one for each origin where there are more, on one scale."""
    if len(rows) <= ROWS:
        return [list(rows)]
    by_origin = ([row for row in rows if row.origin == origin] for origin in ORIGINS)
    return [own[at : at + ROWS] for own in by_origin for at in range(0, len(own), ROWS)]


def _panel(
    figure: Figure, each: Loaders, own: Sequence[LoaderRow], layout: Layout, top: float
) -> None:
    """The rows `own` of a machine, on the scale of all of its."""
    whole = float(figure.get_figheight())
    left, right = layout.forest
    rows = layout.row * len(own)
    ax = figure.add_axes((left, (top - HEAD - rows) / whole, right - left, rows / whole))
    words = f"{each.machine}, {each.images:,} images of {each.px} px"
    figure.text(0, (top - 0.14) / whole, words, color=INK["muted"], va="center", fontsize=TEXT)
    _legend(figure, own, layout, (top - 0.36) / whole)
    most = max(
        end
        for row in each.rows
        for end in (row.high or 0.0, row.images_per_second, each.ceilings.get(row.ceiling, 0.0))
    )
    ax.set_xlim(0, most * 1.04)
    ax.set_ylim(len(own) - 0.4, -0.6)
    ax.set_yticks([])
    plain_axes(ax, "x")
    ax.xaxis.set_major_locator(MaxNLocator(4 if layout.above else 6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: compact(x)))
    ax.set_xlabel("images per second")
    for position, row in enumerate(own):
        limit = each.ceilings.get(row.ceiling)
        _row(ax, position, row, called(each.task, row.arm), limit, layout)


def _legend(figure: Figure, rows: Sequence[LoaderRow], layout: Layout, y: float) -> None:
    x = 0.0
    for origin, (word, ink) in ORIGINS.items():
        if any(row.origin == origin for row in rows):
            figure.text(x, y, "\u25a0", color=ink, va="center", fontsize=TEXT)
            figure.text(x + 0.14 / layout.width, y, word, color=INK["muted"], va="center")
            x += (0.3 + 0.068 * len(word)) / layout.width


def _row(
    ax: Axes, y: float, row: LoaderRow, name: str, limit: float | None, layout: Layout
) -> None:
    ink, lift = ORIGINS[row.origin][1], 0.3 if layout.above else 0.0
    ax.plot([0, row.images_per_second], [y, y], color=ink, linewidth=3.2, alpha=0.35, zorder=2,
            solid_capstyle="butt")  # fmt: skip
    if row.low is not None and row.high is not None:
        ax.plot([row.low, row.high], [y, y], color=ink, linewidth=1.6, zorder=3)
    ax.plot(
        [row.images_per_second], [y], "o", markersize=6.2, markeredgecolor=ink, zorder=4,
        markerfacecolor=ink if row.exact else INK["paper"], markeredgewidth=1.4,
    )  # fmt: skip
    if limit:
        upright = [y - (0.1 if layout.above else 0.3), y + 0.3]
        ax.plot([limit] * 2, upright, color=INK["ink"], linewidth=1.2, zorder=2)
    share = row.share_of_ceiling
    number = f"{wording.number(row.images_per_second)}/s"
    if share is not None:
        number += f"  {wording.estimate(share.estimate, 'ratio')}"
    strong = "bold" if row.origin == "variant" else "normal"
    axes = ax.get_yaxis_transform()
    sides = ("left", "right") if layout.above else ("right", "left")
    ends = (-0.03, 1.04) if layout.above else (-0.03, 1.03)
    for x, words, side, weight in zip(ends, (name, number), sides, (strong, "normal"), strict=True):
        ax.text(x, y - lift, words, transform=axes, ha=side, va="center", fontweight=weight)
