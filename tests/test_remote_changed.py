"""A pack that is converted anew while it is read, and a cache that goes: no wrong bytes come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats.remote import RemotePack
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.shards_ahead import ShardsAhead
from tests.samples import everywhere

COUNT, SHARD = 12, 4


def photos(folder: Path, seed: int, count: int = COUNT) -> Path:
    random = np.random.default_rng(seed)
    folder.mkdir()
    for number in range(count):
        pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.jpg")
    return folder


def convert(folder: Path, pack: Path) -> str:
    with ThreadPoolExecutor(1) as pool:
        convert_to_shards(folder, f"file://{pack}", executor=pool, shard_images=SHARD)
    return f"file://{pack}"


def opened(url: str, cache: Path | None) -> RemotePack:
    if cache is None:
        return RemotePack(url)
    return RemotePack(url, cache=cache, cache_bytes=10**6)


def other(folder: Path) -> Path:
    return photos(folder, seed=1)


def fewer(folder: Path) -> Path:
    return photos(folder, seed=1, count=5)


@pytest.mark.parametrize("anew", [other, fewer])
@pytest.mark.parametrize("where", [None, "cache"])
def test_a_pack_that_is_converted_anew_is_told(
    where: str | None, anew: Callable[[Path], Path], tmp_path: Path
) -> None:
    cache = tmp_path / where if where else None
    first = photos(tmp_path / "first", seed=0)
    url = convert(first, tmp_path / "pack")
    pack, content = opened(url, cache), [Path(path).read_bytes() for path in jpeg_files(first)]
    assert pack.read(0) == content[0]
    shutil.rmtree(tmp_path / "pack")
    second = anew(tmp_path / "second")
    convert(second, tmp_path / "pack")
    told = rf"^{url} was converted anew since it was opened; open it again, .*\.$"
    read = 0
    for index in range(COUNT):
        if cache is not None and index < SHARD:  # of a shard that had come before
            assert pack.read(index) == content[index]
            read += 1
            continue
        with pytest.raises(StudyError, match=told):
            pack.read(index)
    assert read == (SHARD if cache else 0)
    again = opened(url, cache)
    assert [again.read(0)] == [Path(path).read_bytes() for path in jpeg_files(second)][:1]


def test_a_pack_that_has_only_moved_away_is_told_as_before(tmp_path: Path) -> None:
    pack = opened(convert(photos(tmp_path / "first", seed=0), tmp_path / "pack"), None)
    shutil.rmtree(tmp_path / "pack")
    with pytest.raises(StudyError, match=r"/data cannot be read \(.*; mend its address"):
        pack.read(0)


@everywhere
def test_in_the_midst_of_an_epoch(where: str, tmp_path: Path) -> None:
    url = convert(photos(tmp_path / "first", seed=0), tmp_path / "pack")
    data: Any = ShardsAhead(DecodedImages(opened(url, tmp_path / "cache")))
    with ThreadedLoader(data, 1, where=where, threads=1, prefetch_factor=0) as loader:
        batches = iter(loader)
        next(batches)
        shutil.rmtree(tmp_path / "pack")
        convert(other(tmp_path / "second"), tmp_path / "pack")
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").mkdir()
        with pytest.raises(StudyError, match="was converted anew since it was opened"):
            list(batches)


def folder_gone(folder: Path) -> None:
    """At once: another process writes into it meanwhile."""
    shutil.rmtree(folder.rename(folder.with_name("gone")))


def files_gone(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.unlink(missing_ok=True)  # may have got its last name since


@everywhere
@pytest.mark.parametrize("gone", [folder_gone, files_gone])
def test_a_cache_that_goes_in_the_midst_of_an_epoch(
    gone: Callable[[Path], Any], where: str, tmp_path: Path
) -> None:
    """Its files come again, and so does the folder."""
    folder = photos(tmp_path / "first", seed=0)
    url, cache = convert(folder, tmp_path / "pack"), tmp_path / "cache"
    plain = {image.numpy().tobytes() for image in DecodedImages(folder)}
    data: Any = ShardsAhead(DecodedImages(opened(url, cache)))
    with ThreadedLoader(data, 1, where=where, threads=1, prefetch_factor=0) as loader:
        batches: Any = iter(loader)
        found = [next(batches)]
        gone(cache)
        found += list(batches)
    assert {batch[0].numpy().tobytes() for batch in found} == plain
