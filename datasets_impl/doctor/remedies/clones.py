"""Tensors that were saved as a slice of a larger one, and hold the whole of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from datasets_impl.doctor.findings.again import of_storage
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.probes.standing import key_of_call
from datasets_impl.doctor.remedies.kept_results import files_of, instead, new_folder
from datasets_impl.doctor.remedies.remedy import Context, Remedy

CLONED = """from torch.utils._pytree import tree_map_only  # goes through dictionaries and lists
torch.save(tree_map_only(torch.Tensor, torch.clone, torch.load(path)), new)  # each file once"""


class Cloned:
    """Stands in for `torch.load`: what it gives is saved again without what it is a part of."""

    def __init__(self, callee: Callee, folder: Path) -> None:
        self.original: Callable[..., Any] = callee.function
        self.folder = folder

    def __call__(self, source: Any, *arguments: Any, **options: Any) -> Any:
        key = key_of_call((source,), {})
        if key is None:
            return self.original(source, *arguments, **options)
        path = self.folder / f"{hash(key):x}.pt"
        if not path.exists():
            made = self.original(source, *arguments, **options)
            own = path.with_suffix(f".{os.getpid()}")
            torch.save(tree_map_only(torch.Tensor, torch.clone, made), own)
            own.replace(path)
        return self.original(path, *arguments, **options)


def clones(at: Context) -> list[Remedy]:
    """Tensors that were saved with the whole that they are a slice of."""
    calls = [call for call in of_storage(at.seen) if call["full_name"] == "torch.load"]
    made = instead(at, calls, lambda one: Cloned(one, new_folder(at)))
    if not made:
        return []
    title, count = "Save clones of the slices", files_of(calls[0])
    return [
        Remedy(
            "clones",
            title,
            CLONED,
            made,
            at.subject.workers,
            "C11",
            cost="all files",
            needs=at.ask_for(title, {DISK: count * calls[0]["gives"]}),
            once_seconds=count * calls[0]["seconds"],
            mends=("reads-too-much", "reading"),
        )
    ]
