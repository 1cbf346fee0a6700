"""Causes of a sample's time, each with its share and what to do."""

from __future__ import annotations

import numpy as np
from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import (
    LARGEST_SHARE,
    LEAST_SHARE,
    NEAR,
    SHARE,
    Finding,
    Probes,
    cheap,
    gain_of,
)
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.user_lines import at_most, leading_to, loops
from datasets_impl.doctor.probes.causes import ARROW, KINDS
from datasets_impl.doctor.probes.room import MEMORY

CAUSES = {  # cause -> title, remedy, claim
    "reading": ("Reading takes the time", "Keep files in the page cache, or pack them.", "C03"),
    "decoding": ("Decoding takes the time", "Decode once, or faster, or smaller.", "X07"),
    "resizing": ("Resizing takes the time", "Decode at reduced size, or store resized.", "X08"),
    "converting": (
        "Converting between kinds of array takes the time",
        "Make one array of it first; convert once a batch.",
        "C13",
    ),
    "transforming": ("The transform takes the time", "Move it to the batch or the device.", "C05"),
    "python": (
        "Your own operations take the time",
        "Do them on fewer values, on a whole batch, or once and store what they give.",
        "C12",
    ),
    "waiting": (
        "The item waits",
        "Find what it waits for: a lock, a sleep, the network (whose connection can be kept open).",
        "X09",
    ),
    "collating": (
        "Collating takes the time",
        "Write samples into one batch as they are read.",
        "X06",
    ),
    "opening": ("Opening files takes the time", "Open once in each worker.", "C12"),
    "listing": ("Listing folders takes the time", "List once, in the constructor.", "C12"),
}

COPYING = ("converting", "collating")
VAGUE = 1.5  # times as much must operations take that are called nothing, to come before a kind
LOOP = (
    "Looping in Python takes the time",
    "Replace the loop by one array operation, or do it once and store what it gives.",
    "C12",
)
STORE = "Do it once and store what comes of it, as arrays in .npy or one mapped file."
KIND_REMEDIES = {  # kind of work -> what to do about it; the others are done once and stored
    "asking another process": "Share one tensor, or one mapped array, that workers read directly: "
    "here every look is a request, and its answer is pickled.",
    "running another program": "Call a library in the same process, or run it once for all files "
    "and store what it gives: each start costs about a thousandth of a second and more.",
    "starting threads": "Keep one pool in each worker, made when its first sample is read; or do "
    "it in a loop: workers run beside each other already.",
    "connecting": "Connect once in each worker, when its first sample is read, and keep that open.",
    "hashing": "Verify files once, before training, not whenever they are read.",
    "sorting": "Sort once, in the constructor; the largest few come quicker by `heapq.nlargest`.",
    ARROW: "Take arrays out of it: `column.to_numpy()`, or of Hugging Face datasets "
    "`dataset.with_format('torch')`. No Python object is made of a number then.",
    "growing arrays": "Each time all that is there is copied: append to a list and make an array "
    "of it at the end, or write into one that is made at its full size.",
    "copying in depth": "Copy only what is changed, or keep records in arrays.",
    "regular expressions": "Do it once and store what it finds.",
    "pandas look-ups": "Take columns as NumPy arrays once, in the constructor, and index these; "
    "group the table once by what its rows are looked up by.",
    "drawing": "Draw once and store the pictures, or draw with OpenCV.",
    "decoding video": "Keep the file open in each worker and read frames in their order, store the "
    "frames that are used, or encode it with more key frames: a seek decodes all since the last.",
    "drawing random numbers": "Draw fewer, or those of a loop in one call; float32 with "
    "`rng.standard_normal(size, dtype=np.float32)`. A choice without replacement shuffles all "
    "there is: take `rng.choice(n, k, replace=False, shuffle=False)` of `np.random.default_rng()`.",
    "writing": "Write less, or not from a sample: a line of a log for each epoch, by the trainer.",
    "collecting garbage": "Leave it to Python, or do it once an epoch: each time all objects that "
    "there are are gone through.",
    "encoding pictures": "Pass pixels on as they are; encode only what is stored.",
    "compressing": "Pass arrays on as they are; compress only what is stored.",
    "decompressing": "Unpack once, into files that can be mapped or read in part.",
    "signal processing": "Do it once and store what comes of it, or on a whole batch.",
}
LEAST_OF_PACKAGE = 0.6  # of the time of the user's own operations, for a package to be named
OF_PACKAGE = "Do it once and store what it gives, on a whole batch, or with arrays of NumPy."
MANY = ("regular expressions", "pandas look-ups")  # kinds that are no work by their name
CAUSES |= {
    kind: (f"{kind[:1].upper()}{kind[1:]} "
           f"{'take' if kind in MANY else 'takes'} the time",
           KIND_REMEDIES.get(kind, STORE), "C12")
    for kind in KINDS
}  # fmt: skip


