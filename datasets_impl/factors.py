"""Names that measuring and judging share: factors, topics, profiles, and those of A/A arms.

A factor has one row here: its name, its centre in the star of benchmarks, and how it reads in a
sentence, beside a number and along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Profiles that have no cell in common with the standard one, nor with each other: the topics and
# benchmarks that they measure. A run of each is judged with the machine's standard run.
APART = {
    "loaders": ("arms",),
    "trainers": ("trainers.Raw", "trainers.Train"),
    "remote": ("remote",),
}
PROFILES = ("quick", "standard", "full", *APART)
# Specialised loaders, which `make peers` installs; an arm of one begins with its name.
PEERS = ("dali", "ffcv", "grain", "huggingface", "litdata", "mosaicml", "spdl", "webdataset")
TOPICS = (
    "arms",
    "controls",
    "epoch",
    "exact",
    "item",
    "loader",
    "memory",
    "remote",
    "stall",
    "startup",
    "storage",
    "structures",
    "trainers",
    "transport",
    "uneven",
)
# Where the bytes of a dataset lie: on the machine itself, fastest first, and behind something slow.
LOCAL_MEDIA = ("ramdisk", "disk-warm", "disk-cold")
SLOW_MEDIA = ("throttled", "object-store")


def is_cold(medium: str) -> bool:
    """Whether each pass over it begins with none of its bytes in the page cache."""
    return medium.endswith("-cold")


# What an arm of the contest is to do; `contest.model` says what each is.
Task = Literal["decode", "raw", "train", "remote"]
LOCAL_TASKS: tuple[Task, ...] = ("decode", "raw", "train")
# Further numbers of one measurement, which stand in its log as `also`, and their units.
ALSO = {"slowdown": "times", "cpu": "us", "p99": "ms", "accuracy": "%"}


@dataclass(frozen=True)
class Factor:
    """What a benchmark may vary. Words with "{}" take a level."""

    name: str
    centre: Any = None  # None: each benchmark that has the factor says its levels
    short: str = ""  # a level by itself: "256 px"
    place: str = ""  # a level that is a word, as a place in a sentence: "on disk-warm"
    unit: str = ""  # of a level that is a number, in a sentence: "at 256 px"
    leading: bool = False  # "quality 75", not "75 quality"
    title: str = ""  # the factor's name where `name` does not say it
    axis: str = ""  # the factor along an axis
    unlimited: Any = None  # the level that stands for no limit, so above every number
    words: Mapping[str, str] = field(default_factory=dict)  # for levels that read badly


FACTORS = (
    Factor("n", None, "{} images", unit="images", title="image count",
           axis="images in the dataset"),  # its centre differs between profiles
    Factor("px", 256, "{} px", unit="px", title="resolution", axis="resolution (pixels a side)"),
    Factor("quality", 98, "quality {}", unit="JPEG quality", leading=True, axis="JPEG quality"),
    Factor("workers", 0, "W = {}", axis="worker processes (num_workers)"),
    Factor("start_method", "fork", "{}", "under {}"),
    Factor("medium", "disk-warm", "{}", "on {}"),
    Factor("transform", "none", "transform {}", "with transform {}"),
    Factor("stage", "item", "{}", "at stage {}"),
    Factor("phase", None, "{}", "in phase {}"),
    Factor("mix", None, "{}", "with {}",
           words={"slow-samples": "slow samples", "mixed-sizes": "pictures of mixed sizes"}),
    Factor("access", "item", "{}", "for {}",
           words={"item": "single items", "unbatched": "unbatched samples", "batch": "batches"}),
    Factor("where", None, "{}", "{}", title="place",
           words={"disk": "on disk", "memory": "in memory"}),
    Factor("batch", 64, "batches of {}", unit="images a batch", title="batch size"),
    Factor("batches", None, "{} batches", unit="batches an epoch", title="length of an epoch",
           axis="batches in an epoch"),
    Factor("loop", "tuned", "{}", "in loop {}"),
    Factor("structure", "numpy", "{}", "in {}"),
    Factor("record", "image", "{}s", "with {} records"),
    Factor("carrier", "tensor", "{}", "carried as {}"),
    Factor("kib", 192, "{} KiB a sample", unit="KiB a sample", title="sample size",
           axis="KiB a sample"),
    Factor("step_ms", 5, "{} ms step", unit="ms a step", title="step", axis="training step (ms)"),
    Factor("trainer", "waiting", "trainer {}", "beside a trainer {}",
           words={"waiting": "that waits", "bookkeeping": "that holds the GIL",
                  "launching": "that launches small operations",
                  "computing": "that computes on the CPU"}),
    Factor("bandwidth", 0, "{} MB/s", unit="MB/s", unlimited=0,
           axis="bandwidth of the storage (MB/s)"),
    Factor("latency_ms", 0, "{} ms latency", unit="ms latency", title="latency"),
    Factor("impl", "naive", "{}", "with {}", title="implementation"),
)  # fmt: skip
# What tells judged cells apart beside factors.
OTHERS = (
    Factor("test", short="{}"),
    Factor("machine", short="{}", place="on {}"),
    Factor("benchmark", short="{}", place="in {}"),
)
NAMES = tuple(row.name for row in FACTORS)
CENTRE = {row.name: row.centre for row in FACTORS if row.centre is not None}
_AGAIN = "-again"


def second_name(level: str) -> str:
    """Under which an arm is measured a second time (A/A), as a level of whatever factor."""
    return level + _AGAIN


def is_second_name(level: Any) -> bool:
    return str(level).endswith(_AGAIN)


def first_name(level: Any) -> Any:
    """What the level stands for, under whichever name it is measured."""
    return level.removesuffix(_AGAIN) if isinstance(level, str) else level
