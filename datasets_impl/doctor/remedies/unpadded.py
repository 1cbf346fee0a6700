"""Samples without the padding that none of them needs."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch.utils.data import Dataset

from datasets_impl.doctor.findings.sizes import TIMES, UNPADDED, mostly_padding
from datasets_impl.doctor.probes.padding import used_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied, leaves
from datasets_impl.doctor.remedies.narrowed import changed
from datasets_impl.doctor.remedies.remedy import Context, Remedy

FINDING = "padding"


class Cut(Dataset[Any]):
    """Samples of `inner`, of which some leaves are cut to the length that the longest needs."""

    def __init__(self, inner: Dataset[Any], found: list[dict[str, Any]]) -> None:
        self.inner, self.found = inner, found

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        sample = self.inner[index]
        for one in self.found:
            sample = changed(sample, one["path"], partial(cut, one))
        return sample


def cut(one: dict[str, Any], value: Any) -> Any:
    kept = slice(0, one["used"]) if one["end"] == "end" else slice(-one["used"], None)
    return value[(slice(None),) * one["axis"] + (kept,)]


def unpadded(at: Context) -> list[Remedy]:
    """Measured with samples that are padded all the same, so it gains that much at least."""
    found = [dict(one) for one in mostly_padding(at.seen)]
    if not found:
        return []
    samples, _ = at.read
    for sample in samples:  # those of the trial may be longer than those that were looked at
        arrays = {leaf.path: leaf.array for leaf in leaves(sample)}
        for one in found:
            array = arrays.get(one["path"])
            used = used_of(array, one["axis"], one["end"]) if array is not None else one["length"]
            one["used"] = max(one["used"], used)
    made = Cut(at.part, [one for one in found if one["length"] >= TIMES * one["used"]])
    try:
        at.collate(copied([made[place] for place in range(min(2, len(at.samples)))]))
    except RAISED:  # the user's function takes no other length
        return []
    return [
        Remedy(
            "unpadded",
            "Pad each batch to the longest in it",
            UNPADDED,
            made,
            at.subject.workers,
            caution="batches differ in length; gains more where samples are never padded",
            mends=(FINDING, "collating"),
        )
    ]
