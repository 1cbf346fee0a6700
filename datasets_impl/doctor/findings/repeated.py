"""Work that is done again though what comes of it was there already: for another sample, or for the
same."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_impl.doctor.findings.again import (
    LEAST_AGAIN,
    MAKES,
    Call,
    again,
    calls_of_samples,
    costly,
    of_whole,
    times_read,
)
from datasets_impl.doctor.findings.finding import MECHANISM, Finding, Probes
from datasets_impl.doctor.findings.mechanisms import lists_folder
from datasets_impl.doctor.findings.user_lines import place_of

LISTINGS = ("os.listdir", "os.scandir", "glob.glob")
LEAST_RESULT = 64  # bytes: what gives less is called for something else


def of_same(seen: Probes) -> Iterator[Call]:
    """Calls that give what they gave for another sample."""
    whole = [call["name"] for call in of_whole(seen)]
    for call in calls_of_samples(seen):
        made = call.get("objects") and not call["path"]  # what opens a file is told by itself
        if call["name"] in whole or not (tells(call) or made) or not costly(call):
            continue
        if again(call) >= LEAST_AGAIN and not _makes_array(call):
            yield call


def of_twice(seen: Probes) -> Iterator[Call]:
    """Calls that give what they gave for the same sample."""
    for call in calls_of_samples(seen):
        within = call.get("within", 0) / max(1, call["calls"])
        made = _makes_array(call) or call["full_name"].endswith(MAKES)
        told = tells(call) and not (call["differs"] or made)
        if within >= LEAST_AGAIN and told and costly(call):
            yield call


def _makes_array(call: Call) -> bool:
    """One that is written to afterwards."""
    home, _, name = call["full_name"].rpartition(".")
    return home.partition(".")[0] in ("numpy", "torch") and not name.startswith("load")


def tells(call: Call) -> bool:
    """Whether it is called for what it gives."""
    return bool(call["gives"] >= LEAST_RESULT)


def made_once(call: Call) -> str:
    """The lines that make an object once; one that holds no data may be a connection, which no
    worker is sent."""
    made = f"{call['name']}(...)"
    if tells(call):
        return f"self.made = {made}  # in __init__"
    return f"if self.made is None:  # in __getitem__; None in __init__\n    self.made = {made}"


def same_work(seen: Probes) -> Finding | None:
    """A result that was there already is made anew."""
    for call in of_same(seen):
        if call["full_name"] in LISTINGS and lists_folder(seen):  # which says what work it is
            continue
        if call["full_name"].endswith(MAKES) or not tells(call):
            return Finding(
                "same-work",
                "An object is made anew for many samples, with the same arguments",
                f"{call['name']} was made {call['calls']:,} times, with {call['distinct']:,} "
                f"different arguments, and takes {call['share']:.0%} of a sample's time.",
                "Make it once, in the dataset's constructor."
                if tells(call)
                else "Make it once in each worker, when its first sample is read.",
                MECHANISM + 0.7,
                "C12",
                made_once(call),
                [place_of(call)],
            )
        return Finding(
            "same-work",
            "The same work is done again for many samples",
            f"{call['name']} was called {call['calls']:,} times, with {call['distinct']:,} "
            f"different arguments{times_read(call)}, and takes {call['share']:.0%} of a sample's "
            "time.",
            "Do it once and keep what comes of it, in each worker.",
            MECHANISM + 0.7,
            "C12",
            f"@functools.lru_cache\ndef once(...):\n    return {call['name']}(...)",
            [place_of(call)],
        )
    return None


def done_twice(seen: Probes) -> Finding | None:
    """A result that the same sample has already is made anew."""
    for call in of_twice(seen):
        return Finding(
            "done-twice",
            "The same work is done several times for each sample",
            f"{call['name']} was called {call['calls'] / max(1, call['samples']):.1f} times for a "
            f"sample, and {call['within'] / call['calls']:.0%} of the calls asked for what the "
            f"sample had already; together they take {call['share']:.0%} of its time.",
            "Do it once for a sample, and pass on what comes of it.",
            MECHANISM + 0.69,
            "C12",
            f"made = {call['name']}(...)  # once; what needs it is given `made`",
            [place_of(call)],
        )
    return None
