"""Run by torchrun in two processes: write which images this rank's batches held, by content."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.utils.data import DistributedSampler, Subset

from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.order import ShardedShuffle
from tests.loading import WHOLE


def train(batches: Any) -> None:
    """A step of all processes for each batch: one that has fewer would leave the others waiting."""
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    for batch in batches:
        model(batch.float().mean().view(1, 1)).sum().backward()


def main(folder: str, out: str) -> None:
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    seen = {}
    for name, build in WHOLE.items():
        count = len(list(Path(folder).iterdir()))
        for order in (ShardedShuffle.distributed(count), DistributedSampler(range(count))):
            batches = build(Path(folder), batch_size=2, sampler=order)
            for epoch in range(2):
                batches.set_epoch(epoch)
                seen[f"{name}, {type(order).__name__}, epoch {epoch}"] = [
                    hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()
                    for batch in batches
                    for image in batch
                ]
    images = DecodedImages(folder)
    world, given = distributed.get_world_size(), {"batch_size": 2, "prefetch_factor": 1}
    odd = Subset(images, range(len(images) - 1))
    each: dict[str, Any] = {"num_replicas": world, "rank": rank, "batch_size": 1}
    dropped = DistributedSampler(odd, drop_last=True)
    parts: dict[str, ThreadedLoader[Any]] = {
        "own": ThreadedLoader(images, shuffle=True, num_replicas=world, rank=rank, **given),
        "own, in turn": ThreadedLoader(images, num_replicas=world, rank=rank, **given),
        "distributed": ThreadedLoader(images, sampler=DistributedSampler(images), **given),
        "here": ThreadedLoader(images, where="trainer", num_replicas=world, rank=rank, **given),
        "odd, own": ThreadedLoader(odd, shuffle=True, **each),
        "odd, own, in turn": ThreadedLoader(odd, where="trainer", **each),
        "odd, distributed": ThreadedLoader(odd, sampler=DistributedSampler(odd)),
        "odd, distributed, dropped": ThreadedLoader(odd, sampler=dropped, where="trainer"),
    }
    for name, batches in parts.items():
        for epoch in range(2):
            batches.set_epoch(epoch)
            if name.startswith("odd, distributed"):
                train(batches)
            batches.set_epoch(epoch)
            seen[f"ThreadedLoader, {name}, epoch {epoch}"] = [
                hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()
                for batch in batches
                for image in batch
            ]
    Path(out, f"{os.environ['RANK']}.json").write_text(json.dumps(seen))
    distributed.barrier()
    distributed.destroy_process_group()
    assert rank == int(os.environ["RANK"])


if __name__ == "__main__":
    main(*sys.argv[1:])
