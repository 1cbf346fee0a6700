"""FFCV 1.0: one file of its own format, compiled pipelines, threads (CPU only here).

Decoding uses libjpeg-turbo's fast DCT, so its pixels are not Pillow's. The photographs' own JPEG
bytes are stored, where FFCV's writer would encode the pixels once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm
from datasets_impl.contest.peers.made import made_once
from datasets_impl.decoders import decoder
from datasets_impl.experiments.loops import cores
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.loaders.crops import RATIO, SCALE
from datasets_impl.loaders.decoding import image_size

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": workers, "batches_ahead": ahead}
    for workers in sorted({1, cores()})  # its compiler takes no more threads than cores
    for ahead in (2, 3, 5)
)


def _beton(root: Path, kind: str) -> Path:
    """The photographs of `root` in FFCV's format, as JPEG or as pixels."""

    def write(folder: Path) -> None:
        from ffcv.fields import RGBImageField, rgb_image
        from ffcv.writer import DatasetWriter

        paths, decode = jpeg_files(root), decoder("simplejpeg").decode

        class Photographs:
            def __len__(self) -> int:
                return len(paths)

            def __getitem__(self, index: int) -> tuple[Any]:
                data = Path(paths[index]).read_bytes()
                return (data if kind == "jpeg" else decode(data, None),)

        field = RGBImageField(write_mode="raw")
        if kind == "jpeg":
            field.encode = partial(_keep_bytes, rgb_image.IMAGE_MODES["jpg"])
        writer = DatasetWriter(str(folder / "images.beton"), {"image": field}, num_workers=cores())
        writer.from_indexed_dataset(Photographs())

    return made_once(root, f"ffcv-{kind}", write) / "images.beton"


def _keep_bytes(mode: int, destination: Any, data: bytes, malloc: Any) -> None:
    destination["mode"] = mode
    destination["height"], destination["width"] = image_size(data)
    destination["data_ptr"], storage = malloc(len(data))
    storage[:] = np.frombuffer(data, np.uint8)


class _Batches:
    """Without the tuple around each batch."""

    def __init__(self, loader: Iterable[tuple[torch.Tensor]]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[torch.Tensor]:
        for (batch,) in self.loader:
            yield batch


@contextmanager
def _open(
    root: Path,
    kind: str,
    crops: bool = False,
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
    **options: Any,
) -> Iterator[_Batches]:
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    pipeline: list[Any] = [SimpleRGBImageDecoder(), ToTensor()]
    if crops:
        pipeline = [
            RandomResizedCropRGBImageDecoder((CROP, CROP), scale, ratio),
            RandomHorizontalFlip(),
            ToTensor(),
            ToTorchImage(channels_last=False),
        ]
    yield _Batches(
        Loader(
            str(_beton(root, kind)),
            batch_size=BATCH_SIZE,
            order=OrderOption.RANDOM,
            os_cache=True,
            drop_last=False,
            seed=0,
            pipelines={"image": pipeline},
            **options,
        )
    )


def _files(root: Path, kind: str) -> list[Path]:
    return [_beton(root, kind)]


def _arm(task: Any, kind: str, about: str, **more: Any) -> Arm:
    crops = task == "train"
    return Arm(
        "ffcv",
        task,
        "peer",
        partial(_open, kind=kind, crops=crops),
        partial(_files, kind=kind),
        SETTINGS,
        package="ffcv",
        about=about,
        **more,
    )


ARMS = (
    _arm("decode", "jpeg", "compiled pipeline over its own file, fast DCT", exact=False),
    _arm("raw", "pixels", "compiled pipeline over its own file"),
    _arm("train", "jpeg", "compiled pipeline, fast DCT, area resize", exact=False, layout="NCHW"),
)
