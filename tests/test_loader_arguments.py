"""Loaders refuse at construction what cannot be meant, in one sentence with what would be right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT
from torch.utils.data import BatchSampler, Sampler, SubsetRandomSampler

from datasets_impl import decoders
from datasets_impl.errors import BadArgument, MissingPackage, StudyError
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders import threads
from datasets_impl.loaders.ahead import Ahead
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loaders.recycled import RecycledBatches
from datasets_impl.loaders.table import LOADERS
from datasets_impl.loaders.threaded_crops import ThreadedCropsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader
from datasets_impl.sources import JpegBytes, as_source
from datasets_impl.variants.decoding import DecodingDataset
from datasets_impl.variants.draft_crops import DraftCropsDataset


def crops(root: Path, **options: Any) -> ThreadedCropsLoader:
    return ThreadedCropsLoader(root, size=8, **options)


BUILD = {**{name: row.build for name, row in LOADERS.items()}, "threaded-crops": crops}
every_loader = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
threaded = pytest.mark.parametrize("kind", [ThreadedJpegLoader, ThreadedCropsLoader])
NO_NUMBER: list[Any] = [2.5, "64", None, True, [3]]


class Given(Sampler[int]):
    """A sampler that is only known by what it gives."""

    def __init__(self, *indices: Any) -> None:
        self.indices = indices

    def __iter__(self) -> Iterator[Any]:
        return iter(self.indices)


class Counted(Given):
    def __len__(self) -> int:
        return len(self.indices)


@every_loader
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("batch_size", [-3, 0, *NO_NUMBER]),
        ("seed", [2.5, "x", None, True]),
        ("drop_last", [1, "False", None]),
        ("pinned", [1, "False", None]),
        ("sampler", [5, "0123", {0: 1}, ShardedShuffle]),
    ],
)
def test_of_every_loader(build: Any, name: str, values: list[Any], folder: Path) -> None:
    for value in values:
        with pytest.raises(BadArgument, match=f"^{name} is .*; give .*"):
            build(folder, **{name: value})


@threaded
@pytest.mark.parametrize(
    ("name", "values"),
    [("threads", [-1, 0, 10_001, 2.5, "2"]), ("ahead", [-1, *NO_NUMBER])],
)
def test_of_threads(kind: Any, name: str, values: list[Any], folder: Path) -> None:
    for value in values:
        with pytest.raises(BadArgument, match=f"^{name} is .*; give a whole number"):
            kind(folder, **{name: value})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("size", [0, -1, 10**6, *NO_NUMBER]),
        ("scale", [(0, 1), (1, 0.5), (0.5, 2), 0.5, "ab", None]),
        ("ratio", [(0, 1), (2, 1), (1, float("inf")), 1, None]),
        ("scaled", ["no", 1]),
        ("fast", ["no", 1]),
    ],
)
def test_of_crops(name: str, values: list[Any], folder: Path) -> None:
    for value in values:
        for kind in (ThreadedCropsLoader, DraftCropsDataset):
            if kind is ThreadedCropsLoader or name not in ("scaled", "fast"):
                with pytest.raises(BadArgument, match=f"^{name} is .*; give .*"):
                    kind(folder, **{name: value})


@pytest.mark.parametrize("name", ["overwrite", "preload"])
def test_of_gathered_pixels(name: str, folder: Path) -> None:
    pack: Any = ensure_stored(folder, "pixels", "pack")
    with pytest.raises(BadArgument, match=f"^{name} is 'no'; give True or False"):
        GatheredPixelsLoader(pack, **{name: "no"})


@pytest.mark.parametrize("value", [0, -1, *NO_NUMBER])
def test_of_look_ahead_and_memory(value: Any) -> None:
    with pytest.raises(BadArgument, match=r"^depth is "):
        Ahead([], value)
    with pytest.raises(BadArgument, match=r"^most is "):
        RecycledBatches(most=value)
    for batches in (5, "abc", ThreadedJpegLoader):
        with pytest.raises(BadArgument, match=r"^batches is .*; give a loader"):
            Ahead(batches)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"count": -1}, {"count": 2.5}, {"rank": -1}, {"rank": 0.5}, {"world": 0}, {"world": True},
     {"seed": "x"}, {"rank": 2, "world": 2}],
    ids=str,
)  # fmt: skip
def test_of_shards(options: dict[str, Any]) -> None:
    with pytest.raises(BadArgument, match=f"^{next(iter(options))} "):
        ShardedShuffle(**{"count": 4, **options})


def test_any_seed_that_pytorch_gives_is_taken() -> None:
    shuffle = ShardedShuffle(9, 2**64 - 1)
    assert [sorted(shuffle) for _ in range(3)] == [list(range(9))] * 3
    assert list(ShardedShuffle(9, -1)) == list(ShardedShuffle(9, 2**64 - 1))


@every_loader
@pytest.mark.parametrize("make", [lambda i: [0, i], lambda i: range(i, i + 1), torch.tensor,
                                  lambda i: np.array([i]), lambda i: (0, i)],
                         ids=["list", "range", "tensor", "array", "tuple"])  # fmt: skip
@pytest.mark.parametrize("index", [COUNT, -1])
def test_an_index_out_of_range_is_refused_at_once(
    index: int, make: Any, build: Any, folder: Path
) -> None:
    with pytest.raises(BadArgument, match=rf"index {index}, and there are 12 images, 0 to 11"):
        build(folder, sampler=make(index))


@every_loader
def test_other_samplers_are_checked_before_anything_is_read(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=1, sampler=Counted(0, 1, COUNT))
    with pytest.raises(BadArgument, match="index 12, and there are 12 images"):
        next(iter(loader))
    loader = build(folder, sampler=SubsetRandomSampler([0, 99]))
    with pytest.raises(BadArgument, match="index 99"):
        next(iter(loader))
    with pytest.raises(BadArgument, match="shuffles 13 images, and there are 12"):
        build(folder, sampler=ShardedShuffle(COUNT + 1))
    loader = build(folder, sampler=Given(0, "1"))
    with pytest.raises(BadArgument, match="an index of the sampler is '1'"):
        next(iter(loader))


@every_loader
@pytest.mark.parametrize("sampler", [torch.tensor([True, False]), np.array([True]), [0.0],
                                     [[0, 1]], torch.zeros(2, 2)], ids=repr)  # fmt: skip
def test_masks_fractions_and_batches_are_no_indices(sampler: Any, build: Any, folder: Path) -> None:
    with pytest.raises(BadArgument, match=r"an index of the sampler is .* not batches of them"):
        build(folder, sampler=sampler)
    loader = build(folder, sampler=BatchSampler(range(4), 2, False))
    with pytest.raises(BadArgument, match=r"an index of the sampler is \[0, 1\]"):
        next(iter(loader))


@every_loader
@pytest.mark.parametrize("sampler", [torch.tensor([3, 0, 3]), np.array([3, 0, 3], np.uint8),
                                     [np.int64(3), torch.tensor(0), 3], Given(3, 0, 3),
                                     Counted(np.int32(3), 0, 3)])  # fmt: skip
def test_whole_numbers_of_any_library_and_twice(sampler: Any, build: Any, folder: Path) -> None:
    (expected,), (found,) = build(folder, sampler=[3, 0, 3]), build(folder, sampler=sampler)
    assert torch.equal(found, expected)


@every_loader
def test_an_order_without_end_is_not_read_to_its_end(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=5, sampler=itertools.cycle(range(COUNT)))
    assert [len(batch) for batch in itertools.islice(loader, 7)] == [5] * 7


@every_loader
def test_an_epoch_of_nothing_is_an_error(build: Any, folder: Path) -> None:
    for sampler in ([], range(0), torch.tensor([], dtype=torch.int64), Counted()):
        with pytest.raises(BadArgument, match="sampler gives none of the 12 images"):
            build(folder, sampler=sampler)
    with pytest.raises(BadArgument, match="batch_size is 13 and an epoch has 12 images"):
        build(folder, batch_size=13, drop_last=True)
    loader = build(folder, batch_size=3, drop_last=True, sampler=Given(0, 1))
    with pytest.raises(BadArgument, match="batch_size is 3 and an epoch has 2 images"):
        list(loader)
    with pytest.raises(BadArgument, match="gives none"):
        list(build(folder, sampler=Given()))


@every_loader
def test_an_iterator_is_used_up_and_says_so(build: Any, folder: Path) -> None:
    loader = build(folder, sampler=(index for index in range(COUNT)))
    assert sum(len(batch) for batch in loader) == COUNT
    with pytest.raises(BadArgument, match="one epoch uses it up; give a list"):
        list(loader)


def test_a_look_ahead_of_an_iterator_says_so_too() -> None:
    batches = Ahead(iter(range(3)))
    assert list(batches) == [0, 1, 2]
    with pytest.raises(BadArgument, match="one epoch has used it up"):
        list(batches)


@every_loader
def test_a_sampler_without_a_length_has_none_and_is_iterated(build: Any, folder: Path) -> None:
    loader = build(folder, sampler=Given(0, 1))
    with pytest.raises(TypeError, match="the sampler has no length"):
        len(loader)
    with pytest.raises(TypeError, match="the batches have no length"):
        len(Ahead(loader))
    assert len(list(loader)) == len(list(Ahead(loader))) == 1


@every_loader
def test_epochs_of_a_sampler_that_knows_none(build: Any, folder: Path) -> None:
    loader = build(folder, sampler=[2, 1])
    loader.set_epoch(3)
    assert len(next(iter(loader))) == 2
    for epoch in (-1, 0.5, "1"):
        with pytest.raises(BadArgument, match=r"^epoch is "):
            loader.set_epoch(epoch)


KINDS = {"jpeg-loader": ThreadedJpegLoader, "crops": ThreadedCropsLoader,
         "dataset": DecodingDataset, "bytes": JpegBytes}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_no_source_of_encoded_images(kind: Any, folder: Path, tmp_path: Path) -> None:
    pixels = ensure_stored(folder, "pixels", "pack")
    for source in (pixels, pixels.folder, str(pixels.folder)):
        with pytest.raises(BadArgument, match=r"holds decoded pixels.*GatheredPixelsLoader"):
            kind(source)
    for source in (None, 5, [5], object()):
        with pytest.raises(BadArgument, match=r"^source is .*; give a folder of JPEG files"):
            kind(source)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StudyError, match="has no JPEG file"):
        kind(empty)
    with pytest.raises(StudyError, match="path is empty"):
        kind("")


@pytest.mark.parametrize("kind", [ThreadedJpegLoader, ThreadedCropsLoader])
def test_the_folder_of_a_stored_set_is_a_source(kind: Any, folder: Path) -> None:
    stored = ensure_stored(folder, "jpeg", "tar")
    by_path, opened = kind(str(stored.folder), seed=3), kind(stored, seed=3)
    assert torch.equal(next(iter(by_path)), next(iter(opened)))


def test_what_is_no_pack_of_pixels(folder: Path) -> None:
    others: Any = [
        ensure_stored(folder, "pixels", "tar"),
        ensure_stored(folder, "jpeg", "pack"),
        as_source(folder),
        None,
        [folder],
    ]
    for pack in others:
        with pytest.raises(StudyError, match=r'ensure_stored\(folder, "pixels", "pack"\)'):
            GatheredPixelsLoader(pack)
    with pytest.raises(StudyError, match="is no stored set; make one"):
        GatheredPixelsLoader(folder)
    with pytest.raises(StudyError, match="in the format 'tar', not 'pack'"):
        GatheredPixelsLoader(others[0].folder)


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(as_source(f"~/{folder.name}")) == COUNT
    assert len(GatheredPixelsLoader(f"~/{pack.folder.relative_to(folder.parent)}")) == 1


def test_an_index_beyond_the_end_of_a_source(folder: Path) -> None:
    for source in (as_source(folder), JpegBytes(folder)):
        with pytest.raises(StudyError, match=r"no item 12 in .*; it has only 12 \(0 to 11\)"):
            source.read(COUNT)
    with pytest.raises(StudyError, match=r"missing.* cannot be listed"):
        ThreadedJpegLoader(folder / "missing")


@pytest.mark.parametrize("value", ["libjpeg", "", 3])
def test_an_unknown_decoder(value: Any, folder: Path) -> None:
    for kind in (ThreadedJpegLoader, DecodingDataset):
        with pytest.raises(BadArgument, match=r"decoder is .*; give one of pil, torchvision"):
            kind(folder, decode_with=value)


@pytest.mark.parametrize("kind", [ThreadedJpegLoader, DecodingDataset])
def test_a_missing_decoder_is_said_at_construction(
    kind: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = decoders.importlib.util.find_spec

    def without_simplejpeg(name: str) -> Any:
        return None if name == "simplejpeg" else installed(name)

    monkeypatch.setattr(decoders.importlib.util, "find_spec", without_simplejpeg)
    with pytest.raises(MissingPackage, match=r"pip install '<this folder>\[loaders\]'.*pil"):
        kind(folder, decode_with="simplejpeg")


def test_page_locked_memory_needs_a_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for build in BUILD.values():
        with pytest.raises(BadArgument, match="pinned=True needs a CUDA device"):
            build(folder, pinned=True)


def test_threads_that_cannot_be_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were started must not wait for the others for ever."""
    start, started = threads.threading.Thread.start, []

    def limited(thread: Any) -> None:
        if thread.name.startswith("fill-batch") and len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threads.threading.Thread, "start", limited)
    before = torch.get_num_threads()
    with pytest.raises(StudyError, match="3 threads cannot be started"):
        next(iter(ThreadedJpegLoader(folder, threads=3)))
    for thread in started:
        thread.join(60)
        assert not thread.is_alive()
    assert torch.get_num_threads() == before


def test_a_batch_that_memory_cannot_hold() -> None:
    with pytest.raises(StudyError, match="cannot be allocated"):
        RecycledBatches().take((2**40, 2**20))


class Odd:
    """A sampler whose length is none."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter([2, 1, 0])


@every_loader
@pytest.mark.parametrize("sampler", [Odd(-1), Odd(2**70), np.array(3), torch.tensor(3)])
def test_samplers_of_an_odd_length(sampler: Any, build: Any, folder: Path) -> None:
    assert sum(map(len, build(folder, sampler=sampler))) in (1, 3)


@pytest.mark.parametrize("ratio", [(1e-308, 1e-308), (1, 1e9)])
def test_a_ratio_that_no_picture_has(ratio: Any, folder: Path) -> None:
    with pytest.raises(BadArgument, match="ratio is"):
        ThreadedCropsLoader(folder, ratio=ratio)
