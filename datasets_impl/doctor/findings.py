"""From what the probes saw to findings: a cause or a hazard, its evidence, and what to do.

A finding's `rank` orders them: wrong results first, then a mechanism that was seen at work, then
where the time goes. Nothing is found below the thresholds named here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_impl.doctor.account import account

WRONG, MECHANISM, SHARE, NOTE = 3.0, 2.0, 1.0, 0.0
CHEAP = 50e-6  # seconds: an item that takes less is no problem by itself
OUTLIER_TIMES, OUTLIER_SHARE = 10.0, 0.2  # the slowest 1 % against the median, and of all time
READ_TIMES = 8.0  # bytes read for an item over the bytes of its sample
LARGE_PICKLE = 16 << 20
LEAST_SHARE = 0.35  # of an item's time, for its cause to be named
LEAST_GROWTH = 16e6  # bytes of a worker, over the samples that were tried
LEAST_LEAK = 4e6  # bytes an epoch
LARGER = 6.0  # pixels decoded over pixels used
WORKERS_COST = 1.3
NEAR = 1.5  # times the ceiling's time: nothing is left to find


@dataclass(frozen=True)
class Finding:
    """`evidence` is one sentence with numbers; `lines` are the few lines of code to change."""

    name: str
    title: str
    evidence: str
    remedy: str
    rank: float
    claim: str = ""
    lines: str = ""
    places: list[str] = field(default_factory=list)


Probes = dict[str, Any]  # probe -> its answer (one that failed is missing); the loader's settings


def frozen(seen: Probes) -> Finding | None:
    """A random transform whose result never changes."""
    answer = seen.get("repeated", {})
    transforms = seen.get("inside", {}).get("random_transforms", [])
    if answer.get("distinct", 2) > 1 or not transforms:
        return None
    names = ", ".join(transforms)
    return Finding(
        "frozen",
        "A random transform is frozen",
        f"The dataset has {names}, and eight reads of one sample were all equal.",
        "Apply random transforms when a sample is read, not when it is stored.",
        WRONG + 0.9,
        "C15",
        "def __getitem__(self, index):\n    return self.transform(self.stored[index])",
    )


def same_in_workers(seen: Probes) -> Finding | None:
    answer = seen.get("repeated", {})
    if answer.get("distinct", 1) < 2 or not answer.get("workers_equal"):
        return None
    return Finding(
        "same-in-workers",
        "Every worker draws the same random numbers",
        "Two reads in one process differ, and the same read in two workers does not.",
        "Draw from torch's generator, or seed your own generator from `torch.initial_seed()` in "
        "each worker.",
        WRONG + 0.8,
        "",
        "def worker_init_fn(worker):\n"
        "    get_worker_info().dataset.rng = np.random.default_rng(torch.initial_seed())",
    )


def broken(seen: Probes) -> Finding | None:
    failures = seen.get("look", {}).get("failures", [])
    if not failures:
        return None
    return Finding(
        "broken-sample",
        "Samples cannot be read",
        f"{len(failures)} of those tried failed; the first: {failures[0]}.",
        "Mend or leave out what cannot be read; a loader stops at the first of them.",
        WRONG + 0.7,
    )


def outlier(seen: Probes) -> Finding | None:
    """A few samples that take most of the time."""
    answer = seen.get("items", {})
    first, second = answer.get("first") or [0.0], answer.get("second")
    # Slow both times: what was slow once had to wait for something else.
    times = np.minimum(first, second) if second else np.array(first)
    if len(times) < 20 or times.max() < 1e-3:
        return None
    slowest = np.argsort(times)[::-1][: max(1, len(times) // 100)]
    share, median = times[slowest].sum() / times.sum(), float(np.median(times))
    if times[slowest[0]] < OUTLIER_TIMES * median or share < OUTLIER_SHARE:
        return None
    named = ", ".join(str(answer["indices"][i]) for i in slowest[:5])
    return Finding(
        "outlier",
        "A few samples are far slower than the rest",
        f"Sample {named} takes {1e3 * times[slowest[0]]:.1f} ms, the median {1e3 * median:.2f} ms; "
        f"the slowest 1 % take {share:.0%} of the time.",
        "Look at these samples first: every batch that holds one waits for it.",
        MECHANISM + 0.9,
    )


def reads_too_much(seen: Probes) -> Finding | None:
    """Much more is read than comes out."""
    asked = seen.get("items", {}).get("bytes_asked", 0.0)
    size = seen.get("look", {}).get("bytes", 0.0)
    reading = _share(seen, "reading")
    if not size or asked < READ_TIMES * size or asked < 1 << 20 or reading < LEAST_SHARE:
        return None
    return Finding(
        "reads-too-much",
        "Far more is read than a sample holds",
        f"An item asks for {asked / 1e6:,.1f} MB and gives {size / 1e6:,.3f} MB; reading takes "
        f"{reading:.0%} of its time.",
        "Store samples so that one can be read alone: a mapped array, one file a sample, or a "
        "store with an index.",
        MECHANISM + 0.8,
        "C11",
        "self.data = np.load(path, mmap_mode='r')  # reads only the rows you ask for",
    )


def lists_folder(seen: Probes) -> Finding | None:
    listed = seen.get("items", {}).get("listed", 0.0)
    share = _share(seen, "listing")
    if listed < 0.5 or share < 0.2:
        return None
    return Finding(
        "lists-folder",
        "The folder is listed for every item",
        f"{listed:.1f} listings an item, {share:.0%} of its time.",
        "List once, in the constructor, sorted.",
        MECHANISM + 0.7,
        "C12",
        "self.paths = sorted(Path(root).glob('*.jpg'))  # in __init__",
    )


def reopens(seen: Probes) -> Finding | None:
    """The same file is opened anew for every item."""
    opened = seen.get("items", {}).get("opened", [])
    count = len(seen.get("items", {}).get("first", []))
    share = _share(seen, "opening")
    again = [(path, times) for path, times in opened if count and times >= 0.9 * count]
    if share < 0.2 and not (again and share > 0.1):
        return None
    named = f"{again[0][0]} is opened for every item; " if again else ""
    return Finding(
        "reopens",
        "A file is opened anew for every item",
        f"{named}opening takes {share:.0%} of its time.",
        "Open it once in each worker, when its first item is read.",
        MECHANISM + 0.6,
        "",
        "if self.file is None:\n    self.file = h5py.File(self.path)  # on first use, not in __init__",
    )


def float64(seen: Probes) -> Finding | None:
    wide = [leaf for leaf in seen.get("look", {}).get("example", [])
            if " float64 " in leaf["kind"] and leaf["bytes"] >= 1 << 14]  # fmt: skip
    if not wide:
        return None
    return Finding(
        "float64",
        "Samples are float64",
        f"{wide[0]['path']} is {wide[0]['kind']}, {wide[0]['bytes'] / 1e6:,.2f} MB: twice what "
        "float32 takes, eight times uint8, in every copy from worker to trainer.",
        "Give uint8, and convert on the device.",
        MECHANISM + 0.5,
        "X03",
        "return torch.from_numpy(image)  # uint8; batch.to(device).float().div_(255) in the trainer",
    )


def large_pickle(seen: Probes) -> Finding | None:
    size = seen.get("pickled", {}).get("bytes", 0)
    method = seen.get("inside", {}).get("start_method")
    workers = seen.get("settings", {}).get("num_workers", 0)
    if size < LARGE_PICKLE or not workers or method not in ("spawn", "forkserver"):
        return None
    return Finding(
        "large-pickle",
        f"Every worker is sent {size / 1e6:,.0f} MB",
        f"The dataset pickles to {size / 1e6:,.0f} MB and workers start by {method}: each gets a "
        "copy before its first batch.",
        "Open mappings and stores in each worker, and share one tensor instead of arrays.",
        MECHANISM + 0.75,
        "X01",
        "def __getstate__(self):\n    return {**self.__dict__, 'data': None}  # opened again on first use",
    )


def shared(seen: Probes) -> Finding | None:
    """A sample is the store's own memory, and can be written to."""
    answer = seen.get("repeated", {})
    if not answer.get("shared"):
        return None
    return Finding(
        "shared",
        "A training step can write into the dataset",
        f"Two reads of one sample give the same writable memory ({answer['shared'][0]}).",
        "Give copies, or make the store read-only; batches of more than one sample are copies already.",
        NOTE,
        "X02",
        "return self.data[index].clone()",
    )


