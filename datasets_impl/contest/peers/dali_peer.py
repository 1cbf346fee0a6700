"""NVIDIA DALI 2.4 on the CPU: a compiled graph of native operators, a thread pool.

Its decoder is exact with fancy upsampling, as Pillow decodes; with its default it is faster and not
the same pixels. *train* decodes only the random region and resizes with antialiasing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm, Task
from datasets_impl.experiments.loops import cores
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.loaders.crops import RATIO, SCALE
from datasets_impl.variants.raw_files import RawFileDataset

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_threads": threads, "prefetch": prefetch}
    for threads in sorted({cores(), cores() + 1, 2 * cores()})
    for prefetch in (2, 4)
)


class _Epochs:
    """Without the list and dictionary around each batch."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[torch.Tensor]:
        for found in self.batches:
            yield found[0]["images"]


@contextmanager
def _open(
    root: Path, graph: Callable[..., Any], num_threads: int, prefetch: int, **boxes: Any
) -> Iterator[_Epochs]:
    from nvidia.dali import pipeline_def
    from nvidia.dali.plugin.base_iterator import LastBatchPolicy
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    made = pipeline_def(
        batch_size=BATCH_SIZE,
        num_threads=num_threads,
        device_id=None,
        prefetch_queue_depth=prefetch,
        seed=0,
    )(graph)(root, **boxes)
    batches = DALIGenericIterator(
        [made],
        ["images"],
        reader_name="reader",
        last_batch_policy=LastBatchPolicy.PARTIAL,
        auto_reset=True,
    )
    yield _Epochs(batches)


def _read(files: list[str]) -> Any:
    from nvidia.dali import fn

    contents, _ = fn.readers.file(files=files, shuffle_after_epoch=True, name="reader", seed=0)
    return contents


def _decoded(root: Path, fast: bool) -> Any:
    from nvidia.dali import fn, types

    return fn.decoders.image(
        _read(jpeg_files(root)),
        device="cpu",
        output_type=types.RGB,
        jpeg_fancy_upsampling=not fast,
        use_fast_idct=fast,
    )


def _cropped(
    root: Path,
    fast: bool,
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
) -> Any:
    from nvidia.dali import fn, types

    images = fn.decoders.image_random_crop(
        _read(jpeg_files(root)),
        device="cpu",
        output_type=types.RGB,
        random_area=scale,
        random_aspect_ratio=ratio,
        num_attempts=10,
        jpeg_fancy_upsampling=not fast,
        use_fast_idct=fast,
    )
    resized = fn.resize(
        images, resize_x=CROP, resize_y=CROP, interp_type=types.INTERP_LINEAR, antialias=True
    )
    return fn.crop_mirror_normalize(
        resized,
        dtype=types.UINT8,
        output_layout="CHW",
        mirror=fn.random.coin_flip(probability=0.5),
    )


def _raw(root: Path) -> Any:
    from nvidia.dali import fn

    dataset = RawFileDataset(root)
    return fn.reshape(_read(dataset.files), shape=list(dataset[0].shape))


def _jpegs(root: Path) -> list[Path]:
    return [Path(path) for path in jpeg_files(root)]


def _raw_files(root: Path) -> list[Path]:
    return [Path(path) for path in RawFileDataset(root).files]


def _arm(name: str, task: Task, graph: Callable[..., Any], about: str, **more: Any) -> Arm:
    return Arm(
        name,
        task,
        "peer",
        partial(_open, graph=graph),
        _raw_files if task == "raw" else _jpegs,
        SETTINGS,
        layout="NCHW" if task == "train" else "NHWC",
        order="a true shuffle from the second epoch on",
        package="nvidia.dali",
        about=about,
        **more,
    )


ARMS = (
    _arm("dali", "decode", partial(_decoded, fast=False), "native operators over files"),
    _arm(
        "dali-fast",
        "decode",
        partial(_decoded, fast=True),
        "the same, fast DCT and plain upsampling",
        exact=False,
    ),
    _arm("dali", "raw", _raw, "native operators over one raw file an image"),
    _arm("dali", "train", partial(_cropped, fast=False), "decodes the region, native operators"),
    _arm(
        "dali-fast",
        "train",
        partial(_cropped, fast=True),
        "the same, fast DCT and plain upsampling",
        exact=False,
    ),
)
