"""A Parquet file, written again in row groups of a batch, and the dataset made anew over that."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader
from xxhash import xxh3_64_hexdigest

from datasets_impl.doctor.findings.again import of_row_groups
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import Callee, users_modules
from datasets_impl.doctor.probes.loaders import Part, batch_size_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.probes.samples import fingerprint
from datasets_impl.doctor.probes.standing import all_replaced, for_users
from datasets_impl.doctor.remedies.kept_results import files_of
from datasets_impl.doctor.remedies.remedy import (
    FEW,
    Context,
    Inapplicable,
    Instead,
    Remedy,
    seeded,
)

OPENERS = ("ParquetFile", "read_metadata", "read_schema", "read_table")
MOST_SECONDS = 4.0  # that rewriting a file may take
LEAST_GROUP = 1 << 16  # bytes of a row group: each has a cost of its own
STEPS = 64  # row groups that are written before the clock is looked at
TOO_LONG = f"Smaller row groups were not tried: to write them takes more than {MOST_SECONDS:.0f} s"
LINES = """old = pq.ParquetFile(path)
with pq.ParquetWriter(new, old.schema_arrow, compression={packed}) as file:
    for batch in old.iter_batches({many}):  # piece by piece
        file.write_batch(batch, row_group_size={rows})"""


class Elsewhere:
    """Finds the copy of a file, which is written when it is first asked for.

    Raises:
        Inapplicable: writing it takes too long.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.known: dict[str, str] = {}
        self.seconds = 0.0

    def __call__(self, original: Callable[..., Any], path: Any, *given: Any, **options: Any) -> Any:
        if isinstance(path, str | PathLike) and Path(path).is_file():
            path = self.known.get(fspath(path)) or self._written(Path(path))
        return original(path, *given, **options)

    def _written(self, path: Path) -> str:
        import pyarrow.parquet as pq

        begun = clock.perf_counter()
        copied = self.folder / f"{xxh3_64_hexdigest(os.fsencode(path))}.parquet"
        self.known[str(path)] = str(copied)
        if copied.exists():  # another worker has written it
            return str(copied)
        own, old = copied.with_suffix(f".{os.getpid()}"), pq.ParquetFile(path)
        with pq.ParquetWriter(own, old.schema_arrow, compression=_packed(old)) as file:
            for batch in old.iter_batches(STEPS * self.rows):  # of several groups, where need be
                file.write_batch(batch, row_group_size=self.rows)
                if clock.perf_counter() - begun > MOST_SECONDS:
                    raise Inapplicable(TOO_LONG)
        own.replace(copied)
        self.seconds += clock.perf_counter() - begun
        return str(copied)


def row_groups(at: Context) -> list[Remedy]:
    """Only where the dataset is made by what the user named, so that it can be made once more."""
    call, make = next(of_row_groups(at.seen), None), at.subject.make
    if call is None or make is None:
        return []
    many, title = files_of(call), "Write the file again, in small row groups"
    if why := at.subject.writes:
        raise Inapplicable(
            f"{title}: this was not tried, as the dataset is made only once (making it {why})"
        )
    small = int(call["chunk"]["rows"] * LEAST_GROUP / call["gives"])
    rows = max(batch_size_of(at.subject) or 1, small)
    needs = at.ask_for(title, {DISK: many * Path(call["path"]).stat().st_size})
    folder = at.folder / "row-groups"
    folder.mkdir(exist_ok=True)
    elsewhere = Elsewhere(folder, rows)
    pairs = [(one, for_users(one, partial(elsewhere, one.function))) for one in _openers(at)]
    with all_replaced(pairs):
        made: Any = make()
    dataset = made.dataset if isinstance(made, DataLoader) else made
    part = Part(replace(at.subject, dataset=dataset), at.part.indices, len(at.part))
    anew = Instead(part, pairs)
    if not elsewhere.known or not _same(at, anew):
        return []
    return [
        Remedy(
            "row-groups",
            title,
            LINES.format(rows=rows, many=STEPS * rows, packed=_of_file(call["path"])),
            anew,
            at.subject.workers,
            "C11",
            cost="about the size of the files",
            needs=needs,
            once_seconds=elsewhere.seconds / len(elsewhere.known) * many,
            mends=("reads-too-much", "reading", "decompressing", "converting"),
        )
    ]


def _packed(file: Any) -> Any:
    """How its columns are compressed, as the writer is told it."""
    if not file.num_row_groups:
        return "NONE"
    group = file.metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    found = {one.path_in_schema: one.compression.replace("UNCOMPRESSED", "NONE") for one in columns}
    return found if len(set(found.values())) > 1 else next(iter(found.values()), "NONE")


def _of_file(path: str) -> str:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return repr(_packed(file))


def _same(at: Context, anew: Instead) -> bool:
    """Whether samples of all parts of the file are as they were: rows of the first groups are also
    where code counts on their size."""
    places = np.linspace(0, len(at.part.indices) - 1, FEW).astype(int).tolist()
    try:
        return all(
            fingerprint(seeded(at.part, place)) == fingerprint(seeded(anew, place))
            for place in places
        )
    except RAISED:
        return False


def _openers(at: Context) -> list[Callee]:
    """Wherever the user's code finds them."""
    home = sys.modules["pyarrow.parquet"]
    return [
        Callee(name, owner, name)
        for name in OPENERS
        for owner in (home, *users_modules(at.subject))
        if vars(owner).get(name) is getattr(home, name)
    ]
