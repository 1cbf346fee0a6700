"""Arms of this project's own loader: threads that fill batches, and rows gathered into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.code import TRAINER, program
from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm
from datasets_impl.contest.plain import jpegs, stored
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.formats.stored import Kind
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels

THREADS: tuple[dict[str, Any], ...] = tuple(
    {"threads": count} for count in sorted({cores(), cores() + 1, 2 * cores()})
)


PHOTOS = '"photos"'


@contextmanager
def opened(
    root: Path,
    dataset: Callable[..., ImageDataset],
    kind: Kind = "jpeg",
    form: str = "",
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
    ahead: int = 2,
    overwrite: bool = False,
    where: str = "trainer",
    **options: Any,
) -> Iterator[Iterable[torch.Tensor]]:
    """Batches of `dataset(source, **options)`, made by threads in the place `where`, `ahead` early.

    The source is the folder itself, or what is stored of it as `kind` in the format `form`.
    """
    source: Any = ensure_stored(root, kind, form) if form else root
    with ThreadedLoader[torch.Tensor](
        dataset(source, **options),
        batch_size,
        shuffle=True,
        seed=0,
        threads=threads,
        where=where,
        prefetch_factor=ahead,
        overwrite=overwrite,
    ) as made:
        yield made


def _code(dataset: str, stored: str = "", more: str = "") -> str:
    lines = [f"source = {stored}"] if stored else []
    loader = f"ThreadedLoader({dataset}, 64, shuffle=True{TRAINER}{more})"
    return program(*lines, f"batches = {loader}")


def _decode(name: str, decode_with: str, packed: bool, exact: bool, about: str) -> Arm:
    source = "source" if packed else PHOTOS
    option = "" if exact else f', decode_with="{decode_with}"'
    return Arm(
        name,
        "decode",
        "variant",
        partial(
            opened,
            dataset=DecodedImages,
            form="pack" if packed else "",
            decode_with=decode_with,
        ),
        partial(stored, kind="jpeg", name="pack") if packed else jpegs,
        THREADS,
        exact=exact,
        layout="NCHW",
        package="simplejpeg",
        about=about,
        code=_code(
            f"DecodedImages({source}{option})",
            'ensure_stored("photos", "jpeg", "pack")' if packed else "",
        ),
    )


def _raw(name: str, about: str, more: str = "", preload: bool = False, **options: Any) -> Arm:
    return Arm(
        name,
        "raw",
        "variant",
        partial(
            opened, dataset=StoredPixels, kind="pixels", form="pack", preload=preload, **options
        ),
        partial(stored, kind="pixels", name="pack"),
        layout="NCHW",
        about=about,
        code=_code(
            f"StoredPixels(source{', preload=True' if preload else ''})",
            'ensure_stored("photos", "pixels", "pack")',
            more,
        ),
    )


def _train(name: str, about: str, form: str = "pack", **options: Any) -> Arm:
    given = "".join(f", {option}={value}" for option, value in options.items())
    package = FORMATS[form].package if form else "simplejpeg"
    return Arm(
        name,
        "train",
        "variant",
        partial(opened, dataset=RandomCrops, form=form, size=CROP, **options),
        partial(stored, kind="jpeg", name=form) if form else jpegs,
        THREADS,
        exact=not options,
        layout="NCHW",
        package=package if package != "numpy" else "simplejpeg",
        about=about,
        code=_code(
            f"RandomCrops({'source' if form else PHOTOS}, size=224{given})",
            f'ensure_stored("photos", "jpeg", "{form}")' if form else "",
        ),
    )


AT_ONCE = ", prefetch_factor=0"
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
    _raw("gathered", "rows of a mapped pack gathered into a recycled batch", AT_ONCE, ahead=0),
    _raw(
        "gathered-overwrite",
        "the same, each batch in the memory of the one before",
        f"{AT_ONCE}, overwrite=True",
        ahead=0,
        overwrite=True,
    ),
    _raw(
        "gathered-preloaded",
        "the same from a copy of the pack in memory",
        f"{AT_ONCE}, overwrite=True",
        preload=True,
        ahead=0,
        overwrite=True,
    ),
    _raw("gathered-ahead", "the same from the mapped pack, threads ahead of the trainer"),
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
