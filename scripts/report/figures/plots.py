"""What figures of measured values are drawn with: a panel for each machine, lines, and bars."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from scripts.report import wording
from scripts.report.figures.chart import Chart, source_line
from scripts.report.figures.labels import log_axis, spread, tick_label
from scripts.report.figures.style import (
    INK,
    LAYOUTS,
    MARKERS,
    SERIES,
    TEXT,
    Layout,
    drawing,
    finish,
    plain_axes,
    to_svg,
)
from scripts.report.figures.sweeps import held, order
from scripts.report.model import Study

STAGES = ["read", "decode", "convert", "array", "tensor", "transform", "collate"]
# An implementation keeps its colour and marker in every figure; a corrected twin is dashed.
IMPLS = {
    "naive": (0, "o"),
    "preloaded": (1, "s"),
    "mapped": (2, "D"),
    "decode-image": (3, "^"),
    "pil-to-tensor": (4, "v"),
}
PLOT_H, TOP, BOTTOM = 2.7, 0.12, 0.56


def style_of(impl: str, others: list[str]) -> dict[str, object]:
    base = impl.removesuffix("-fixed")
    spare = [name for name in others if name.removesuffix("-fixed") not in IMPLS]
    other = 5 + spare.index(impl) % 3 if spare and impl in spare else 0
    index, marker = IMPLS.get(base) or (other, MARKERS[other])
    if base.startswith("limit"):  # a bar, in the colour of what it limits
        ink = SERIES[style_index(base, spare)]
        return {"color": ink, "marker": "_", "markersize": 16, "markeredgewidth": 2.5}
    dashed = (0, (4, 2)) if impl != base else "-"
    return {"color": SERIES[index], "marker": marker, "linestyle": dashed}


def style_index(limit: str, spare: list[str]) -> int:
    """The colour of the loader that a limit is of: "threaded-pack, JPEG" of "limit, JPEG"."""
    what = limit.removeprefix("limit")
    best = [at for at, name in enumerate(spare) if name.endswith(what) and name != limit]
    return 5 + best[0] % 3 if best else 7


def chart(
    study: Study,
    name: str,
    title: str,
    lead: str,
    rows: pd.DataFrame,
    but: list[str],
    draw: Callable[[Axes, pd.DataFrame, Layout], None],
    ylabel: str,
    layouts: Sequence[Layout] = LAYOUTS,
) -> Chart:
    """One panel per machine, stacked, and the caption."""
    names = sorted(rows["machine"].unique())
    machines = wording.drawn(names)
    drawn = few(rows[rows["machine"].isin(machines)])
    svgs = []
    for layout in layouts:
        foot = BOTTOM + (0.25 if layout.above and draw is stacked else 0)  # two rows of legend
        each = TOP + PLOT_H + foot + 0.3
        height = each * len(machines)
        with drawing(name + layout.suffix):
            figure = Figure(figsize=(layout.width, height))
            left, right = layout.lines
            for i, machine in enumerate(machines):
                low = height - (i + 1) * each + foot
                ax = figure.add_axes((left, low / height, right - left, PLOT_H / height))
                draw(ax, drawn[drawn["machine"] == machine], layout)
                label = ylabel if len(machines) == 1 else f"{ylabel} \u2013 {machine}"
                at = (low + PLOT_H + 0.2) / height
                figure.text(0, at, label, color=INK["muted"], va="center")
            svgs.append(finish(to_svg(figure), name + layout.suffix, title, lead))
    fixed = held(rows, but)
    left_out = rows["impl"].nunique() - drawn["impl"].nunique()
    more = f" {left_out} more implementations are in the data." if left_out else ""
    source = source_line(study, sorted(rows["benchmark"].unique()), len(rows), machines)
    others = f" {told}" if (told := wording.not_drawn(names)) else ""
    caption = f"{lead}{f' Held fixed: {fixed}.' if fixed else ''}{more}{others} {source}"
    return Chart(name, title, caption, svgs[0], svgs[1], rows)


def impl_order(name: str) -> tuple[int, str]:
    """The post's own first, then what the figures have colours for, then the alphabet."""
    base = name.removesuffix("-fixed")
    return (list(IMPLS).index(base) if base in IMPLS else len(IMPLS), name)


def few(rows: pd.DataFrame) -> pd.DataFrame:
    """At most eight implementations: more lines than that cannot be told apart."""
    return rows[rows["impl"].isin(sorted(rows["impl"].unique(), key=impl_order)[:8])]


