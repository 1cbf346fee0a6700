"""The contract of loaders: what each row of the table promises."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image

from datasets_impl import loaders
from datasets_impl.errors import BadImage, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.loaders import threaded
from datasets_impl.loaders.ahead import Ahead
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loaders.table import LOADERS
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader
from datasets_impl.variants.decoding import BatchedDecodingDataset

every_loader = pytest.mark.parametrize("name", LOADERS)
FAST_MEAN = 2.5  # of 255, as in test_decoders


def reference(folder: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path).convert("RGB")) for path in jpeg_files(folder)]


def images(batches: Any) -> list[bytes]:
    return [image.numpy().tobytes() for batch in batches for image in batch]


@every_loader
def test_batches(name: str, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=5, sampler=range(COUNT))
    batches = [batch.clone() for batch in made]
    assert len(made) == len(batches) == 3
    assert [tuple(batch.shape) for batch in batches] == [
        (size, PX, PX, 3) for size in (5, 5, COUNT - 10)
    ]
    assert all(batch.dtype == torch.uint8 and batch.is_contiguous() for batch in batches)


@every_loader
def test_batches_are_in_memory_whatever_the_default_device_is(name: str, folder: Path) -> None:
    with torch.device("meta"):  # stands for any device: nothing on it can be read
        found = images(LOADERS[name].build(folder, batch_size=5))
    assert Counter(found) == Counter(images(LOADERS[name].build(folder, batch_size=5)))


@every_loader
def test_pixels_against_pil_in_the_order_asked_for(name: str, folder: Path) -> None:
    expected, order = reference(folder), [7, 0, 11, 3, 3]
    (batch,) = LOADERS[name].build(folder, sampler=order)
    for image, index in zip(batch.numpy(), order, strict=True):
        difference = np.abs(image.astype(int) - expected[index])
        assert difference.mean() < FAST_MEAN if not LOADERS[name].exact else not difference.any()


@every_loader
def test_every_image_once_an_epoch_in_an_order_the_seed_decides(name: str, folder: Path) -> None:
    build = LOADERS[name].build
    made = build(folder, batch_size=5, seed=1)
    first, second = images(made), images(made)
    assert Counter(first) == Counter(second) and len(set(first)) == COUNT
    assert first != second, "the second epoch has the first one's order"
    again = build(folder, batch_size=5, seed=1)
    assert [images(again), images(again)] == [first, second]
    assert images(build(folder, batch_size=5, seed=2)) != first
    made.set_epoch(0)
    assert images(made) == first


@every_loader
def test_the_last_batch_can_be_dropped(name: str, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=5, drop_last=True)
    assert [len(batch) for batch in made] == [5, 5] and len(made) == 2


@every_loader
@pytest.mark.parametrize("wrap", [lambda made: made, Ahead], ids=["plain", "look-ahead"])
def test_what_the_trainer_keeps_is_not_overwritten(name: str, wrap: Any, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=2, sampler=list(range(COUNT)) * 3)
    expected = images(LOADERS[name].build(folder, batch_size=2, sampler=list(range(COUNT)) * 3))
    kept = list(wrap(made))
    assert images(kept) == expected


@every_loader
@pytest.mark.parametrize("wrap", [lambda made: made, Ahead], ids=["plain", "look-ahead"])
def test_memory_is_used_again(name: str, wrap: Any, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=2, sampler=list(range(COUNT)) * 10)
    addresses = {batch.data_ptr() for batch in wrap(made)}
    assert len(addresses) <= 16, "of 60 batches"


@every_loader
def test_a_trainer_may_stop_early_and_begin_again(name: str, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=2)
    for _ in range(5):
        for _batch in made:
            break
    assert Counter(images(made)) == Counter(images(LOADERS[name].build(folder)))


@every_loader
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_works_in_a_process_started_after_it_was_used(name: str, method: str, folder: Path) -> None:
    made = LOADERS[name].build(folder, batch_size=5, sampler=range(COUNT))
    expected = images(made)
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply_async(images, (made,)).get(200) == expected


@every_loader
def test_pickles_small(name: str, folder: Path) -> None:
    made = LOADERS[name].build(folder)
    expected = set(images(made))
    encoded = pickle.dumps(made)
    assert len(encoded) < COUNT * PX * PX
    assert set(images(pickle.loads(encoded))) == expected


def test_threads_end_with_their_loader(folder: Path) -> None:
    def decoding() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("fill-batch")]

    before = decoding()  # of loaders that other tests left to the garbage collector
    made = ThreadedJpegLoader(folder, threads=2)
    images(made)
    workers = [one for one in decoding() if one not in before]
    assert 1 <= len(workers) <= 2
    del made
    for worker in workers:
        worker.join()
    assert not any(worker.is_alive() for worker in workers)


@pytest.mark.parametrize("name", ["threaded-files", "threaded-pack"])
def test_a_broken_image_is_named(name: str, folder: Path) -> None:
    (folder / "zz-broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    made = LOADERS[name].build(folder, batch_size=4)
    with pytest.raises(ValueError, match=r"(zz-broken\.jpg|image 12 of)"):
        images(made)
    assert len(images(LOADERS[name].build(folder, sampler=range(COUNT)))) == COUNT


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(not row.available, reason=f"{row.package} is not installed"),
        )
        for name, row in FORMATS.items()
        if "jpeg" in row.kinds
    ],
)
def test_every_format_is_a_source(form: str, folder: Path) -> None:
    stored = ensure_stored(folder, "jpeg", form)
    expected = images(ThreadedJpegLoader(folder, sampler=range(COUNT)))
    assert images(ThreadedJpegLoader(stored, sampler=range(COUNT))) == expected
    dataset = BatchedDecodingDataset(stored)
    assert images([dataset.__getitems__(list(range(COUNT)))]) == expected
    assert images([torch.stack([dataset[index] for index in range(COUNT)])]) == expected


@pytest.mark.parametrize("odd", ["00-wide.jpg", "zz-wide.jpg"], ids=["first", "last"])
@pytest.mark.parametrize("size", [(PX + 1, PX), (1, 1), (PX // 2, 2 * PX)], ids=str)
def test_two_sizes_are_both_named(odd: str, size: tuple[int, int], folder: Path) -> None:
    Image.new("RGB", size).save(folder / odd)
    with pytest.raises(BadImage, match="images of a batch need one size") as refused:
        images(ThreadedJpegLoader(folder, sampler=range(COUNT + 1)))
    for said in (odd, f"{size[0]} x {size[1]}", ".jpg has", f"{PX} x {PX}"):
        assert said in str(refused.value)
    assert sum(path.name in str(refused.value) for path in folder.iterdir()) == 2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colour_spaces_become_rgb(mode: str, folder: Path) -> None:
    colour: Any = 90 if mode == "L" else (10, 200, 30, 5)
    Image.new(mode, (PX, PX), colour).save(folder / "zz.jpg")
    (batch,) = ThreadedJpegLoader(folder, sampler=[COUNT])
    np.testing.assert_array_equal(batch[0].numpy(), reference(folder)[COUNT])


def test_what_the_decoder_leaves_to_pillow_is_said_and_listed(folder: Path) -> None:
    Image.new("RGB", (PX, PX), (10, 200, 30)).save(folder / "zz.png")
    (folder / "zz.png").rename(folder / "zz.jpg")  # a PNG under another name
    loader = ThreadedJpegLoader(folder, sampler=[0, COUNT])
    with pytest.warns(RuntimeWarning, match=r"zz\.jpg.*Pillow decodes it"):
        list(loader)
    assert [Path(name).name for name in loader.refused] == ["zz.jpg"]


def test_a_damaged_pack_is_refused_while_it_is_read(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    content = bytearray(pack.files[0].read_bytes())
    content[-1] ^= 1
    pack.files[0].write_bytes(content)
    made = GatheredPixelsLoader(pack.folder, batch_size=4, sampler=range(COUNT))
    with pytest.raises(StudyError, match="damaged at image 11"):
        images(made)


def test_a_pack_cut_short_between_two_epochs_is_refused(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    made = GatheredPixelsLoader(pack.folder)
    images(made)
    os.truncate(pack.files[0], 100)
    with pytest.raises(StudyError, match="was cut short while it was in use"):
        images(made)
    with pytest.raises(StudyError, match="convert the images again"):
        images(pickle.loads(pickle.dumps(made)))


def test_pixels_are_not_gathered_from_jpeg_bytes(folder: Path) -> None:
    with pytest.raises(StudyError, match="holds JPEG bytes; store the pixels"):
        GatheredPixelsLoader(ensure_stored(folder, "jpeg", "pack").folder)


def test_changing_a_batch_does_not_change_the_pack(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    before = pack.files[0].read_bytes()
    made = GatheredPixelsLoader(pack.folder, sampler=range(COUNT))
    expected = images(made)
    for batch in made:
        batch.zero_()
    assert images(made) == expected and pack.files[0].read_bytes() == before


def test_tasks_are_smaller_than_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both threads work on one batch, also where the batch is no multiple of a task."""
    monkeypatch.setattr(threaded, "TASK", 2)
    made = ThreadedJpegLoader(folder, batch_size=5, threads=2, sampler=range(COUNT))
    assert images(made) == images(ThreadedJpegLoader(folder, sampler=range(COUNT)))


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 10])
def test_shards_are_disjoint_and_complete(world: int, count: int) -> None:
    shards = [ShardedShuffle(count, 3, rank, world) for rank in range(world)]
    for _ in range(2):
        orders = [list(shard) for shard in shards]
        assert sorted(index for order in orders for index in order) == list(range(count))
        assert [len(order) for order in orders] == [len(shard) for shard in shards]


