"""What a reader can select on the page: facets with their levels, presets, and each cell's levels.

The selection stands in the address after `#`, as `key=level,level&key=level`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from datasets_impl.factors import SLOW_MEDIA
from scripts.judging.grid import order
from scripts.judging.model import VERDICTS, Cell, Verdict
from scripts.judging.pairing import level
from scripts.report import wording
from scripts.report.instead import NEW
from scripts.report.level_words import title
from scripts.report.model import ClaimResult, Study

Levels = list[tuple[str, str]]  # value in the address, and in words
UNTESTED: Verdict = "not tested"
SLOW = ",".join(SLOW_MEDIA)
KEYS = {"px": "px", "workers": "workers", "medium": "medium", "start": "start_method"}
# Key in the address -> factor, and what it is called.
FACTORS = {key: (name, title(name).capitalize()) for key, name in KEYS.items()}
ASKED: list[tuple[str, str, Levels]] = [
    ("fits", "Do the pixels fit in memory?", [("yes", "yes"), ("no", "no")]),
    ("storage", "Where are the files?",
     [("local", "local disk"), ("network", "network (NFS)"), ("object", "object storage")]),
    ("crops", "Random crops?", [("no", "no"), ("yes", "yes")]),
    ("labels", "Labels?", [("no", "no"), ("yes", "yes")]),
    ("trainer", "What does your trainer do?",
     [("waits", "waits for a GPU, or computes"),
      ("gil", "holds the GIL, or launches small operations")]),
    ("python", "Which Python?", [("old", "3.13 or older"), ("new", "3.14, or spawn")]),
]  # fmt: skip
IN_MEMORY = "C04,C06,C07,C11,C14,C15,C17,X03,X04"  # claims about pixels that are decoded once


def facets(study: Study) -> list[tuple[str, str, Levels]]:
    """(key, label, levels) of each facet that has two levels or more."""
    cells = [cell for claim in study.claims for cell in claim.evidence]
    found = [
        ("machine", "Machine", _alike(machine.name for machine in study.machines)),
        ("env", "Environment", _alike(filter(None, _environments(study)))),
        *((key, label, _levels(cells, key)) for key, (_, label) in FACTORS.items()),
        ("verdict", "Verdict", _alike(VERDICTS)),
    ]
    return [facet for facet in found if len(facet[2]) > 1 or facet[0] in ("machine", "env")]


def presets(study: Study) -> list[tuple[str, str]]:
    """(words, selection), those that this study can show."""
    levels = {key: {value for value, _ in found} for key, _, found in facets(study)}
    told = [("pixels fit in memory", f"claim={IN_MEMORY}&fits=yes")]
    if SLOW in levels.get("medium", ()):
        told.insert(0, ("JPEG on a network disk", f"medium={SLOW}&fits=no&storage=network"))
    if many := next((value for value in levels.get("workers", ()) if "," in value), ""):
        told.append(("several workers", f"workers={many}"))
    if new := next((value for value in sorted(levels["env"]) if value.startswith(NEW)), ""):
        told.append((NEW, f"env={quote(new)}&python=new"))
    elif "forkserver" in levels.get("start", ()):
        told.append((f"forkserver, as {NEW} starts workers", "start=forkserver&python=new"))
    return told


def _environments(study: Study) -> list[str]:
    """Those of the reference, then those whose verdicts stand beside it on the cards."""
    others = {
        name
        for claim in study.claims
        for name, own in claim.by_environment.items()
        if set(own.values()) != {UNTESTED}
    }
    return [*(machine.environment for machine in study.machines), *sorted(others)]


def beside(claim: ClaimResult, study: Study) -> str:
    """environment=machine=verdict of what stands beside each machine's reference, as the script
    reads it; its cells are not on the page."""
    usual = {machine.name: machine.environment for machine in study.machines}
    return "|".join(
        f"{_key(name)}={_key(machine)}={verdict}"
        for name, own in sorted(claim.by_environment.items())
        for machine, verdict in sorted(own.items())
        if verdict != UNTESTED and usual.get(machine) != name
    )


def tokens(cell: Cell, environments: Mapping[str, str]) -> str:
    """The levels of a cell as the script of the page compares them."""
    told = {"machine": _key(cell.machine), "env": _key(environments.get(cell.machine, ""))}
    told |= {key: _text(cell, key) for key in FACTORS}
    return "|".join(f"{key}:{value}" for key, value in told.items() if value)


def _text(cell: Cell, key: str) -> str:
    factors: Mapping[str, Any] = cell.factors
    value = factors.get(FACTORS[key][0])
    if key == "medium" and value is None:  # such cells vary how slow it is, not what it is
        value = "throttled" if factors.get("bandwidth") else None
        value = "object-store" if "latency_ms" in factors else value
    return "" if value is None else str(level(value))


def _key(name: str) -> str:
    """As it stands in the address, where a comma joins levels."""
    return name.replace(",", "")


def _alike(names: Iterable[str]) -> Levels:
    return [(_key(name), name) for name in dict.fromkeys(names)]


def _levels(cells: list[Cell], key: str) -> Levels:
    factor = FACTORS[key][0]
    texts = {_text(cell, key) for cell in cells} - {""}
    names = sorted(texts, key=lambda text: order(factor, int(text) if text.isdecimal() else text))
    levels = [
        (name, wording.factor(factor, int(name)) if factor == "px" and name.isdecimal() else name)
        for name in names
    ]
    numbers = all(name.isdecimal() for name in names)
    if key == "workers" and numbers and len(many := [n for n in names if int(n) > 1]) > 1:
        levels.append((",".join(many), f"{many[0]} and more"))
    if key == "medium" and texts >= set(SLOW.split(",")):
        levels.append((SLOW, "network: throttled, object store"))
    return levels
