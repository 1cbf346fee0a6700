"""Pictures by address: objects, a pack by ranges and by shards, the order of its images."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from torch.utils.data import DataLoader

from datasets_impl import RandomCrops
from datasets_impl.contest.remote import packed
from datasets_impl.convert import convert_to_shards
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import ensure_stored, remote
from datasets_impl.formats.addresses import file_system
from datasets_impl.formats.remote import RemoteFolder, RemotePack
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.shards_ahead import ShardsAhead
from datasets_impl.media.object_store import object_store
from tests.test_loader_iterators import in_a_fork

COUNT, PX = 72, 24


@pytest.fixture(scope="module")
def photos(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote") / "photos"
    folder.mkdir()
    for path in jpeg_files(ensure_corpus(CorpusSpec(COUNT, PX), cache=session_cache).root):
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    return folder


@pytest.fixture
def put(tmp_path: Path) -> Callable[[Path], str]:
    """The files of a folder at an address, which is gone with the process."""

    def made(folder: Path) -> str:
        system = fsspec.filesystem("memory")
        for path in folder.rglob("*"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                system.pipe_file(f"/{tmp_path.name}-{folder.name}/{name}", path.read_bytes())
        return f"memory://{tmp_path.name}-{folder.name}"

    return made


def files(folder: Path) -> list[bytes]:
    return [Path(path).read_bytes() for path in jpeg_files(folder)]


def pixels(batches: Any) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for batch in batches for image in batch)


def pixels_of(folder: Path) -> Counter[bytes]:
    data = DecodedImages(folder)
    return pixels([[data[index] for index in range(len(data))]])


def cached(url: str, folder: Path, part: float = 0.5, **more: Any) -> RemotePack:
    whole = sum(RemotePack(url, **more).sizes)
    return RemotePack(url, cache=folder / "cache", cache_bytes=int(part * whole), **more)


# --- objects and ranges -----------------------------------------------------------------------


def test_a_folder_by_address_is_the_folder(photos: Path, put: Callable[[Path], str]) -> None:
    source = RemoteFolder(put(photos))
    assert [source.read(index) for index in range(len(source))] == files(photos)
    assert source.name(0) == f"{source.url}/{Path(jpeg_files(photos)[0]).name}"
    assert pickle.loads(pickle.dumps(source)).read(-1) == files(photos)[-1]
    with pytest.raises(IndexError, match="only 72"):
        source.read(COUNT)


@pytest.mark.parametrize("content", [b"short", b"more than there was" * 1000])
def test_a_picture_that_changed_since_is_not_cut_to_its_former_size(
    content: bytes, photos: Path, put: Callable[[Path], str]
) -> None:
    source = RemoteFolder(put(photos))
    source.system.pipe_file(source.paths[0], content)
    with pytest.raises(StudyError, match=f"has {len(content):,} bytes and had .* open it again"):
        source.read(0)
    assert source.read(1) == files(photos)[1]
    assert RemoteFolder(source.url).read(0) == content


def test_pictures_that_changed_under_an_address_are_converted_anew(
    photos: Path, put: Callable[[Path], str]
) -> None:
    """Also where a file system has no tag, and the size is the same; names are no patterns."""
    url, system = put(photos), fsspec.filesystem("memory")
    one, other = (path.read_bytes() for path in sorted(photos.iterdir())[:2])
    size = max(len(one), len(other))
    one, other = one.ljust(size, b"\0"), other.ljust(size, b"\0")
    with ThreadPoolExecutor(2) as pool:
        for content, written in ((one, 1), (one, 0), (other, 1)):
            if written:
                system.pipe_file(f"{url}-[1]/a*[z].jpg", content)
            done = convert_to_shards(f"{url}-[1]", f"{url}-set[1]", executor=pool)
            assert done.written == written
            assert RemotePack(f"{url}-set[1]").read(0) == content


def test_a_fork_while_another_thread_connects(
    photos: Path, put: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = RemoteFolder(put(photos))
    connects, go = threading.Event(), threading.Event()

    def waiting(*given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            connects.set()
            go.wait(600)
        return file_system(*given)

    monkeypatch.setattr(remote, "file_system", waiting)
    images.__setstate__(images.__getstate__())  # not connected yet
    thread = threading.Thread(target=lambda: images.system)
    thread.start()
    assert connects.wait(600)
    assert in_a_fork(lambda: images.system.protocol) == "memory"
    go.set()
    thread.join(600)


def test_folders_are_classes_where_they_are_asked_for(
    photos: Path, tmp_path: Path, put: Callable[[Path], str]
) -> None:
    for name, data in zip(("cat/a.jpg", "cat/b.jpg", "dog/a.jpg"), files(photos), strict=False):
        (tmp_path / "classes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "classes" / name).write_bytes(data)
    data = DecodedImages(RemoteFolder(put(tmp_path / "classes"), labelled=True))
    assert data.classes == ["cat", "dog"]
    assert [int(data[index][1]) for index in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("shards", [True, False])
def test_a_pack_by_ranges_is_the_pack(
    shards: bool, photos: Path, put: Callable[[Path], str]
) -> None:
    folder = packed(photos) if shards else ensure_stored(photos, "jpeg", "pack").folder
    pack = RemotePack(put(folder))
    assert len(pack.sizes) == (15 if shards else 1)
    assert [pack.read(index) for index in range(len(pack))] == files(photos)
    assert pickle.loads(pickle.dumps(pack)).read(3) == files(photos)[3]


def test_what_is_no_pack_is_refused_in_a_sentence(photos: Path, put: Callable[[Path], str]) -> None:
    with pytest.raises(StudyError, match=r"header\.json cannot be read .* run it again\.$"):
        RemotePack(put(photos))
    with pytest.raises(StudyError, match="is in the format 'tar'; only a pack"):
        RemotePack(put(ensure_stored(photos, "jpeg", "tar").folder))
    with pytest.raises(StudyError, match="holds decoded pixels"):
        DecodedImages(RemotePack(put(ensure_stored(photos, "pixels", "pack").folder)))
    with pytest.raises(BadArgument, match='give an address such as "s3://'):
        RemotePack(str(photos))
    with pytest.raises(StudyError, match="has no JPEG file"):
        RemoteFolder("memory://nothing-at-all")


@pytest.mark.parametrize("name", ["header.json", "index.npy", "shard-000002/data"])
def test_damage_is_told(name: str, photos: Path, put: Callable[[Path], str]) -> None:
    url = put(packed(photos))
    system, path = fsspec.filesystem("memory"), f"{url.partition(':/')[2]}/{name}"
    content = bytearray(system.cat_file(path))
    content[len(content) // 2] ^= 1
    system.pipe_file(path, bytes(content))
    with pytest.raises(StudyError, match=r"is damaged.*convert the images again\.$"):
        pack = RemotePack(url)
        for index in range(len(pack)):
            pack.read(index)


# --- the order --------------------------------------------------------------------------------


@pytest.fixture
def pack(photos: Path, put: Callable[[Path], str], tmp_path: Path) -> RemotePack:
    return cached(put(packed(photos)), tmp_path)


def test_every_image_once_in_another_order_each_epoch(photos: Path, pack: RemotePack) -> None:
    expected = pixels_of(photos)
    data = ShardsAhead(DecodedImages(pack))
    assert pack.cache is not None and data.ahead >= 1 and data.mixed >= 2
    assert data.ahead + data.mixed + 1 == pack.cache.most // max(pack.sizes) < len(pack.sizes)
    with ThreadedLoader[Any](data, 16, threads=3, where="trainer") as batches:
        epochs = [[batch.clone() for batch in batches] for _ in range(3)]
    for one, other in itertools.pairwise(epochs):
        assert pixels(one) == expected and not torch.equal(one[0], other[0])
    again = ShardsAhead(DecodedImages(pack))
    again.set_epoch(1)
    assert torch.equal(torch.stack([again[index] for index in range(16)]), epochs[1][0])
    assert pack.cache.held() <= pack.cache.most


def test_a_batch_mixes_the_images_of_a_few_shards(pack: RemotePack) -> None:
    data = ShardsAhead(DecodedImages(pack))
    shards = [int(image) // pack.each for image in data._order]
    places = [list(data._shards).index(shard) for shard in shards]
    for index, place in enumerate(places):
        assert data._newest[index] - data.mixed <= place <= data._newest[index]
    assert len(set(shards[10:20])) > 1


def test_a_seed_and_an_epoch_say_the_order(pack: RemotePack) -> None:
    first, same = (ShardsAhead(DecodedImages(pack), seed=3) for _ in range(2))
    other = ShardsAhead(DecodedImages(pack), seed=4)
    assert (first._order == same._order).all() and (first._order != other._order).any()
    sent = pickle.loads(pickle.dumps(first))
    assert (sent._order == first._order).all() and torch.equal(sent[0], first[0])
    following = copy.copy(first)
    following.set_epoch(1)
    assert (first._order == same._order).all() and (following._order != first._order).any()
    assert first.name(0) == pack.name(int(first._order[0]))


def test_a_folder_of_this_machine_by_address(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the program is: the address of a picture is one from the root."""
    monkeypatch.chdir(tmp_path)
    source = RemoteFolder(f"file://{photos}")
    found = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
    assert [source.read(index) for index in range(len(source))] == found


