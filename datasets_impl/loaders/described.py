"""Which samples a dataset has, as far as it can be told cheaply: what a loader's state is held to.

The names of files, in order, and not their bytes; from the folder that all are in, so that a copy
elsewhere says the same, in this process or another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Subset

from datasets_impl import optional
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.files.packed import PackedPaths
from datasets_impl.files.pictures import digest
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.remote import RemoteFolder, RemotePack
from datasets_impl.labelled import ImageFiles
from datasets_impl.loaders.changes import Held
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.shards_ahead import ShardsAhead

DECIDE = ("seed", "mixed")  # attributes of this package's datasets that decide what sample i is


class Described:
    """What can be said of a dataset, found once and again where an attribute was bound anew."""

    def __init__(self, dataset: Any) -> None:
        self._dataset, self._held = dataset, Held(dataset)
        found = list(_inside(dataset))
        self._facts = {"dataset": " of ".join(dict.fromkeys(said for said, _ in found))}
        prints = [each for _, each in found if each is not None]
        if prints:
            whole = digest(b"".join(each.to_bytes(8, "big") for each in prints))
            self._facts["samples"] = f"{whole:016x} (a digest of which they are, in order)"

    def facts(self) -> dict[str, str]:
        """`dataset`: its class and what it holds; `samples`: a digest, where there is one."""
        if self._held.differs(self._dataset):
            self.__init__(self._dataset)  # type: ignore[misc]
        return dict(self._facts)


def _inside(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, int | None]]:
    """What each is, the outermost first, and a digest of its samples or None."""
    if any(dataset is each for each in above):  # one that holds itself
        return
    said = type(dataset).__qualname__
    if isinstance(dataset, ImageDataset | ShardsAhead):
        facts = {name: getattr(dataset, name) for name in DECIDE if hasattr(dataset, name)}
        said += "".join(f", {name}={facts[name]}" for name in facts)
    found = None
    with contextlib.suppress(Exception):  # a user's may hold anything, a stored set may be gone
        found = _digest(dataset)
    yield said, found
    held = optional.attributes(dataset)
    several = held.get("datasets")
    several = list(several.values()) if isinstance(several, dict) else several
    for each in [held.get("dataset"), *(several if isinstance(several, list | tuple) else [])]:
        if each is not None:
            yield from _inside(each, (*above, dataset))


def _digest(dataset: Any) -> int | None:
    if isinstance(dataset, Subset):
        return digest(np.asarray(dataset.indices, "<i8").tobytes())
    if isinstance(dataset, ReadOnlyMappedDataset):
        return int(dataset.header["digests"])
    if isinstance(dataset, JpegDataset):
        return PackedPaths(dataset.image_paths).digest()
    source: Any = dataset.source if isinstance(dataset, ImageDataset) else dataset
    if isinstance(source, StoredImages):  # of each image's bytes, whatever the format
        return digest(np.ascontiguousarray(source.index["digest"]))
    if isinstance(source, RemotePack):
        return digest(source.digests)
    if isinstance(source, RemoteFolder):
        return PackedPaths(source.paths).digest()
    if isinstance(source, ImageFiles):
        return source.paths.digest()
    if hasattr(source, "class_to_idx"):  # torchvision's `ImageFolder`
        return PackedPaths([path for path, _ in source.samples]).digest()
    return None
