"""What this machine could reach for the user's samples, at most.

Decoding by all threads from memory where a sample is decoded from JPEG files, else copying a sample
to its place in a batch by all threads. Microseconds per sample.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_impl.decoders import decoder, fastest_decoder
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.room import at_once
from datasets_impl.doctor.probes.samples import size_of
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import ThreadPool

FEW = 32
LEAST_BYTES = 16 << 10  # of a sample; copying less takes no time that means anything
JPEG = b"\xff\xd8\xff"


def ceiling(subject: Subject, seconds: float) -> dict[str, Any]:
    """The limit, what it consists of, and its time; nothing where no sample can be read."""
    files: list[str] = []
    sample, count = None, 0
    opened = _Opened(files)
    try:
        if subject.iterable:
            sample = next(iter(subject.dataset), None)
        else:
            until = clock.perf_counter() + seconds / 3
            for index in indices(subject, FEW):
                with contextlib.suppress(*RAISED):  # broken samples are told elsewhere
                    sample, count = subject.read(index), count + 1
                if clock.perf_counter() > until:
                    break
    finally:
        opened.on = False
    if sample is None or not LEAST_BYTES <= size_of(sample) < at_once() / 4:
        return {}
    opened_jpeg = [path for path in map(Path, files) if _is_jpeg(path)]
    pictures = [path.read_bytes() for path in dict.fromkeys(opened_jpeg)]
    pictures = [picture for picture in pictures if _decodes(picture)]
    copying = _copying(size_of(sample), seconds / 3)
    found = {
        "cores": cores(),
        "copying": copying,
        "limit": copying,
        "of": "copying what is there already into a batch",
    }
    if pictures and len(opened_jpeg) >= count / 2:
        name = fastest_decoder().name
        decoding = _decoding(pictures, name, seconds / 3)
        if decoding > copying:
            found |= {"decoding": decoding, "limit": decoding, "of": f"decoding each with {name}"}
    return found


class _Opened:
    """Adds the paths of opened files to a list."""

    def __init__(self, files: list[str]) -> None:
        self.files, self.on = files, True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and isinstance(arguments[0], str):
            self.files.append(arguments[0])


def _is_jpeg(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(3) == JPEG
    except OSError:
        return False


def _decodes(picture: bytes) -> bool:
    try:
        fastest_decoder().decode(picture, None)
    except (OSError, RuntimeError, ValueError):
        return False
    return True


def _decoding(pictures: list[bytes], name: str, seconds: float) -> float:
    decode = decoder(name).decode
    with ThreadPool(cores()) as pool:
        return _per_unit(
            lambda: len(list(pool.map(lambda d: decode(d, None).size, pictures))), seconds
        )


def _copying(nbytes: int, seconds: float) -> float:
    """In a thread that ends: where the one that forks workers has had others work for it, a worker
    that uses several threads waits for those for ever."""
    with ThreadPool(1) as pool:
        return pool.submit(_copying_here, nbytes, seconds).result()


def _copying_here(nbytes: int, seconds: float) -> float:
    rows = max(2, min(64, (16 << 20) // max(1, nbytes)))
    source = torch.from_numpy(np.ones((rows, max(1, nbytes)), np.uint8))
    place = torch.empty_like(source)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    before, best = torch.get_num_threads(), float("inf")
    try:
        # One thread as well: where a neighbour holds a core, several wait for each other.
        for threads in {1, cores()}:
            torch.set_num_threads(threads)
            best = min(
                best,
                _per_unit(
                    lambda: len(torch.index_select(source, 0, order, out=place)), seconds / 2
                ),
            )
    finally:
        torch.set_num_threads(before)
    return best


def _per_unit(once: Callable[[], int], seconds: float) -> float:
    """Microseconds for each unit of the fastest pass, without the queue for a processor."""
    once()
    best, until = float("inf"), clock.perf_counter() + seconds
    while True:
        begun, before = clock.perf_counter(), _scheduled()
        count = once()
        taken, (ran, queued) = clock.perf_counter() - begun, _scheduled() - before
        best = min(best, 1e6 * taken * (ran / (ran + queued) if ran > 0 else 1.0) / count)
        if clock.perf_counter() > until:
            return best


def _scheduled() -> Any:
    """Nanoseconds that the threads of this process ran, and stood in the queue; where the system
    does not tell, as if all had run."""
    told = []
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):  # it has just ended
            told.append([int(number) for number in path.read_text().split()[:2]])
    total: np.ndarray[Any, Any] = np.array(told or [[clock.perf_counter_ns(), 0]]).sum(axis=0)
    return total