def grows(seen: Probes) -> Finding | None:
    """Workers copy a list of Python objects by reading it."""
    answer = seen.get("growth", {})
    lists = seen.get("inside", {}).get("big_lists", [])
    if not answer.get("private") or not lists:
        return None
    grown = answer["private"][0] - answer["few"]
    if grown < LEAST_GROWTH or not answer["samples"]:
        return None
    path, count, element = lists[0]
    whole = grown / answer["samples"] * answer["of"]
    return Finding(
        "grows",
        "Workers copy a list of Python objects",
        f"{path} holds {count:,} objects ({element}); each worker grew by {grown / 1e6:,.0f} MB over "
        f"{answer['samples']:,} samples, since reading an object changes its reference count.",
        f"Keep records in an array or a packed tensor; up to {whole / 1e6:,.0f} MB a worker are saved.",
        MECHANISM + 0.65,
        "C09",
        "self.paths = np.array(paths, dtype=np.bytes_)  # one block, no counts inside",
    )


def leaks(seen: Probes) -> Finding | None:
    """Memory that goes on growing when the same samples are read again."""
    private = seen.get("growth", {}).get("private", [])
    if len(private) < 3:
        return None
    steps = [later - earlier for earlier, later in zip(private, private[1:], strict=False)]
    if min(steps) < LEAST_LEAK:
        return None
    return Finding(
        "leaks",
        "Workers grow with every epoch",
        f"By {min(steps) / 1e6:,.0f} MB an epoch at least, over the same samples.",
        "Look for what is appended to, or cached without a limit, when a sample is read.",
        MECHANISM + 0.64,
    )


