"""Every storage format: what is read is what was stored; what is not whole is refused."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COUNT, PX
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets_impl import formats
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, conversion, ensure_stored, plan
from datasets_impl.formats.conversion import JOURNAL
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.stored import HEADER, INDEX
from tests.converting import started

CASES = [(name, kind) for name, row in FORMATS.items() for kind in row.kinds]
every_case = pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(
            name,
            kind,
            marks=pytest.mark.skipif(
                not FORMATS[name].available, reason=f"{FORMATS[name].package} is not installed"
            ),
        )
        for name, kind in CASES
    ],
)
KILLS = 8


def expected(folder: Path, kind: str, name: str) -> list[bytes]:
    """What the format stores of each image: its bytes, or its pixels, or a form of its own."""
    paths, form = jpeg_files(folder), FORMATS[name].load("Format")()
    if kind == "jpeg":
        return [form.encode(Path(path).read_bytes()) for path in paths]
    return [np.array(Image.open(path).convert("RGB")).tobytes() for path in paths]


def contents(images: StoredImages) -> list[bytes]:
    return [bytes(images.read(index)) for index in range(len(images))]


def opened(name: str, folder: Path) -> StoredImages:
    images: StoredImages = FORMATS[name].load("Images")(folder)
    return images


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("."))


@pytest.fixture
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, of few images."""
    monkeypatch.setattr(plan, "CHUNK", 2)


@every_case
def test_a_set_that_was_moved_is_read_under_its_new_name(name: str, kind: Any, many: Path) -> None:
    """Also by a process that has it open: LMDB may open one file once only."""
    target = ensure_stored(many, kind, name).folder
    good = contents(opened(name, target))
    assert contents(opened(name, target.rename(target.with_name("moved")))) == good


@every_case
def test_what_is_read_is_what_was_stored(
    name: str, kind: Any, folder: Path, chunks_of_two: None
) -> None:
    images = ensure_stored(folder, kind, name)
    assert contents(images) == expected(folder, kind, name) and len(images) == COUNT
    assert images.header.shape == ([PX, PX, 3] if kind == "pixels" else [])
    assert [int(length) for length in images.index["length"]] == [
        len(data) for data in expected(folder, kind, name)
    ]
    assert all(file.is_file() for file in images.files)
    assert not leftovers(folder)
    assert not (images.folder / JOURNAL).exists()
    with pytest.raises(IndexError):
        images.read(COUNT)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_works_in_a_process_started_after_it_was_read(method: str, folder: Path) -> None:
    cases = [case for case in CASES if FORMATS[case[0]].available]
    sets = {case: ensure_stored(folder, case[1], case[0]) for case in cases}
    good = {case: expected(folder, case[1], case[0]) for case in cases}
    assert {case: contents(images) for case, images in sets.items()} == good
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = {case: pool.map_async(contents, [images] * 3) for case, images in sets.items()}
        for case, answers in found.items():
            assert answers.get(60) == [good[case]] * 3, case
    for case, images in sets.items():
        assert contents(images) == good[case], f"{case}: the parent's handle was spoilt"


