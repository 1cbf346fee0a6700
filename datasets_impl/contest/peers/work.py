"""What a peer that takes any function is given: the fastest decoder, and this project's own crops.

So what differs between such peers is how they read, order, spread and collate, not who decodes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from datasets_impl.contest.model import CROP, Arm, Task
from datasets_impl.decoders import decoder
from datasets_impl.factors import LOCAL_TASKS
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.stored import Kind
from datasets_impl.loaders.crops import RATIO, SCALE, random_box
from datasets_impl.loaders.resizing import write_resized
from datasets_impl.loaders.threads import work_alone
from datasets_impl.variants.whole_batches import empty_batch

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Work:
    """From the stored bytes of an image to its uint8 pixels; `shape` of *raw* ones."""

    task: Task
    shape: tuple[int, ...] = ()
    scale: tuple[float, float] = SCALE
    ratio: tuple[float, float] = RATIO

    def __call__(self, data: Any, out: Pixels | None = None) -> Pixels:
        """The pixels, in `out` where it is given."""
        if self.task == "raw":
            pixels = np.frombuffer(data, np.uint8).reshape(self.shape)
            if out is None:
                return pixels
            out[...] = pixels
            return out
        decode = decoder("simplejpeg").decode
        if self.task == "decode":
            return decode(data, out)
        work_alone()  # the peer's threads are as many as are of use
        pixels = decode(data, None)
        made = np.empty((3, CROP, CROP), np.uint8) if out is None else out
        height, width = pixels.shape[:2]
        drawn = random.getrandbits(48)  # the peer does not say which image of which epoch this is
        box = random_box(height, width, 0, 0, drawn, self.scale, self.ratio)
        write_resized(pixels, box, made)
        return made

    def batch(self, pieces: Sequence[Any]) -> torch.Tensor:
        """A batch, each image made in its place."""
        first = self(pieces[0])
        made = empty_batch((len(pieces), *first.shape))
        made[0] = torch.from_numpy(first if first.flags.writeable else first.copy())
        for row, data in zip(made.numpy()[1:], pieces[1:], strict=True):
            self(data, row)
        return made


class Collate:
    """Makes a batch of samples that hold their image's stored bytes."""

    def __init__(self, work: Work, name: str = "image") -> None:
        self.work, self.name = work, name

    def __call__(self, samples: list[dict[str, bytes]]) -> torch.Tensor:
        return self.work.batch([sample[self.name] for sample in samples])


def packed(root: Path, task: Task) -> StoredImages:
    """The images as this project's pack, for a peer that leaves storage to its user."""
    return ensure_stored(root, kind_of(task), "pack")


def files_of_pack(root: Path, task: Task) -> list[Path]:
    return packed(root, task).files


def work_of(task: Task, images: StoredImages, **boxes: tuple[float, float]) -> Work:
    return Work(task, tuple(images.header.shape), **boxes)


def kind_of(task: Task) -> Kind:
    """What a set for the task has to hold."""
    return "pixels" if task == "raw" else "jpeg"


def layout_of(task: Task) -> Literal["NHWC", "NCHW"]:
    return "NCHW" if task == "train" else "NHWC"


def collated(samples: Sequence[Pixels]) -> torch.Tensor:
    """A batch of what was made one by one; in a worker in memory that the trainer shares."""
    made = empty_batch((len(samples), *samples[0].shape))
    np.stack(samples, out=made.numpy())
    return made


def peer_arms(
    name: str,
    opened: Callable[..., Any],
    files: Callable[..., list[Path]],
    settings: tuple[dict[str, Any], ...],
    **more: Any,
) -> tuple[Arm, ...]:
    """A row for each task of a peer whose functions take the `task`."""
    return tuple(
        Arm(
            name,
            task,
            "peer",
            partial(opened, task=task),
            partial(files, task=task),
            settings,
            layout=layout_of(task),
            **more,
        )
        for task in LOCAL_TASKS
    )
