"""The short table that leads from what one has to a class: what to use instead, and its code."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from datasets_impl.contest.code import (
    FROM_STORE,
    guarded,
    main_class,
    of_the_trainer,
    with_many,
    with_setting,
)
from scripts.judging.model import LoaderRow, Loaders, RemoteLine, RemoteRow, ScaleRow
from scripts.report import wording
from scripts.report.model import ClaimResult
from scripts.report.sentences import span


@dataclass(frozen=True)
class Question:
    """What a reader has, the task, the arm to take, and the arm that it is compared with."""

    fits: str  # do the decoded pixels fit in memory: "yes", "no", or "" where it does not matter
    storage: str  # where the files are: words of `ASKED`, one or more
    crops: str  # are they cropped at random: "yes" or "no"
    task: str
    arm: str
    usual: str
    but: str = ""  # what else has to be so
    advice: str = ""  # what to do besides, or why to take it where it was not measured


MANY_READS = "raise `threads=`."
AHEAD = "read a `RemotePack`."
ONE_BY_ONE = "picture by picture"  # a second way, which needs its number
QUESTIONS = (
    Question("yes", "local", "no", "raw", "gathered", "preloaded"),
    Question("yes", "network", "no", "raw", "gathered-preloaded", "preloaded",
             "pixels read once"),
    Question("yes", "object", "no", "remote", "cached-objects", "dataloader-objects",
             advice="read a `RemoteFolder`."),
    Question("yes", "local", "no", "raw", "pack-batched", "preloaded",
             "for your DataLoader"),
    Question("no", "local", "no", "decode", "threaded-pack", "dataloader-pil"),
    Question("no", "network", "no", "decode", "threaded-files", "dataloader-pil",
             "or no room for a copy", MANY_READS),
    Question("no", "object", "no", "remote", "shards-ahead", "dataloader-objects",
             "as a pack in shards", AHEAD),
    Question("no", "object", "no", "remote", "threaded-objects", "dataloader-objects",
             ONE_BY_ONE),
    Question("no", "local", "no", "decode", "batched-simplejpeg", "dataloader-pil",
             "for your DataLoader"),
    Question("", "local", "yes", "train", "threaded-regions", "dataloader-pil"),
    Question("", "network", "yes", "train", "threaded-crops-files", "dataloader-pil",
             "or no room for a copy", MANY_READS),
    Question("", "object", "yes", "remote", "crops-ahead", "dataloader-object-crops",
             "as a pack in shards", AHEAD),
)  # fmt: skip
STORED = {  # where the files are -> in words
    "local": "local disk",
    "network": "network (NFS)",
    "object": "object storage",
}
EACH = re.compile(r"(,| of) an object for each image$")  # goes without saying in the table
LINE = (20, 250)  # ms to the first byte and MB/s of the line that these rows are told for


@dataclass(frozen=True)
class Advice:
    """A further answer to a question: what to do, the claims that test it, and its code."""

    key: str  # of the selection
    level: str
    question: str
    answer: str
    take: str
    claims: tuple[str, ...] = ()
    code: str = ""
    fits: str = ""  # the answers to other questions with which it stands, as in `Question`
    crops: str = ""


NEW = "Python 3.14"  # workers start by forkserver from here on
_TRAINER = "Your trainer?"
_PYTHON = "Preloading works?"
_PROCESS = """from datasets_impl import DecodedImages, ThreadedLoader
if __name__ == "__main__":  # Python 3.14 runs the file again
    batches = ThreadedLoader(DecodedImages("photos"), 64, shuffle=True)
    for images in batches:
        ...  # your training step"""
_LABELS = """from datasets_impl import LabelledFolder, StoredPixels, ThreadedLoader, ensure_stored
if __name__ == "__main__":  # Python 3.14 runs the file again
    pack = ensure_stored(LabelledFolder("photos"), "pixels", "pack")
    for images, targets in ThreadedLoader(StoredPixels(pack, preload=True), 64, shuffle=True):
        ...  # your training step"""
_DECODED_LABELS = """from datasets_impl import DecodedImages, LabelledFolder, ThreadedLoader
if __name__ == "__main__":  # Python 3.14 runs the file again
    photos = DecodedImages(LabelledFolder("photos"))
    for images, targets in ThreadedLoader(photos, 64, shuffle=True):
        ...  # your training step"""
