"""Files that are held open, opened by each worker for itself: reading them then needs no lock."""

from __future__ import annotations

import contextlib
import copy
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.managers import BaseProxy
from typing import Any

import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.probes.callees import Callee, users_modules
from datasets_impl.doctor.probes.epochs import has
from datasets_impl.doctor.probes.in_turn import KINDS
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.parts import HANDLES, open_handles, parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.remedies.remedy import Context, Remedy, unharmed

CAUSE = "wait-in-turn"
LINES = """self.opened_by = 0  # in __init__
# in __getitem__, without the lock:
if self.opened_by != os.getpid():  # each worker has its own
    self.{name}, self.opened_by = {opens}, os.getpid()"""
Place = tuple[list[str], Callable[[], Any]]  # names that lead there, and what makes it anew


def _plain(file: Any) -> Any:
    return open(file, "rb")  # noqa: PTH123


def _text(file: Any, encoding: str) -> Any:
    return open(file, encoding=encoding)  # noqa: PTH123


def _h5(file: str, inner: str) -> Any:
    found = sys.modules["h5py"].File(file)
    return found[inner] if inner else found


def _archive(module: str, name: str, file: Any) -> Any:
    return getattr(sys.modules[module], name)(file)


# Type, as it is known by -> what opens it once more, and the code that does.
AGAIN: dict[str, tuple[Callable[[Any], Callable[[], Any]], str]] = {
    "_io.BufferedReader": (lambda one: partial(_plain, one.name), 'open(self.path, "rb")'),
    "_io.TextIOWrapper": (
        lambda one: partial(_text, one.name, one.encoding), "open(self.path)"
    ),
    "h5py._hl.files.File": (lambda one: partial(_h5, one.filename, ""), "h5py.File(self.path)"),
    "h5py._hl.dataset.Dataset": (
        lambda one: partial(_h5, one.file.filename, one.name), "h5py.File(self.path)[name]"
    ),
    "zipfile.ZipFile": (
        lambda one: partial(_archive, "zipfile", "ZipFile", one.filename),
        "zipfile.ZipFile(self.path)",
    ),
    "tarfile.TarFile": (
        lambda one: partial(_archive, "tarfile", "open", one.name), "tarfile.open(self.path)"
    ),
}  # fmt: skip


class Unlocked(Dataset[Any]):
    """Samples of a copy of the user's dataset: each process opens its files for itself, and has
    locks that no other has."""

    def __init__(self, inner: Part, places: list[Place], pairs: list[tuple[Callee, Any]]) -> None:
        self.inner, self.places, self.pairs, self.owner = inner, places, pairs, 0

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Any:
        if self.owner != os.getpid():
            self.set(lambda make: make())
            self.owner = os.getpid()
        with all_replaced(self.pairs):
            return self.inner[index]

    def set(self, given: Callable[[Callable[[], Any]], Any]) -> None:
        for names, make in self.places:
            owner = _owner(self.inner.dataset, names)
            setattr(owner, names[-1], given(make))

    def close(self) -> None:
        """What this process has opened, before workers are forked."""
        for names, _ in self.places:
            with contextlib.suppress(*RAISED):
                getattr(_owner(self.inner.dataset, names), names[-1]).close()
        self.set(lambda _: None)
        self.owner = 0


def _owner(dataset: Any, names: list[str]) -> Any:
    for name in names[:-1]:
        dataset = getattr(dataset, name)
    return dataset


def unlocked(at: Context) -> list[Remedy]:
    """Only where a file is held open that can be opened anew, and workers share nothing else that
    the lock may be there for."""
    if CAUSE not in at.found or any(map(_shared, _values(at.subject.dataset))):
        return []
    handles = [(path, value) for path, value, _ in parts(at.subject.dataset)
               if _name(value) in HANDLES]  # fmt: skip
    locks = [path for path, value, _ in parts(at.subject.dataset) if _locks(value)]
    outside = [
        (Callee(name, module, name), threading.RLock())
        for module in users_modules(at.subject)
        for name, value in list(vars(module).items()) if _locks(value)
    ]  # fmt: skip
    if not handles or not (locks or outside) or any(_name(one) not in AGAIN for _, one in handles):
        return []
    if any("[" in path for path in (*locks, *(path for path, _ in handles))):
        return []
    places = [(path.split(".")[1:], AGAIN[_name(one)][0](one)) for path, one in handles]
    places += [(path.split(".")[1:], threading.RLock) for path in locks]
    made = Unlocked(_copied(at, places), places, outside)
    made.set(lambda _: None)
    if open_handles(made.inner.subject) or any(map(_locks, _values(made.inner.dataset))):
        return []  # held in another place too
    same = unharmed(at, made)
    made.close()
    if not same:
        return []
    path, one = handles[0]
    return [
        Remedy(
            "unlocked",
            "Open files in each worker, and read without the lock",
            LINES.format(name=path.rpartition(".")[2], opens=AGAIN[_name(one)][1]),
            made,
            at.subject.workers,
            "C12",
            caution="keep the lock for what workers share and change",
            mends=(CAUSE, "handles"),  # what is open before workers are forked
        )
    ]


def _copied(at: Context, places: list[Place]) -> Part:
    """Of copies of the dataset and of those inside, whose attributes are to be others."""
    made = copy.copy(at.subject.dataset)
    for names, _ in places:
        owner = made
        for name in names[:-1]:
            setattr(owner, name, copy.copy(getattr(owner, name)))
            owner = getattr(owner, name)
    return Part(replace(at.subject, dataset=made), at.part.indices, len(at.part))


def _values(dataset: Any) -> Iterator[Any]:
    return (value for _, value, _ in parts(dataset))


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _locks(value: Any) -> bool:
    of_files = getattr(sys.modules.get("filelock"), "BaseFileLock", ())
    return isinstance(value, (*KINDS, of_files) if of_files else KINDS)


def _shared(value: Any) -> bool:
    """Whether workers may change it for one another."""
    if isinstance(value, torch.Tensor):
        return bool(value.is_shared())  # type: ignore[no-untyped-call]
    return has(value, "get_lock") or (isinstance(value, BaseProxy) and not _locks(value))
