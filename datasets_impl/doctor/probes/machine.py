"""What the machine beneath gives: cores, shared memory, descriptors, the disk of the data."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch.utils.data import default_collate

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.data_files import places
from datasets_impl.doctor.probes.loaders import AHEAD, batch_size_of, collate_of
from datasets_impl.doctor.probes.padding import of_batch
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.room import room
from datasets_impl.doctor.probes.samples import copied, leaves, tensors_in
from datasets_impl.doctor.probes.source_lines import calls_of
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.observe.load import between, snapshot
from datasets_impl.system.cores import cores
from datasets_impl.system.hierarchy import cpu_quota

BINDS = "sched_setaffinity"  # the function that binds a process to cores


def machine(subject: Subject, seconds: float) -> dict[str, Any]:
    """Facts alone; what they mean for a loader is said elsewhere. Bytes, cores, numbers."""
    first, swapped = snapshot(), psutil.swap_memory().sin
    where = places(subject.dataset, subject.answers.get("items", {}).get("files", ()))
    size = batch_size_of(subject) or 1
    found: dict[str, Any] = {
        "cores": cores(),
        "visible": os.cpu_count() or 1,
        "quota": cpu_quota(),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "by_descriptor": _strategy() == "file_descriptor",
        "ahead": int(subject.settings.get("prefetch_factor") or AHEAD),
        "batch_bytes": int(size * subject.nbytes),
        "pinned": bool(subject.settings.get("pin_memory")) and torch.cuda.is_available(),
        **_of_batch(subject, size, seconds / 2),
        "room": room(where[0] if where else None),
        "data": [[str(path), *on] for path in where if (on := mounted(path))],
        "spins": [str(path) for path in where if spins(path)],
        "bound": bound(subject),
        "quick_disks": quick_disks(),
    }
    clock.sleep(max(0.0, seconds - (clock.perf_counter() - first.at)))
    load = between(first, snapshot())
    return found | {
        "foreign": load.foreign,
        "swapped_in": (psutil.swap_memory().sin - swapped) / max(load.seconds, 1e-9),
    }


def _strategy() -> str:
    return str(torch.multiprocessing.get_sharing_strategy())  # type: ignore[no-untyped-call]


def bound(subject: Subject) -> dict[str, Any]:
    """Cores that this process may run on, where those of the doctor, which started it, are more:
    what was imported or made has bound it. And the line that does."""
    try:
        own, every = (len(os.sched_getaffinity(pid)) for pid in (0, os.getppid()))
    except (AttributeError, OSError):  # of macOS
        return {}
    if own >= every:
        return {}
    return {"own": own, "all": every, "lines": calls_of(BINDS, users_modules(subject))}


def mounted(path: Path) -> list[str]:
    """Where the file system of `path` is mounted, and its kind; nothing where it is not known."""
    best: tuple[str, str] = ("", "")
    with contextlib.suppress(OSError):
        for one in psutil.disk_partitions(all=True):
            if path.is_relative_to(one.mountpoint) and len(one.mountpoint) >= len(best[0]):
                best = (one.mountpoint, one.fstype)
    return list(best) if best[1] else []


def spins(path: Path) -> bool | None:
    """Whether it lies on a disk that spins, as the kernel has it; None where that is not known."""
    with contextlib.suppress(OSError):
        device = path.stat().st_dev
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
        for place in (block, block.parent):  # of a partition its disk
            told = place / "queue" / "rotational"
            if told.exists():
                return told.read_text().strip() == "1"
    return None


def quick_disks() -> list[list[Any]]:
    """Where disks are mounted that do not spin and may be written to, and their free bytes."""
    found = []
    for one in psutil.disk_partitions():
        with contextlib.suppress(OSError):
            if "rw" in one.opts.split(",") and spins(Path(one.mountpoint)) is False:
                found.append([one.mountpoint, shutil.disk_usage(one.mountpoint).free])
    return found


def _of_batch(subject: Subject, size: int, seconds: float) -> dict[str, Any]:
    """What a batch of the user's is made of, by what two and four samples become: how many tensors,
    bytes of NumPy arrays, and how many other values; and what of it is filled up."""
    names = ("batch_tensors", "batch_arrays", "batch_values")
    counts: list[tuple[int, tuple[int, ...]]] = []
    padding: dict[str, Any] = {"batch_padding": []}
    for few in (2, 4) if not subject.iterable and 6 * subject.cost <= seconds else ():
        some = []
        for index in indices(subject, few):
            with contextlib.suppress(*RAISED):
                some.append(subject.read(index))
        collate, why = collate_of(subject, some) if some else (default_collate, "there is none")
        if why:
            break
        with contextlib.suppress(*RAISED):
            batch = collate(copied(some))
            counts.append((len(some), made_of(batch)))
            padding["batch_padding"] = of_batch(some, batch)
    if len(counts) < 2 or counts[0][0] == counts[1][0]:
        last = counts[-1][1] if counts else (0, 0, 0)
        return dict(zip(names, last, strict=True)) | padding
    (a, first), (b, second) = counts
    return padding | {
        name: max(more, round(less + (size - a) * (more - less) / (b - a)))
        for name, less, more in zip(names, first, second, strict=True)
    }


def made_of(batch: Any) -> tuple[int, int, int]:
    """Tensors, which cross to the trainer one by one in shared memory; and what is pickled: bytes
    of arrays, and other values."""
    arrays, values = 0, 0
    for leaf in leaves(batch):
        if isinstance(leaf.value, np.ndarray):
            arrays += leaf.nbytes
        else:
            values += not isinstance(leaf.value, torch.Tensor)
    return tensors_in(batch), arrays, values
