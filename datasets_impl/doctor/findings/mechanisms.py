"""Mechanisms that cost time or memory, seen at work by the probes."""

from __future__ import annotations

import numpy as np

from datasets_impl.doctor.findings.finding import (
    LARGER,
    LEAST_SHARE,
    MECHANISM,
    NOTE,
    OUTLIER_SHARE,
    OUTLIER_TIMES,
    WORKERS_COST,
    Finding,
    Probes,
    cheap,
    gain_of,
    nothing,
    share_of,
    tried_of,
)
from datasets_impl.doctor.findings.hazards import SPLIT, opened_late
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.user_lines import leading_to, loader_places, shown
from datasets_impl.doctor.probes.causes import KINDS

FEW = 0.15  # of the samples, that take most of the time
OPENING, OPENED_GAIN = 0.2, 1.3  # of a sample's time; times as fast without opening
MOST_OPENED = 2.0  # the same, from which on what is read too much is read to open it
LEAST_TENSORS = 64  # of a batch
LEAST_WAIT, LEAST_MET = 0.2, 0.05  # of a sample's time, for a lock; samples that found it taken
DONE_AGAIN = 0.6  # of a sample's work, that each worker does for all others
SHORT_STEP = 10.0  # milliseconds: few training steps take less
FOREIGN_CORES = 0.5  # used by other programs, from which on times are too long
QUICK = 1e-3  # seconds: a sample that takes longer is what is slow, whatever workers cost