def time_causes(seen: Probes) -> list[Finding]:
    """Causes that take a large share of a sample that is neither cheap nor near the ceiling; where
    none does, the largest."""
    whole = account(seen)
    limit = seen.get("ceiling", {}).get("limit")
    own = seen.get("tried", {}).get("own") or [1e6 * whole.total]
    near = limit and limit < 1e6 * whole.total and float(np.median(own)) < NEAR * limit
    if not whole.total or whole.total < cheap(seen) or near:
        return []
    # A copy that is as quick as one can be is no cause.
    copying = 1e-6 * NEAR * seen.get("ceiling", {}).get("copying", 0.0)
    parts = {cause: seconds for cause, seconds in whole.parts.items()
             if cause not in COPYING or seconds > copying}  # fmt: skip
    found = []
    largest = max(parts.values(), default=0.0) / whole.total
    least = min(LEAST_SHARE, max(LARGEST_SHARE, largest))
    named = any(whole.share(kind) >= least for kind in KINDS)
    for cause, seconds in parts.items():
        share = seconds / whole.total
        if share < least:
            continue
        title, remedy, claim = LOOP if cause == "python" and loops(seen) else CAUSES[cause]
        if cause == "reading":
            remedy = _larger_than_memory(seen) or remedy
        if cause == "python" and title != LOOP[0] and (package := _package(seen)):
            title, remedy = f"{package} takes the time", OF_PACKAGE
        evidence = (
            f"{share:.0%} of a sample's {1e3 * whole.total:.2f} ms; without it at most "
            f"{at_most(share):.1f} times as fast."
        )
        if cause == "converting":  # number by number it reads, too: what was gained is its part
            share = max(share, 1 - 1 / (gain_of(seen, "arrays-first") or 1.0))
        vague = cause == "python" and title != LOOP[0] and named
        rank = SHARE + min(share, 0.99) / (VAGUE if vague else 1.0)
        lines = leading_to(seen, cause)
        found.append(Finding(cause, title, evidence, remedy, rank, claim, places=lines))
    return found


def _larger_than_memory(seen: Probes) -> str:
    """What to do about reading where the page cache cannot keep what is read; "" where it can."""
    items, look = seen.get("items", {}), seen.get("look", {})
    size = int(items.get("bytes_asked", 0.0) * (look.get("length") or 0))
    free = seen.get("machine", {}).get("room", {}).get(MEMORY)
    if not free or size <= free:
        return ""
    return (
        f"An epoch reads {decimal(size)}, more than the {decimal(free)} of memory that are free to "
        "keep it: pack the files, read ahead with more workers or threads, or store less."
    )


def _package(seen: Probes) -> str:
    """The installed package that operations without a name of their own are those of."""
    parts = seen.get("causes", {}).get("packages", {})
    name = max(parts, key=lambda one: float(parts[one]), default="")
    return str(name) if parts.get(name, 0.0) >= LEAST_OF_PACKAGE else ""
