"""How a real training is timed: a net learns which photograph a crop is from."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset

from datasets_impl.experiments.training import Training
from datasets_impl.experiments.ways import AHEAD, WAYS
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loading import BATCH_SIZE, Shuffled
from datasets_impl.system.cores import cores

from ..common import Measured
from ..grids import Cell
from .epochs import corpus_of, still_warm, timed, warmed

EPOCHS = 8
TESTED = 5  # one image in so many is kept from the training, to test the net


def training(cell: Cell) -> Measured:
    """Microseconds per image of an epoch of training, the median of `EPOCHS`; the first one too.

    Further number: the share of images kept from training, in percent, whose class is found.
    """
    corpus = corpus_of(cell)
    torch.set_num_threads(cores())
    images = DecodedImages(corpus.root, corpus.classes)
    trained = len(images) - len(images) // TESTED
    order = Shuffled(trained)
    trainer = Training(len(corpus.manifest.sources), EPOCHS * -(-trained // BATCH_SIZE))
    state: dict[str, Any] = {"trained": trained, "ahead_batches": AHEAD}
    files = [Path(path) for path in corpus.paths]
    warmed(files, state)
    losses: list[list[float]] = []
    with WAYS[cell.impl](images, order) as batches:
        times = [timed(lambda: losses.append(trainer.epoch(batches))) for _ in range(EPOCHS)]
    still_warm(files, state)
    tested = DataLoader(Subset(images, range(trained, len(images))), BATCH_SIZE)
    state |= {
        "epoch_seconds": [round(seconds, 4) for seconds in times],
        "loss": round(statistics.fmean(losses[-1]), 5),
        "also": {"accuracy": round(100 * trainer.accuracy(tested), 3)},
    }
    return 1e6 * statistics.median(times) / trained, state
