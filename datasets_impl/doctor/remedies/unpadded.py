"""Samples without the padding that none of them needs."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from datasets_impl.doctor.findings.sizes import TIMES, UNPADDED, mostly_padding, padded_batches
from datasets_impl.doctor.probes.padding import longest_of, used_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied, fingerprint, leaves
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


class CutBatch:
    """The user's collate function, whose batches are cut to the longest of their samples."""

    def __init__(self, collate: Any, found: list[dict[str, Any]]) -> None:
        self.collate, self.found = collate, found

    def __call__(self, samples: Any) -> Any:
        given = copied(samples)  # the function may change them
        batch = self.collate(samples)
        for one in self.found:
            batch = changed(batch, one["path"], partial(self._cut, one, given))
        return batch

    def _cut(self, one: dict[str, Any], samples: Any, value: Any) -> Any:
        used = longest_of(samples, value.shape, one["axis"])
        made = cut(one | {"used": used, "end": "end"}, value)
        return made.clone() if isinstance(made, torch.Tensor) else made.copy()


def cut(one: dict[str, Any], value: Any) -> Any:
    kept = slice(0, one["used"]) if one["end"] == "end" else slice(-one["used"], None)
    return value[(slice(None),) * one["axis"] + (kept,)]


def unpadded(at: Context) -> list[Remedy]:
    """Measured with samples that are padded all the same, so it gains that much at least."""
    found = [dict(one) for one in mostly_padding(at.seen)]
    if not found:
        return _in_collate(at)
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
    return [_remedy(at, made)]


def _in_collate(at: Context) -> list[Remedy]:
    found = padded_batches(at.seen)
    if not found:
        return []
    ways: list[Any] = [CutBatch(at.collate, found)]
    if isinstance(at.samples[0], torch.Tensor):
        ways.insert(0, partial(pad_sequence, batch_first=True))
    expected = ways[-1](copied(at.samples))
    for way in ways:
        with contextlib.suppress(*RAISED):
            if fingerprint(way(copied(at.samples))) == fingerprint(expected):
                return [_remedy(at, at.part, way)]
    return []


def _remedy(at: Context, dataset: Dataset[Any], collate: Any = None) -> Remedy:
    return Remedy(
        "unpadded",
        "Pad each batch to the longest in it",
        UNPADDED,
        dataset,
        at.subject.workers,
        collate=collate,
        caution="batches differ in length; gains more where samples are never padded",
        mends=(FINDING, "collating"),
    )
