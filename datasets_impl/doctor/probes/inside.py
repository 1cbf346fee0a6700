"""What can be told by looking at a dataset object without reading samples: its parts by name."""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import batch_size_of, start_method_of
from datasets_impl.doctor.probes.orders import own_sampler
from datasets_impl.doctor.probes.own_code import source_of
from datasets_impl.doctor.probes.parts import BIG, OF, handles, open_handles, parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.randomness import is_called_to_store, is_random
from datasets_impl.doctor.probes.source_lines import (
    Line,
    lines_of_class,
    of_part,
    set_by_name,
    within,
)
from datasets_impl.doctor.probes.target import Subject

LISTINGS = ("listdir", "scandir", "glob", "rglob", "iglob", "iterdir")
ORDERLESS = ("sorted", "len", "sum", "any", "all", "max", "min", "set")  # of a listing
LABELS = re.compile(r"label|target|class_ids|lengths", re.IGNORECASE)
NAMES = re.compile(r"name|class_to|to_idx|map|dict|vocab", re.IGNORECASE)  # of kinds of labels


def look_inside(subject: Subject, seconds: float) -> dict[str, Any]:
    """Random transforms, big lists, open handles, labels of another length, order of a listing."""
    found: dict[str, Any] = {
        "random_transforms": [],
        "stored_by_random": False,
        "big_lists": [],
        "big_list_lines": [],
        "handles": open_handles(subject),
        "handle_lines": handle_lines(subject),
        "lengths": [],
        "settings": {k: v for k, v in subject.settings.items() if v is None or _plain(v)},
        "start_method": start_method_of(subject),
        "opencv_threads": opencv_threads(),
        "torch_threads": torch.get_num_threads(),
        "batch_size": batch_size_of(subject),
        "worker_init": bool(attribute(subject.loader, "worker_init_fn")),
        "worker_init_lines": within(attribute(subject.loader, "worker_init_fn")),
        "empty_batch": subject.empty_batch,
        "no_batch": subject.no_batch,
        "no_key_in": subject.order.first if subject.order.late else 0.0,
        "sampler_raised": _sampler_raised(subject),
        "note": _note(subject),
    }
    for path, value, owner in parts(subject.dataset):
        name = path.rpartition(".")[2]
        if is_random(name, value):
            if not found["random_transforms"]:
                found["random_lines"] = of_part(subject.dataset, path)
            found["random_transforms"].append(f"{path} ({type(value).__name__})")
            found["stored_by_random"] |= is_called_to_store(name, owner)
        if isinstance(value, list | dict | tuple | set) and len(value) >= BIG:
            if not found["big_lists"]:
                found["big_list_lines"] = of_part(subject.dataset, path)
                found["big_list_kind"] = _kind(value)
            found["big_lists"].append([path, len(value), _element(value)])
        if LABELS.search(name) and isinstance(value, Sized) and not NAMES.search(name):
            found["lengths"] += _other_length(path, value, owner)
    if found["lengths"]:
        found["length_lines"] = of_part(subject.dataset, found["lengths"][0][0])
    found["unsorted"] = unsorted_listing(subject.dataset)
    found["unsorted_lines"] = _listed_at(subject.dataset, found["unsorted"])
    found["torch_transform"] = _transform_of(subject.dataset)
    return found


def _sampler_raised(subject: Subject) -> dict[str, Any]:
    order = subject.order
    if not order.refused or subject.loader is None:
        return {}
    sampler, batched = own_sampler(subject.loader)
    return {
        "kind": type(sampler).__name__, "gave": order.gave, "batches": batched,
        "why": order.raised, "lines": order.lines,
    }  # fmt: skip


def _note(subject: Subject) -> str:
    loader = subject.loader
    if subject.note:
        return subject.note
    if loader is not None and type(loader).__iter__ is not DataLoader.__iter__:
        return (
            f"{type(loader).__name__} has an __iter__ of its own, which is not called: the dataset "
            "is measured in loaders of PyTorch's."
        )
    note = attribute(subject.dataset, "doctors_note", "")
    return note if isinstance(note, str) else ""


def handle_lines(subject: Subject) -> list[Line]:
    """Where the first of them is opened."""
    path = next((path for path, _ in handles(subject)), "")
    name, _, home = path.partition(OF)
    return set_by_name(home, name) if home else of_part(subject.dataset, path) if path else []


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | str | bool)


def _other_length(path: str, labels: Sized, owner: Any) -> list[list[Any]]:
    """Where there is not one label for each sample of the dataset that holds them.

    Far fewer are names or weights of classes; a dataset that is several times as long goes over its
    samples several times.
    """
    if isinstance(labels, str | Mapping) or (
        isinstance(labels, torch.Tensor | np.ndarray) and not labels.ndim
    ):
        return []
    try:
        has, should = len(labels), len(owner)
    except RAISED:
        return []
    if not has or has == should or (should > has and should % has == 0):
        return []
    if has < should / 2 or _are_paired(labels, owner):
        return []
    return [[path, has, should]]


def _are_paired(labels: Sized, owner: Any) -> bool:
    """Whether something else that the dataset holds is as long: it goes over a part of both."""
    others = [one for one in vars(owner).values() if one is not labels and isinstance(one, Sized)]
    lengths = []
    for one in others:
        with contextlib.suppress(*RAISED):
            lengths.append(len(one) if not isinstance(one, str) else 0)
    return len(labels) in lengths


def _kind(value: Any) -> str:
    return next(one.__name__ for one in (dict, set, list, tuple) if isinstance(value, one))


def _element(value: Any) -> str:
    first = next(iter(value.values() if isinstance(value, dict) else value), None)
    return type(first).__name__


def unsorted_listing(dataset: Any) -> str:
    """The call that takes files in the order of the file system, "" when there is none."""
    source = source_of(type(dataset))
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


def _listed_at(dataset: Any, call: str) -> list[Line]:
    """The lines of its class with this call."""
    if not call:
        return []
    text = ast.unparse(ast.parse(call))

    def calls(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node) == text

    return lines_of_class(type(dataset), calls)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def opencv_threads() -> int | None:
    """Threads that OpenCV uses in each process; None where the user's code does not use it."""
    module = sys.modules.get("cv2")
    return int(module.getNumThreads()) if module is not None else None


def _transform_of(dataset: Any) -> str:
    value = attribute(dataset, "transform")
    return type(value).__name__ if callable(value) else ""
