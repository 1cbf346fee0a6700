"""Samples of which the largest part is given in a smaller type, or as numbers of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.findings.sizes import narrow_lines, widest
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied, size_of
from datasets_impl.doctor.remedies.remedy import Context, Remedy

FINDING = "wide-values"
AS_FLOAT = "image = image.astype(np.float32)  # or give uint8, and convert on the device"


class Narrowed(Dataset[Any]):
    """Samples of `inner`, of which one leaf is made smaller."""

    def __init__(self, inner: Dataset[Any], leaf: dict[str, Any]) -> None:
        self.inner, self.leaf = inner, leaf

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        return changed(self.inner[index], self.leaf["path"], lambda value: narrow(value, self.leaf))


def changed(sample: Any, wanted: str, change: Callable[[Any], Any], path: str = "") -> Any:
    """The same with another leaf at the path `wanted`, as `samples.leaves` goes through it."""

    def inner(one: Any, step: str) -> Any:
        return changed(one, wanted, change, f"{path}{step}")

    if (path or "the sample") == wanted:
        return change(sample)
    if isinstance(sample, Mapping):
        return {key: inner(one, f"[{key!r}]") for key, one in sample.items()}
    if isinstance(sample, tuple | list):
        made = [inner(one, f"[{n}]") for n, one in enumerate(sample)]
        return type(sample)(*made) if hasattr(sample, "_fields") else type(sample)(made)
    if is_dataclass(sample) and not isinstance(sample, type):
        names = [one.name for one in fields(sample)]
        return replace(sample, **{n: inner(getattr(sample, n), f".{n}") for n in names})
    return sample


def narrow(value: Any, leaf: dict[str, Any]) -> Any:
    """Numbers of classes by a product, which is far quicker than looking for the largest."""
    array = isinstance(value, np.ndarray)
    tensor = torch.as_tensor(value)
    if leaf["classes"]:
        numbers = torch.arange(leaf["classes"], dtype=torch.float32)
        tensor = tensor.float().movedim(leaf["axis"], -1) @ numbers
    tensor = tensor.to(getattr(torch, leaf["to"]))
    return tensor.numpy() if array else tensor


def narrowed(at: Context) -> list[Remedy]:
    """Measured with samples that are made large all the same, so it gains that much at least."""
    leaf, lines = widest(at.seen), ""
    if leaf is None or FINDING not in at.found:
        leaf, lines = _double(at), AS_FLOAT
    if leaf is None:
        return []
    made = Narrowed(at.part, leaf)
    try:
        some = [made[place] for place in range(min(2, len(at.samples)))]
        at.collate(copied(some))
    except RAISED:  # the user's function takes no other type
        return []
    if not some or size_of(some[0]) >= size_of(at.samples[0]):
        return []
    return [
        Remedy(
            "narrow",
            "Give class numbers" if leaf["classes"] else f"Give {leaf['to']}",
            lines or narrow_lines(leaf),
            made,
            at.subject.workers,
            "X03",
            caution="the trainer converts on the device; gains more where samples are never made "
            "large",
            mends=(FINDING, "float64", "collating"),
        )
    ]


def _double(at: Context) -> dict[str, Any] | None:
    """The largest leaf that is float64."""
    found: list[dict[str, Any]] = at.seen["look"].get("example", [])
    wide = [one for one in found if " float64 " in one["kind"]]
    if not wide or "float64" not in at.found:
        return None
    return max(wide, key=lambda one: int(one["bytes"])) | {"to": "float32", "classes": 0}