def lines(ax: Axes, rows: pd.DataFrame, layout: Layout, over: str, known: list[str]) -> None:
    """Values with intervals over evenly spaced levels, lines labelled at their ends."""
    levels = order(list(rows[over].unique()), known)
    ordered = not known
    names = sorted(rows["impl"].unique(), key=impl_order)
    near = (rows["value"].min() / 5, rows["value"].max() * 5)  # longer intervals are cut there
    ends_at = [rows[c].dropna().clip(*near) for c in ("value", "value_low", "value_high")]
    log_axis(ax, [float(v) for column in ends_at for v in column])
    plain_axes(ax, "y")
    ax.set_xlim(-0.15 - 0.2 * (not ordered), len(levels) - 0.85 + 0.2 * (not ordered))
    ax.set_xticks(range(len(levels)), [tick_label(x) for x in levels])
    ax.set_xlabel(wording.axis(over))
    ends: list[tuple[float, str]] = []
    for name in names:
        part = (
            rows[rows["impl"] == name]
            .groupby(over, as_index=False)[["value", "value_low", "value_high"]]
            .median()
        )
        shift = 0.0 if ordered else 0.07 * (names.index(name) - (len(names) - 1) / 2)
        part = part.assign(x=[levels.index(v) + shift for v in part[over]]).sort_values("x")
        style = style_of(name, names)
        ink = str(style["color"])
        if not ordered:  # categories: a pale thread, so the eye follows without reading a slope
            ax.plot(part["x"], part["value"], color=INK["axis"], linewidth=0.9, zorder=1)
            style["linestyle"] = "none"
            style["markerfacecolor"] = INK["paper"] if name.endswith("-fixed") else ink
        for _, point in part.dropna(subset=["value_low", "value_high"]).iterrows():
            ends_of = [point["value_low"], point["value_high"]]
            ax.plot([point["x"]] * 2, ends_of, color=ink, linewidth=1.4, zorder=2)
        ax.plot(part["x"], part["value"], zorder=3, **{"markersize": 5, **style})  # type: ignore[arg-type]
        last = (0.0, float(part["value"].iloc[-1]))
        if ordered and part["x"].iloc[-1] < len(levels) - 1:  # lead to the label from where it ends
            to = [part["x"].iloc[-1], ax.get_xlim()[1]]
            ax.plot(to, [last[1]] * 2, color=ink, linewidth=0.7, linestyle=(0, (1, 3)), zorder=1)
        ends.append((ax.transAxes.inverted().transform(ax.transData.transform(last))[1], name))
    for position, (name, _) in spread(ends, 0.072, layout.label).items():
        ax.text(
            1.025,
            position,
            "\n".join(textwrap.wrap(name, layout.label)),
            transform=ax.transAxes,
            va="center",
            fontsize=TEXT,
            color=str(style_of(name, names)["color"]),
        )


def stacked(ax: Axes, rows: pd.DataFrame, layout: Layout) -> None:
    """Horizontal bars to 100 %, stages in the order they happen."""
    table = rows.pivot_table(index="px", columns="stage", values="median")
    table = table.assign(rest=(1 - table.sum(axis=1)).clip(lower=0))
    stages = [str(s) for s in order(list(table.columns), [*STAGES, "rest"])]
    left = pd.Series(0.0, index=table.index)
    for i, stage in enumerate(stages):
        share = table[stage].fillna(0)
        ax.barh(
            range(len(table)),
            share,
            left=left,
            height=0.56,
            color=SERIES[(6, 5, 4, 3, 7, 2)[i % 6]],
            edgecolor=INK["paper"],
            linewidth=1.5,
            label=stage,
        )
        for row, (start, width) in enumerate(zip(left, share, strict=True)):
            if width > (0.16 if layout.above else 0.09):
                ax.text(
                    start + width / 2,
                    row,
                    f"{100 * width:.0f} %",
                    color=INK["paper"],
                    ha="center",
                    va="center",
                    fontsize=TEXT,
                )
        left += share
    plain_axes(ax, "x")
    ax.set_xlim(0, 1)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_yticks(range(len(table)), [f"{px:,.0f} px" for px in table.index])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(-0.01, -0.07),
        ncols=3 if layout.above else 6,
        frameon=False,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.4,
        handletextpad=0.5,
    )
