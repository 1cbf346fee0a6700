"""Specialised loaders: their files are whole or absent; `test_arms` covers the rest."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets_impl.contest import peers
from datasets_impl.contest.fidelity import fidelity
from datasets_impl.contest.model import CROP
from datasets_impl.contest.peers.made import made_once
from datasets_impl.contest.peers.work import Work
from datasets_impl.contest.registry import ARMS
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.decoders import decoder
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files

PACKAGES = {
    "datasets", "ffcv", "grain", "litdata", "nvidia.dali", "spdl", "streaming", "webdataset",
}  # fmt: skip


@pytest.fixture
def photographs(session_cache: Path, tmp_path: Path) -> Path:
    root = ensure_corpus(CorpusSpec(12, 64), cache=session_cache).root
    folder = tmp_path / "home" / "images"
    folder.mkdir(parents=True)
    for path in jpeg_files(root):
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    return folder


def write(folder: Path) -> None:
    (folder / "data").write_text("whole")


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.parent.iterdir() if path.name.endswith(".partial")]


def test_what_fails_half_way_is_never_taken_for_whole(photographs: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "data").write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(StudyError, match="The disk is full"):
        made_once(photographs, "x", fails)
    assert not photographs.with_name("images.x").exists()
    assert (made_once(photographs, "x", write) / "data").read_text() == "whole"
    assert leftovers(photographs) == []


def test_it_is_made_once_and_again_when_a_photograph_changed(photographs: Path) -> None:
    times = []

    def counting(folder: Path) -> None:
        times.append(1)
        write(folder)

    for _ in range(2):
        made_once(photographs, "x", counting)
    assert len(times) == 1
    first = Path(jpeg_files(photographs)[0])
    os.utime(first, ns=(1, 1))
    made_once(photographs, "x", counting)
    assert len(times) == 2


@pytest.mark.parametrize("place", ["images.x", "images.x/made", ".images.x.partial"])
def test_what_somebody_else_wrote_is_left(place: str, photographs: Path) -> None:
    home = photographs.parent
    if place.endswith("made"):
        made_once(photographs, "x", write)
        os.utime(jpeg_files(photographs)[0], ns=(1, 1))
    stray = home / place.removesuffix("/made") / "thesis.txt"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("years of work")
    with pytest.raises(StudyError, match="holds something else"):
        made_once(photographs, "x", write)
    assert stray.read_text() == "years of work"


def test_two_at_once_make_it_once(photographs: Path) -> None:
    times = []

    def counting(folder: Path) -> None:
        times.append(1)
        write(folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: made_once(photographs, "x", counting), range(4)))
    assert len(times) == 1


def test_every_peer_does_every_task_and_names_its_package() -> None:
    found = peers.arms()
    assert {arm.package for arm in found} == PACKAGES
    for package in PACKAGES:
        tasks = {arm.task for arm in found if arm.package == package}
        assert tasks - {"remote"} == {"decode", "raw", "train"}
    assert all(arm.origin == "peer" and arm.about and arm.order for arm in found)


def test_a_package_that_is_not_installed_is_reported_as_such() -> None:
    arm = ARMS["decode", "webdataset"]
    assert not replace(arm, package="no_such_package").available
    assert not replace(arm, package="no_such_parent.package").available
    assert replace(arm, package="torch").available


def test_a_batch_of_the_work_is_its_images(photographs: Path) -> None:
    pieces = [Path(path).read_bytes() for path in jpeg_files(photographs)[:3]]
    batch = Work("decode").batch(pieces)
    expected = [decoder("pil").decode(piece, None) for piece in pieces]
    assert np.array_equal(batch.numpy(), np.stack(expected))
    pixels = [image.tobytes() for image in expected]
    assert np.array_equal(Work("raw", expected[0].shape).batch(pixels).numpy(), batch.numpy())
    assert Work("train").batch(pieces).shape == (3, 3, CROP, CROP)


@pytest.mark.parametrize(
    ("task", "name", "most"),
    [
        ("decode", "threaded-files", 0),
        ("decode", "threaded-files-fast", 3),
        ("raw", "gathered", 0),
        ("train", "threaded-crops", 0),
        ("train", "dataloader-simplejpeg", 0.5),
        ("train", "threaded-crops-fast", 6),
    ],
)
def test_fidelity(task: str, name: str, most: float, photographs: Path) -> None:
    arm = ARMS[task, name]  # type: ignore[index]
    if not arm.available:
        pytest.skip(f"{arm.package} is not installed")
    arm.prepare(photographs)
    found = fidelity(arm, photographs)
    if most == 0:
        assert (found.mean_difference, found.psnr) == (0, None)
    else:
        assert 0 <= found.mean_difference < most
        assert found.psnr is None or found.psnr > 25
    if not arm.exact:
        assert found.mean_difference > 0


def peers_of_decoding() -> list[str]:
    return [name for (task, name), arm in ARMS.items() if task == "decode" and arm.origin == "peer"]


@pytest.mark.parametrize("name", peers_of_decoding())
def test_no_temporary_file_is_left(
    name: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = ARMS["decode", name]
    if not arm.available:
        pytest.skip(f"{arm.package} is not installed")
    arm.prepare(photographs)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with arm.open(photographs, **arm.settings[0]) as batches:
        assert sum(len(batch) for batch in batches) == 12
    assert list(temporary.iterdir()) == []
