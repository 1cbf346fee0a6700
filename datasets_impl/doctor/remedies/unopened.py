"""The user's dataset as its workers get it, where only the doctor's own reads opened its files."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.parts import open_handles
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable

FORGET: tuple[Callable[[Any, str], None], ...] = (
    lambda owner, name: setattr(owner, name, None),  # as `if self.file is None` expects it
    delattr,  # as `if not hasattr(self, "file")` does
)


def unopened(at: Context) -> Part:
    """
    Raises:
        Inapplicable: files are open that workers would share.
    """
    handles = open_handles(at.subject)
    if at.subject.workers or not handles:  # of who has workers already they are the user's own
        return at.part
    before = at.subject.answers.get("inside", {}).get("handles", handles)
    if before:
        raise Inapplicable(
            f"Workers were not tried, since they would share what is open ({before[0]}): open it "
            "in each worker, when its first sample is read"
        )
    ways = [one.partition(",")[0].split(".")[1:] for one in handles]
    for forget in FORGET:
        try:
            made = _part(at, ways, forget)
            if open_handles(made.subject):  # held in another place too
                continue
            made[0]
            if open_handles(made.subject) == handles:
                return _part(at, ways, forget)
        except RAISED:
            continue
    raise Inapplicable(
        f"Workers were not tried: they would share what the doctor's own reads opened "
        f"({handles[0]}), though yours would each open it for themselves"
    )


def _part(at: Context, ways: Sequence[list[str]], forget: Callable[[Any, str], None]) -> Part:
    """Of copies of the dataset and of those inside, which hold no open file any more."""
    made = copy.copy(at.subject.dataset)
    for *inner, last in ways:
        owner = made
        for name in inner:
            setattr(owner, name, copy.copy(getattr(owner, name)))
            owner = getattr(owner, name)
        forget(owner, last)
    return Part(replace(at.subject, dataset=made), at.part.indices, len(at.part))
