"""Lists in which each sample looks something up, and arrays that it is picked out of."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from typing import Any

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import LEAST_SHARE, MECHANISM, Finding, Probes, cheap
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.user_lines import UserLine, at_most, leading_to, user_lines
from datasets_impl.doctor.probes.thresholds import OF_EACH

PROVED = 0.3  # of what a line takes, that going through the list explains at most
EXPLAINED = 0.02  # the same of what goes through all of the data, by the least that takes
OWN = ("python", "converting", "transforming", "sorting", "drawing random numbers")
ACROSS = ("python", "converting", "transforming", "reading")

IN = """{name}_set = set({name})  # once; the list itself stays, for whatever else asks it
value in {name}_set  # in place of {name}"""
WHERE = """{name}_places = {{one: at for at, one in reversed([*enumerate({name})])}}  # once
{name}_places[value]  # in place of {name}.index(value)"""

SETS = "{name}_sets = [set(one) for one in {name}]  # once; ask {name}_sets[index]"

Search = dict[str, Any]


def searches(seen: Probes) -> Iterator[tuple[Search, UserLine]]:
    """Those that take much of a sample's time, by the lines that they stand in."""
    whole = account(seen)
    if whole.total < cheap(seen):
        return
    lines = {(one.file, one.line): one for one in user_lines(seen)}
    for one in seen.get("repeats", {}).get("searched", []):
        line = lines.get((one["file"], one["line"]))
        own = line.causes.get("python", 0.0) if line else 0.0
        if line is None or own < LEAST_SHARE * whole.total:
            continue
        if one["seconds"] * max(1.0, line.times) >= PROVED * own:
            yield one, line


def searches_list(seen: Probes) -> Finding | None:
    for one, line in searches(seen):
        share = line.causes["python"] / account(seen).total
        name = one["name"]
        return Finding(
            "searches-list",
            "A long list is searched for each sample",
            f"{name} holds {one['length']:,} elements, and looking something up goes through them "
            f"one by one; the line takes {share:.0%} of a sample's time, without it at most "
            f"{at_most(share):.1f} times as fast.",
            "Make a set of it once; or a dictionary, where the place of an element is wanted.",
            MECHANISM + 0.72,
            "C12",
            lines_of(one),
            leading_to(seen, "python"),
        )
    return None


def lines_of(one: Search) -> str:
    """For what the line asks: whether it is there, or where."""
    if one["name"].endswith(OF_EACH):
        return SETS.format(name=one["name"].removesuffix(OF_EACH))
    asks = linecache.getline(one["file"], one["line"])
    return (WHERE if f"{one['name']}.index(" in asks else IN).format(name=one["name"])


def all_for_one(seen: Probes) -> Finding | None:
    """All that the dataset holds is computed on, for the part that a sample is."""
    total = account(seen).total
    if not total or total < cheap(seen):
        return None
    for one in seen.get("repeats", {}).get("whole", []):
        here = range(one["first"], one["last"] + 1)
        lines = [
            line for line in user_lines(seen) if line.file == one["file"] and line.line in here
        ]
        own = sum(line.causes.get(cause, 0.0) for line in lines for cause in OWN)
        if own < LEAST_SHARE * total or one["seconds"] < EXPLAINED * own:
            continue
        return Finding(
            "all-for-one",
            "All of the data is gone through for each sample",
            f"{one['name']} holds {one['size']}, about as many as there are samples or more, and "
            f"what goes through all of it takes {own / total:.0%} of a sample's time; without it "
            f"at most {at_most(own / total):.1f} times as fast.",
            "Take the sample's part of it first; or do once, in the constructor, what needs all of "
            "it, such as grouping, sorting or scaling.",
            MECHANISM + 0.73,
            "",
            f"part = {one['name']}[index]  # first; then compute on that\n"
            "self.by_label = {label: np.flatnonzero(labels == label) for label in set(labels)}  "
            "# or once, in __init__",
            leading_to(seen, *OWN),
        )
    return None


def scattered(seen: Probes) -> Finding | None:
    """Each few bytes that are wanted come with those of other samples beside them."""
    total = account(seen).total
    if not total or total < cheap(seen):
        return None
    lines = {(one.file, one.line): one for one in user_lines(seen)}
    for one in seen.get("repeats", {}).get("scattered", []):
        line = lines.get((one["file"], one["line"]))
        own = sum(line.causes.get(cause, 0.0) for cause in ACROSS) if line else 0.0
        if own < LEAST_SHARE * total:
            continue
        return Finding(
            "scattered",
            "A sample lies scattered over the data",
            f"{one['name']} is taken across: {one['together']:,} bytes at each of "
            f"{one['places']:,} places, all over its {decimal(one['size'])}; the line takes "
            f"{own / total:.0%} of a sample's time.",
            "Store it with a sample's values together: with that axis first.",
            MECHANISM + 0.735,
            "C11",
            turned_lines(one),
            leading_to(seen, *ACROSS),
        )
    return None


def turned_lines(one: dict[str, Any]) -> str:
    name = one["name"]
    return (
        f"{name} = np.ascontiguousarray(np.moveaxis({name}, {one['axis']}, 0))  # once\n"
        f"{name}[index]  # in place of {name}[{':, ' * one['axis']}index]"
    )
