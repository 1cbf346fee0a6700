"""Why a cell has no number, is unclear or is shown as it is: its reasons in words."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.judging.model import Reason, ReasonKind

WORDS: dict[ReasonKind, str] = {
    "logged": "{}",
    "outdated": "measured by version {} of the benchmark, which is at version {} now; run the "
    "study again on that machine",
    "failed": "the measurement failed; see asv's log",
    "unavailable": "not available on this machine",
    "incomplete": "only {} of {} blocks: a round failed",
    "incomplete, logged": "only {} of {} blocks: {}",
    "all disturbed": "every round was disturbed by other programs; measure again on an idle "
    "machine",
    "disturbed, untold": "a round was disturbed by other programs, and which sample is its cannot "
    "be told",
    "other blocks": "the two arms were not measured in the same blocks",
    "other blocks of times": "the times were not measured in the same blocks",
    "none quiet": "in every block other programs disturbed one of the arms",
    "no ratio": "a measured value of zero or less has no ratio",
    "one block": "one block gives no interval",
    "no construction": "its construction was not measured",
    "two levels": "needs samples at two levels or more",
    "timed apart": "part and whole were timed apart, so the share is cut at 100 %",
    "unpaired": "from medians, arms not paired",
    "counts elsewhere": "the combination counts in {}",
    "counts instead": "{} counts",
    "not after Holm": "decided alone, not after Holm's correction over {} cells",
    "at the bar": "sits at the bar: even {} more rounds would not decide it",
}


def in_words(reasons: Iterable[Reason]) -> str:
    """All of them, in their order; "" for none."""
    return "; ".join(WORDS[reason.kind].format(*reason.about) for reason in reasons)
