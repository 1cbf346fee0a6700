"""What an arm of the three tasks is, as the log of its measurement says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from datasets_impl.factors import Task


@dataclass(frozen=True)
class Arm:
    """See `datasets_impl.contest.model.Arm`; `uses` is the class that its code is built on."""

    name: str
    task: Task
    origin: str
    exact: bool
    order: str
    about: str
    code: str
    uses: str


def arms(
    task: Task, names: Iterable[str], logged: Mapping[str, Mapping[str, Any]]
) -> dict[str, Arm]:
    """Those of `names` that are arms and no ceilings; `logged` is what the log says by name.

    Logs of before arms described themselves hold nothing: those are described by today's code.
    """
    found = {}
    for name in names:
        facts = logged.get(name) or _today(task, name)
        if facts:
            found[name] = Arm(name, task, **facts)
    return found


def _today(task: Task, name: str) -> dict[str, Any]:
    from datasets_impl.contest.registry import ARMS  # late: it needs torch

    return ARMS[task, name].described() if (task, name) in ARMS else {}
