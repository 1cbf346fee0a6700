"""Labels of the figures: line ends kept apart, the legend of outcomes."""

from __future__ import annotations

from matplotlib.lines import Line2D

from scripts.figure_style import INK, OUTCOME_INK, OUTCOME_MARKER
from scripts.model import Cell


def spread(ends: list[tuple[float, str]], gap: float) -> dict[float, tuple[str, float]]:
    """Move labels apart to at least `gap`, keeping their order; new position -> (name, old)."""
    placed: dict[float, tuple[str, float]] = {}
    ordered = sorted(ends)
    sizes = [gap * (1 + (len(name) > 21)) for _, name in ordered]
    positions: list[float] = []
    for (at, _), size in zip(ordered, sizes, strict=True):
        floor = positions[-1] + size if positions else size / 2
        positions.append(max(at, floor))
    excess = max(0.0, positions[-1] - 1) if positions else 0.0
    for i in reversed(range(len(positions))):
        limit = positions[i + 1] - sizes[i + 1] if i + 1 < len(positions) else 1.0
        positions[i] = min(positions[i], limit) if excess else positions[i]
    for position, (at, name) in zip(positions, ordered, strict=True):
        placed[position] = (name, at)
    return placed


def legend_handles(cells: list[Cell]) -> list[Line2D]:
    """Only the outcomes that occur."""
    words = {"for": "for the claim", "against": "against it", "unclear": "unclear"}
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=OUTCOME_MARKER[o],
            markersize=6,
            color=OUTCOME_INK[o],
            markeredgewidth=1.4,
            markerfacecolor=INK["paper"] if o == "unclear" else OUTCOME_INK[o],
            label=word,
        )
        for o, word in words.items()
        if any(c.outcome == o for c in cells)
    ]