def lengths(seen: Probes) -> Finding | None:
    found = seen.get("inside", {}).get("lengths", [])
    if not found:
        return None
    path, has, should = found[0]
    return Finding(
        "lengths",
        "Labels and samples are not equally many",
        f"{path} has {has:,} elements, the dataset says {should:,}.",
        "Check how they were paired: from the first missing one on, labels belong to other samples.",
        WRONG + 0.6,
    )


def unsorted(seen: Probes) -> Finding | None:
    line = seen.get("inside", {}).get("unsorted", "")
    if not line or seen.get("items", {}).get("listed", 0.0) >= 0.5:
        return None
    return Finding(
        "unsorted",
        "The order depends on the file system",
        f"The class lists a folder without sorting: {line}",
        "Sort, or index and label change from machine to machine.",
        NOTE + 0.1,
        "",
        "self.paths = sorted(os.listdir(root))",
    )


def handles(seen: Probes) -> Finding | None:
    inside = seen.get("inside", {})
    if not inside.get("handles") or inside.get("start_method") not in (None, "fork"):
        return None
    if not seen.get("settings", {}).get("num_workers"):
        return None
    return Finding(
        "handles",
        "A file is open before workers are forked",
        f"{inside['handles'][0]}: all workers would share its position and its locks.",
        "Open it in each worker, when its first sample is read.",
        WRONG + 0.1,
        "",
        "if self.file is None:\n    self.file = h5py.File(self.path)  # on first use, not in __init__",
    )


def too_many_threads(seen: Probes) -> Finding | None:
    inside, workers = seen.get("inside", {}), seen.get("settings", {}).get("num_workers", 0)
    threads, limit = inside.get("opencv_threads"), seen.get("ceiling", {}).get("cores", 0)
    if not threads or not limit or workers < 2 or threads * workers <= 2 * limit:
        return None
    return Finding(
        "threads",
        "Workers start more threads than there are cores",
        f"{workers} workers with {threads} OpenCV threads each, on {limit} cores.",
        "One thread a worker is enough.",
        NOTE + 0.2,
        "C20",
        "def worker_init_fn(worker):\n    cv2.setNumThreads(0)",
    )


def decoded_larger(seen: Probes) -> Finding | None:
    """Many more pixels are decoded than used."""
    answer = seen.get("pictures", {})
    if not answer:
        return None
    (width, height), (used_width, used_height) = answer["decoded"], answer["used"]
    times = width * height / max(1, used_width * used_height)
    if times < LARGER or _share(seen, "decoding") + _share(seen, "resizing") < LEAST_SHARE:
        return None
    return Finding(
        "decoded-larger",
        "Pictures are decoded far larger than they are used",
        f"{width} x {height} pixels are decoded for {used_width} x {used_height}: {times:,.0f} times "
        f"as many; decoding and resizing take {_share(seen, 'decoding') + _share(seen, 'resizing'):.0%} "
        "of the time.",
        "Decode at a reduced size or only the region that is used, or store smaller pictures.",
        MECHANISM + 0.55,
        "X07",
        f"picture.draft('RGB', ({used_width}, {used_height}))  # before anything reads its pixels",
    )