_MAPPED = """from torch.utils.data import DataLoader
from datasets_impl import ReadOnlyMappedDataset
if __name__ == "__main__":  # Python 3.14 runs the file again
    for images in DataLoader(ReadOnlyMappedDataset("photos"), 64, shuffle=True, num_workers=2):
        ...  # your training step"""
FURTHER = (
    Advice("labels", "yes", "Labels?", "A folder for each class; pixels fit",
           "`ThreadedLoader(StoredPixels)` of a `LabelledFolder`.", (),
           _LABELS, fits="yes", crops="no"),
    Advice("labels", "yes", "Labels?", "A folder for each class; they do not",
           "`ThreadedLoader(DecodedImages)` of a `LabelledFolder`.", (),
           _DECODED_LABELS, fits="no", crops="no"),
    Advice("labels", "yes", "Labels?", "A folder for each class; random crops",
           "`ThreadedLoader(RandomCrops)` of a `LabelledFolder`.", (),
           _DECODED_LABELS.replace("DecodedImages", "RandomCrops"), crops="yes"),
    Advice("trainer", "waits", _TRAINER, "It waits, or computes on the CPU",
           "Either the default, or threads in the trainer's process: `where=\"trainer\"`.",
           ("X10",)),
    Advice("trainer", "gil", _TRAINER, "It holds the GIL, or launches many small operations",
           "Threads in a separate process, as the code above has it: `\"process\"` is the default.",
           ("X11", "X10"), _PROCESS),
    Advice("python", "old", _PYTHON, "3.13 or older, on Linux",
           "Yes: workers are forked and share preloaded pixels. {old}", ("X01",)),
    Advice("python", "new", _PYTHON, "3.14 (forkserver), or spawn anywhere",
           "Yes, in one tensor, or in a mapping that each worker opens. An array or an open "
           "mapping is copied to each; with a list of many tensors workers may not start. {new}",
           ("X01",), _MAPPED),
)  # fmt: skip
# What an arm of `judging/ladder.py` does that the one before it does not.
STEPS: dict[tuple[str, str], str] = {
    ("decode", "ceiling-decode"): "decode, all threads, bytes in memory, nothing else",
    ("decode", "threaded-pack"): "shuffled order, batches, bytes from one mapped file",
    ("decode", "threaded-files"): "open and read a file for each image",
    ("decode", "batched-simplejpeg"): "worker processes, and batches handed from them to the "
    "trainer",
    ("decode", "dataloader-simplejpeg"): "an array for each image, collated",
    ("decode", "dataloader-pil"): "Pillow as the decoder",
    ("raw", "ceiling-gather"): "copy rows in memory to one place, all threads, nothing else",
    ("raw", "gathered-preloaded"): "shuffled order, batches, a trainer that touches them",
    ("raw", "gathered-overwrite"): "the pixels in a mapped file",
    ("raw", "gathered"): "batches that the trainer may keep",
    ("raw", "pack-batched"): "the DataLoader, its collating, memory that is new each time",
    ("raw", "pack-items"): "item by item",
    ("raw", "raw-files"): "a file for each image",
    ("train", "threaded-regions"): "decode the region, crop, resize, in threads",
    ("train", "threaded-crops"): "decode the whole picture",
    ("train", "threaded-crops-files"): "open and read a file for each image",
    ("train", "dataloader-simplejpeg"): "worker processes, the hand-over, torchvision's transforms",
    ("train", "dataloader-pil"): "Pillow as the decoder",
}
SWEEPS = {  # benchmark -> what it varies
    "arms.ByThreads": "threads or workers, decode",
    "arms.ByBatch": "images a batch, decode",
    "arms.ByResolution": "pixels a side, decode",
    "arms.ByCount": "images of 16 px, raw",
    "arms.ByPlace": "turned and normalised, raw",
}


@dataclass(frozen=True)
class Decision:
    """`gain`: images per second over the usual way, which `usual` names, with the line to an object
    store where there is one; "" where it was not measured, and then `advice` says what to do."""

    arm: str
    take: str  # the class, or the arm where it is built on none of this project's
    about: str
    code: str
    gain: str
    usual: str
    question: Question
    advice: str = ""
    inside: bool = False  # measured with its threads in the trainer's process