def outlier(seen: Probes) -> Finding | None:
    """A few samples that take most of the time."""
    answer = seen.get("items", {})
    first, second = answer.get("first") or [0.0], answer.get("second")
    # Slow both times: what was slow once had to wait for something else.
    times = np.minimum(first, second) if second else np.array(first)
    if len(times) < 20 or times.max() < 1e-3 or seen.get("look", {}).get("iterable"):
        return None
    order, median = np.argsort(times)[::-1], float(np.median(times))
    far = int((times >= max(1e-3, OUTLIER_TIMES * median)).sum())
    if not far:
        return None
    count, least = max(1, len(times) // 100), OUTLIER_SHARE
    if times[order[:count]].sum() < least * times.sum():  # more of them, each of them less slow
        count, least = far, LEAST_SHARE
    share = times[order[:count]].sum() / times.sum()
    if share < least or count > FEW * len(times):
        return None
    workers = seen.get("settings", {}).get("num_workers") or 0
    named = ", ".join(str(answer["indices"][i]) for i in order[: min(5, count)])
    return Finding(
        "outlier",
        "A few samples are far slower than the rest",
        f"Sample {named} takes {1e3 * times[order[0]]:.1f} ms, the median {1e3 * median:.2f} ms; "
        f"the slowest {100 * max(0.01, count / len(times)):.0f} % take {share:.0%} of the time.",
        "Look at these samples first: every batch that holds one waits for it. Cut them, or make "
        "batches of about equal cost.",
        MECHANISM + 0.9,
        "",
        "DataLoader(..., in_order=False)  # other batches go first meanwhile"
        if workers > 1
        else "",
        places=shown(answer.get("slow_lines", [])),
    )


def lists_folder(seen: Probes) -> Finding | None:
    listed = seen.get("items", {}).get("listed", 0.0)
    share = share_of(seen, "listing")
    if listed < 0.5 or share < 0.2:
        return None
    return Finding(
        "lists-folder",
        "The folder is listed for every item",
        f"{listed:.1f} listings an item, {share:.0%} of its time.",
        "List once, in the constructor, sorted.",
        MECHANISM + 0.71,
        "C12",
        "self.paths = sorted(Path(root).glob('*.jpg'))  # in __init__",
        leading_to(seen, "listing"),
    )


def reopens(seen: Probes) -> Finding | None:
    """The same file is opened anew for every item."""
    opened = seen.get("items", {}).get("opened", [])
    count = len(seen.get("items", {}).get("first", []))
    share = share_of(seen, "opening")
    again = [(path, times) for path, times in opened if count and times >= 0.9 * count]
    tried, gain = tried_of(seen, "opened-once"), gain_of(seen, "opened-once") or 1.0
    lazy = again and gain >= OPENED_GAIN  # some do their work at the first read
    if share < OPENING and not (again and share > 0.1) and not lazy:
        return None
    if share * account(seen).total < cheap(seen) and not lazy:  # as of a file that is mapped
        return None
    named = f"{again[0][0]} is opened for every item; " if again else ""
    costs = f"opening takes {share:.0%} of its time."
    if lazy:
        costs = f"opened once in each worker, samples come {gain:.1f} times as fast."
    places = leading_to(seen, "opening", *(("reading",) if lazy else ()))
    return Finding(
        "reopens",
        "A file is opened anew for every item",
        f"{named}{costs}",
        "Open it once in each worker, when its first item is read.",
        MECHANISM + (0.805 if lazy and gain >= MOST_OPENED else 0.6),
        "",
        tried["lines"] if tried and lazy else opened_late("dataset.file", " ".join(places)),
        places,
    )


def connects(seen: Probes) -> Finding | None:
    """Shaking hands with a server takes longer than its answer."""
    made = seen.get("items", {}).get("connected", 0.0)
    share = share_of(seen, "connecting", "waiting")
    if made < 0.5 or share < OPENING:
        return None
    return Finding(
        "connects",
        "A connection is made anew for every item",
        f"{made:.1f} connections an item; connecting and waiting take {share:.0%} of its time.",
        "Keep one open in each worker, made when its first item is read.",
        MECHANISM + 0.72,
        "",
        "if self.session is None:  # in __getitem__; None in __init__\n"
        "    self.session = requests.Session()  # or the client that you use",
        leading_to(seen, "connecting", "waiting"),
    )


def split_late(seen: Probes) -> Finding | None:
    """Workers of a stream that each read all of it, and give a part."""
    split = seen.get("repeated", {}).get("split")
    if not split or split["alone"] < cheap(seen):
        return None
    workers, alone, shared = split["workers"], split["alone"], split["shared"]
    if shared / alone - 1 < DONE_AGAIN * (workers - 1):
        return None
    return Finding(
        "split-late",
        "Each worker does the work of all",
        f"A sample that a worker gives takes it {1e3 * shared:.2f} ms as one of {workers}, and "
        f"{1e3 * alone:.2f} ms alone: each makes all samples and throws away what others give.",
        "Give each worker its part of what is cheap (shards, paths, indices, records that are not "
        "decoded), before it is read.",
        MECHANISM + 0.96,
        "",
        SPLIT,
        shown(split["lines"]),
    )


def decoded_larger(seen: Probes) -> Finding | None:
    """Many more pixels are decoded than used."""
    answer = seen.get("pictures", {})
    if not answer:
        return None
    (width, height), (used_width, used_height) = answer["decoded"], answer["used"]
    times = width * height / max(1, used_width * used_height)
    share = share_of(seen, "decoding", "resizing")
    if times < LARGER or share < LEAST_SHARE:
        return None
    if share_of(seen, "resizing") > share_of(seen, "decoding"):  # that is the cause, at any size
        return None
    return Finding(
        "decoded-larger",
        "Pictures are decoded far larger than they are used",
        f"{width} x {height} pixels are decoded for {used_width} x {used_height}, {times:,.0f} "
        f"times as many; decoding and resizing take {share:.0%} of the time.",
        "Decode at a reduced size or only the region that is used, or store smaller pictures.",
        MECHANISM + 0.55,
        "X07",
        f"picture.draft('RGB', ({used_width}, {used_height}))  # before anything reads its pixels",
        leading_to(seen, "decoding", "resizing"),
    )


def many_tensors(seen: Probes) -> Finding | None:
    """Each tensor of a batch is pickled, and put into a piece of shared memory of its own."""
    machine, settings = seen.get("machine", {}), seen.get("settings", {})
    size = seen.get("inside", {}).get("batch_size") or 1
    tensors, hand_over = machine.get("batch_tensors", 0), account(seen).hand_over or 0.0
    if not settings.get("num_workers") or tensors < max(LEAST_TENSORS, 2 * size):
        return None
    if hand_over < LEAST_SHARE * (hand_over + account(seen).total):
        return None
    return Finding(
        "many-tensors",
        "Batches cross from workers in many small tensors",
        f"A batch is {tensors:,} tensors, each of which crosses by itself: {1e6 * hand_over:,.0f} "
        f"us a sample, which takes {1e6 * account(seen).total:,.0f} us to make.",
        "Pack each field of a batch into one tensor in the collate function.",
        MECHANISM + 0.82,
        "X06",
        "batch = {name: torch.stack([getattr(one, name) for one in samples]) for name in fields}",
        leading_to(seen, "collating") or loader_places(seen),
    )


def wait_in_turn(seen: Probes) -> Finding | None:
    """Workers that read one after the other, since each holds what all of them need."""
    answer, spent = seen.get("batches", {}).get("in_turn", {}), account(seen)
    held, cores = answer.get("held", 0.0), seen.get("ceiling", {}).get("cores", 0)
    workers = min(seen.get("settings", {}).get("num_workers") or 0, max(2, cores))
    waits = 1 - 1 / max(1.0, workers * held)
    if waits < LEAST_WAIT or answer["met"] < LEAST_MET or spent.total < cheap(seen):
        return None
    most = max([0.0, *map(spent.share, spent.parts)]) * (1 - waits)
    return Finding(
        "wait-in-turn",
        "Workers wait for each other at a lock",
        f"A sample holds the lock for {held:.0%} of its time, so that all workers together are at "
        f"most {1 / held:.1f} times as fast as one. Of two, one found it taken for "
        f"{answer['met']:.0%} of its samples.",
        "Open files in each worker, which then needs no lock to read; else hold it only while what "
        "is shared is changed.",
        MECHANISM + (0.98 if waits >= most else 0.5),
        "",
        "if self.file is None:  # in __getitem__, without the lock: each worker has its own\n"
        "    self.file = open(self.path, 'rb')",
        shown(answer["lines"]),
    )


def workers_cost(seen: Probes) -> Finding | None:
    """Worker processes slow a cheap item down."""
    workers = seen.get("settings", {}).get("num_workers", 0)
    none, gain = tried_of(seen, "workers-0"), gain_of(seen, "workers-0")
    if not workers or none is None or gain is None:
        return None
    if gain < WORKERS_COST or account(seen).total > QUICK:
        return None
    if share_of(seen, "asking another process") >= LEAST_SHARE:  # which has them wait in turn
        return None
    size = seen.get("inside", {}).get("batch_size") or 1
    batch_ms = float(np.median(none["beside"])) * size / 1e3
    step_ms = seen.get("step_ms")
    # Samples that cost nothing are small, and so are the steps that train on them.
    there = float(np.median(none["blocks"])) * 1e-6 < nothing(seen) / 2
    waits = batch_ms > (step_ms or (0.0 if there else SHORT_STEP))  # else a step outlasts a batch
    # Beside other programs workers cannot show what they give to samples that are work.
    busy = seen.get("machine", {}).get("foreign", 0.0) > FOREIGN_CORES
    works = any(account(seen).share(kind) >= LEAST_SHARE for kind in KINDS)
    waits = waits and not (busy and works and account(seen).total > cheap(seen))
    return Finding(
        "workers-cost",
        "Worker processes cost more than they do",
        f"An epoch with {workers} workers takes {gain:.1f} times as long as one without; a batch "
        f"takes {batch_ms:.2f} ms with them"
        + ("." if waits else f", {'your' if step_ms else 'a usual'} training step longer."),
        "Load in the trainer's own process, or fewer workers."
        if waits
        else "Both will do; without workers their memory and the time of their start are saved.",
        MECHANISM + 0.6 if waits else NOTE + 0.28,
        "C07",
        "DataLoader(..., num_workers=0)",
        loader_places(seen),
    )
