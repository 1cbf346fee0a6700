"""On paper: what to expect of decoding on more cores, from constants measured on few.

The time of an image is that of one core's decoding divided by the cores, plus what does not get
shorter with more of them: the loader's own serial part, taken as the difference between it and the
ceiling measured beside it. Memory cannot be faster than the copy of the same pixels measured here;
a larger machine's memory usually is. Storage is left out: its bandwidth over the bytes of an image
bounds a cold epoch whatever the cores do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.judging.model import Loaders

CORES = (8, 32, 128)
IMAGENET = 1_281_167  # training images of ImageNet-1k (Russakovsky et al. 2015)
LOADER = "threaded-pack"


@dataclass(frozen=True)
class Prospect:
    """`limit` is what takes the largest part of an image's time."""

    cores: int
    images_per_second: float
    epoch_seconds: float  # of as many images as ImageNet-1k has, of the measured size
    limit: str


def prospects(found: Sequence[Loaders]) -> list[Prospect]:
    """For the machine of `found`; empty where decoding was not measured."""
    decode = next((each for each in found if each.task == "decode"), None)
    if decode is None or "decode" not in decode.ceilings:
        return []
    own = {row.arm: row.images_per_second for row in decode.rows}
    if LOADER not in own:
        return []
    one_core = decode.cores / decode.ceilings["decode"]  # seconds of an image
    serial = max(0.0, 1 / own[LOADER] - 1 / decode.ceilings["decode"])
    copied = _copied(found, decode)
    return [_prospect(count, one_core, serial, copied) for count in CORES]


def _copied(found: Sequence[Loaders], decode: Loaders) -> float | None:
    """Seconds to copy the pixels of one image, where it was measured at the same size."""
    raw = next((r for r in found if (r.task, r.machine) == ("raw", decode.machine)), None)
    if raw is None or raw.px != decode.px or "copy" not in raw.ceilings:
        return None
    return 1 / raw.ceilings["copy"]


def _prospect(count: int, one_core: float, serial: float, copied: float | None) -> Prospect:
    parts = {"decoding": one_core / count, "the loader's serial part": serial}
    seconds = sum(parts.values())
    limit = max(parts, key=lambda name: parts[name])
    if copied is not None and copied > seconds:
        seconds, limit = copied, "memory bandwidth"
    return Prospect(count, 1 / seconds, IMAGENET * seconds, limit)