def further(starts: Mapping[str, Collection[str]]) -> list[Advice]:
    """The further questions; which Python was measured is said from `starts`, the start methods
    that were measured in each environment."""
    known: dict[str, set[str]] = {}
    for name, methods in starts.items():
        known.setdefault(name.partition(",")[0], set()).update(methods)
    old = [name for name in sorted(known) if name and name != NEW and known[name]]
    new = [name for name in sorted(known) if name and "forkserver" in known[name]]
    told = {
        "old": f"Measured under {' and '.join(old)}." if old else "Not measured.",
        "new": f"Measured under {' and '.join(new)}, with forkserver." if new else "Not measured.",
    }
    if new and NEW not in new:
        lacking = "The start of workers was" if NEW in known else f"{NEW} itself was"
        told["new"] += f" {lacking} not measured yet" + (f" under {NEW}." if NEW in known else ".")
    return [replace(one, take=one.take.format(**told)) for one in FURTHER]


def slow_storage(claims: Sequence[ClaimResult]) -> str:
    """The part of an item that is reading from the object store; "" where it was not measured."""
    cells = [
        cell
        for claim in claims
        for cell in claim.evidence
        if claim.id == "C03" and cell.counts and "latency_ms" in cell.factors
    ]
    measured = [cell for cell in cells if cell.estimate is not None and cell.quantity == "share"]
    return span(measured) if measured else ""


def sweeps(found: Sequence[ScaleRow]) -> list[tuple[str, list[ScaleRow]]]:
    """What is varied, and its measured points in the order of the sweep."""
    told: dict[str, list[ScaleRow]] = {}
    for row in found:
        told.setdefault(SWEEPS[row.benchmark], []).append(row)
    return sorted(told.items())


T = TypeVar("T", Loaders, RemoteLine)


def first_machine(found: Sequence[T]) -> list[T]:
    """What the first machine measured: factors of different machines are not mixed."""
    return [each for each in found if each.machine == found[0].machine]


def decisions(found: Sequence[Loaders], lines: Sequence[RemoteLine] = ()) -> list[Decision]:
    """The table with the factors of one machine. Rows that were not measured are left out, and
    those whose arm is no faster than the usual way."""
    over = next((line for line in lines if (line.latency_ms, line.bandwidth) == LINE), None)
    made = []
    for question in QUESTIONS:
        rows: Mapping[str, LoaderRow | RemoteRow] = _rows(found, question.task)
        if question.task == "remote" and over is not None:
            rows = {row.arm: row for row in over.rows}
        if question.arm in rows and question.usual in rows:
            row, usual = rows[question.arm], rows[question.usual]
            if row.images_per_second > usual.images_per_second:
                made.append(_decision(question, row, usual))
        elif question.storage == "object" and question.but != ONE_BY_ONE:
            code = FROM_STORE[question.arm]
            made.append(Decision(question.arm, main_class(code), "", guarded(code), "", "",
                                 question, question.advice))  # fmt: skip
    # Advice alone, with nothing measured beside it, is no table.
    return made if any(one.usual for one in made) else []


def instead(found: Sequence[Loaders], claims: Sequence[ClaimResult]) -> dict[str, str]:
    """Claim -> what to use instead with its measured factor; claims without one are left out."""
    told = {}
    for claim in claims:
        task, name, usual = claim.instead or ("", "", "")
        rows = _rows(found, task)
        if name in rows and usual in rows:
            gain = _gain(rows[name], rows[usual])
            told[claim.id] = (
                f"`{rows[name].uses or name}`: {gain} the images/s of a {rows[usual].about}"
            )
    return told


def _rows(found: Sequence[Loaders], task: str) -> dict[str, LoaderRow]:
    return {row.arm: row for each in found if each.task == task for row in each.rows}


def _gain(row: LoaderRow | RemoteRow, usual: LoaderRow | RemoteRow) -> str:
    return wording.estimate(row.images_per_second / usual.images_per_second, "ratio")


def _decision(
    question: Question, row: LoaderRow | RemoteRow, usual: LoaderRow | RemoteRow
) -> Decision:
    from_store = isinstance(row, RemoteRow)
    measured = from_store or question.storage == "local"
    code = with_many(row.code) if question.advice and not measured else row.code
    return Decision(
        arm=row.arm,
        take=row.uses or row.arm,
        about=row.about,
        code=with_setting(code, row.setting),
        gain=_gain(row, usual) if measured else "",
        usual=EACH.sub("", usual.about),
        question=question,
        advice="" if measured else question.advice,
        inside=bool(of_the_trainer(row.code)),
    )
