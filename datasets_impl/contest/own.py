"""Arms of this project's own loaders: threads that fill batches, and rows gathered into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.code import program
from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm
from datasets_impl.contest.plain import jpegs, stored
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.loaders.ahead import Ahead
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.threaded_crops import ThreadedCropsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader

THREADS: tuple[dict[str, Any], ...] = tuple(
    {"threads": count} for count in sorted({cores(), cores() + 1, 2 * cores()})
)


@contextmanager
def threaded(
    root: Path,
    make: Callable[..., Any],
    form: str = "",
    batch_size: int = BATCH_SIZE,
    **options: Any,
) -> Iterator[Iterable[torch.Tensor]]:
    source: Any = ensure_stored(root, "jpeg", form) if form else root
    yield make(source, batch_size, **options)


@contextmanager
def gathered(
    root: Path, ahead: bool = False, batch_size: int = BATCH_SIZE, **options: Any
) -> Iterator[Iterable[torch.Tensor]]:
    pack: Any = ensure_stored(root, "pixels", "pack")
    batches = GatheredPixelsLoader(pack, batch_size, **options)
    yield Ahead(batches) if ahead else batches


def _decode(name: str, decode_with: str, packed: bool, exact: bool, about: str) -> Arm:
    source = "pack" if packed else '"photos"'
    option = "" if exact else f', decode_with="{decode_with}"'
    return Arm(
        name,
        "decode",
        "variant",
        partial(
            threaded,
            make=ThreadedJpegLoader,
            form="pack" if packed else "",
            decode_with=decode_with,
        ),
        partial(stored, kind="jpeg", name="pack") if packed else jpegs,
        THREADS,
        exact=exact,
        package="simplejpeg",
        about=about,
        code=program(
            *(['pack = ensure_stored("photos", "jpeg", "pack")'] if packed else []),
            f"batches = ThreadedJpegLoader({source}, 64{option})",
        ),
    )


def _train(name: str, about: str, form: str = "pack", **options: Any) -> Arm:
    opened = f'ensure_stored("photos", "jpeg", "{form}")' if form else '"photos"'
    given = "".join(f", {option}={value}" for option, value in options.items())
    package = FORMATS[form].package if form else "simplejpeg"
    return Arm(
        name,
        "train",
        "variant",
        partial(threaded, make=ThreadedCropsLoader, form=form, size=CROP, **options),
        partial(stored, kind="jpeg", name=form) if form else jpegs,
        THREADS,
        exact=not options,
        layout="NCHW",
        package=package if package != "numpy" else "simplejpeg",
        about=about,
        code=program(f"batches = ThreadedCropsLoader({opened}, 64, size=224{given})"),
    )


_PACK = 'pack = ensure_stored("photos", "pixels", "pack")'
ARMS: tuple[Arm, ...] = (
    _decode("threaded-files", "simplejpeg", False, True, "threads decode files into the batch"),
    _decode("threaded-pack", "simplejpeg", True, True, "threads decode a pack into the batch"),
    _decode(
        "threaded-files-fast",
        "simplejpeg-fast",
        False,
        False,
        "the same from files, fast DCT and plain chroma upsampling",
    ),
    _decode(
        "threaded-pack-fastdct", "simplejpeg-fastdct", True, False, "the same from a pack, fast DCT"
    ),
    _decode(
        "threaded-pack-fast", "simplejpeg-fast", True, False, "the same, plain chroma upsampling"
    ),
    Arm(
        "gathered",
        "raw",
        "variant",
        gathered,
        partial(stored, kind="pixels", name="pack"),
        about="rows of a mapped pack gathered into a recycled batch",
        code=program(_PACK, "batches = GatheredPixelsLoader(pack, 64)"),
    ),
    Arm(
        "gathered-overwrite",
        "raw",
        "variant",
        partial(gathered, overwrite=True),
        partial(stored, kind="pixels", name="pack"),
        about="the same, each batch in the memory of the one before",
        code=program(_PACK, "batches = GatheredPixelsLoader(pack, 64, overwrite=True)"),
    ),
    Arm(
        "gathered-preloaded",
        "raw",
        "variant",
        partial(gathered, overwrite=True, preload=True),
        partial(stored, kind="pixels", name="pack"),
        about="the same from a copy of the pack in memory",
        code=program(
            _PACK, "batches = GatheredPixelsLoader(pack, 64, overwrite=True, preload=True)"
        ),
    ),
    Arm(
        "gathered-ahead",
        "raw",
        "variant",
        partial(gathered, ahead=True),
        partial(stored, kind="pixels", name="pack"),
        about="the same, a thread ahead of the trainer",
        code=program(_PACK, "batches = Ahead(GatheredPixelsLoader(pack, 64))"),
    ),
    _train("threaded-crops", "threads decode, crop and resize into the batch"),
    _train("threaded-crops-files", "the same from files", form=""),
    _train("threaded-regions", "only the crop is read and decoded", form="restart"),
    _train(
        "threaded-regions-fast",
        "the same, reduced scale and fast DCT",
        form="restart",
        scaled=True,
        fast=True,
    ),
    _train("threaded-crops-scaled", "decoding at reduced DCT scale where it can", scaled=True),
    _train("threaded-crops-fast", "reduced scale and fast DCT", scaled=True, fast=True),
)
