"""Quantities as the terminal and the page write them."""

from __future__ import annotations

UNTOLD = "too noisy to tell"  # in place of a gain
RIGHT_FIRST = "Times matter once what is wrong is mended: then look again."


def amount(us: float) -> str:
    """Microseconds in the unit that suits them."""
    if us < 100:
        return f"{us:.1f} us"
    if us < 1000:
        return f"{us:,.0f} us"
    return f"{us / 1e3:,.2f} ms" if us < 1e6 else f"{us / 1e6:,.2f} s"


def times_as(times: float, digits: int = 1) -> str:
    """A factor without figures that mean nothing."""
    return f"{times:,.0f}" if times >= 100 else f"{times:.{1 if times >= 10 else digits}f}"


def between(low: float | None, high: float | None, dash: str) -> str:
    """An interval in brackets, "" where there is none."""
    if low is None or high is None:
        return ""
    return f"[{times_as(low, 2)}{dash}{times_as(high, 2)}]"