def test_a_rank_beyond_the_world_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 2 is not below"):
        ShardedShuffle(4, rank=2, world=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("copied", "code"),
    [
        ("loaders/recycled arguments errors", "recycled.RecycledBatches().take((2, 3))"),
        ("loaders/ahead loaders/threads arguments errors", "list(ahead.Ahead([1, 2]))"),
    ],
    ids=["recycled", "ahead"],
)
def test_what_the_docstring_says_can_be_copied(copied: str, code: str, tmp_path: Path) -> None:
    package = Path(loaders.__file__).parents[1]
    for name in copied.split():
        assert f"`{Path(name).name}.py`" in str(loaders.__doc__)
        target = tmp_path / package.name / f"{name}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / f"{name}.py", target)
    module = Path(copied.split()[0]).name
    lines = [
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
        f"from {package.name}.loaders import {module}",
        f"assert {module}.__file__.startswith({str(tmp_path)!r})",
        code,
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=tmp_path)


@pytest.mark.slow
def test_torchrun_sees_every_image_once_an_epoch(folder: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("distributed_epoch.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*command, str(script), str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # torchrun leaves its folder behind
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert len(ranks[0]) == len(LOADERS) * 4 + 8
    for run in ranks[0]:
        both = [*ranks[0][run], *ranks[1][run]]
        assert len(both) == len(set(both)) == COUNT, run