@pytest.mark.parametrize("url", ["s3://", "memory:///", "://x"])
def test_an_address_of_nothing(url: str) -> None:
    for kind in (RemoteFolder, RemotePack):
        with pytest.raises(BadArgument, match="give an address such as"):
            kind(url)


@pytest.mark.parametrize(
    "start_method", [None, "fork", pytest.param("forkserver", marks=pytest.mark.slow)]
)
def test_crops_hear_of_the_epoch(start_method: str | None, photos: Path, tmp_path: Path) -> None:
    """Also in a separate process, to which the order and the cache are sent."""
    data = ShardsAhead(RandomCrops(cached(f"file://{packed(photos)}", tmp_path), size=8))
    more: Any = {"where": "process" if start_method else "trainer", "start_method": start_method}
    with ThreadedLoader[Any](data, COUNT, threads=2, **more) as batches:
        first, second = (next(iter(batches)).clone() for _ in range(2))
    assert first.shape == (COUNT, 3, 8, 8) and not torch.equal(first, second)


@pytest.mark.slow
def test_worker_processes_share_the_cache(photos: Path, pack: RemotePack) -> None:
    expected = pixels_of(photos)
    data, most, assured = ShardsAhead(DecodedImages(pack)), [], threading.Event()
    assert pack.cache is not None
    cache = pack.cache

    def watch() -> None:
        while not assured.is_set():
            most.append(cache.held())
            time.sleep(1e-3)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for epoch in range(2):
            data.set_epoch(epoch)
            batches: Any = DataLoader(data, 8, num_workers=3, multiprocessing_context="fork")
            assert pixels(batches) == expected
    finally:
        assured.set()
        watching.join()
    assert 0 < max(most) <= cache.most


