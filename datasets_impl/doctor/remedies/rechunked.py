"""Arrays in files, written again in chunks of what a sample takes: HDF5, Zarr, packed volumes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.again import of_chunks, too_large, too_many
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.chunks import chunk_of, selected
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.probes.standing import all_replaced, for_users, identity_of
from datasets_impl.doctor.remedies.kept_results import files_of
from datasets_impl.doctor.remedies.remedy import (
    FEW,
    Context,
    Inapplicable,
    Instead,
    Remedy,
    seeded,
    unharmed,
)
from datasets_impl.doctor.remedies.rewriting import Again, InH5, InZarr, Unpacked

KINDS: dict[str, type[Again]] = {"Dataset": InH5, "Array": InZarr, "ArrayProxy": Unpacked}
MOST_BYTES, MOST_SECONDS = 1 << 28, 4.0  # of what a sample may take; that writing all may take
LOOKED = 4  # times that a few samples are read, to see what they take other parts of
TOO_MUCH = (
    "Other chunks were not tried: samples take another part of the store each time, and to write "
    "all that they may take is too much for a trial"
)
Box = tuple[tuple[int, int], ...]  # from where to where along each axis


class Taken:
    """Stands in for reading by an index, and notes the axes along which samples take another part
    each time."""

    def __init__(self, original: Callable[..., Any], kind: type[Again]) -> None:
        self.original, self.kind = original, kind
        self.noted: list[tuple[str, Box]] = []
        self.free: dict[str, set[int]] = defaultdict(set)

    def __call__(self, container: Any, selection: Any, *more: Any) -> Any:
        if box := _box(container, selection):
            self.noted.append((self.kind.inner(container), box))
        return self.original(container, selection, *more)

    def compare(self, reads: Iterable[Callable[[], Any]]) -> None:
        """Of the same sample."""
        known = list[tuple[str, Box]]()
        for read in reads:
            self.noted = []
            read()
            for (name, box), (before, other) in zip(self.noted, known, strict=False):
                if name == before:
                    pairs = enumerate(zip(box, other, strict=True))
                    self.free[name] |= {axis for axis, (one, two) in pairs if one != two}
            known = known or self.noted


class Rewritten:
    """Stands in for reading by an index. While it is `writing` it keeps all that a sample may take
    of arrays whose chunks are too large, afterwards it gives that."""

    def __init__(
        self, original: Callable[..., Any], kind: type[Again], folder: Path,
        free: dict[str, set[int]],
    ) -> None:  # fmt: skip
        self.original, self.kind, self.folder, self.free = original, kind, folder, free
        self.arrays: dict[str, Again] = {}
        self.inner: dict[str, Again] = {}  # one of each name, as lines name them
        self.written: set[tuple[str, Box]] = set()
        self.some: Any = None
        self.writing, self.until = True, clock.perf_counter() + MOST_SECONDS

    def __call__(self, container: Any, selection: Any, *more: Any) -> Any:
        name = identity_of(container)
        known = self.arrays.get(name)
        if known is None and not self.writing:
            return self.original(container, selection, *more)
        box = _box(container, selection) if name else ()
        there = known and (known.whole or (name, self._fixed(container, box)) in self.written)
        if known and box and there and not self.writing:
            return known.read(selection)
        made = self.original(container, selection, *more)
        if self.writing and box and not there:
            self._keep(container, name, selection, box, made)
        return made

    def _fixed(self, container: Any, box: Box) -> Box:
        free = self.free.get(self.kind.inner(container), ())
        return tuple(one for axis, one in enumerate(box) if axis not in free)

    def _keep(self, container: Any, name: str, selection: Any, box: Box, made: Any) -> None:
        inner = self.kind.inner(container)
        if name not in self.arrays:
            nbytes, read = np.asarray(made).nbytes, chunk_of(container, selection, made)
            if not (too_large(read, nbytes) or too_many(read)):
                return
            chunk = tuple(stop - start for start, stop in box)
            place = self.folder / f"array-{len(self.arrays)}"
            self.arrays[name] = self.kind(container, chunk, place)
            self.inner.setdefault(inner, self.arrays[name])
            self.some = container if self.some is None else self.some
        free = self.free.get(inner, set())
        if free or np.size(made) != math.prod(stop - start for start, stop in box):
            region = [
                slice(0, size) if axis in free else slice(*one)
                for axis, (one, size) in enumerate(zip(box, container.shape, strict=True))
            ]
            size = math.prod(one.stop - one.start for one in region) * container.dtype.itemsize
            if size > MOST_BYTES or clock.perf_counter() > self.until:
                raise Inapplicable(TOO_MUCH)
            selection = tuple(region)
            made = made if self.arrays[name].whole else self.original(container, selection)
        self.arrays[name].write(container, selection, made)
        self.written.add((name, self._fixed(container, box)))

    def finish(self) -> str:
        """The lines for what was written."""
        self.writing = False
        for one in self.arrays.values():
            one.close()
        return self.kind.lines(self.some, list(self.inner.items())) if self.inner else ""


def _box(container: Any, selection: Any) -> Box:
    """() of what is no box of an array."""
    if isinstance(selection, str) or not getattr(container, "ndim", 0):
        return ()
    try:
        return tuple(selected(selection, tuple(container.shape)))
    except (TypeError, ValueError, IndexError):  # a list, a mask, a field, nothing at all
        return ()


def rechunked(at: Context) -> list[Remedy]:
    """Tried over what the samples that are tried take of their arrays."""
    call = next(of_chunks(at.seen), None)
    callee = at.callees.get(call["name"]) if call else None
    kind = KINDS.get(call["name"].removesuffix("[]")) if call else None
    if call is None or callee is None or kind is None:
        return []
    chunk = call["chunk"]
    dtype = np.dtype(chunk["dtype"])
    title = (
        "Unpack each file once, and read slices of what comes of it" if kind is Unpacked
        else "Write the store again, with chunks of a sample"
    )  # fmt: skip
    of_files = files_of(call) if kind is Unpacked else 1
    size = int(np.prod(chunk["shape"])) * dtype.itemsize * of_files
    needs = at.ask_for(title, {DISK: size})
    folder = at.folder / "rechunked"
    folder.mkdir(exist_ok=True)
    taken = Taken(callee.function, kind)
    if at.may_change or not at.same_each_time:
        with all_replaced([(callee, for_users(callee, taken))]):
            for place in range(min(FEW, len(at.part.indices))):
                taken.compare(partial(seeded, at.part, place, draw) for draw in range(LOOKED))
    stand_in = Rewritten(callee.function, kind, folder, taken.free)
    pairs = [(callee, for_users(callee, stand_in))]
    with all_replaced(pairs):
        for place in range(len(at.part.indices)):
            at.part[place]
    lines = stand_in.finish()
    made = Instead(at.part, pairs)
    if not lines or not unharmed(at, made):
        return []
    of_all = size / max(1, chunk["bytes"])  # chunks, each of which is read once
    return [
        Remedy(
            "rechunked",
            title,
            lines,
            made,
            at.subject.workers,
            "C11",
            cost="all of it",
            needs=needs,
            once_seconds=call["seconds"] * of_all,
            mends=(
                "reads-too-much",
                "small-chunks",
                "decompressing",
                "reading",
                "decoding",
                "waiting",
            ),
        )
    ]
