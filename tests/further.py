"""Datasets that keep the contract though no benchmark times them by themselves."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datasets_impl import registry
from datasets_impl.decoders import DECODERS
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.registry import Implementation
from datasets_impl.variants.decoding import BatchedDecodingDataset, DecodingDataset
from datasets_impl.variants.stored_pixels import BatchedStoredDataset, StoredPixelsDataset


def _decoding(name: str) -> Implementation:
    return Implementation(
        name,
        lambda root: DecodingDataset(root, name),
        "HWC",
        files=lambda dataset: [Path(path) for path in dataset.image_paths],
        one_file_per_item=True,
    )


def _stored(name: str) -> Implementation:
    return Implementation(
        f"{name}-pixels",
        lambda root: StoredPixelsDataset(ensure_stored(root, "pixels", name)),
        "HWC",
        files=lambda dataset: dataset.images.files,
    )


PACKAGES = {  # what has to be installed
    **{row.name: row.package for row in DECODERS.values() if row.exact and row.name != "pil"},
    "batched-decoding": "simplejpeg",
    **{f"{name}-pixels": row.package for name, row in FORMATS.items() if "pixels" in row.kinds},
}
FURTHER = {
    **{name: _decoding(name) for name in PACKAGES if name in DECODERS},
    **{f"{name}-pixels": _stored(name) for name, row in FORMATS.items() if "pixels" in row.kinds},
    "batched-decoding": Implementation(
        "batched-decoding",
        BatchedDecodingDataset,
        "HWC",
        files=lambda dataset: [Path(path) for path in dataset.image_paths],
        one_file_per_item=True,
    ),
    "batched-pixels": Implementation(
        "batched-pixels",
        lambda root: BatchedStoredDataset(ensure_stored(root, "pixels", "pack")),
        "HWC",
        files=lambda dataset: dataset.images.files,
    ),
}
EVERY = registry.IMPLEMENTATIONS | FURTHER


def available(name: str) -> bool:
    return importlib.util.find_spec(PACKAGES.get(name, "torch")) is not None


@contextmanager
def registered() -> Iterator[None]:
    """The further ones in the registry, so that they are built by name like the others."""
    with pytest.MonkeyPatch.context() as patch:
        for name, row in FURTHER.items():
            patch.setitem(registry.IMPLEMENTATIONS, name, row)
        yield
