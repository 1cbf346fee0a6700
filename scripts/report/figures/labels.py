"""Labels of the figures: line ends kept apart, the legend of outcomes, log ticks."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from scripts.judging.model import Cell
from scripts.report.figures.style import INK, OUTCOME_INK, OUTCOME_MARKER

OUTCOMES = {"for": "for the claim", "against": "against it", "unclear": "unclear"}


def spread(ends: list[tuple[float, str]], gap: float, label: int) -> dict[float, tuple[str, float]]:
    """Move labels apart to at least `gap`, keeping their order; new position -> (name, old).

    Names longer than `label` take two lines.
    """
    placed: dict[float, tuple[str, float]] = {}
    ordered = sorted(ends)
    sizes = [gap * (1 + (len(name) > label)) for _, name in ordered]
    positions: list[float] = []
    for i, (at, _) in enumerate(ordered):
        floor = positions[-1] + (sizes[i - 1] + sizes[i]) / 2 if positions else sizes[i] / 2
        positions.append(max(at, floor))
    excess = max(0.0, positions[-1] - 1) if positions else 0.0
    for i in reversed(range(len(positions))):
        last = i + 1 == len(positions)
        limit = 1.0 if last else positions[i + 1] - (sizes[i] + sizes[i + 1]) / 2
        positions[i] = min(positions[i], limit) if excess else positions[i]
    for position, (at, name) in zip(positions, ordered, strict=True):
        placed[position] = (name, at)
    return placed


def legend_handles(
    cells: list[Cell], colours: Mapping[str, str], words: Mapping[str, str] = OUTCOMES
) -> list[Line2D]:
    """Only the outcomes that occur, and the machines where they have colours."""
    machines = [
        Line2D([], [], linestyle="none", marker="s", markersize=7, color=ink, label=name)
        for name, ink in colours.items()
    ]
    return machines + [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=OUTCOME_MARKER[o],
            markersize=6,
            color=INK["muted"] if colours else OUTCOME_INK[o],
            markeredgewidth=1.4,
            markerfacecolor=INK["paper"]
            if o == "unclear"
            else INK["muted"]
            if colours
            else OUTCOME_INK[o],
            label=word,
        )
        for o, word in words.items()
        if any(c.outcome == o for c in cells)
    ]


def compact(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def log_axis(ax: Axes, values: list[float]) -> None:
    low, high = min(values), max(values)
    ax.set_yscale("log")
    ax.set_ylim(low / 1.25, high * 1.25)
    ticks = [m * 10.0**e for e in range(-6, 9) for m in (1, 2, 5)]
    inside = [t for t in ticks if low / 1.25 <= t <= high * 1.25]
    tens = [t for t in inside if f"{t:e}"[0] == "1"]
    ax.set_yticks(inside if len(inside) <= 7 or len(tens) < 2 else tens)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: compact(y)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def tick_label(level: object) -> str:
    if isinstance(level, int | float) or hasattr(level, "item"):
        return f"{float(level):,.0f}"  # type: ignore[arg-type]
    return str(level).replace("disk-", "disk, ")
