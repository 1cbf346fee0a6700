"""What changes from one environment to another, in words; and for who updates to Python 3.14."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.judging.across import WHO
from scripts.judging.environment_changes import Across, Change
from scripts.judging.model import Verdict
from scripts.report import wording
from scripts.report.model import ClaimResult, Study

PLACE_WORDS = {
    "item": "One item",
    "epoch": "An epoch without workers, for each image",
    "epoch, workers": "An epoch with two workers, for each image",
    "first batch": "The first batch of two workers",
    "records": "Memory of all processes, small records, two forked workers",
    "photographs": "Memory of all processes, photographs, two forked workers",
}
CARE = (
    "Two environments are two runs, one after the other. A claim\u2019s effects are ratios within "
    "a run, so they compare as they are. Times and sizes compare with care: their intervals cover "
    "the scatter of the rounds, and not what else changed on the machine between the runs."
)
UNTESTED: Verdict = "not tested"
UNMEASURED = "which costs time before the first batch, and memory"


def named(environment: str, profile: str, usual: str) -> str:
    """An environment, with its profile where that is not the `usual` one."""
    return environment if profile == usual else f"{environment} ({profile} profile)"


def base_of(one: Across) -> str:
    """What `one` is compared with."""
    return named(one.base, one.base_profile, one.profile)


def heading(one: Across) -> str:
    """Which runs are compared."""
    profiles = [f" ({name} profile)" for name in (one.profile, one.base_profile)]
    if one.profile == one.base_profile:
        profiles[0] = ""
    return f"{one.environment}{profiles[0]} beside {one.base}{profiles[1]}, on {one.machine}"


def sentences(one: Across) -> list[str]:
    """How far the claims' cells agree, what changed and by how much, and how far apart in time."""
    told = []
    if one.cells:
        count = f"{one.agreeing:,} of {one.cells:,}"
        told.append(f"{count} cells that it and the reference both decide come out alike.")
    changed = [change for change in one.changes if change.changed]
    if one.changes:
        count = f"{len(changed) or 'None'} of {len(one.changes)}"
        told.append(f"{count} times and sizes at the centre of the star changed beyond the margin.")
    if changed:
        told.append(f"Most of all: {_most(changed)}.")
    return [*told, f"The two runs ended {_span(one.hours)} apart."]


def _most(changed: list[Change]) -> str:
    most = max(changed, key=lambda change: abs(math.log(change.ratio.estimate)))
    found, place = most.ratio, PLACE_WORDS[most.place]
    times = wording.estimate(found.estimate, "ratio")
    ends = wording.interval(found.estimate, found.low, found.high, "ratio")
    return f"{place[0].lower()}{place[1:]}, {wording.factors(most.factors, WHO)}, {times} {ends}"


def _span(hours: float) -> str:
    if hours < 2:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"


def beside(claim: ClaimResult, study: Study) -> list[tuple[str, str, Verdict]]:
    """(machine, environment, verdict) of what was measured beside each machine's reference."""
    judged = {machine.name: machine for machine in study.machines}
    profiles = {(one.machine, one.environment): one.profile for one in study.across}
    return [
        (name, named(where, profiles.get((name, where), usual), usual), verdict)
        for where, own in sorted(claim.by_environment.items())
        for name, verdict in sorted(own.items())
        if where != judged[name].environment
        for usual in (judged[name].profile,)
    ]


def why_differs(claim: ClaimResult, study: Study) -> str:
    """Why another environment's verdict on a card differs from its machine's, where no cell does:
    its run has fewer cells. "" where none differs, or a cell does."""
    told = {
        one.profile: (one.cells, one.agreeing)
        for one in study.across
        if claim.by_environment.get(one.environment, {}).get(one.machine, UNTESTED)
        not in (UNTESTED, claim.by_machine.get(one.machine))
    }
    if not told or any(cells != agreeing or not cells for cells, agreeing in told.values()):
        return ""
    profiles = " and ".join(sorted(told))
    return f"The {profiles} profile measures fewer cells; no cell decided in both differs."


def updating(cells: Iterable[Mapping[str, Any]], environments: Mapping[str, str]) -> str:
    """What changes for a reader who updates to Python 3.14: the rest of a sentence that says so.

    `cells` are those of X01 as `claims.json` has them; without its numbers the sentence has none.
    They need not have been measured under that Python: `environments` are those of the machines.
    """
    found = list(cells)
    first = first_batch(found)
    tree = _most_images(found, "memory.StartMethod", "fork")
    costs = UNMEASURED
    if first and tree:
        under = python_of((first, tree), environments)
        costs = (
            f"so the first batch takes {times(first)} times as long as from files, and all "
            f"processes need {times(tree)} times the memory that they need under fork (measured "
            f"under {under}, with forkserver)"
        )
    return (
        f"workers start by forkserver, and an array that you preloaded is pickled to each, {costs};"
        " pixels in one tensor are shared, and `persistent_workers=True` pays for the start once, "
        "not in every epoch"
    )


def first_batch(cells: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The cell of X01 that answer, README and page quote of a preloaded array's first batch."""
    return _most_images(cells, "startup.BySize", "naive")


def python_of(cells: Iterable[Mapping[str, Any]], environments: Mapping[str, str]) -> str:
    """The Python that measured `cells`, or several."""
    pythons = {environments.get(cell["machine"], "").partition(",")[0] for cell in cells}
    return " and ".join(sorted(pythons - {""})) or "another Python"


def _most_images(
    cells: Iterable[Mapping[str, Any]], benchmark: str, baseline: str
) -> Mapping[str, Any] | None:
    """By how much a preloaded array exceeds `baseline` under forkserver, of the most images on the
    machine that comes first; None where it was not measured, or does not."""
    own = [
        cell
        for cell in cells
        if cell["benchmark"].startswith(f"{benchmark}.")
        and (cell.get("impl"), cell.get("start_method")) == ("preloaded-array", "forkserver")
        and cell["baseline"] == baseline
        and (cell["estimate"] or 0) > 1
    ]
    first = [cell for cell in own if cell["machine"] == own[0]["machine"]]
    return max(first, key=lambda cell: cell["n"], default=None)


def times(cell: Mapping[str, Any]) -> str:
    """Its ratio as a bare number."""
    return wording.estimate(cell["estimate"], "ratio").removesuffix(wording.TIMES)
