"""How the cost of targets is measured: the same loader with and without them, in turn."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.beside import files_of
from datasets_impl.contest.model import Task
from datasets_impl.experiments.ways import by_threads
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.loading import BATCH_SIZE, Shuffled, run_epoch

from ..common import Measured
from ..grids import Cell
from .arms import home_of
from .epochs import PASS_BATCHES, corpus_of, still_warm, timed, warmed

PAIRS = 4  # of passes; in every other one the loader with targets goes first


def with_targets(cell: Cell, task: Task) -> Measured:
    """Percent of the time of a pass without targets that one with them takes, the median of pairs.

    Both go over the same pictures in the same order, each in a separate process.
    """
    root, classes = home_of(cell), corpus_of(cell).classes
    torch.set_num_threads(1)
    files, state = files_of(task, root), dict[str, Any]()
    made = [pictures(task, root, targets) for targets in (False, classes)]
    order = [Shuffled(len(classes), PASS_BATCHES * BATCH_SIZE) for _ in made]
    with by_threads(made[0], order[0]) as plain, by_threads(made[1], order[1]) as labelled:
        warmed(files, state)
        arms, ratios = (plain, labelled), []
        for arm in arms:
            run_epoch(arm)  # its process starts
        for pair in range(PAIRS):
            seconds = [0.0, 0.0]
            for which in (0, 1) if pair % 2 else (1, 0):
                seconds[which] = timed(lambda which=which: run_epoch(arms[which]))  # type: ignore[misc]
            ratios.append(100 * seconds[1] / seconds[0])
        still_warm(files, state)
    state |= {"batches": PASS_BATCHES, "pairs": [round(ratio, 3) for ratio in ratios]}
    return statistics.median(ratios), state


def pictures(task: Task, root: Path, targets: Any) -> ImageDataset:
    """The photographs in `root`, or the stored pixels of them; without `targets` where False."""
    if task == "raw":
        return StoredPixels(ensure_stored(root, "pixels", "pack"), targets)
    return DecodedImages(root, targets)
