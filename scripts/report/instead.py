"""The short table that leads from a question to a class: what to use instead, and its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets_impl.contest.code import with_setting
from scripts.judging.model import LoaderRow, Loaders, ScaleRow
from scripts.report import wording
from scripts.report.model import ClaimResult

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
    """`gain`: images per second over the usual way, which `usual` names."""

    question: str
    arm: str
    about: str
    code: str
    gain: str
    usual: str


def sweeps(found: Sequence[ScaleRow]) -> list[tuple[str, list[ScaleRow]]]:
    """What is varied, and its measured points in the order of the sweep."""
    told: dict[str, list[ScaleRow]] = {}
    for row in found:
        told.setdefault(SWEEPS[row.benchmark], []).append(row)
    return sorted(told.items())


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


def instead(found: Sequence[Loaders], claims: Sequence[ClaimResult]) -> dict[str, str]:
    """Claim -> what to use instead with its measured factor; claims without one are left out."""
    told = {}
    for claim in claims:
        task, name, usual = claim.instead or ("", "", "")
        rows = {row.arm: row for each in found if each.task == task for row in each.rows}
        if name in rows and usual in rows:
            made = _decision("", rows[name], rows[usual])
            told[claim.id] = (
                f"`{rows[name].uses or name}`: {made.gain} the images/s of a {made.usual}"
            )
    return told


def _decision(question: str, row: LoaderRow, usual: LoaderRow) -> Decision:
    factor = row.images_per_second / usual.images_per_second
    return Decision(
        question=question,
        arm=row.arm,
        about=row.about,
        code=with_setting(row.code, row.setting),
        gain=wording.estimate(factor, "ratio"),
        usual=usual.about,
    )
