"""The loader in the trainer's process over each dataset of images, for tests of what all keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels


def loaded(dataset: Any, batch_size: int = 64, **options: Any) -> ThreadedLoader[Any]:
    """Shuffled by seed 0, unless another order is given."""
    if not {"sampler", "seed"} & options.keys():
        options["seed"] = 0
    if "sampler" not in options:
        options["shuffle"] = True
    return ThreadedLoader(dataset, batch_size, where="trainer", **options)


def decoded(source: Any, batch_size: int = 64, **options: Any) -> ThreadedLoader[Any]:
    given = {name: options.pop(name) for name in ("decode_with",) if name in options}
    return loaded(DecodedImages(source, **given), batch_size, **options)


def fast(source: Any, *args: Any, **options: Any) -> ThreadedLoader[Any]:
    return decoded(source, *args, decode_with="simplejpeg-fast", **options)


def from_pack(root: Path, *args: Any, **options: Any) -> ThreadedLoader[Any]:
    return decoded(ensure_stored(root, "jpeg", "pack"), *args, **options)


def gathered(root: Path, *args: Any, preload: bool = False, **options: Any) -> ThreadedLoader[Any]:
    pack = ensure_stored(root, "pixels", "pack")
    return loaded(StoredPixels(pack, preload=preload), *args, **options)


def preloaded(root: Path, *args: Any, **options: Any) -> ThreadedLoader[Any]:
    return gathered(root, *args, preload=True, **options)


def at_once(root: Path, *args: Any, **options: Any) -> ThreadedLoader[Any]:
    return gathered(root, *args, prefetch_factor=0, **options)


def overwriting(root: Path, *args: Any, **options: Any) -> ThreadedLoader[Any]:
    return at_once(root, *args, overwrite=True, **options)


def crops(source: Any, batch_size: int = 64, **options: Any) -> ThreadedLoader[Any]:
    names = ("size", "scale", "ratio", "scaled", "fast")
    given = {name: options.pop(name) for name in names if name in options}
    seed = options.pop("seed", 0) if "sampler" in options else options.get("seed", 0)
    return loaded(RandomCrops(source, seed=seed, **{"size": 8, **given}), batch_size, **options)


WHOLE: dict[str, Callable[..., ThreadedLoader[Any]]] = {
    "files": decoded,
    "files-fast": fast,
    "pack": from_pack,
    "gathered": gathered,
    "gathered-preloaded": preloaded,
    "gathered-at-once": at_once,
}
BUILD = {**WHOLE, "crops": crops, "gathered-overwriting": overwriting}
EXACT = tuple(name for name in WHOLE if name != "files-fast")
