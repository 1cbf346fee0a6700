"""From what the probes saw to findings: a cause or a hazard, its evidence, and what to do.

A finding's `rank` orders them: wrong results first, then a mechanism that was seen at work, then
where the time goes. Nothing is found below the thresholds named here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WRONG, MECHANISM, SHARE = 3.0, 2.0, 1.0
CHEAP = 50e-6  # seconds: an item that takes less is no problem by itself
OUTLIER_TIMES, OUTLIER_SHARE = 10.0, 0.2  # the slowest 1 % against the median, and of all time
READ_TIMES = 8.0  # bytes read for an item over the bytes of its sample
LARGE_PICKLE = 16 << 20
LEAST_SHARE = 0.35  # of an item's time, for its cause to be named


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


Probes = dict[str, Any]  # probe -> its answer; a probe that failed is missing


def frozen(seen: Probes) -> Finding | None:
    """A random transform whose result never changes."""
    answer = seen.get("repeated", {})
    if not answer or answer.get("distinct", 2) > 1 or not answer.get("random_transforms"):
        return None
    names = ", ".join(answer["random_transforms"])
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
    times = np.array(answer.get("second") or answer.get("first") or [0.0])
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
    causes = seen.get("causes", {})
    reading = causes.get("causes", {}).get("reading", 0.0) / (causes.get("total") or 1)
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
    method = seen.get("settings", {}).get("start_method")
    if size < LARGE_PICKLE or method not in ("spawn", "forkserver"):
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


def _share(seen: Probes, cause: str) -> float:
    answer = seen.get("causes", {})
    return float(answer.get("causes", {}).get(cause, 0.0) / (answer.get("total") or 1.0))


HAZARDS: tuple[Callable[[Probes], Finding | None], ...] = (
    frozen, same_in_workers, broken, outlier, reads_too_much, lists_folder, reopens, float64,
    large_pickle,
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
    """Causes that take a large share of an item that is not cheap."""
    answer = seen.get("causes", {})
    total = answer.get("total", 0.0)
    if total < CHEAP:
        return []
    found = []
    for cause, seconds in answer["causes"].items():
        share = seconds / total
        if share < LEAST_SHARE or cause not in CAUSES:
            continue
        title, remedy, claim = CAUSES[cause]
        places = [f"{file}:{line} {name}" for file, line, name, _ in answer["places"][:3]]
        found.append(
            Finding(
                cause,
                title,
                f"{share:.0%} of an item's {1e3 * total:.2f} ms.",
                remedy,
                SHARE + share,
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