@every_case
def test_pickles_to_its_path(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    images.read(0)
    encoded = pickle.dumps(images)
    again = pickle.loads(encoded)
    assert images.index.tobytes() not in encoded, "an index of millions would be sent to workers"
    assert contents(again) == expected(folder, kind, name)


@every_case
def test_converted_once_and_again_only_when_images_changed(
    name: str, kind: Any, folder: Path
) -> None:
    images = ensure_stored(folder, kind, name)
    before = (images.folder / HEADER).stat().st_mtime_ns
    assert (ensure_stored(folder, kind, name).folder / HEADER).stat().st_mtime_ns == before
    shutil.copyfile(jpeg_files(folder)[0], folder / "zzz.jpg")
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("name", [name for name, kind in CASES if kind == "jpeg"])
@given(
    blobs=st.lists(st.binary(min_size=1, max_size=1200), min_size=1, max_size=150),
    threads=st.integers(1, 4),
)
def test_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, blobs: list[bytes], threads: int
) -> None:
    """Behind a picture, since what is none is refused."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG")
    folder = tmp_path_factory.mktemp("blobs") / "images"
    folder.mkdir()
    for number, blob in enumerate(blobs):
        (folder / f"{number:04}.jpg").write_bytes(picture.getvalue() + blob)
    stored = contents(ensure_stored(folder, "jpeg", name, threads=threads))
    assert stored == expected(folder, "jpeg", name)


@every_case
def test_flipped_bits_never_give_wrong_bytes(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    good, draw = expected(folder, kind, name), random.Random(0)
    data = [path for path in images.files if path.stat().st_size]
    for _ in range(40):
        path = draw.choice([*data, images.folder / HEADER, images.folder / INDEX])
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert contents(opened(name, images.folder)) == good  # padding, or unused space
        except StudyError as error:
            assert "convert the images again" in str(error)
        path.write_bytes(whole)
    assert contents(opened(name, images.folder)) == good


@every_case
def test_a_flipped_bit_of_an_image_is_refused(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    piece = expected(folder, kind, name)[COUNT // 2][-64:]
    for path in images.files:
        content = path.read_bytes()
        at = content.find(piece)
        if at >= 0:
            path.write_bytes(content[: at + 5] + bytes([content[at + 5] ^ 8]) + content[at + 6 :])
            break
    else:
        pytest.fail("no file holds the image's bytes as they are")
    with pytest.raises(StudyError, match="damaged at image 6"):
        contents(opened(name, images.folder))


@every_case
def test_truncated_files_are_refused_and_converted_again(
    name: str, kind: Any, folder: Path
) -> None:
    images = ensure_stored(folder, kind, name)
    for path in [*images.files, images.folder / HEADER, images.folder / INDEX][:6]:
        whole = path.read_bytes()
        for length in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:length])
            with pytest.raises(StudyError, match="convert the images again"):
                opened(name, images.folder)
        path.write_bytes(whole)
    images.files[0].unlink()
    with pytest.raises(StudyError, match="is missing; delete the stored set"):
        opened(name, images.folder)
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no stored set .*nothing; convert the images first"):
        opened("pack", tmp_path / "nothing")


def test_another_format_is_refused(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "pack")
    with pytest.raises(StudyError, match="is in the format 'pack', not 'tar'"):
        opened("tar", images.folder)


def test_a_format_refuses_a_kind_it_does_not_store(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"kind is 'jpeg'; give pixels, which .* 'zarr'"):
        ensure_stored(folder, "jpeg", "zarr")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="needs the package 'lmdb'"):
        FORMATS["lmdb"].load("Images")


def test_an_image_is_checked_once(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "pack")
    assert images.unchecked(range(3)) == [0, 1, 2]
    images.read(1)
    assert images.unchecked(range(3)) == [0, 2]
    assert opened("pack", images.folder).unchecked(range(1)) == [0]
    unverified = FORMATS["pack"].load("Images")(images.folder, verify=False)
    assert unverified.unchecked(range(3)) == []


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


class Stop(Exception):
    """Raised in place of a kill."""


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
    real, count = conversion.Plan.content, iter(range(100))

    def stopping(plan: Any, index: int) -> bytes:
        if next(count) == 8:
            raise Stop
        return real(plan, index)

    monkeypatch.setattr(conversion.Plan, "content", stopping)
    with pytest.raises(Stop):
        ensure_stored(folder, kind, name, threads=1)
    monkeypatch.setattr(conversion.Plan, "content", real)
    partial = folder.with_name(f".images.{kind}.{name}.partial")
    data = [path for path in partial.rglob("*") if path.is_file() and path.name != JOURNAL]
    for path in data[: len(data) // 2 + 1]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        path.write_bytes(content)
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


# --- kills, and two at once ------------------------------------------------------------------


@pytest.fixture
def many(folder: Path) -> Path:
    """Enough images for several chunks."""
    for path in jpeg_files(folder):
        for copy in range(40):
            shutil.copyfile(path, folder / f"{copy:03}-{Path(path).name}")
    return folder


@pytest.mark.slow
@every_case
def test_a_kill_at_any_moment_leaves_nothing_that_passes_for_whole(
    name: str, kind: Any, many: Path
) -> None:
    target, draw = many.with_name(f"images.{kind}.{name}"), random.Random(7)
    good = expected(many, kind, name)
    undisturbed, said = started(many, kind, name)
    last = said.recv()
    undisturbed.join()
    shutil.rmtree(target)
    interrupted = 0
    for number in range(KILLS):
        first = 1 if number % 2 else last - last // 20  # every other one at its end
        process, said = started(many, kind, name, draw.randint(first, last))
        interrupted += said.recv() == "here"
        process.kill()
        process.join()
        for folder in many.parent.glob(f"*images.{kind}.{name}*"):
            if not folder.is_dir():
                continue
            try:
                assert contents(opened(name, folder)) == good, f"a wrong set: {folder.name}"
            except StudyError:
                assert folder != target, "what has the name is whole"
        if target.exists():
            shutil.rmtree(target)
    assert interrupted >= KILLS // 2, "too few conversions were killed while they worked"
    assert contents(ensure_stored(many, kind, name)) == good


@pytest.mark.slow
@every_case
def test_two_processes_at_once(name: str, kind: Any, many: Path) -> None:
    both = [started(many, kind, name) for _ in range(2)]
    for process, _ in both:
        process.join()
    assert [process.exitcode for process, _ in both] == [0, 0]
    assert contents(opened(name, many.with_name(f"images.{kind}.{name}"))) == expected(
        many, kind, name
    )


# --- what stands where a set would go --------------------------------------------------------


def snapshot(home: Path) -> dict[str, bytes]:
    """Every file below."""
    return {
        str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()
    }


@every_case
@pytest.mark.parametrize("where", ["the folder", "above", "other files", "a file", "a link"])
def test_what_is_no_stored_set_is_never_replaced(
    name: str, kind: Any, where: str, folder: Path
) -> None:
    home, other = folder.parent, folder.parent / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    (home / "link").symlink_to(folder)
    target = {
        "the folder": folder,
        "above": home,
        "other files": other,
        "a file": other / "thesis.txt",
        "a link": home / "link",
    }[where]
    before = snapshot(home)
    with pytest.raises(StudyError, match=r"another (place|one)"):
        ensure_stored(folder, kind, name, target=target)
    assert snapshot(home) == before


@every_case
@pytest.mark.parametrize("harm", ["beside the data", "a folder", "a link", "no header"])
def test_a_set_that_somebody_else_wrote_into_is_left(
    name: str, kind: Any, harm: str, folder: Path
) -> None:
    target = ensure_stored(folder, kind, name).folder
    if harm == "beside the data":
        (target / "thesis.txt").write_text("years of work")
    elif harm == "a folder":
        (target / "work").mkdir()
    elif harm == "a link":
        (target / "work").symlink_to(folder)
    else:
        (target / HEADER).write_text("{")
    (folder / "00000.jpg").unlink()  # the set is out of date
    before = snapshot(target)
    with pytest.raises(StudyError, match="holds something else"):
        ensure_stored(folder, kind, name)
    assert snapshot(target) == before


def test_an_empty_folder_or_a_damaged_set_is_replaced(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "set"
    target.mkdir(parents=True)
    images = ensure_stored(folder, "jpeg", "pack", target=target)
    assert contents(images) == expected(folder, "jpeg", "pack")
    header = target / HEADER
    header.write_text(header.read_text().replace('"seal": "', '"seal": "x'))
    assert contents(ensure_stored(folder, "jpeg", "pack", target=target)) == contents(images)
    assert contents(ensure_stored(folder, "jpeg", "tar", target=target)) == contents(images)
    assert sorted(path.name for path in target.parent.iterdir()) == ["set"]


@pytest.mark.parametrize("inside", ["thesis.txt", "data", "journal"])
def test_a_partial_folder_of_somebody_else_is_left(inside: str, folder: Path) -> None:
    partial = folder.with_name(".images.jpeg.pack.partial")
    partial.mkdir()
    (partial / inside).write_text("years of work")
    with pytest.raises(StudyError, match="holds something else"):
        ensure_stored(folder, "jpeg", "pack")
    assert (partial / inside).read_text() == "years of work"


@every_case
def test_what_is_added_to_an_unfinished_conversion_is_left(
    name: str, kind: Any, folder: Path, chunks_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 7)
    with pytest.raises(Stop):
        ensure_stored(folder, kind, name, threads=1)
    monkeypatch.undo()
    partial = folder.with_name(f".images.{kind}.{name}.partial")
    (partial / ".half-a-file.xyz.tmp").write_text("of a killed writer")
    (partial / "thesis.txt").write_text("years of work")
    with pytest.raises(StudyError, match="holds something else"):
        ensure_stored(folder, kind, name)
    (partial / "thesis.txt").unlink()
    images = ensure_stored(folder, kind, name)
    assert contents(images) == expected(folder, kind, name)
    assert not list(images.folder.glob(".*"))


# --- the first, the last, and what goes wrong at once ----------------------------------------


def stop_at(monkeypatch: pytest.MonkeyPatch, image: int) -> list[int]:
    """A conversion that is stopped at its `image`-th; what it read is in the list."""
    real, read = conversion.Plan.content, []

    def stopping(plan: Any, index: int) -> bytes:
        read.append(index)
        if len(read) == image:
            raise Stop
        return real(plan, index)

    monkeypatch.setattr(conversion.Plan, "content", stopping)
    return read


def test_a_relative_folder_and_the_home_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    def one(value: int) -> None:
        taken.append(value)
        raise Stop

    with pytest.raises(Stop):
        list(conversion._each(one, range(50), threads=1))
    assert taken == [0]


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
