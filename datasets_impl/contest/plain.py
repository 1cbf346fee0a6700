"""Arms of plain PyTorch: a DataLoader over a map-style dataset, with each decoder and format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from datasets_impl.contest.code import loader_program
from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm, Task
from datasets_impl.decoders import DECODERS, Decoder
from datasets_impl.experiments.loops import cores
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.loaders.crops import RATIO, SCALE
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loading import PREFETCH_FACTOR, ending_workers
from datasets_impl.variants.decoding import BatchedDecodingDataset, DecodingDataset
from datasets_impl.variants.draft_crops import DraftCropsDataset
from datasets_impl.variants.preloaded_tensor import PreloadedTensorDataset
from datasets_impl.variants.raw_files import RawFileDataset
from datasets_impl.variants.stored_pixels import BatchedStoredDataset, StoredPixelsDataset
from datasets_impl.variants.whole_batches import as_it_comes

WORKERS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


@contextmanager
def data_loader(
    root: Path,
    dataset: Callable[..., Dataset[Any]],
    num_workers: int = 0,
    batch_size: int = BATCH_SIZE,
    collate_fn: Callable[[Any], Any] | None = None,
    sampler: Sampler[int] | None = None,
    prefetch_factor: int = PREFETCH_FACTOR,
    **options: Any,
) -> Iterator[Iterable[torch.Tensor]]:
    """Batches of `dataset(root, **options)`, shuffled or in the order of `sampler`."""
    made = dataset(root, **options)
    batches: DataLoader[Any] = DataLoader(
        made,
        batch_size,
        sampler=sampler or ShardedShuffle(len(made)),  # type: ignore[arg-type]
        num_workers=num_workers,
        multiprocessing_context="fork" if num_workers else None,
        prefetch_factor=prefetch_factor if num_workers else None,
        persistent_workers=num_workers > 0,
        collate_fn=collate_fn,
    )
    with ending_workers(batches):
        yield batches


def jpegs(root: Path) -> list[Path]:
    return [Path(path) for path in jpeg_files(root)]


def stored(root: Path, kind: Any, name: str) -> list[Path]:
    return ensure_stored(root, kind, name).files


class CroppedDataset(DecodingDataset):
    """Pillow or another decoder, then torchvision's random resized crop and flip; NCHW."""

    def __init__(
        self,
        root: Path,
        decode_with: str,
        scale: tuple[float, float] = SCALE,
        ratio: tuple[float, float] = RATIO,
    ) -> None:
        super().__init__(root, decode_with)
        crop = v2.RandomResizedCrop(CROP, scale, ratio, antialias=True)
        self.transform = v2.Compose([crop, v2.RandomHorizontalFlip()])

    def __getitem__(self, index: int) -> torch.Tensor:
        cropped: torch.Tensor = self.transform(super().__getitem__(index).permute(2, 0, 1))
        return cropped.contiguous()


def _called(row: Decoder) -> str:
    return f"{row.name} ({row.note})" if row.note else row.name


def _decoding(name: str) -> Arm:
    row = DECODERS[name]
    return Arm(
        f"dataloader-{name}",
        "decode",
        "plain",
        partial(data_loader, dataset=partial(DecodingDataset, decode_with=name)),
        jpegs,
        WORKERS,
        exact=row.exact,
        package=row.package,
        about=f"DataLoader, decoded by {_called(row)}",
        code=loader_program(f'DecodingDataset("photos", "{name}")'),
    )


def _cropping(name: str) -> Arm:
    row = DECODERS[name]
    return Arm(
        f"dataloader-{name}",
        "train",
        "plain",
        partial(data_loader, dataset=partial(CroppedDataset, decode_with=name)),
        jpegs,
        WORKERS,
        exact=row.exact,
        layout="NCHW",
        package=row.package,
        about=f"DataLoader, decoded by {_called(row)}, torchvision transforms",
    )


def _from_store(cls: type[StoredPixelsDataset], name: str, root: Path) -> StoredPixelsDataset:
    return cls(ensure_stored(root, "pixels", name))


def _raw(name: str, batched: bool) -> Arm:
    cls = BatchedStoredDataset if batched else StoredPixelsDataset
    dataset = partial(_from_store, cls, name)
    return Arm(
        f"{name}-batched" if batched else f"{name}-items",
        "raw",
        "variant" if batched else "plain",
        partial(data_loader, dataset=dataset, collate_fn=as_it_comes if batched else None),
        partial(stored, kind="pixels", name=name),
        WORKERS,
        package=FORMATS[name].package,
        about=f"DataLoader over {name}, {'whole batches' if batched else 'item by item'}",
        code=loader_program(
            f'{cls.__name__}(ensure_stored("photos", "pixels", "{name}"))', batched
        ),
    )


def _raw_files(root: Path) -> list[Path]:
    return [Path(file) for file in RawFileDataset(root).files]


def _nothing(root: Path) -> list[Path]:
    return []


def _simple(name: str, task: Task, dataset: Any, files: Any, about: str, **more: Any) -> Arm:
    collate = as_it_comes if more.pop("batched", False) else None
    opened = partial(data_loader, dataset=dataset, collate_fn=collate)
    return Arm(name, task, more.pop("origin", "plain"), opened, files, WORKERS, about=about, **more)


ARMS: tuple[Arm, ...] = (
    *(_decoding(name) for name in DECODERS),
    _simple(
        "batched-simplejpeg",
        "decode",
        BatchedDecodingDataset,
        jpegs,
        "DataLoader, whole batches decoded in place by simplejpeg",
        origin="variant",
        batched=True,
        package="simplejpeg",
        code=loader_program('BatchedDecodingDataset("photos")', batched=True),
    ),
    _simple("preloaded", "raw", PreloadedTensorDataset, _nothing, "DataLoader over one tensor"),
    _simple("raw-files", "raw", RawFileDataset, _raw_files, "DataLoader, one raw file per image"),
    *(
        _raw(name, batched)
        for name, row in FORMATS.items()
        for batched in (False, True)
        if "pixels" in row.kinds
    ),
    *(_cropping(name) for name in DECODERS),
    _simple(
        "dataloader-pil-draft",
        "train",
        DraftCropsDataset,
        jpegs,
        "DataLoader, Pillow at reduced DCT scale",
        origin="variant",
        package="PIL",
        exact=False,
        layout="NCHW",
        code=loader_program('DraftCropsDataset("photos")'),
    ),
)
