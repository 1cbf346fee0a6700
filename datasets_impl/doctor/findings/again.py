"""The same work again: what is read or computed for a sample, and how much of it a sample holds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import (
    LEAST_SHARE,
    MECHANISM,
    READ_TIMES,
    Finding,
    Probes,
    cheap,
    share_of,
)
from datasets_impl.doctor.findings.user_lines import leading_to, loops, place_of, shown
from datasets_impl.doctor.probes.causes import FETCHING

WHOLE_TIMES = 4.0  # bytes that a call gives over those of a sample
LEAST_BYTES = 1 << 18  # of what is read, to be worth a word
LEAST_ASKED = 1 << 20  # bytes for an item, to be worth a word
# The same of a file that several samples come from; buffers of a few files are no proof.
LEAST_OF_SHARED = max(1 << 16, 2 * io.DEFAULT_BUFFER_SIZE)
LOOPED_TIMES = 64.0  # the same, for all of what the code does to be going through it
LEAST_AGAIN = 0.3  # of the calls, that another sample had made already
TAKEN = 0.05  # of a sample's time, by a call that is counted at all
MAKES = ".__init__"  # how the names of constructors end
LONG_LIST = 100  # indices
MANY_CHUNKS = 64  # that a sample is put together from
READING = (*FETCHING, "decoding", "converting")  # what comes of having read more than is used
PICTURES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".webp"}
INDEXED = "CREATE INDEX by_{column} ON {table} ({column});"

Call = dict[str, Any]
IN_PART = {  # how a part of such a file is read; of others nothing can be said for all
    ".npy": "self.data = np.load(path, mmap_mode='r')  # reads only the rows you ask for",
    ".npz": "np.save(stored, np.load(path)[name])  # once: what is in a .npz cannot be mapped\n"
    "self.data = np.load(stored, mmap_mode='r')  # reads only the rows you ask for",
    ".wav": "rate, wave = scipy.io.wavfile.read(path, mmap=True)  # reads what you ask for",
}
FROM_LINE = """\
file.seek(self.starts[index])  # where each line begins, noted once in __init__
line = file.readline()"""


def again(call: Call) -> float:
    """Share of the calls that another sample had made with the same arguments."""
    return float(call["again"] / max(1, call["calls"])) if not call["differs"] else 0.0


def of_whole(seen: Probes) -> Iterator[Call]:
    """Calls that give far more than a sample holds, of files that several samples come from."""
    size = seen.get("look", {}).get("bytes", 0.0)
    for call in calls_of_samples(seen):
        if call["gives"] < max(LEAST_BYTES, WHOLE_TIMES * size) or again(call) < LEAST_AGAIN:
            continue
        if call["full_name"].endswith(MAKES):  # what it reads is told by itself
            continue
        if size and max(call["share"], share_of(seen, *READING)) >= LEAST_SHARE:
            yield call


def of_row_groups(seen: Probes) -> Iterator[Call]:
    """Of these, the calls that read row groups of a Parquet file."""
    return (call for call in of_whole(seen) if call["chunk"].get("rows"))


def of_storage(seen: Probes) -> Iterator[Call]:
    """Calls that give a part of a storage that is read whole."""
    for call in calls_of_samples(seen):
        larger = call["held"] > max(WHOLE_TIMES * call["gives"], LEAST_BYTES)
        if larger and call["path"] and costly(call):
            yield call


def of_chunks(seen: Probes) -> Iterator[Call]:
    """Calls that read chunks of which they take a small part, or very many of them."""
    for call in calls_of_samples(seen):
        if (too_large(call["chunk"], call["gives"]) or too_many(call["chunk"])) and costly(call):
            yield call


def too_large(chunk: dict[str, Any], gives: int) -> bool:
    return bool(chunk.get("bytes", 0) > max(WHOLE_TIMES * gives, LEAST_BYTES))


def too_many(chunk: dict[str, Any]) -> bool:
    return bool(chunk.get("count", 0) >= MANY_CHUNKS)


def of_lists(seen: Probes) -> Iterator[Call]:
    """Calls that read what a long list of indices names."""
    for call in calls_of_samples(seen):
        if call["chunk"].get("listed", 0) >= LONG_LIST and costly(call):
            yield call


def calls_of_samples(seen: Probes) -> list[Call]:
    """None of samples that cost next to nothing."""
    if seen.get("look", {}).get("cost", 0.0) < cheap(seen):
        return []
    return [one for one in seen.get("repeats", {}).get("calls", []) if one["share"] >= TAKEN]


def costly(call: Call) -> bool:
    return bool(call["share"] >= LEAST_SHARE)


def read_whole(seen: Probes) -> Finding | None:
    """Much more is read than comes out."""
    size = seen.get("look", {}).get("bytes", 0.0)
    for call in of_whole(seen):
        if call["chunk"].get("rows"):
            return _large_row_groups(call, size)
        pictures = Path(call["path"]).suffix.lower() in PICTURES
        return _too_much(
            "Whole pictures are decoded for a part of each"
            if pictures
            else "Far more is read than a sample holds",
            f"{call['name']} gives {decimal(call['gives'])} for a sample of {decimal(int(size))}"
            f"{times_read(call)}.",
            "Read only the part (map the file, or ask for it by its offset), or read it once in "
            "each worker.",
            IN_PART.get(Path(call["path"]).suffix.lower(), ""),
            [place_of(call)],
        )
    asked = seen.get("items", {}).get("bytes_asked", 0.0)
    shares = _shares_files(seen)
    looped = shares and asked >= LOOPED_TIMES * size and loops(seen)
    fetching = (*FETCHING, "python") if looped else FETCHING  # a loop over the lines of a file
    reading = share_of(seen, *fetching)
    others = (of_storage(seen), of_chunks(seen), of_lists(seen))
    special = next(chain(*others), None) or unindexed(seen) or packed_archive(seen)
    least = max(READ_TIMES * size, LEAST_OF_SHARED if shares else LEAST_ASKED)
    if not size or asked < least or reading < LEAST_SHARE or special:
        return None
    return _too_much(
        "Far more is read than a sample holds",
        f"An item asks for {decimal(int(asked))} and gives {decimal(int(size))}; reading and "
        f"unpacking it take {reading:.0%} of its time.",
        "Store samples so that one can be read alone: a mapped array, one file a sample, or a "
        "store with an index.",
        FROM_LINE if looped else IN_PART[".npy"],
        leading_to(seen, *fetching),
    )


def _shares_files(seen: Probes) -> bool:
    """Whether several samples that cost something come from a file: one that was opened for more
    than one of them, or that stays open."""
    if seen.get("look", {}).get("cost", 0.0) <= cheap(seen):
        return False
    items = seen.get("items", {})
    return items.get("opens", 1.0) < 1 or any(times > 1 for _, times in items.get("opened", []))


def _large_row_groups(call: Call, size: float) -> Finding:
    chunk = call["chunk"]
    return _too_much(
        "Row groups are far larger than what a sample takes of them",
        f"{chunk['rows']:,} rows, {decimal(call['gives'])}, are read for a sample of "
        f"{decimal(int(size))}: Parquet is read by row groups, and {chunk['of']:,} rows lie in "
        f"{chunk['groups']:,}{times_read(call)}.",
        "Write the file again in small row groups, or read each of them once in each worker.",
        "pq.write_table(table, path, row_group_size=1000)",
        [place_of(call)],
    )


def whole_storage(seen: Probes) -> Finding | None:
    for call in of_storage(seen):
        return _too_much(
            "A file holds the whole tensor that its sample is a slice of",
            f"{call['name']} reads {decimal(call['held'])} for {decimal(call['gives'])}: a slice "
            "is saved with all the memory that it is a part of.",
            "Save clones.",
            "torch.save(x[i].clone(), path)",
            [place_of(call)],
        )
    return None


def large_chunks(seen: Probes) -> Finding | None:
    for call in of_chunks(seen):
        chunk = call["chunk"]
        shape, taken = (" x ".join(map(str, chunk[one])) for one in ("chunk", "taken"))
        packed = call["path"].endswith((".gz", ".bz2"))
        if not too_large(chunk, call["gives"]):
            return _small_chunks(call, shape, taken)
        return _too_much(
            "A compressed file is unpacked for a part of it" if packed
            else "Chunks are far larger than what a sample takes of them",
            f"{decimal(chunk['bytes'])} are read for {decimal(call['gives'])}: "
            + (f"{Path(call['path']).name} can only be unpacked from its start"
               if packed else f"a chunk is {shape}")
            + f", and a sample takes {taken} of it.",
            "Unpack it once, and map what comes of it." if packed
            else "Write the store again, with chunks of what a sample takes.",
            "" if packed else f"chunks=({', '.join(map(str, chunk['taken']))},)",
            [place_of(call)],
        )  # fmt: skip
    return None


def _small_chunks(call: Call, shape: str, taken: str) -> Finding:
    return Finding(
        "small-chunks",
        "A sample is put together from very many chunks",
        f"{call['chunk']['count']:,} chunks of {shape} are read for a sample's {taken}, each "
        f"of them by itself; that takes {call['share']:.0%} of its time.",
        "Write the store again, with chunks of what a sample takes.",
        MECHANISM + 0.79,
        "C11",
        f"chunks=({', '.join(map(str, call['chunk']['taken']))},)",
        [place_of(call)],
    )


def packed_archive(seen: Probes) -> Finding | None:
    """A compressed archive has no index, and is unpacked up to the member that is asked for."""
    share = share_of(seen, *FETCHING)
    for one in seen.get("repeats", {}).get("archives", []):
        if share < LEAST_SHARE or one["unpacked"] < max(LEAST_BYTES, WHOLE_TIMES * one["member"]):
            continue
        return _too_much(
            "A compressed archive is unpacked from its start for a member of it",
            f"{decimal(one['unpacked'])} are unpacked for a member of {decimal(one['member'])}: "
            f"{Path(one['path']).name}, {decimal(one['archive'])}, is read from its start; "
            f"that takes {share:.0%} of a sample's time.",
            "Unpack it once into files, or pack it as .zip, or as plain .tar, whose members can be "
            "read by themselves.",
            "tarfile.open(path).extractall(folder, filter='data')  # once, before training",
            shown(one["lines"]),
        )
    return None


def index_list(seen: Probes) -> Finding | None:
    for call in of_lists(seen):
        return Finding(
            "index-list",
            "A file is asked for a long list of indices",
            f"{call['chunk']['listed']:,} indices select what a sample takes, which takes "
            f"{call['share']:.0%} of its time: the library goes through them one by one.",
            "Read the slice that holds them and index that in NumPy, or store together what a "
            "sample takes.",
            MECHANISM + 0.81,
            "",
            "part = array[first : last + 1]  # one slice\npart[wanted - first]",
            [place_of(call)],
        )
    return None


def unindexed(seen: Probes) -> Finding | None:
    """A query that goes through a whole table."""
    queries = seen.get("repeats", {}).get("queries", [])
    share = share_of(seen, *FETCHING)
    if not queries or share < LEAST_SHARE:
        return None
    one = queries[0]
    return _too_much(
        "A query goes through the whole table for each sample",
        f"{Path(one['path']).name} has no index on {one['table']}.{one['column']}, and "
        f"{one['rows']:,} rows are looked at; reading takes {share:.0%} of the time.",
        "Make an index, and ask for a whole batch in one query (`__getitems__`).",
        INDEXED.format_map(one),
        leading_to(seen, *FETCHING),
    )


def _too_much(title: str, evidence: str, remedy: str, lines: str, places: list[str]) -> Finding:
    return Finding("reads-too-much", title, evidence, remedy, MECHANISM + 0.8, "C11", lines, places)


def times_read(call: Call) -> str:
    if not call["path"] or call["times"] < 2:
        return ""
    return f"; {Path(call['path']).name} was read {call['times']:,} times"