def test_what_cannot_be_meant(photos: Path, pack: RemotePack) -> None:
    for wrong in (DecodedImages(photos), pack, "s3://bucket"):
        with pytest.raises(BadArgument, match="give a dataset of images over a RemotePack"):
            ShardsAhead(wrong)  # type: ignore[arg-type]
    plain = RemotePack(pack.url)
    with pytest.raises(BadArgument, match="with cache= and cache_bytes="):
        ShardsAhead(DecodedImages(plain))
    with pytest.raises(BadArgument, match="go together"):
        RemotePack(pack.url, cache="somewhere")
    with pytest.raises(BadArgument, match="the bytes of its largest shard"):
        RemotePack(pack.url, cache="somewhere", cache_bytes=1)
    assert pack.cache is not None
    small = RemotePack(pack.url, cache=pack.cache.folder, cache_bytes=2 * max(pack.sizes))
    with pytest.raises(BadArgument, match="three of its shards"):
        ShardsAhead(DecodedImages(small))


# --- over a line ------------------------------------------------------------------------------


@pytest.fixture
def line(photos: Path) -> Iterator[Any]:
    pytest.importorskip("moto")
    with object_store(packed(photos), mb_per_second=1000) as store:
        yield store


@pytest.mark.usefixtures("object_libraries")
def test_a_shard_is_one_request_and_comes_once(line: Any, tmp_path: Path) -> None:
    more = {"storage_options": line.address.options}
    pack = cached(line.address.url, tmp_path, **more)
    before = line.served()
    data = ShardsAhead(DecodedImages(pack))
    with ThreadedLoader[Any](data, 16, threads=1, where="trainer") as batches:
        assert sum(len(batch) for batch in batches) == COUNT
    served = line.served().since(before)
    assert (served.requests, served.bytes, served.other) == (len(pack.sizes), sum(pack.sizes), 0)


@pytest.mark.usefixtures("object_libraries")
def test_ranges_and_objects_are_a_request_for_each_image(photos: Path, line: Any) -> None:
    pack = RemotePack(line.address.url, line.address.options)
    before = line.served()
    assert [pack.read(index) for index in range(COUNT)] == files(photos)
    served = line.served().since(before)
    assert (served.requests, served.bytes, served.other) == (COUNT, sum(pack.lengths), 0)
    with object_store(photos, mb_per_second=1000) as store:
        source = RemoteFolder(store.address.url, store.address.options)
        before = store.served()
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(source.read, range(COUNT))) == files(photos)
        served = store.served().since(before)
        assert (served.requests, served.other) == (COUNT, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("object_libraries")
def test_a_store_that_fails_is_one_sentence(photos: Path, line: Any, tmp_path: Path) -> None:
    """For what reads ranges, and for all threads that wait for a shard."""
    options = line.address.options
    pack = cached(line.address.url, tmp_path, storage_options=options)
    ranges = RemotePack(line.address.url, options)
    line.process.kill()
    line.process.wait()
    for data in (ShardsAhead(DecodedImages(pack)), DecodedImages(ranges)):
        loader = ThreadedLoader[Any](data, 16, threads=4, where="trainer")
        with loader, pytest.raises(StudyError) as told:
            next(iter(loader))
        assert str(told.value).startswith("s3://study/shard-") and "\n" not in str(told.value)
        assert "cannot be read" in str(told.value) and str(told.value).endswith("run it again.")
    with pytest.raises(StudyError, match="s3://study cannot be listed"):
        RemoteFolder(line.address.url, options)
