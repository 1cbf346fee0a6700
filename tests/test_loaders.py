"""What the loader promises of each dataset of images, in the trainer's process."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX, ROOT
from PIL import Image

from datasets_impl.errors import BadImage, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.variants.decoding import BatchedDecodingDataset
from tests.commands import python
from tests.loading import EXACT, WHOLE, decoded, loaded
from tests.nursery import Nursery

every_loader = pytest.mark.parametrize("name", WHOLE)
FAST_MEAN = 2.5  # of 255, as in test_decoders


def reference(folder: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path).convert("RGB")) for path in jpeg_files(folder)]


def images(batches: Any) -> list[bytes]:
    return [image.permute(1, 2, 0).numpy().tobytes() for batch in batches for image in batch]


@every_loader
def test_batches(name: str, folder: Path) -> None:
    made = WHOLE[name](folder, batch_size=5, sampler=range(COUNT))
    batches = [batch.clone() for batch in made]
    assert len(made) == len(batches) == 3
    assert [tuple(batch.shape) for batch in batches] == [
        (size, 3, PX, PX) for size in (5, 5, COUNT - 10)
    ]
    last = torch.channels_last
    assert all(
        batch.dtype == torch.uint8 and batch.is_contiguous(memory_format=last) for batch in batches
    )


@every_loader
def test_batches_are_in_memory_whatever_the_default_device_is(name: str, folder: Path) -> None:
    with torch.device("meta"):  # stands for any device: nothing on it can be read
        found = images(WHOLE[name](folder, batch_size=5))
    assert Counter(found) == Counter(images(WHOLE[name](folder, batch_size=5)))


@every_loader
def test_pixels_against_pil_in_the_order_asked_for(name: str, folder: Path) -> None:
    expected, order = reference(folder), [7, 0, 11, 3, 3]
    (batch,) = WHOLE[name](folder, sampler=order)
    for image, index in zip(batch.permute(0, 2, 3, 1).numpy(), order, strict=True):
        difference = np.abs(image.astype(int) - expected[index])
        assert difference.mean() < FAST_MEAN if name not in EXACT else not difference.any()


@every_loader
def test_every_image_once_an_epoch_in_an_order_the_seed_decides(name: str, folder: Path) -> None:
    build = WHOLE[name]
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
    made = WHOLE[name](folder, batch_size=5, drop_last=True)
    assert [len(batch) for batch in made] == [5, 5] and len(made) == 2


@every_loader
def test_what_the_trainer_keeps_is_not_overwritten(name: str, folder: Path) -> None:
    made = WHOLE[name](folder, batch_size=2, sampler=list(range(COUNT)) * 3)
    expected = images(WHOLE[name](folder, batch_size=2, sampler=list(range(COUNT)) * 3))
    kept = list(made)
    assert images(kept) == expected


@every_loader
def test_memory_is_used_again(name: str, folder: Path) -> None:
    made = WHOLE[name](folder, batch_size=5 * COUNT, sampler=list(range(COUNT)) * 300)
    addresses = {batch.data_ptr() for batch in made}
    assert len(addresses) <= 16, "of 60 batches"


@every_loader
def test_a_trainer_may_stop_early_and_begin_again(name: str, folder: Path) -> None:
    made = WHOLE[name](folder, batch_size=2)
    for _ in range(5):
        for _batch in made:
            break
    assert Counter(images(made)) == Counter(images(WHOLE[name](folder)))


def each_of(made: dict[str, Any]) -> dict[str, list[bytes]]:
    return {name: images(loader) for name, loader in made.items()}


def test_work_in_a_process_started_after_they_were_used(
    folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    made = {name: WHOLE[name](folder, batch_size=5, sampler=range(COUNT)) for name in WHOLE}
    expected = each_of(made)
    assert nursery.call(tmp_path, each_of, made) == expected
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(each_of, (made,)).get(200) == expected


@every_loader
def test_pickles_small(name: str, folder: Path) -> None:
    made = WHOLE[name](folder)
    expected = set(images(made))
    encoded = pickle.dumps(made)
    assert len(encoded) < COUNT * PX * PX
    assert set(images(pickle.loads(encoded))) == expected


def test_threads_end_with_their_loader(folder: Path) -> None:
    def decoding() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("make-batch")]

    before = decoding()  # of loaders that other tests left to the garbage collector
    made = decoded(folder, threads=2)
    images(made)
    workers = [one for one in decoding() if one not in before]
    assert 1 <= len(workers) <= 2
    del made
    for worker in workers:
        worker.join()
    assert not any(worker.is_alive() for worker in workers)


@pytest.mark.parametrize("name", ["files", "pack"])
def test_a_broken_image_is_named(name: str, folder: Path) -> None:
    """By a reader too, where a conversion did not see it: it has no quantisation table."""
    whole = next(folder.glob("*.jpg")).read_bytes()
    (folder / "zz-broken.jpg").write_bytes(whole.replace(b"\xff\xdb", b"\xff\xfe"))
    made = WHOLE[name](folder, batch_size=4)
    with pytest.raises(ValueError, match=r"(zz-broken\.jpg|image 12 of)"):
        images(made)
    assert len(images(WHOLE[name](folder, sampler=range(COUNT)))) == COUNT


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
    expected = images(decoded(folder, sampler=range(COUNT)))
    assert images(decoded(stored, sampler=range(COUNT))) == expected
    dataset = BatchedDecodingDataset(stored)
    for batch in (
        dataset.__getitems__(list(range(COUNT))),
        torch.stack([dataset[index] for index in range(COUNT)]),
    ):
        assert images([batch.permute(0, 3, 1, 2)]) == expected


@pytest.mark.parametrize("odd", ["00-wide.jpg", "zz-wide.jpg"], ids=["first", "last"])
@pytest.mark.parametrize("size", [(PX + 1, PX), (1, 1), (PX // 2, 2 * PX)], ids=str)
def test_two_sizes_are_both_named(odd: str, size: tuple[int, int], folder: Path) -> None:
    Image.new("RGB", size).save(folder / odd)
    with pytest.raises(BadImage, match="images of a batch need one size") as refused:
        images(decoded(folder, sampler=range(COUNT + 1)))
    for said in (odd, f"{size[0]} x {size[1]}", ".jpg has", f"{PX} x {PX}"):
        assert said in str(refused.value)
    assert sum(path.name in str(refused.value) for path in folder.iterdir()) == 2
    assert len(images(decoded(folder, 1, sampler=range(COUNT + 1)))) == COUNT + 1


def test_a_damaged_pack_is_refused_while_it_is_read(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    content = bytearray(pack.files[0].read_bytes())
    content[-1] ^= 1
    pack.files[0].write_bytes(content)
    made = loaded(StoredPixels(pack.folder), 4, sampler=range(COUNT))
    with pytest.raises(StudyError, match="damaged at image 11"):
        images(made)


def test_a_pack_cut_short_between_two_epochs_is_refused(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    made = loaded(StoredPixels(pack.folder))
    images(made)
    os.truncate(pack.files[0], 100)
    with pytest.raises(StudyError, match="was cut short while it was in use"):
        images(made)
    with pytest.raises(StudyError, match="convert the images again"):
        images(pickle.loads(pickle.dumps(made)))


def test_changing_a_batch_does_not_change_the_pack(folder: Path) -> None:
    pack = ensure_stored(folder, "pixels", "pack")
    before = pack.files[0].read_bytes()
    made = loaded(StoredPixels(pack.folder), sampler=range(COUNT))
    expected = images(made)
    for batch in made:
        batch.zero_()
    assert images(made) == expected and pack.files[0].read_bytes() == before


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 10])
def test_shards_are_disjoint_and_complete(world: int, count: int) -> None:
    shards = [ShardedShuffle(count, 3, rank, world) for rank in range(world)]
    for _ in range(2):
        orders = [list(shard) for shard in shards]
        assert sorted(index for order in orders for index in order) == list(range(count))
        assert [len(order) for order in orders] == [len(shard) for shard in shards]


@pytest.mark.slow
def test_torchrun_sees_every_image_once_an_epoch(folder: Path, tmp_path: Path) -> None:
    done = python(
        *("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"),
        *(Path(__file__).with_name("distributed_epoch.py"), folder, tmp_path),
        TMPDIR=tmp_path,
        PYTHONPATH=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert len(ranks[0]) == len(WHOLE) * 4 + 16
    for run in ranks[0]:
        counts = [len(ranks[0][run]), len(ranks[1][run])]
        both = {*ranks[0][run], *ranks[1][run]}
        if "odd" not in run:
            assert sum(counts) == len(both) == COUNT, run
        elif "distributed" not in run:  # each image once, and one process has a batch more
            assert sum(counts) == len(both) == COUNT - 1 and counts[0] == counts[1] + 1, run
        else:  # equally many: one image twice, or one left out
            assert counts[0] == counts[1], run
            assert len(both) == (COUNT - 2 if "dropped" in run else COUNT - 1), run
