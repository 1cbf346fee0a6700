"""Datasets and loaders refuse at construction what cannot be meant, in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNT, ROOT

from datasets_impl import decoders
from datasets_impl.errors import BadArgument, MissingPackage, StudyError
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders import threads
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.memory import RecycledMemory
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.sources import JpegBytes, as_source
from datasets_impl.variants.decoding import DecodingDataset
from datasets_impl.variants.draft_crops import DraftCropsDataset
from tests.loading import decoded

NO_NUMBER: list[Any] = [2.5, "64", None, True, [3]]
images_of = pytest.mark.parametrize("kind", [DecodedImages, RandomCrops])


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
        for kind in (RandomCrops, DraftCropsDataset):
            if kind is RandomCrops or name not in ("scaled", "fast"):
                with pytest.raises(BadArgument, match=f"^{name} is .*; give .*"):
                    kind(folder, **{name: value})


def test_of_stored_pixels(folder: Path) -> None:
    pack: Any = ensure_stored(folder, "pixels", "pack")
    with pytest.raises(BadArgument, match=r"^preload is 'no'; give True or False"):
        StoredPixels(pack, preload="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, *NO_NUMBER])
def test_of_memory(value: Any) -> None:
    with pytest.raises(BadArgument, match=r"^most is "):
        RecycledMemory(most=value)


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


KINDS = {"images": DecodedImages, "crops": RandomCrops, "dataset": DecodingDataset,
         "bytes": JpegBytes}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_no_source_of_encoded_images(kind: Any, folder: Path, tmp_path: Path) -> None:
    pixels = ensure_stored(folder, "pixels", "pack")
    for source in (pixels, pixels.folder, str(pixels.folder)):
        with pytest.raises(BadArgument, match=r"holds decoded pixels.*StoredPixels"):
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


@images_of
def test_the_folder_of_a_stored_set_is_a_source(kind: Any, folder: Path) -> None:
    stored = ensure_stored(folder, "jpeg", "tar")
    assert torch.equal(kind(str(stored.folder))[3], kind(stored)[3])


def test_what_is_no_stored_set_of_pixels(folder: Path) -> None:
    others: Any = [ensure_stored(folder, "jpeg", "pack"), as_source(folder), None, [folder]]
    for source in others:
        with pytest.raises(StudyError, match=r'ensure_stored\(folder, "pixels", '):
            StoredPixels(source)
    with pytest.raises(StudyError, match="is no stored set; make one"):
        StoredPixels(folder)


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(as_source(f"~/{folder.name}")) == COUNT
    assert len(StoredPixels(f"~/{pack.folder.relative_to(folder.parent)}")) == COUNT


def test_an_index_beyond_the_end_of_a_source(folder: Path) -> None:
    for source in (as_source(folder), JpegBytes(folder)):
        with pytest.raises(StudyError, match=r"no item 12 in .*; it has only 12 \(0 to 11\)"):
            source.read(COUNT)
    with pytest.raises(StudyError, match=r"missing.* cannot be listed"):
        DecodedImages(folder / "missing")


@pytest.mark.parametrize("value", ["libjpeg", "", 3])
def test_an_unknown_decoder(value: Any, folder: Path) -> None:
    for kind in (DecodedImages, DecodingDataset):
        with pytest.raises(BadArgument, match=r"decoder is .*; give one of pil, torchvision"):
            kind(folder, decode_with=value)


@pytest.mark.parametrize("kind", [DecodedImages, DecodingDataset])
def test_a_missing_decoder_is_said_at_construction(
    kind: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = decoders.importlib.util.find_spec

    def without_simplejpeg(name: str) -> Any:
        return None if name == "simplejpeg" else installed(name)

    monkeypatch.setattr(decoders.importlib.util, "find_spec", without_simplejpeg)
    with pytest.raises(MissingPackage, match=r"pip install '<this folder>\[loaders\]'.*pil"):
        kind(folder, decode_with="simplejpeg")


def test_threads_that_cannot_be_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were started must not wait for the others for ever."""
    start, started = threads.threading.Thread.start, []

    def limited(thread: Any) -> None:
        if thread.name.startswith("make-batch") and len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threads.threading.Thread, "start", limited)
    before = torch.get_num_threads()
    with pytest.raises(StudyError, match=r"3 threads cannot be started .*; give fewer as"):
        next(iter(decoded(folder, threads=3)))
    for thread in started:
        thread.join(600)
        assert not thread.is_alive()
    assert torch.get_num_threads() == before


def test_threads_of_a_program_that_has_ended() -> None:
    program = """
import atexit
from datasets_impl import ThreadedLoader
loader = ThreadedLoader([1, 2, 3], where="trainer")
atexit.register(lambda: print(len(list(loader))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "interpreter shutdown); read batches before the program ends." in done.stderr


@pytest.mark.parametrize("ratio", [(1e-308, 1e-308), (1, 1e9)])
def test_a_ratio_that_no_picture_has(ratio: Any, folder: Path) -> None:
    with pytest.raises(BadArgument, match="ratio is"):
        RandomCrops(folder, ratio=ratio)
