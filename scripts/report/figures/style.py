"""The look of the figures, and the step from matplotlib's SVG to one that fits the page.

Figures are drawn once, in fixed "ink" colours. `finish` turns every ink into a CSS variable with
the ink as its fallback, so one drawing follows the page's light or dark mode; `standalone` adds
the variables to a figure that is a file of its own. Text stays text (searchable, in the reader's
font), and the bytes depend on nothing but the data.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib

matplotlib.use("Agg")  # before seaborn imports pyplot: no display is needed or looked for

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# name: (light, dark). Light series colours keep 4.5:1 on white, dark ones on #14171c, and they
# differ in lightness as well as hue, so they survive colour blindness and grey printing.
INKS: dict[str, tuple[str, str]] = {
    "ink": ("#1c2230", "#e7eaf0"),
    "muted": ("#596273", "#a3adbd"),
    "grid": ("#e2e6ec", "#2c323c"),
    "axis": ("#b4bcc8", "#525b69"),
    "band": ("#eceff4", "#252a33"),
    "flip": ("#e9e4f6", "#2b2645"),
    "paper": ("#fbfaf8", "#14171c"),
    "for": ("#0b63a5", "#6cb8f0"),
    "against": ("#b8460b", "#ff9d66"),
    "unclear": ("#6a7383", "#97a1b1"),
    "s1": ("#be480c", "#ff9c65"),
    "s2": ("#0a64a6", "#6db9f1"),
    "s3": ("#04785b", "#4fd0a8"),
    "s4": ("#a8437f", "#ef9fce"),
    "s5": ("#8a6200", "#e5b94e"),
    "s6": ("#5b4bb5", "#b3a6ff"),
    "s7": ("#4d5b6a", "#a9b6c6"),
    "s8": ("#7a3b1d", "#d8a182"),
}
INK = {name: pair[0] for name, pair in INKS.items()}
SERIES = [INK[f"s{i}"] for i in range(1, 9)]
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")
OUTCOME_INK = {"for": INK["for"], "against": INK["against"], "unclear": INK["unclear"]}
OUTCOME_MARKER = {"for": "o", "against": "D", "unclear": "o"}
FONT_STACK = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
TEXT = 9.0  # points; 12 CSS pixels


@dataclass(frozen=True)
class Layout:
    """Where things stand, in fractions of the width; the page shows one layout per screen width."""

    suffix: str
    width: float  # inches of 96 CSS pixels
    forest: tuple[float, float]  # left and right edge of the plot of a forest
    lines: tuple[float, float]  # the same of a plot with lines
    row: float  # inches a row of the ranked loaders takes
    above: bool  # labels and numbers stand above their row instead of beside it
    title: int  # characters of a title
    label: int  # characters of a line's label before it wraps
    row_label: int  # characters of the label of a forest row


WIDE = Layout("", 7.0, (0.325, 0.755), (0.085, 0.775), 0.235, False, 92, 21, 31)
NARROW = Layout("-narrow", 3.65, (0.045, 0.945), (0.15, 0.715), 0.44, True, 46, 14, 34)
LAYOUTS = (WIDE, NARROW)
# Beside the answer and in the README: as wide as its column, so that its text is not made smaller.
FRONT = Layout("", 5.25, WIDE.forest, (0.085, 0.72), 0.235, False, 70, 21, 31)


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Matplotlib settings of a figure; `name` salts the ids, so two inlined figures differ."""
    rc: Any = {
        "svg.hashsalt": name,
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same layout on every machine
        "text.parse_math": False,  # a dollar sign in a label is a dollar sign
        "font.size": TEXT,
        "text.color": INK["ink"],
        "axes.edgecolor": INK["axis"],
        "axes.labelcolor": INK["muted"],
        "axes.linewidth": 0.8,
        "axes.labelsize": TEXT,
        "axes.titlesize": TEXT,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "xtick.color": INK["muted"],
        "ytick.color": INK["muted"],
        "xtick.labelsize": TEXT,
        "ytick.labelsize": TEXT,
        "grid.color": INK["grid"],
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.6,
        "axes.axisbelow": True,
        "axes.unicode_minus": False,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc changes no figure
        with sns.axes_style("ticks"), matplotlib.rc_context(rc):
            yield


def plain_axes(ax: Axes, grid: str = "x") -> None:
    """Only what helps reading: one spine, a pale grid across the values, no tick marks."""
    sns.despine(ax=ax, left=True, top=True, right=True, bottom=grid == "x")
    ax.tick_params(length=0, pad=4, which="both")
    ax.grid(axis=grid, which="major")  # type: ignore[arg-type]
    ax.minorticks_off()


def to_svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode()


def finish(svg: str, name: str, title: str, description: str) -> str:
    """An inline-ready SVG: themable inks, ids of its own, a title and a description."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    # matplotlib's style element would leak into the whole page; its rule moves to the root.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    short = {old: f"{name}-{number}" for number, old in enumerate(sorted(used))}
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{short[m[1]]}"' if m[1] in used else "", svg)
    svg = re.sub(r"(url\(#|href=\"#)([^)\"]+)", lambda m: m[1] + short[m[2]], svg)
    svg = svg.replace("xlink:href", "href")
    for ink, (light, _) in INKS.items():
        svg = svg.replace(light, f"var(--fig-{ink})")
    view = re.search(r'viewBox="([^"]+)"', svg)
    width, height = (float(x) for x in (view[1].split()[2:] if view else (500, 300)))
    kind = "figure narrow" if name.endswith(NARROW.suffix) else "figure"
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}"'
        f' viewBox="0 0 {width:g} {height:g}"'
        f' width="{width * 4 / 3:.0f}" height="{height * 4 / 3:.0f}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc"'
        ' style="stroke-linejoin:round;stroke-linecap:butt;font:9px var(--fig-font)">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    svg = root + svg[svg.index(">", svg.index("<svg")) + 1 :]
    return _compact(svg)


def _compact(svg: str) -> str:
    """The same picture in about half the bytes; text between tags is data and stays as it is."""
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = re.sub(r"<[^>]+>", lambda tag: _shorter(tag[0]), svg).replace(">\n<", "><").strip()
    svg = re.sub(r'<path d="[^"]*" style="fill:none"/>', "", svg)  # grounds that nobody sees
    while (bare := re.sub(r"<g>((?:(?!</?g\b).)*)</g>|<g/>", r"\1", svg, flags=re.S)) != svg:
        svg = bare
    return svg


FONT = re.compile(
    r"""(?<=[ ;"])(font: 9px [^;"]*|font-size: 9px|font-family: [^;"]*|text-anchor: start)"""
    r"""(; |(?="))"""
)


def _shorter(tag: str) -> str:
    tag = re.sub(r"(\d+\.\d)\d+", r"\1", tag) if not tag.startswith("<svg") else tag
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", FONT.sub("", tag))
    if tag.startswith("<path"):
        tag = re.sub(r"\s*\n?([MLQCz])\s*", r"\1", tag).replace('\n"', '"').replace(".0 ", " ")
    return re.sub(r"(style=\"[^\"]*\")", lambda m: re.sub(r"([:;]) ", r"\1", m[1]), tag)


def variables(dark: bool) -> str:
    """The inks as CSS custom properties."""
    return "".join(f"--fig-{name}:{pair[dark]};" for name, pair in INKS.items())


def standalone(svg: str) -> str:
    """The same figure as a file: it carries its variables and follows the viewer's mode."""
    style = (
        f"<style>svg{{{variables(False)}--fig-font:{FONT_STACK}}}"
        f"@media (prefers-color-scheme:dark){{svg{{{variables(True)}background:#14171c}}}}</style>"
    )
    start = svg.index(">") + 1
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg[:start]}{style}{svg[start:]}\n'


def page_variables() -> tuple[str, str]:
    """(light, dark) declarations for the page's stylesheet."""
    return variables(False) + f"--fig-font:{FONT_STACK};", variables(True)
