"""Causes of a sample's time, each with its share and what to do."""

from __future__ import annotations

import numpy as np

from datasets_impl.doctor.findings.finding import (
    CHEAP,
    LARGEST_SHARE,
    LEAST_SHARE,
    NEAR,
    SHARE,
    Finding,
    Probes,
)
from datasets_impl.doctor.findings.time_account import account

CAUSES = {  # cause -> title, remedy, claim
    "reading": ("Reading takes the time", "Keep files in the page cache, or pack them.", "C03"),
    "decoding": ("Decoding takes the time", "Decode once, or faster, or smaller.", "X07"),
    "resizing": ("Resizing takes the time", "Decode at reduced size, or store resized.", "X08"),
    "converting": (
        "Converting between kinds of array takes the time",
        "Convert once a batch.",
        "C13",
    ),
    "transforming": ("The transform takes the time", "Move it to the batch or the device.", "C05"),
    "python": (
        "Your own code takes the time, loops or operations on arrays in it",
        "Replace a loop by one array operation, or do it once and store what it gives.",
        "C12",
    ),
    "waiting": ("The item waits", "Find what it waits for: a lock, a sleep, the network.", "X09"),
    "collating": (
        "Collating takes the time",
        "Fetch whole batches into one piece of memory.",
        "X06",
    ),
    "opening": ("Opening files takes the time", "Open once in each worker.", "C12"),
    "listing": ("Listing folders takes the time", "List once, in the constructor.", "C12"),
}


def time_causes(seen: Probes) -> list[Finding]:
    """Causes that take a large share of a sample that is neither cheap nor near the ceiling; where
    none does, the largest."""
    whole = account(seen)
    limit = seen.get("ceiling", {}).get("limit")
    own = seen.get("tried", {}).get("own") or [1e6 * whole.total]
    near = limit and limit < 1e6 * whole.total and float(np.median(own)) < NEAR * limit
    if whole.total < CHEAP or near:
        return []
    found = []
    largest = max(whole.parts.values(), default=0.0) / whole.total
    least = min(LEAST_SHARE, max(LARGEST_SHARE, largest))
    for cause, seconds in whole.parts.items():
        share = seconds / whole.total
        if share < least:
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
