"""A conversion that is stopped, killed or cannot go on is whole or not there, with a sentence."""

from __future__ import annotations

import _thread
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNT, PX
from PIL import Image

from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import conversion, ensure_stored
from datasets_impl.formats.conversion import JOURNAL
from tests.converting import started
from tests.leftovers import until
from tests.stored_sets import CASES, Stop, contents, every_case, expected, opened, stop_at

KILLS = 4


@every_case
def test_mixed_shapes(name: str, kind: Any, folder: Path) -> None:
    Image.new("RGB", (PX + 1, PX)).save(folder / "wide.jpg")
    if kind == "jpeg":
        assert len(ensure_stored(folder, kind, name)) == COUNT + 1
        return
    with pytest.raises(StudyError, match=r"wide\.jpg is 49x48 pixels and .*00000.jpg, is 48x48"):
        ensure_stored(folder, kind, name)
    assert not list(folder.parent.glob("images.*"))


@every_case
def test_goes_on_after_an_unreadable_image_is_mended(
    name: str, kind: Any, folder: Path, chunks_of_two: None
) -> None:
    if kind == "jpeg":
        (folder / "zz.jpg").symlink_to(folder / "nowhere")
        with pytest.raises(StudyError, match=r"zz\.jpg could not be read"):
            ensure_stored(folder, kind, name)
        (folder / "zz.jpg").unlink()
    else:
        broken = Path(jpeg_files(folder)[-1])
        whole, status = broken.read_bytes(), broken.stat()
        broken.write_bytes(b"no picture")
        with pytest.raises(StudyError, match="could not be read"):
            ensure_stored(folder, kind, name)
        broken.write_bytes(whole)
        assert status.st_size == broken.stat().st_size
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has no JPEG file"):
        ensure_stored(tmp_path, "jpeg", "pack")


@every_case
def test_what_was_written_is_not_written_again(
    name: str, kind: Any, folder: Path, chunks_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = stop_at(monkeypatch, 7)
    with pytest.raises(Stop):
        ensure_stored(folder, kind, name, threads=1)
    assert read == list(range(7)), "one thread works in order"
    assert contents(ensure_stored(folder, kind, name, threads=1)) == expected(folder, kind, name)
    assert read[7:] == list(range(6, COUNT)), "three whole chunks were kept"


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[0] != "lmdb"])
def test_a_journal_that_lies_is_not_believed(
    name: str, kind: Any, folder: Path, chunks_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash of the machine: the journal reached the disk, the data did not.

    LMDB has transactions of its own, synced with every chunk; it aborts over pages that are lost.
    """
    stop_at(monkeypatch, 9)
    with pytest.raises(Stop):
        ensure_stored(folder, kind, name, threads=1)
    partial = folder.with_name(f".images.{kind}.{name}.partial")
    data = [path for path in partial.rglob("*") if path.is_file() and path.name != JOURNAL]
    for path in data[: len(data) // 2 + 1]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        path.write_bytes(content)
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


@pytest.mark.slow
@every_case
def test_a_kill_at_any_moment_leaves_nothing_that_passes_for_whole(
    name: str, kind: Any, folder: Path, chunks_of_two: None
) -> None:
    target, draw = folder.with_name(f"images.{kind}.{name}"), random.Random(7)
    good = expected(folder, kind, name)
    undisturbed, said = started(folder, kind, name)
    last = said.recv()
    undisturbed.join()
    shutil.rmtree(target)
    interrupted = 0
    for number in range(KILLS):
        first = 1 if number % 2 else last - 15  # every other one at its end
        process, said = started(folder, kind, name, draw.randint(first, last))
        interrupted += said.recv() == "here"
        process.kill()
        process.join()
        for left in folder.parent.glob(f"*images.{kind}.{name}*"):
            if not left.is_dir():
                continue
            try:
                assert contents(opened(name, left)) == good, f"a wrong set: {left.name}"
            except StudyError:
                assert left != target, "what has the name is whole"
        if target.exists():
            shutil.rmtree(target)
    assert interrupted >= KILLS // 2, "too few conversions were killed while they worked"
    assert contents(ensure_stored(folder, kind, name)) == good


@pytest.mark.slow
@every_case
def test_two_processes_at_once(name: str, kind: Any, folder: Path, chunks_of_two: None) -> None:
    for path in jpeg_files(folder):  # enough that the second begins before the first is done
        for copy in range(3):
            shutil.copyfile(path, folder / f"{copy}-{Path(path).name}")
    both = [started(folder, kind, name) for _ in range(2)]
    for process, _ in both:
        process.join()
    assert [process.exitcode for process, _ in both] == [0, 0]
    target = folder.with_name(f"images.{kind}.{name}")
    assert contents(opened(name, target)) == expected(folder, kind, name)


def test_a_relative_folder_and_the_home_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder)
    here = ensure_stored(".", "jpeg", "pack")
    assert here.folder == folder.with_name("images.jpeg.pack")
    assert ensure_stored("~/images", "jpeg", "pack").folder == here.folder
    there = ensure_stored("~/images", "jpeg", "pack", target="~/elsewhere").folder
    assert there == folder.with_name("elsewhere")
    with pytest.raises(StudyError, match="Nothing can be written beside /"):
        conversion.beside(Path("/"), "jpeg.pack")


def test_a_conversion_that_has_failed_takes_up_no_other_image() -> None:
    """However the threads are scheduled: the pool may take what is queued before it is told."""
    taken = []

    def one(value: int, ended: threading.Event) -> None:
        taken.append(value)
        raise Stop

    with pytest.raises(Stop):
        list(conversion._each(one, range(50), threads=1))
    assert taken == [0]


def test_nobody_waits_for_an_image_that_has_begun_after_ctrl_c() -> None:
    told = []

    def one(value: int, ended: threading.Event) -> None:
        _thread.interrupt_main()
        told.append(ended.wait(600))

    with pytest.raises(KeyboardInterrupt):
        list(conversion._each(one, [0], threads=1))
    assert until(lambda: told == [True])


def test_threads_that_cannot_be_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StudyError, match="starts no more threads"):
            ensure_stored(folder, "jpeg", "pack")
    assert len(ensure_stored(folder, "jpeg", "pack")) == len(jpeg_files(folder))


def test_a_picture_larger_than_memory_is_named(folder: Path) -> None:
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(StudyError, match=r"huge\.jpg could not be read .*not enough memory"):
        ensure_stored(folder, "jpeg", "pack")


@pytest.mark.parametrize("threads", [0, -1, 2.5, "4"])
def test_threads_that_are_no_count(threads: Any, folder: Path) -> None:
    with pytest.raises(BadArgument, match=r"threads is .*; give a whole number of at least 1"):
        ensure_stored(folder, "jpeg", "pack", threads=threads)


@pytest.mark.parametrize(("kind", "name"), [("jpeg", "parquet"), ("png", "pack"), (3, "pack")])
def test_unknown_names_are_answered_with_those_there_are(
    kind: Any, name: str, folder: Path
) -> None:
    with pytest.raises(BadArgument, match=r"give (one of pack, lmdb|jpeg or pixels)"):
        ensure_stored(folder, kind, name)
