"""What a function gave, kept: in memory of each worker, or in a mapped file beside the data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.filesize import decimal

from datasets_impl.doctor.findings.again import WHOLE_TIMES, again, of_storage, of_whole
from datasets_impl.doctor.findings.repeated import made_once, of_same, tells
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.causes import KINDS
from datasets_impl.doctor.probes.room import DISK, MEMORY
from datasets_impl.doctor.probes.standing import Key, for_users, key_of_call
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

LEAST_SHARE = 0.15  # of a sample's time, of calls whose results are worth storing
READS = {"load", "loadtxt", "genfromtxt", "fromfile", "fromstring"}  # of NumPy and PyTorch
NEVER = ("copy.", "time.", "random.", "numpy.random.", "math.", "os.")
WORK = (*KINDS, "python", "decoding", "resizing", "transforming", "reading", "converting")

ONCE = """@functools.lru_cache(maxsize={count})  # in each worker, {size} a result
def once({given}):
    return {call}"""
MAPPED = """np.save(stored, {call})  # once, for each file
array = np.load(stored, mmap_mode="r")  # reads only what is taken of it"""
OF_ARCHIVE = """zipfile.ZipFile(path).extractall(folder)  # once, for each file: its arrays as .npy
array = np.load(folder / f"{{name}}.npy"{mode})"""
STORED = """np.save(stored, {call})  # once, for each sample
array = np.load(stored)"""


