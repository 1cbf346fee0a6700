"""Pictures under an address of fsspec (`s3://…`), planned and read for a set of shards."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_impl.errors import StudyError
from datasets_impl.files.packed import PackedPaths
from datasets_impl.files.pictures import JPEG_SUFFIXES, decoded, seal, unreadable
from datasets_impl.formats.addresses import file_system, read_all
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.stored import Kind

# What changes with an object's content, as file systems of fsspec call it: the surest first.
STATES = ("ETag", "etag", "sha", "mtime", "LastModified", "last_modified", "modificationTime",
          "modified", "updated", "modify", "created")  # fmt: skip


@dataclass
class AddressedPlan(Plan):
    """A plan whose pictures are read by fsspec, those of a chunk at the same time."""

    protocol: str = "file"
    options: dict[str, Any] = field(default_factory=dict)

    def contents(self, indices: range) -> list[bytes]:
        paths = [self.paths[index] for index in indices]
        found = _read(file_system(f"{self.protocol}://", self.options), paths)
        if self.kind == "pixels":
            return [
                self.pixels(decoded(io.BytesIO(data), path), path)
                for data, path in zip(found, paths, strict=True)
            ]
        return [self.encoded(data, index) for data, index in zip(found, indices, strict=True)]


def plan_address(url: str, kind: Kind, options: dict[str, Any], labelled: bool = False) -> Plan:
    """The JPEG files under `url`, in order of their names; hidden folders are left out.

    Args:
        options: arguments of the file system (`storage_options` of pandas and Dask).
        labelled: the folders under `url` are classes, as `LabelledFolder` takes them.

    Raises:
        StudyError: there is none, or the address cannot be read.
        MissingPackage: fsspec's package for the protocol is not installed.
    """
    protocol = url.partition("://")[0]
    system = file_system(url, options)
    root = str(system._strip_protocol(url)).rstrip("/")
    try:
        system.invalidate_cache()
        facts = system.find(root, detail=True)
        if not facts:
            _require_answer(system, root)
    except Exception as error:  # each file system has errors of its own
        why = str(error) or type(error).__name__
        raise StudyError(f"{url} cannot be listed ({why}); name what may be read.") from error
    paths = sorted(path for path in facts if _is_picture(path[len(root) + 1 :]))
    if not paths:
        raise StudyError(f"{url} has no JPEG file; name a place that holds some.")
    unknown = next((path for path in paths if not isinstance(facts[path].get("size"), int)), None)
    if unknown is not None:
        raise StudyError(
            f"{url} does not say how large {unknown} is, which is to be known before anything is "
            "written; copy the pictures to a folder, or to a store that says it."
        )
    targets, classes = _classes(url, [path[len(root) + 1 :] for path in paths], labelled)
    found = seal([[path[len(root) + 1 :], *_state(facts[path])] for path in paths])
    shape: tuple[int, ...] = ()
    if kind == "pixels":
        shape = decoded(io.BytesIO(_read(system, paths[:1])[0]), paths[0]).shape
    return AddressedPlan(
        PackedPaths(paths),
        kind,
        found,
        shape,
        np.array([math.prod(shape) if shape else facts[path]["size"] for path in paths], np.uint64),
        targets=targets,
        classes=classes,
        protocol=protocol,
        options=options,
    )


def _require_answer(system: Any, root: str) -> None:
    """`find` of some file systems leaves out what they could not list; `ls` raises its error."""
    with suppress(FileNotFoundError):
        system.ls(root)


def _is_picture(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/")[:-1])
    return name.lower().endswith(JPEG_SUFFIXES) and not hidden


def _state(facts: dict[str, Any]) -> list[str]:
    """What changes with an object's content: its size, and its tag or its time."""
    return [str(facts["size"]), str(next(filter(None, map(facts.get, STATES)), None))]


def _classes(
    url: str, names: Sequence[str], labelled: bool
) -> tuple[np.ndarray[Any, Any] | None, list[str] | None]:
    if not labelled:
        return None, None
    bare = next((name for name in names if "/" not in name), None)
    if bare is not None:
        raise StudyError(f"{url}/{bare} is in no folder of a class; move it into one.")
    classes, targets = np.unique([name.partition("/")[0] for name in names], return_inverse=True)
    return targets.astype(np.int64), classes.tolist()


def _read(system: Any, paths: Sequence[str]) -> list[bytes]:
    """
    Raises:
        BadImage: one cannot be read.
    """
    found = read_all(system, paths)
    for path, content in zip(paths, found, strict=True):
        if isinstance(content, Exception):
            raise unreadable(path, content) from content
    return found
