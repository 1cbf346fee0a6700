"""Nothing comes: of the dataset, of its loader, in a batch, or in each sample."""

from __future__ import annotations

import linecache
import re
from typing import Any

from datasets_impl.doctor.findings.finding import WRONG, Finding, Probes
from datasets_impl.doctor.findings.user_lines import shown
from datasets_impl.doctor.probes.raised import INIT

PLACE = re.compile(r"\((.+):(\d+)\)$")  # at the end of what was raised


def no_samples(seen: Probes) -> Finding | None:
    """Nothing was there to be looked at, and nothing was wrong with it."""
    look = seen.get("look", {})
    if look.get("seen", 1) or look.get("failures") or look.get("stuck"):
        return None
    if look["iterable"]:
        return Finding(
            "no-samples",
            "The dataset gives no sample",
            "Going over it ended before the first.",
            "Check where it looks for samples, and whether it can be gone over more than once.",
            WRONG + 0.99,
        )
    return Finding(
        "no-length",
        "The dataset does not say how many samples it has",
        "It has no `__len__`, and no sampler names its samples: a loader raises TypeError.",
        "Give it a `__len__`, or make it an IterableDataset.",
        WRONG + 0.99,
        "",
        "def __len__(self):\n    return len(self.paths)",
    )


def no_batch(seen: Probes) -> Finding | None:
    """An epoch of nothing, which trains without an error."""
    why = seen.get("inside", {}).get("no_batch")
    if not why:
        return None
    return Finding(
        "no-batch",
        "The loader gives no batch",
        f"{why}, so that an epoch is over at once and nothing is trained.",
        "Check what the sampler is made from, the batch size, and drop_last.",
        WRONG + 0.985,
    )


def init_raises(seen: Probes) -> Finding | None:
    """No worker gives a batch."""
    whys = [why for why in seen.get("failures", {}).values() if why.startswith(INIT)]
    if not whys or not seen.get("settings", {}).get("num_workers"):
        return None
    return Finding(
        "worker-init",
        "Workers cannot start: worker_init_fn raises",
        f"{whys[0]}, so that the loader gives no batch.",
        "Mend the function; without workers it is not called.",
        WRONG + 0.985,
        places=shown([_line(*found) for found in PLACE.findall(whys[0])]),
    )


def _line(file: str, number: str) -> list[Any]:
    return [file, int(number), linecache.getline(file, int(number)).strip()]


def sampler_raises(seen: Probes) -> Finding | None:
    """An epoch ends in an error, after some of it."""
    raised = seen.get("inside", {}).get("sampler_raised") or {}
    if not raised.get("gave"):
        return None
    gave, each = raised["gave"], ("batch", "batches") if raised["batches"] else ("index", "indices")
    return Finding(
        "sampler-raises",
        "The sampler raises",
        f"{raised['kind']} gave {gave:,} {each[gave > 1]}, then it raised "
        f"{raised['why']}; so an epoch ends.",
        "Mend its __iter__. One that waits for what the training tells it can only be examined "
        "where it is told.",
        WRONG + 0.97,
        places=shown(raised["lines"]),
    )


def second_empty(seen: Probes) -> Finding | None:
    """A training of several epochs has one."""
    sampler = seen.get("starting", {}).get("second_empty")
    settings = seen.get("settings", {})
    stream = seen.get("causes", {}).get("second_empty") and (
        not settings.get("num_workers") or settings.get("persistent_workers")
    )
    if not sampler and not stream:
        return None
    what = f"The {sampler}" if sampler else "The dataset"
    return Finding(
        "second-empty",
        "The second epoch is empty",
        f"{what} can be gone over once: when it was asked for an epoch again, it gave nothing, and "
        "a loader trains on nothing without an error.",
        "Let its __iter__ begin anew each time, as a generator function does, and not give an "
        "iterator that is made once.",
        WRONG + 0.965,
        places=shown(seen.get("causes", {}).get("iter_lines", []) if stream else
                     seen["starting"].get("iter_lines", [])),
    )  # fmt: skip


def empty_batch(seen: Probes) -> Finding | None:
    """A batch without an index, which PyTorch's own `collate_fn` cannot make."""
    number = seen.get("inside", {}).get("empty_batch")
    if number is None:
        return None
    return Finding(
        "empty-batch",
        "A batch is empty",
        f"The batch_sampler gives no index in its batch {number}, where a loader raises "
        "IndexError.",
        "Leave empty batches out of it.",
        WRONG + 0.98,
    )


def nothing(seen: Probes) -> Finding | None:
    """Samples that hold nothing, all of them."""
    look = seen.get("look", {})
    if not look.get("nothing") or look["nothing"] < look["seen"]:
        return None
    return Finding(
        "nothing",
        f"Every sample is {look['none']}",
        f"So were all {look['seen']:,} that were looked at.",
        "Let the dataset return what it read; a loader cannot collate this.",
        WRONG + 0.96,
    )


def not_finite(seen: Probes) -> Finding | None:
    """A step on one of them makes all weights NaN."""
    for one in seen.get("look", {}).get("not_finite", []):
        named = ", ".join(map(str, one["samples"][:5]))
        where = "" if one["path"] == "the sample" else f" in {one['path']}"
        return Finding(
            "not-finite",
            "Some samples are not numbers",
            f"{len(one['samples'])} of {one['of']} that were looked at hold only NaN or infinity"
            f"{where}, and the others numbers: sample {named}.",
            "Look for a division by zero or the logarithm of 0 where they are made, or leave them "
            "out.",
            WRONG + 0.65,
            "",
            "scaled = (values - values.mean()) / max(values.std(), 1e-6)",
        )
    return None