class InMemory:
    """Stands in for a function; its results stay in the process that asked for them."""

    def __init__(self, callee: Callee) -> None:
        self.original: Callable[..., Any] = callee.function
        self.kept: dict[Key, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        key = key_of_call(arguments, options)
        if key is None:
            return self.original(*arguments, **options)
        if key not in self.kept:
            self.kept[key] = _read_only(self.original(*arguments, **options))
        return self.kept[key]


class MadeOnce:
    """Stands in for a constructor: objects made with the same arguments share what they hold."""

    def __init__(self, callee: Callee) -> None:
        self.original: Callable[..., Any] = callee.function
        self.kept: dict[Key, dict[str, Any]] = {}

    def __call__(self, made: Any, *arguments: Any, **options: Any) -> None:
        key = key_of_call(arguments, options)
        if key is None or key not in self.kept:
            self.original(made, *arguments, **options)
            if key is not None:
                self.kept[key] = dict(vars(made))
        else:
            vars(made).update(self.kept[key])


def in_memory(callee: Callee) -> Callable[..., Any]:
    return MadeOnce(callee) if callee.makes else InMemory(callee)


class InFiles:
    """The same in files of one array each, which the first that asks writes; `mapped`: they stay
    open, and only what is taken of an array is read."""

    def __init__(self, callee: Callee, folder: Path, mapped: bool) -> None:
        self.original: Callable[..., Any] = callee.function
        self.folder, self.mapped = folder, mapped
        self.kept: dict[Key, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from xxhash import xxh3_128

        key = key_of_call(arguments, options)
        if key is None:
            return self.original(*arguments, **options)
        if key in self.kept:
            return self.kept[key]
        stem = self.folder / xxh3_128(repr(key).encode()).hexdigest()
        if not stem.with_suffix(".0.npy").exists():
            made = self.original(*arguments, **options)
            _save(stem, made)
            return made
        found = _loaded(stem, self.mapped)
        if self.mapped:
            self.kept[key] = found
        return found


def _read_only(result: Any) -> Any:
    for one in result if isinstance(result, tuple) else (result,):
        if isinstance(one, np.ndarray):
            one.flags.writeable = False
    return result


def _save(stem: Path, result: Any) -> None:
    """Each array of it; complete before the first has its name."""
    parts = result if isinstance(result, tuple) else (result,)
    for number in reversed(range(len(parts))):
        path = stem.with_suffix(f".{number}.npy")
        own = stem.with_suffix(f".{number}.{os.getpid()}.npy")
        tensor = isinstance(parts[number], torch.Tensor)
        np.save(own, parts[number].numpy() if tensor else parts[number])
        own.replace(path)
    kinds = ["tensor" if isinstance(one, torch.Tensor) else type(one).__name__ for one in parts]
    stem.with_suffix(".kinds").write_text(",".join(kinds) + "," * isinstance(result, tuple))


def _loaded(stem: Path, mapped: bool) -> Any:
    *kinds, last = stem.with_suffix(".kinds").read_text().split(",")
    parts = [_part(stem, number, kind, mapped)
             for number, kind in enumerate([*kinds, last] if last else kinds)]  # fmt: skip
    return parts[0] if last else tuple(parts)


def _part(stem: Path, number: int, kind: str, mapped: bool) -> Any:
    # Changes stay in the process, so that nobody is warned of what he does not write to.
    array = np.load(stem.with_suffix(f".{number}.npy"), mmap_mode="c" if mapped else None)
    if kind == "tensor":
        return torch.from_numpy(array)
    return array if array.ndim else array[()].item()


def read_once(at: Context) -> list[Remedy]:
    """What several samples have in common, kept in each worker."""
    calls = [*of_whole(at.seen), *of_same(at.seen)]
    if not calls or not (made := instead(at, calls, in_memory)):
        return []
    groups = calls[0]["chunk"].get("groups")
    what = "Read each row group once" if groups else "Do it once"
    given, parts = "group" if groups else "...", groups or 1
    if calls[0]["path"] and not groups:
        what, given = "Read each file once", "path"
    if calls[0]["name"] == "NpzFile[]":  # each array of it is one result
        given, parts = "path, name", -(-calls[0]["distinct"] // max(1, calls[0]["files"]))
    title, size = f"{what} in each worker", calls[0]["gives"]
    many = files_of(calls[0]) * parts
    lines = ONCE.format(count=many, size=decimal(size), given=given, call=_text(calls[0]))
    if at.callees[calls[0]["name"]].makes or not tells(calls[0]):
        title, lines = "Make it once", made_once(calls[0])
    needs = {MEMORY: max(1, at.subject.workers) * many * size}
    return [
        Remedy(
            "read-once",
            title,
            lines,
            made,
            at.subject.workers,
            "C12",
            cost="in each worker",
            needs=at.ask_for(title, needs),
            mends=("reads-too-much", "same-work", *WORK),
        )
    ]  # fmt: skip


def unpacked(at: Context) -> list[Remedy]:
    """Whole files of which samples take a part, as arrays that can be mapped."""
    calls = [call for call in of_whole(at.seen) if _gives_arrays(at, call)]
    title = "Unpack each file once, and map what comes of it"
    made = instead(at, calls, lambda one: InFiles(one, new_folder(at), mapped=True))
    if not made:
        return []
    call = calls[0]
    return [
        Remedy(
            "unpacked",
            title,
            _stored(call, MAPPED),
            made,
            at.subject.workers,
            "C11",
            cost="all files",
            needs=at.ask_for(title, {DISK: files_of(call) * call["gives"]}),
            once_seconds=files_of(call) * call["seconds"],
            mends=("reads-too-much", "decoded-larger", *WORK),
        )
    ]


def stored_results(at: Context) -> list[Remedy]:
    """What is computed anew for each sample though only its file tells it; also of random samples,
    which take a part of it or change it."""
    if next(of_whole(at.seen), None) or next(of_storage(at.seen), None):
        return []
    calls = [call for call in at.seen["repeats"]["calls"] if _worth_storing(at, call)]
    steady = at.same_each_time and not at.may_change
    if steady and sum(call["gives"] for call in calls) > WHOLE_TIMES * at.seen["look"]["bytes"]:
        return []  # samples themselves can be stored, and are smaller
    made = instead(at, calls, lambda one: InFiles(one, new_folder(at), mapped=False))
    if not made:
        return []
    names = " and ".join(dict.fromkeys(call["name"] for call in calls[:3]))
    title = f"Store what {names} gives, once"
    each = at.subject.length or len(at.part.indices)
    size = sum(call["gives"] * call["distinct"] / call["samples"] for call in calls)
    seconds = sum(call["seconds"] * call["distinct"] / call["samples"] for call in calls)
    return [
        Remedy(
            "stored-results",
            title,
            _stored(calls[0], STORED),
            made,
            at.subject.workers,
            "C06",
            cost="all of them",
            needs=at.ask_for(title, {DISK: int(size * each)}),
            once_seconds=seconds * each,
            mends=("reads-too-much", *WORK),
        )
    ]  # fmt: skip


def _worth_storing(at: Context, call: dict[str, Any]) -> bool:
    if call["share"] < LEAST_SHARE or again(call) >= 0.5 or call["chunk"]:
        return False
    if call["path"].endswith(".npy"):  # it is stored like that
        return False
    larger = call["takes"] and call["gives"] > WHOLE_TIMES * call["takes"]  # slower to read again
    return _gives_arrays(at, call) and call["gives"] > 0 and not larger


def _gives_arrays(at: Context, call: dict[str, Any]) -> bool:
    """Always the same for the same arguments, and of a function that is not there to make or copy
    an array: that would be to store what is there already."""
    name, callee = call["full_name"], at.callees.get(call["name"])
    if callee is None or call["differs"] or call["known"] < call["calls"]:
        return False
    package, last = name.partition(".")[0], name.rpartition(".")[2]
    if package in ("numpy", "torch"):
        return last in READS or identified(call)
    return bool(call["arrays"]) and not name.startswith(NEVER)


def identified(call: dict[str, Any]) -> bool:
    """Whether an array is made of what only a file says, as of a picture that was not decoded."""
    return bool(call["path"]) and call["name"].endswith(("array", "asarray"))


def instead(
    at: Context, calls: list[dict[str, Any]], store: Callable[[Callee], Any]
) -> Instead | None:
    """None where other samples come of it."""
    known = [at.callees[call["name"]] for call in calls if call["name"] in at.callees]
    if not known:
        return None
    made = Instead(at.part, [(one, for_users(one, store(one))) for one in dict.fromkeys(known)])
    return made if unharmed(at, made) else None


def files_of(call: dict[str, Any]) -> int:
    """How many there are in all: those that were seen, or that lie beside one of them."""
    path = Path(call["path"])
    beside = 0
    if call["path"] and path.parent.is_dir():
        beside = sum(1 for _ in path.parent.glob(f"*{path.suffix}"))
    return max(int(call["files"] or call["distinct"]), beside)


_folders: Iterator[int] = count()


def new_folder(at: Context) -> Path:
    made = at.folder / f"results-{next(_folders)}"
    made.mkdir()
    return made


def _stored(call: dict[str, Any], lines: str) -> str:
    """An archive of NumPy's holds its arrays as files, which are kept all."""
    if call["name"] != "NpzFile[]":
        return lines.format(call=_text(call))
    return OF_ARCHIVE.format(mode=', mmap_mode="r"' if lines is MAPPED else "")


def _text(call: dict[str, Any]) -> str:
    name = call["name"].removesuffix("[]")
    if name == "NpzFile":
        return "np.load(path)[name]"
    if call["chunk"].get("groups"):
        return f"pq.{name}(group)".replace("ParquetFile", "ParquetFile(path)")
    if identified(call):
        return f"{name}(Image.open(path))"
    return f"{name}(path)" if call["path"] else f"{name}(...)"