def workers_cost(seen: Probes) -> Finding | None:
    """Worker processes slow a cheap item down."""
    tried = seen.get("tried", {})
    workers = seen.get("settings", {}).get("num_workers", 0)
    none = [one for one in tried.get("remedies", []) if one["name"] == "workers-0"]
    if not workers or not none:
        return None
    gain = float(np.median(np.array(none[0]["beside"]) / np.array(none[0]["blocks"])))
    if gain < WORKERS_COST:
        return None
    return Finding(
        "workers-cost",
        "Worker processes cost more than they do",
        f"An epoch with {workers} workers takes {gain:.1f} times as long as one without.",
        "Load in the trainer's own process, or fewer workers.",
        MECHANISM + 0.6,
        "C07",
        "DataLoader(..., num_workers=0)",
    )


def not_collated(seen: Probes) -> Finding | None:
    why = seen.get("causes", {}).get("not_collated", "")
    if not why:
        return None
    return Finding(
        "not-collated",
        "Samples do not fit into one batch",
        f"The loader's collate function raised {why}.",
        "Give samples of one shape, or a `collate_fn` that knows what to do; timed as lists here.",
        WRONG + 0.5,
    )


def _share(seen: Probes, cause: str) -> float:
    return account(seen).share(cause)


HAZARDS: tuple[Callable[[Probes], Finding | None], ...] = (
    frozen, same_in_workers, broken, lengths, not_collated, handles, outlier, reads_too_much,
    large_pickle, lists_folder, grows, leaks, reopens, workers_cost, decoded_larger, float64,
    too_many_threads, unsorted, shared,
)  # fmt: skip

CAUSES = {  # cause -> title, remedy, claim
    "reading": ("Reading takes the time", "Keep files in the page cache, or pack them.", "C03"),
    "decoding": ("Decoding takes the time", "Decode once, or faster, or smaller.", "X07"),
    "resizing": ("Resizing takes the time", "Decode at reduced size, or store resized.", "X08"),
    "converting": ("Converting between kinds of array takes the time", "Convert once a batch.", "C13"),
    "transforming": ("The transform takes the time", "Move it to the batch or the device.", "C05"),
    "python": ("Your own Python takes the time", "Replace the loop by one array operation.", "C12"),
    "waiting": ("The item waits", "Find what it waits for: a lock, a sleep, the network.", "X09"),
    "collating": ("Collating takes the time", "Fetch whole batches into one piece of memory.", "X06"),
    "opening": ("Opening files takes the time", "Open once in each worker.", "C12"),
    "listing": ("Listing folders takes the time", "List once, in the constructor.", "C12"),
}


def time_causes(seen: Probes) -> list[Finding]:
    """Causes that take a large share of a sample that is neither cheap nor near the ceiling."""
    whole = account(seen)
    limit = seen.get("ceiling", {}).get("limit")
    own = seen.get("tried", {}).get("own") or [1e6 * whole.total]
    if whole.total < CHEAP or (limit and float(np.median(own)) < NEAR * limit):
        return []
    found = []
    for cause, seconds in whole.parts.items():
        share = seconds / whole.total
        if share < LEAST_SHARE:
            continue
        title, remedy, claim = CAUSES[cause]
        places = [
            f"{file}:{line} {name}, {1e3 * taken:.2f} ms"
            for file, line, name, taken in seen["causes"].get("places", [])[:3]
            if taken > 0.05 * whole.total
        ]
        found.append(
            Finding(
                cause,
                title,
                f"{share:.0%} of a sample's {1e3 * whole.total:.2f} ms.",
                remedy,
                SHARE + min(share, 0.99),
                claim,
                places=places if cause == "python" else [],
            )
        )
    return found


def findings(seen: Probes) -> list[Finding]:
    """Everything found, the most telling first."""
    made = [hazard(seen) for hazard in HAZARDS]
    return sorted(
        [*(one for one in made if one is not None), *time_causes(seen)],
        key=lambda finding: -finding.rank,
    )
