"""Every implementation the study compares, in one table.

Adding one takes a file in `variants/` and a row here; the contract test then covers it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from datasets_impl.corrected.cached import CachedDataset
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.decoders import DECODERS
from datasets_impl.documented import ImprovedDataset, InefficientDataset, MemoryMappedDataset
from datasets_impl.documented.memory_mapped import DATA_FILE
from datasets_impl.factors import AGAIN
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.transforms import ToUint8, make_transform
from datasets_impl.variants.decode_image import DecodeImageDataset
from datasets_impl.variants.decoding import BatchedDecodingDataset, DecodingDataset
from datasets_impl.variants.pil_to_tensor import PilToTensorDataset
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset
from datasets_impl.variants.preloaded_shared import PreloadedSharedDataset
from datasets_impl.variants.preloaded_tensor import PreloadedTensorDataset
from datasets_impl.variants.raw_files import RawFileDataset
from datasets_impl.variants.reheader import ReheaderDataset
from datasets_impl.variants.relisting import RelistingDataset
from datasets_impl.variants.row_loop import RowLoopDataset
from datasets_impl.variants.stored_pixels import BatchedStoredDataset, StoredPixelsDataset


def _no_files(dataset: Any) -> list[Path]:
    return []


@dataclass(frozen=True)
class Implementation:
    """How to build a dataset and what its samples are.

    `build(root, process)` returns a map-style dataset over the JPEG files in `root`; `process` is
    a uint8 tensor transform or None. `files(dataset)` are the files an epoch reads, so that their
    page-cache state can be set and verified; with `one_file_per_item` they stand in index order.
    """

    name: str
    build: Callable[[Path, Any], Dataset[Any]]
    origin: Literal["documented", "corrected", "variant"]
    layout: Literal["HWC", "CHW"]
    stored: str
    claims: tuple[str, ...]
    files: Callable[[Any], list[Path]] = _no_files
    sample: Literal["tensor", "tuple"] = "tensor"
    takes_transform: bool = False
    pickles_pixels: bool = False
    one_file_per_item: bool = False
    fills_on_access: bool = False  # its first epoch is another one than those that follow
    package: str = "torch"  # what has to be installed for it, beyond the base requirements

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


def _image_files(dataset: Any) -> list[Path]:
    return [Path(path) for path in dataset.image_paths]


_ROWS = (
    Implementation(
        "naive",
        lambda root, process: InefficientDataset(root, process),
        "documented",
        "HWC",
        "paths",
        ("C01", "C03", "C04", "C08", "C13", "C14", "C20"),
        files=_image_files,
        one_file_per_item=True,
        sample="tuple",
        takes_transform=True,
    ),
    Implementation(
        "preloaded",
        lambda root, process: ImprovedDataset(root, ToUint8()),
        "documented",
        "HWC",
        "decoded pixels, one tensor per image, in a list",
        ("C04", "C07", "C14", "C15", "C17", "X02"),
        pickles_pixels=True,
    ),
    Implementation(
        "mapped",
        lambda root, process: MemoryMappedDataset(root),
        "documented",
        "HWC",
        "decoded pixels in one mapped file",
        ("C07", "C16", "C17", "C18", "C19", "X02"),
        files=lambda dataset: [Path(dataset.root_dir) / DATA_FILE],
        pickles_pixels=True,
    ),
    Implementation(
        "naive-fixed",
        lambda root, process: JpegDataset(root, process),
        "corrected",
        "HWC",
        "paths",
        ("C01", "C13"),
        files=_image_files,
        one_file_per_item=True,
        takes_transform=True,
    ),
    Implementation(
        "preloaded-fixed",
        lambda root, process: PreloadedDataset(root, process),
        "corrected",
        "HWC",
        "decoded pixels, one tensor per image, in a list",
        ("C15", "X02"),
        takes_transform=True,
        pickles_pixels=True,
    ),
    Implementation(
        "mapped-fixed",
        lambda root, process: ReadOnlyMappedDataset(root),
        "corrected",
        "HWC",
        "decoded pixels in one mapped file",
        ("C16", "C17", "C19", "X01", "X02"),
        files=lambda dataset: [dataset.data_file],
    ),
    Implementation(
        "preloaded-chw",
        lambda root, process: ImprovedDataset(root, v2.PILToTensor()),
        "variant",
        "CHW",
        "decoded pixels, a channel-first view of each image, in a list",
        ("C04", "C17"),
        pickles_pixels=True,
    ),
    Implementation(
        "pil-to-tensor",
        lambda root, process: PilToTensorDataset(root),
        "variant",
        "CHW",
        "paths",
        ("C13",),
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation(
        "decode-image",
        lambda root, process: DecodeImageDataset(root),
        "variant",
        "CHW",
        "paths",
        ("C13",),
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation(
        "preloaded-array",
        lambda root, process: PreloadedArrayDataset(root),
        "variant",
        "HWC",
        "decoded pixels in one array",
        ("C11", "X01"),
        pickles_pixels=True,
    ),
    Implementation(
        "preloaded-tensor",
        lambda root, process: PreloadedTensorDataset(root),
        "variant",
        "HWC",
        "decoded pixels in one tensor",
        ("X01",),
        pickles_pixels=True,
    ),
    Implementation(
        "preloaded-shared",
        lambda root, process: PreloadedSharedDataset(root),
        "variant",
        "HWC",
        "decoded pixels in one tensor in shared memory",
        ("C11", "X01"),
        pickles_pixels=True,
    ),
    Implementation(
        "lazy-cache",
        lambda root, process: CachedDataset(JpegDataset(root), process),
        "variant",
        "HWC",
        "paths; decoded pixels in one tensor in shared memory, filled on first access",
        ("X04",),
        takes_transform=True,
        pickles_pixels=True,
        fills_on_access=True,
    ),
    Implementation(
        "raw-files",
        lambda root, process: RawFileDataset(root),
        "variant",
        "HWC",
        "decoded pixels, one file per image",
        ("C11", "X05"),
        files=lambda dataset: [Path(file) for file in dataset.files],
    ),
    Implementation(
        "row-loop",
        lambda root, process: RowLoopDataset(root),
        "variant",
        "HWC",
        "paths",
        ("C12",),
        files=_image_files,
        one_file_per_item=True,
    ),
    Implementation(
        "relisting",
        lambda root, process: RelistingDataset(root),
        "variant",
        "HWC",
        "nothing but the folder's name",
        ("C12",),
        files=lambda dataset: [Path(path) for path in jpeg_files(dataset.root_dir)],
        one_file_per_item=True,
    ),
    Implementation(
        "reheader",
        lambda root, process: ReheaderDataset(root),
        "variant",
        "HWC",
        "paths",
        ("C12",),
        files=_image_files,
        one_file_per_item=True,
    ),
)


def _decoding(name: str, package: str) -> Implementation:
    return Implementation(
        name,
        lambda root, process: DecodingDataset(root, name),
        "variant",
        "HWC",
        "paths",
        ("X07",),
        files=_image_files,
        one_file_per_item=True,
        package=package,
    )


def _stored(name: str) -> Implementation:
    return Implementation(
        f"{name}-pixels",
        lambda root, process: StoredPixelsDataset(ensure_stored(root, "pixels", name)),
        "variant",
        "HWC",
        f"decoded pixels in the format {name}",
        ("X06", "X08"),
        files=lambda dataset: dataset.images.files,
        package=FORMATS[name].package,
    )


IMPLEMENTATIONS: dict[str, Implementation] = {
    row.name: row
    for row in (
        *_ROWS,
        *(
            _decoding(row.name, row.package)
            for row in DECODERS.values()
            if row.exact and row.name != "pil"
        ),
        *(_stored(name) for name, row in FORMATS.items() if "pixels" in row.kinds),
        Implementation(
            "batched-decoding",
            lambda root, process: BatchedDecodingDataset(root),
            "variant",
            "HWC",
            "paths",
            ("X06",),
            files=_image_files,
            one_file_per_item=True,
            package="simplejpeg",
        ),
        Implementation(
            "batched-pixels",
            lambda root, process: BatchedStoredDataset(ensure_stored(root, "pixels", "pack")),
            "variant",
            "HWC",
            "decoded pixels in one mapped file",
            ("X06",),
            files=lambda dataset: dataset.images.files,
        ),
    )
}


def implementation(name: str) -> Implementation:
    """Look up `name`; `<name>-again` is the same implementation, as the second arm of an A/A pair.

    Raises:
        KeyError: no such implementation.
    """
    return IMPLEMENTATIONS[name.removesuffix(AGAIN)]


def build(name: str, root: Path, transform: str = "none", px: int = 0) -> Dataset[Any]:
    """Build the dataset `name` over the JPEG files in `root`.

    Raises:
        ValueError: the implementation has no place for a transform.
    """
    entry = implementation(name)
    if transform != "none" and not entry.takes_transform:
        raise ValueError(f"{name} is measured without a transform, not with {transform!r}")
    return entry.build(root, make_transform(transform, px))


def pixels(entry: Implementation, sample: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The sample's pixels as height x width x channel uint8, whatever its layout."""
    tensor: torch.Tensor = sample[0] if entry.sample == "tuple" else sample
    return np.asarray(tensor if entry.layout == "HWC" else tensor.permute(1, 2, 0))


def listed(dataset: Any, root: Path) -> list[str]:
    """File of each index, in the dataset's own order."""
    return list(getattr(dataset, "image_paths", None) or jpeg_files(root))
