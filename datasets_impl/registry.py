"""Every dataset that the study times, in one table; what the contest times stands in `contest`.

Adding one takes a file in `variants/` and a row here; the contract test then covers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision.transforms import ToTensor, v2

from datasets_impl.corrected.cached import CachedDataset
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.documented import ImprovedDataset, InefficientDataset, MemoryMappedDataset
from datasets_impl.documented.memory_mapped import DATA_FILE
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.transforms import ToUint8, make_transform
from datasets_impl.variants.decode_image import DecodeImageDataset, TorchCodecDataset
from datasets_impl.variants.pil_to_tensor import PilToTensorDataset
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset
from datasets_impl.variants.preloaded_shared import PreloadedSharedDataset
from datasets_impl.variants.preloaded_tensor import PreloadedTensorDataset
from datasets_impl.variants.raw_files import RawFileDataset
from datasets_impl.variants.reheader import ReheaderDataset
from datasets_impl.variants.relisting import RelistingDataset
from datasets_impl.variants.row_loop import RowLoopDataset


def _no_files(dataset: Any) -> list[Path]:
    return []


@dataclass(frozen=True)
class Implementation:
    """How to build a dataset and what its samples are.

    `build(root)` returns a map-style dataset over the JPEG files in `root`; what `takes_transform`
    is given a second argument, a transform of uint8 tensors or None. `files(dataset)` are the files
    an epoch reads, so that their page-cache state can be set and verified; with
    `one_file_per_item` they stand in index order.
    """

    name: str
    build: Callable[..., Dataset[Any]]
    layout: Literal["HWC", "CHW"]
    files: Callable[[Any], list[Path]] = _no_files
    sample: Literal["tensor", "tuple"] = "tensor"
    dtype: torch.dtype = torch.uint8  # of floating point: from 0 to 1
    takes_transform: bool = False
    one_file_per_item: bool = False
    fills_on_access: bool = False  # its first epoch is another one than those that follow


def _image_files(dataset: Any) -> list[Path]:
    return [Path(path) for path in dataset.image_paths]


_ROWS = (
    Implementation(
        "naive",
        InefficientDataset,
        "HWC",
        files=_image_files,
        one_file_per_item=True,
        sample="tuple",
        takes_transform=True,
    ),
    Implementation("preloaded", lambda root: ImprovedDataset(root, ToUint8()), "HWC"),
    Implementation(
        "mapped",
        MemoryMappedDataset,
        "HWC",
        files=lambda dataset: [Path(dataset.root_dir) / DATA_FILE],
    ),
    Implementation(
        "naive-fixed",
        JpegDataset,
        "HWC",
        files=_image_files,
        one_file_per_item=True,
        takes_transform=True,
    ),
    Implementation("preloaded-fixed", PreloadedDataset, "HWC", takes_transform=True),
    Implementation(
        "mapped-fixed",
        ReadOnlyMappedDataset,
        "HWC",
        files=lambda dataset: [dataset.data_file],
    ),
    Implementation("preloaded-chw", lambda root: ImprovedDataset(root, v2.PILToTensor()), "CHW"),
    Implementation(
        "preloaded-float",
        lambda root: ImprovedDataset(root, ToTensor()),
        "CHW",
        dtype=torch.float32,
    ),
    Implementation(
        "pil-to-tensor",
        PilToTensorDataset,
        "CHW",
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation(
        "decode-image",
        DecodeImageDataset,
        "CHW",
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation(
        "decode-torchcodec",
        TorchCodecDataset,
        "CHW",
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation("preloaded-array", PreloadedArrayDataset, "HWC"),
    Implementation("preloaded-tensor", PreloadedTensorDataset, "HWC"),
    Implementation("preloaded-shared", PreloadedSharedDataset, "HWC"),
    Implementation(
        "lazy-cache",
        lambda root, process=None: CachedDataset(JpegDataset(root), process),
        "HWC",
        takes_transform=True,
        fills_on_access=True,
    ),
    Implementation(
        "raw-files",
        RawFileDataset,
        "HWC",
        files=lambda dataset: [Path(file) for file in dataset.files],
    ),
    Implementation("row-loop", RowLoopDataset, "HWC", files=_image_files, one_file_per_item=True),
    Implementation(
        "relisting",
        RelistingDataset,
        "HWC",
        files=lambda dataset: [Path(path) for path in jpeg_files(dataset.root_dir)],
        one_file_per_item=True,
    ),
    Implementation("reheader", ReheaderDataset, "HWC", files=_image_files, one_file_per_item=True),
)


IMPLEMENTATIONS: dict[str, Implementation] = {row.name: row for row in _ROWS}


def build(name: str, root: Path, transform: str = "none", px: int = 0) -> Dataset[Any]:
    """Build the dataset `name` over the JPEG files in `root`.

    Raises:
        KeyError: no such implementation.
        ValueError: the implementation has no place for a transform.
    """
    entry = IMPLEMENTATIONS[name]
    if transform != "none" and not entry.takes_transform:
        raise ValueError(f"{name} is measured without a transform, not with {transform!r}")
    return (
        entry.build(root, make_transform(transform, px))
        if entry.takes_transform
        else (entry.build(root))
    )


def pixels(entry: Implementation, sample: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The sample's pixels as height x width x channel uint8, whatever its layout."""
    tensor: torch.Tensor = sample[0] if entry.sample == "tuple" else sample
    if entry.dtype.is_floating_point:
        tensor = (255 * tensor).round().to(torch.uint8)
    return np.asarray(tensor if entry.layout == "HWC" else tensor.permute(1, 2, 0))


def listed(dataset: Any, root: Path) -> list[str]:
    """File of each index, in the dataset's own order."""
    return list(getattr(dataset, "image_paths", None) or jpeg_files(root))
