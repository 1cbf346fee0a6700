"""The task *remote*: JPEG photographs in an object store, over a line of stated speed.

The store is this study's own, on the same machine; a line's bandwidth is shared by all connections.
An arm reads the photographs as they are, or what it made of them, in shards of a sixteenth of the
set. A cache holds half of the set, where its loader can do with that, and is empty when an arm is
opened; one of decoded pixels holds all of them. All use one decoder. Two arms give crops of what
they decode, and are to be compared with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.code import FROM_STORE, MANY, OBJECTS, loader_program
from datasets_impl.contest.model import BATCH_SIZE, CROP, Arm, Batches, Origin
from datasets_impl.contest.plain import data_loader
from datasets_impl.corrected.cached import CachedDataset
from datasets_impl.experiments.loops import cores
from datasets_impl.files.pictures import beside
from datasets_impl.formats import FORMATS
from datasets_impl.formats.conversion import convert_plan
from datasets_impl.formats.places import Folder
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.remote import RemoteFolder, RemotePack
from datasets_impl.formats.shards import convert_shards
from datasets_impl.labelled import as_files
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.shards_ahead import ShardsAhead
from datasets_impl.media.object_store import ObjectStore, StoreAddress, object_store
from datasets_impl.media.workspaces import temporary_folder

SHARDS = 16  # of a set
CACHE = 2  # a cache holds one byte of so many
FAST = 10_000.0  # MB/s: no line at all
Connect = Callable[..., Batches]


def photographs(root: Path) -> Path:
    """Each an object."""
    return root


def packed(root: Path) -> Path:
    """A pack in shards, made beside the photographs unless it is there."""
    target, plan = beside(root, "remote.pack"), _plan(root)
    with ThreadPoolExecutor(cores()) as pool:
        place, size = Folder(target, (root,)), shard_images(len(plan.paths))
        convert_shards(plan, "pack", place, pool.submit, size=size)
    return target


def in_parts(root: Path, form: str) -> Path:
    """The same in a format that has a file of its own for each shard: tar, Arrow."""
    plan = _plan(root)
    plan.chunk_size = shard_images(len(plan.paths))
    target = beside(root, f"remote.{form}")
    return convert_plan(plan, FORMATS[form].load("Format")(), target, sources=(root,))


def _plan(root: Path) -> Plan:
    files = as_files(root)
    assert files is not None
    return Plan.of(files, "jpeg")


def shard_images(count: int) -> int:
    """Images of each of `SHARDS` shards of a set."""
    return -(-count // SHARDS)


def objects(root: Path, serves: Callable[[Path], Path]) -> list[Path]:
    """The files that become the objects."""
    return [path for path in sorted(serves(root).rglob("*")) if path.is_file()]


def cache_of(files: Sequence[Path]) -> int:
    """Bytes of a cache of what these objects hold."""
    return sum(path.stat().st_size for path in files) // CACHE


@contextmanager
def opened(
    root: Path,
    connect: Connect,
    serves: Callable[[Path], Path],
    store: ObjectStore | None = None,
    cache_bytes: int = 0,
    **setting: Any,
) -> Iterator[Iterable[torch.Tensor]]:
    """Batches of `connect(address, cache_bytes, **setting)`, read from a store of `serves(root)`.

    Unless `store` is given, and what a cache may hold, it is one of its own and behind no line.

    Raises:
        Unsupported: the libraries of the store are not installed.
    """
    with ExitStack() as held:
        if store is None:
            cache_bytes = cache_of(objects(root, serves))
            store = held.enter_context(object_store(serves(root), mb_per_second=FAST))
        yield held.enter_context(connect(store.address, cache_bytes, **setting))


def _folder(address: StoreAddress) -> DecodedImages:
    return DecodedImages(RemoteFolder(address.url, address.options))


def _ranges(address: StoreAddress) -> DecodedImages:
    return DecodedImages(RemotePack(address.url, address.options))


@contextmanager
def _threaded(dataset: Any, threads: int, shuffle: bool) -> Iterator[Iterable[torch.Tensor]]:
    with ThreadedLoader[torch.Tensor](
        dataset, BATCH_SIZE, shuffle=shuffle, threads=threads, where="trainer"
    ) as made:
        yield made


def _kept(address: StoreAddress) -> CachedDataset:
    return CachedDataset(_folder(address))


def _crops(address: Any, **options: Any) -> RandomCrops:
    return RandomCrops(RemoteFolder(address.url, address.options), size=CROP, **options)


def _by_workers(
    address: Any,
    cache_bytes: int,
    num_workers: int,
    dataset: Callable[..., Any] = _folder,
    **options: Any,
) -> Batches:
    return data_loader(address, dataset, num_workers, **options)


def _by_threads(
    address: StoreAddress, cache_bytes: int, threads: int, dataset: Callable[..., Any]
) -> Batches:
    return _threaded(dataset(address), threads, shuffle=True)


@contextmanager
def _shards_ahead(
    address: StoreAddress,
    cache_bytes: int,
    threads: int,
    dataset: Callable[..., Any] = DecodedImages,
    **options: Any,
) -> Iterator[Iterable[torch.Tensor]]:
    with temporary_folder() as cache:
        shards = cache / "shards"
        pack = RemotePack(address.url, address.options, cache=shards, cache_bytes=cache_bytes)
        ahead = ShardsAhead(dataset(pack, **options))
        with _threaded(ahead, threads, shuffle=False) as batches:
            yield batches


def remote_arm(
    name: str,
    origin: Origin,
    connect: Connect,
    serves: Callable[[Path], Path],
    setting: dict[str, Any],
    **more: Any,
) -> Arm:
    return Arm(
        name,
        "remote",
        origin,
        partial(opened, connect=connect, serves=serves),
        partial(objects, serves=serves),
        (setting,),
        serves=serves,
        **more,
    )


ARMS: tuple[Arm, ...] = (
    remote_arm(
        "dataloader-objects",
        "plain",
        _by_workers,
        photographs,
        {"num_workers": 2 * cores()},
        layout="NCHW",
        package="s3fs",
        about="DataLoader over s3fs, an object for each image",
        code=loader_program(f"DecodedImages({OBJECTS})"),
    ),
    remote_arm(
        "threaded-objects",
        "variant",
        partial(_by_threads, dataset=_folder),
        photographs,
        {"threads": MANY},
        layout="NCHW",
        package="s3fs",
        about="many threads over s3fs, an object for each image",
        code=FROM_STORE["threaded-objects"],
    ),
    remote_arm(
        "cached-objects",
        "variant",
        partial(_by_threads, dataset=_kept),
        photographs,
        {"threads": MANY},
        layout="NCHW",
        package="s3fs",
        about="the same, kept in memory for later epochs",
        code=FROM_STORE["cached-objects"],
    ),
    remote_arm(
        "threaded-ranges",
        "variant",
        partial(_by_threads, dataset=_ranges),
        packed,
        {"threads": MANY},
        layout="NCHW",
        package="s3fs",
        about="many threads over s3fs, a range of a pack for each image",
        code=FROM_STORE["threaded-ranges"],
    ),
    remote_arm(
        "shards-ahead",
        "variant",
        _shards_ahead,
        packed,
        {"threads": 2 * cores()},
        layout="NCHW",
        package="s3fs",
        order="shards shuffled, images of a few shards mixed",
        about="shards fetched ahead into a bounded cache, decoded by threads",
        code=FROM_STORE["shards-ahead"],
    ),
    remote_arm(
        "dataloader-object-crops",
        "plain",
        partial(_by_workers, dataset=_crops),
        photographs,
        {"num_workers": 2 * cores()},
        layout="NCHW",
        package="s3fs",
        about="DataLoader over s3fs, random crops of an object for each image",
        code=loader_program(f"RandomCrops({OBJECTS})"),
        crops=True,
    ),
    remote_arm(
        "crops-ahead",
        "variant",
        partial(_shards_ahead, dataset=partial(RandomCrops, size=CROP)),
        packed,
        {"threads": 2 * cores()},
        layout="NCHW",
        package="s3fs",
        order="shards shuffled, images of a few shards mixed",
        about="random crops of shards fetched ahead into a bounded cache, by threads",
        code=FROM_STORE["crops-ahead"],
        crops=True,
    ),
)
