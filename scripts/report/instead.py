"""The short table that leads from a question to a class: what to use instead, and its code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.judging.model import LoaderRow, Loaders
from scripts.report import wording

# What a reader has, the task, the arm to take, and the arm that it is compared with.
QUESTIONS = (
    (
        "Decoded pixels fit on a fast disk or in memory, all of one size",
        "raw", "gathered", "raw-files",
    ),
    (
        "The same, but it has to stay a Dataset for a DataLoader",
        "raw", "pack-batched", "raw-files",
    ),
    (
        "JPEG files of one size that must be decoded each epoch",
        "decode", "threaded-pack", "dataloader-pil",
    ),
    (
        "The same on slow storage, or without a second copy on disk",
        "decode", "threaded-files", "dataloader-pil",
    ),
    (
        "The same, but it has to stay a Dataset for a DataLoader",
        "decode", "batched-simplejpeg", "dataloader-pil",
    ),
    (
        "Random resized crops of larger JPEG files",
        "train", "threaded-regions", "dataloader-pil",
    ),
    (
        "The same without converting the files",
        "train", "threaded-crops-files", "dataloader-pil",
    ),
)  # fmt: skip


_DECODE = ("decode", "threaded-pack", "dataloader-pil")
_RAW = ("raw", "gathered", "preloaded")
_TRAIN = ("train", "threaded-regions", "dataloader-pil")
# Claim -> the task it is about, the arm to take instead, and what that is compared with.
INSTEAD = {
    **dict.fromkeys(("C01", "C02", "C04", "C06", "C08", "C12", "C13", "C20", "X07"), _DECODE),
    **dict.fromkeys(("C03", "X05"), ("decode", "threaded-files", "dataloader-pil")),
    **dict.fromkeys(("C05", "C15"), _TRAIN),
    **dict.fromkeys(("C07", "C11", "C14", "C16", "C17", "C18", "X01", "X03", "X04", "X09"), _RAW),
    "X06": ("raw", "pack-batched", "pack-items"),
    "X08": _DECODE,
}
CLASS = re.compile(r"(\w+(?:Loader|Dataset))\((?<!DataLoader\()")


@dataclass(frozen=True)
class Decision:
    """`gain`: images per second over the usual way, which `usual` names."""

    question: str
    arm: str
    about: str
    code: str
    gain: str
    usual: str


def first_machine(found: Sequence[Loaders]) -> list[Loaders]:
    """What the first machine measured: factors of different machines are not mixed."""
    return [each for each in found if each.machine == found[0].machine]


def decisions(found: Sequence[Loaders]) -> list[Decision]:
    """The table with the factors of one machine; rows that were not measured are left out."""
    made = []
    for question, task, name, usual in QUESTIONS:
        rows = {row.arm: row for each in found if each.task == task for row in each.rows}
        if name in rows and usual in rows:
            made.append(_decision(question, rows[name], rows[usual]))
    return made


def instead(found: Sequence[Loaders]) -> dict[str, str]:
    """Claim -> what to use instead with its measured factor; claims without one are left out."""
    told = {}
    for claim, (task, name, usual) in INSTEAD.items():
        rows = {row.arm: row for each in found if each.task == task for row in each.rows}
        if name in rows and usual in rows:
            made = _decision("", rows[name], rows[usual])
            used = CLASS.search(made.code)
            told[claim] = (
                f"`{used[1] if used else name}`: {made.gain} the images/s of a {made.usual}"
            )
    return told


def _decision(question: str, row: LoaderRow, usual: LoaderRow) -> Decision:
    factor = row.images_per_second / usual.images_per_second
    return Decision(
        question=question,
        arm=row.arm,
        about=row.about,
        code=row.code,
        gain=wording.estimate(factor, "ratio"),
        usual=usual.about,
    )
