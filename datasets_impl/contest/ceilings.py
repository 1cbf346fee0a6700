"""What the machine can physically do, in microseconds per image, so that arms can be set beside it.

*decode*: threads decode images whose bytes are in memory, each into one place that it uses again;
no order, no batches. *gather*: rows of decoded pixels in memory, in random order, into one
batch that is used again. *copy*: the same rows in order, which is the memory's own speed. *read*:
threads read the JPEG files, from the page cache or (cold) from the device.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets_impl.contest.model import BATCH_SIZE
from datasets_impl.decoders import decoder
from datasets_impl.experiments.loops import cores
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.observe.page_cache import evict, require_cold
from datasets_impl.sources import JpegBytes
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset


@dataclass(frozen=True)
class Pass:
    """Call it to go once over all images; it returns how many they were. `before` is not timed."""

    once: Callable[[], int]
    before: Callable[[], object] = lambda: None

    def __call__(self) -> int:
        return self.once()


def decode_pass(root: Path, decode_with: str, threads: int) -> Pass:
    """Decode every image of `root` once."""
    held = JpegBytes(root).contents
    decode = decoder(decode_with).decode
    places = [np.empty_like(decode(held[0], None)) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def part(number: int) -> None:
        place = places[number]
        for data in held[number::threads]:
            decode(data, place)

    def once() -> int:
        list(pool.map(part, range(threads)))
        return len(held)

    return Pass(once)


def read_pass(root: Path, cold: bool) -> Pass:
    """Read every JPEG file of `root` once with all threads.

    Raises (when it is called):
        Unsupported: the platform cannot evict files.
        VoidMeasurement: the eviction left pages in memory.
    """
    paths = [Path(path) for path in jpeg_files(root)]
    pool = ThreadPoolExecutor(cores())

    def evicted() -> None:
        evict(paths)
        require_cold(paths)

    def once() -> int:
        return sum(1 for _ in pool.map(Path.read_bytes, paths, chunksize=8))

    return Pass(once, evicted) if cold else Pass(once)


def gather_pass(root: Path, threads: int, shuffled: bool) -> Pass:
    """Copy the pixels of every image once, batch by batch, in random order or in order."""
    rows = torch.from_numpy(PreloadedArrayDataset(root).data).flatten(1)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(rows), generator=generator)
    order = order if shuffled else torch.arange(len(rows))
    batches = [order[at : at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE)]
    place = torch.empty((BATCH_SIZE, rows.shape[1]), dtype=torch.uint8)

    def once() -> int:
        torch.set_num_threads(threads)
        for indices in batches:
            if shuffled:
                torch.index_select(rows, 0, indices, out=place[: len(indices)])
            else:
                first = int(indices[0])
                place[: len(indices)].copy_(rows[first : first + len(indices)])
        return len(rows)

    return Pass(once)


CEILINGS: dict[str, Callable[[Path], Pass]] = {
    "ceiling-decode": lambda root: decode_pass(root, "simplejpeg", cores()),
    "ceiling-decode-1": lambda root: decode_pass(root, "simplejpeg", 1),
    "ceiling-decode-fast": lambda root: decode_pass(root, "simplejpeg-fast", cores()),
    "ceiling-read": lambda root: read_pass(root, cold=False),
    "ceiling-read-cold": lambda root: read_pass(root, cold=True),
    "ceiling-gather": lambda root: gather_pass(root, cores(), shuffled=True),
    "ceiling-gather-1": lambda root: gather_pass(root, 1, shuffled=True),
    "ceiling-copy": lambda root: gather_pass(root, cores(), shuffled=False),
    "ceiling-copy-1": lambda root: gather_pass(root, 1, shuffled=False),
}
