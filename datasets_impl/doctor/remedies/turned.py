"""Arrays that samples are taken across, kept with a sample's values together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.findings.searching import turned_lines
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.room import MEMORY
from datasets_impl.doctor.probes.scattered import KINDS
from datasets_impl.doctor.probes.searching import homes_of, places_of
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed


def turned(at: Context) -> list[Remedy]:
    """To the code the array is as it was: its axes are in the same order, and only its memory is
    in another."""
    if "scattered" not in at.found:
        return []
    found = at.seen["repeats"]["scattered"]
    title = "Keep it with a sample's values together"
    needs = at.ask_for(title, {MEMORY: sum(one["size"] for one in found)})
    pairs, begun, homes = list[Any](), clock.perf_counter(), homes_of(at.subject)
    for one in found:
        held = places_of(homes, one["module"], one["class"], one["name"], KINDS)
        for holder, name, value in held:
            pairs.append((Callee(name, holder, name), _turned(value, one["axis"])))
    taken = clock.perf_counter() - begun
    made = Instead(at.part, pairs)
    if not unharmed(at, made):
        return []
    return [
        Remedy(
            "turned",
            title,
            turned_lines(found[0]),
            made,
            at.subject.workers,
            "C11",
            cost="the array, once more or in another order",
            needs=needs,
            once_seconds=taken,
            mends=("scattered",),
        )
    ]


def _turned(value: Any, axis: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value.movedim(axis, 0).contiguous().movedim(0, axis)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(value, axis, 0)), 0, axis)
