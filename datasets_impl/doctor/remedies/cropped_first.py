"""Transforms in a list, of which the one that takes a part of the whole is moved before others."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.sizes import in_order, reordered_line
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import leaves, signature
from datasets_impl.doctor.probes.source_lines import STEP
from datasets_impl.doctor.remedies.remedy import Context, Remedy, seeded

FINDING = "computes-too-much"
MOST_APART = 0.5  # of means, over the deviation of the user's


def cropped_first(at: Context) -> list[Remedy]:
    """As early as samples of the same shape and kind come of it."""
    steps = at.seen["repeats"].get("steps", {})
    if FINDING not in at.found or not steps.get("list"):
        return []
    chain = next((one for path, one, _ in parts(at.subject.dataset) if path == steps["list"]), ())
    keys = STEP.findall(steps["list"].removeprefix("dataset"))
    for to in range(steps["to"], steps["from"]):
        other = steps | {"to": to}
        try:
            ordered = in_order(list(chain), other)
            moved = tuple(ordered) if isinstance(chain, tuple) else ordered
            dataset = _with(at.subject.dataset, keys, moved)
            part = Part(replace(at.subject, dataset=dataset), at.part.indices, len(at.part))
            if not _alike(at, part):
                continue
        except RAISED:  # it does not take what the others take
            continue
        return [
            Remedy(
                "cropped-first",
                "Take the part first",
                reordered_line(other),
                part,
                at.subject.workers,
                "C12",
                caution="where what comes before needs the whole, samples are others",
                mends=(FINDING, "python", "converting", "transforming"),
            )
        ]
    return []


def _with(holder: Any, keys: list[tuple[str, str]], value: Any) -> Any:
    """A copy of `holder` in which this value is at the end of the path; all else is shared."""
    if not keys:
        return value
    (name, key), *rest = keys
    made = copy.copy(holder)
    if name:
        setattr(made, name, _with(getattr(holder, name), rest, value))
        return made
    place = int(key) if key.isdigit() else key.strip("'\"")
    if isinstance(holder, tuple):
        return tuple(_with(one, rest, value) if n == place else one for n, one in enumerate(holder))
    made[place] = _with(holder[place], rest, value)
    return made


def _alike(at: Context, part: Part) -> bool:
    """The same kinds, and about the same values: a normalisation that was left behind changes
    them."""
    own, made = seeded(at.part, 0), seeded(part, 0)
    if signature(own) != signature(made):
        return False
    for one, other in zip(leaves(own), leaves(made), strict=True):
        if one.values is None or other.values is None or one.values.dtype.kind not in "biuf":
            continue
        spread = float(np.std(one.values)) + 1e-6
        if not abs(float(np.mean(one.values)) - float(np.mean(other.values))) <= (
            MOST_APART * spread
        ):
            return False
    return True
