"""Which profiles may stand in one folder of results: those that no verdict joins.

The standard profile and those of `factors.APART` have no cell in common. Environments are judged
apart, so a run of another one spoils nothing where it does not take the place of the one that its
machine is judged over. Of that one a quick run may stand beside a wider one: the base that quick
runs are compared with, which no verdict rests on. The wider run is a poor base, because the quick
profile has fewer images at the centre of the star: times and sizes there are in one of the two
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datasets_impl.errors import StudyError
from datasets_impl.factors import APART
from scripts.judging.environments import Environment, reference
from scripts.judging.runs import QUICK, WIDER

BESIDE = {"standard", *APART}  # no cell in common: they are judged together


@dataclass(frozen=True)
class Standing:
    """What a folder has of a run."""

    machine: str
    environment: Environment
    profile: str


def spoiled(new: Standing, known: Sequence[Standing]) -> Standing | None:
    """The first of `known` that `new` may not stand beside, None where it spoils nothing."""
    after = [*known, new]
    for one in known:
        if new.profile == one.profile or {new.profile, one.profile} <= BESIDE:
            continue
        # Also before: what a machine was judged over keeps its place.
        joined = _judged(new, after) and (_judged(one, after) or _judged(one, known))
        alike = (new.machine, new.environment) == (one.machine, one.environment)
        if joined or (alike and new.environment != _reference(new.machine, after)):
            return one
    return None


def require_same(first: Iterable[str], second: Iterable[str]) -> None:
    """A profile has cells of its own, so two of them have next to nothing to compare.

    Raises:
        StudyError: results of the `first` profiles are not of the `second` ones.
    """
    one, other = (sorted(set(names)) for names in (first, second))
    if one != other:
        names = [" and ".join(map(repr, each)) for each in (one, other)]
        raise StudyError(
            f"The results are of the profiles {names[0]} and {names[1]}; measure the same profile "
            "again, or name the results of one profile on both sides."
        )


def _reference(machine: str, known: Sequence[Standing]) -> Environment:
    return reference(one.environment for one in known if one.machine == machine)


def _judged(run: Standing, known: Sequence[Standing]) -> bool:
    """Whether verdicts over the machines of `known` rest on `run`; see `runs`."""
    if run.environment != _reference(run.machine, known):
        return False
    beside = {
        one.profile
        for one in known
        if (one.machine, one.environment) == (run.machine, run.environment)
    }
    return run.profile != QUICK or beside.isdisjoint(WIDER)
