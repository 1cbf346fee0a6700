"""What can be told by looking at a dataset object without reading samples: its parts by name."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.target import Subject

DEEP = 5  # levels of objects that are looked into
MOST = 2000  # objects in all
BIG = 50_000  # elements of a list that workers will copy
RANDOM_CLASSES = re.compile(
    r"^(Random|ColorJitter|AutoAugment|TrivialAugment|AugMix|GaussianNoise)"
)
RANDOM_SOURCE = re.compile(r"\brandom\b|\brng\b|\brand(n|int|perm)?\b")
HANDLES = {  # type -> what users call it
    "h5py._hl.files.File": "an HDF5 file",
    "h5py._hl.dataset.Dataset": "an HDF5 dataset",
    "lmdb.Environment": "an LMDB environment",
    "builtins.Environment": "an LMDB environment",
    "sqlite3.Connection": "an SQLite connection",
    "zipfile.ZipFile": "a zip file",
    "tarfile.TarFile": "a tar file",
    "_io.BufferedReader": "an open file",
    "_io.TextIOWrapper": "an open file",
}
LISTINGS = ("listdir", "scandir", "glob", "rglob", "iglob", "iterdir")
ORDERLESS = ("sorted", "len", "sum", "any", "all", "max", "min", "set")  # of a listing
LABELS = re.compile(r"label|target|class_ids|lengths", re.IGNORECASE)
TRANSFORM = re.compile(r"transform|augment", re.IGNORECASE)


def look_inside(subject: Subject, seconds: float) -> dict[str, Any]:
    """Random transforms, big lists, open handles, labels of another length, order of a listing."""
    found: dict[str, Any] = {
        "random_transforms": [],
        "big_lists": [],
        "handles": [],
        "lengths": [],
        "settings": {k: v for k, v in subject.settings.items() if v is None or _plain(v)},
        "start_method": subject.settings.get("start_method")
        or torch.multiprocessing.get_start_method(),
        "opencv_threads": _opencv_threads(),
        "torch_threads": torch.get_num_threads(),
    }
    for path, value in parts(subject.dataset):
        name = path.rpartition(".")[2]
        if is_random(name, value):
            found["random_transforms"].append(f"{path} ({type(value).__name__})")
        if isinstance(value, list | dict | tuple | set) and len(value) >= BIG:
            found["big_lists"].append([path, len(value), _element(value)])
        kind = HANDLES.get(f"{type(value).__module__}.{type(value).__qualname__}")
        if kind:
            found["handles"].append(f"{path}, {kind}")
        if (
            LABELS.search(name)
            and isinstance(value, Sized)
            and not isinstance(value, str | Mapping)
            and subject.length
            and _length(value) not in (None, subject.length, 0)
        ):
            found["lengths"].append([path, _length(value), subject.length])
    found["unsorted"] = unsorted_listing(subject.dataset)
    found["torch_transform"] = _transform_of(subject.dataset)
    return found


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str | bool)


def _length(value: Sized) -> int | None:
    if isinstance(value, torch.Tensor | np.ndarray) and not value.ndim:
        return None
    return len(value)


def _element(value: Any) -> str:
    first = next(iter(value.values() if isinstance(value, dict) else value), None)
    return type(first).__name__


def parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes and elements of `thing`, level by level, with the path that leads there."""
    queue: list[tuple[str, Any, int]] = [("dataset", thing, 0)]
    seen: set[int] = set()
    while queue and len(seen) < MOST:
        path, value, deep = queue.pop(0)
        if id(value) in seen or isinstance(value, str | bytes | int | float | type):
            continue
        seen.add(id(value))
        yield path, value
        if deep < DEEP:
            queue += [(f"{path}{name}", inner, deep + 1) for name, inner in _inner(value)]


def _inner(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, np.ndarray | torch.Tensor) or inspect.ismodule(value):
        return []
    if isinstance(value, Mapping):
        return (
            [(f"[{key!r}]", one) for key, one in list(value.items())[:16]]
            if len(value) < BIG
            else []
        )
    if isinstance(value, Sequence):
        return (
            [(f"[{at}]", one) for at, one in enumerate(islice(value, 16))]
            if len(value) < BIG
            else []
        )
    attributes = getattr(value, "__dict__", None)
    return [(f".{name}", one) for name, one in attributes.items()] if attributes else []


def is_random(name: str, value: Any) -> bool:
    """A transform that draws: known by its class's name, or by its own source when the user's."""
    kind = type(value)
    if RANDOM_CLASSES.match(kind.__name__) and callable(value):
        return True
    if not callable(value) or not TRANSFORM.search(name) or "torchvision" in kind.__module__:
        return False
    source = _source(value if inspect.isfunction(value) or inspect.ismethod(value) else kind)
    return bool(RANDOM_SOURCE.search(source))


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""


def unsorted_listing(dataset: Any) -> str:
    """The call that takes files in the order of the file system, "" when there is none."""
    source = textwrap.dedent(_source(type(dataset)))
    if ".sort(" in source:
        return ""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    harmless = {
        id(inner)
        for call in calls if _called(call) in ORDERLESS for inner in ast.walk(call)
    }  # fmt: skip
    for call in calls:
        if _called(call) in LISTINGS and id(call) not in harmless:
            return (ast.get_source_segment(source, call) or "").strip()
    return ""


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _opencv_threads() -> int | None:
    """Threads that OpenCV uses in each process; None where the user's code does not use it."""
    module = sys.modules.get("cv2")
    return int(module.getNumThreads()) if module is not None else None


def _transform_of(dataset: Any) -> str:
    value = getattr(dataset, "transform", None)
    return type(value).__name__ if callable(value) else ""
