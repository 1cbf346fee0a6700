"""Transforms of torchvision's, by whatever name, moved from samples to whole batches."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import Leaf, copied, leaves, signature
from datasets_impl.doctor.remedies.remedy import Context, Remedy

CAUSE, LIBRARY = "transforming", "torchvision.transforms"
PICTURE = 3  # axes of a tensor that these take, and a batch of
KEY = re.compile(r"\[([^\]]*)\]")
LINES = """dataset.{name} = lambda picture: picture  # workers only read
for batch in loader:
    {batch} = {name}({batch})  # and so on; on the device where there is one"""


class Noting:
    """Lets pictures pass, and keeps them."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, picture: Any) -> Any:
        self.seen.append(picture)
        return picture


def untouched(picture: Any) -> Any:
    return picture


class OnLeaves:
    """A collate function, after which these parts of the batch are transformed."""

    def __init__(self, collate: Any, transform: Any, paths: list[list[Any]]) -> None:
        self.collate, self.transform, self.paths = collate, transform, paths

    def __call__(self, samples: list[Any]) -> Any:
        batch = self.collate(samples)
        for path in self.paths:
            batch = _changed(batch, path, self.transform)
        return batch


def _changed(batch: Any, path: list[Any], transform: Any) -> Any:
    if not path:
        return transform(batch)
    key, *rest = path
    inner = _changed(batch[key], rest, transform)
    if isinstance(batch, dict):
        return {**batch, key: inner}
    return [inner if at == key else one for at, one in enumerate(batch)]


def held_transforms(at: Context) -> list[Remedy]:
    """Where samples are the same but for what the transform does to whole parts of them; the one
    that is called `transform` has a remedy of its own."""
    if CAUSE not in at.found or not at.samples:
        return []
    for name, transform in _transforms(at.subject.dataset):
        try:
            paths = _paths(at, name)
            if not paths:
                continue
            collate = OnLeaves(at.collate, transform, paths)
            part = _with(at, name, untouched)
            made = collate([part[place] for place in range(len(at.samples))])
            if signature(made) != signature(at.collate(copied(at.samples))):
                continue
        except RAISED:  # it does not take a batch
            continue
        keys = "".join(f"[{key!r}]" for key in paths[0])
        return [
            Remedy(
                "transform-on-batch",
                "Transform whole batches",
                LINES.format(name=name, batch=f"batch{keys}"),
                part,
                at.subject.workers,
                "C05",
                collate=collate,
                mends=(CAUSE,),
                caution="a random transform draws once for the whole batch",
            )
        ]
    return []


def _transforms(dataset: Any) -> Iterator[tuple[str, Any]]:
    for name, value in list((attribute(dataset, "__dict__") or {}).items()):
        library = type(value).__module__.startswith(LIBRARY)
        if name != "transform" and callable(value) and library:
            yield name, value


def _with(at: Context, name: str, transform: Any) -> Part:
    bare = copy.copy(at.subject.dataset)
    setattr(bare, name, transform)
    return Part(replace(at.subject, dataset=bare), at.part.indices, len(at.part))


def _paths(at: Context, name: str) -> list[list[Any]]:
    """Where in a sample that lies which goes through the transform; nothing where some of it lies
    nowhere, as what is cropped or stacked afterwards."""
    noting = Noting()
    sample = _with(at, name, noting)[0]
    if not noting.seen or signature(sample) != signature(at.samples[0]):
        return []
    found = [leaf for leaf in leaves(sample) if any(leaf.value is one for one in noting.seen)]
    if len(found) != len(noting.seen) or not all(map(_is_picture, found)):
        return []
    return [[ast.literal_eval(key) for key in KEY.findall(one.path)] for one in found]


def _is_picture(leaf: Leaf) -> bool:
    return isinstance(leaf.value, torch.Tensor) and leaf.value.ndim == PICTURE
