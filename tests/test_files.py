"""Which files of a folder are its images, whether they changed, and how one is read."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl import registry
from datasets_impl.convert import convert_to_shards
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.corpus.user_images import list_pictures
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.decoders import DECODERS
from datasets_impl.documented import InefficientDataset
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files import pictures as files
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import decoded, fingerprint, jpeg_files
from datasets_impl.formats import ensure_stored
from datasets_impl.indexing import NoSuchItem, position
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.variants.inefficient_batches import InefficientBatchesDataset
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset
from datasets_impl.variants.raw_files import RawFileDataset
from scripts.session.places import check_place
from tests import loading
from tests.commands import python
from tests.further import EVERY, available
from tests.nursery import Nursery


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Two folders that use one name, another suffix, what is no image, and a hidden folder."""
    root = tmp_path / "photos"
    for number, name in enumerate(
        ["cat/1.jpg", "dog/1.jpg", "dog/2.JPEG", ".cache/3.jpg", "0.jpg"]
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (40 * number, 0, 0)).save(path, "jpeg")
    (root / "notes.txt").write_text("no image")
    return root


def test_images_of_all_folders_are_found_in_order(nested: Path) -> None:
    found = [str(Path(path).relative_to(nested)) for path in jpeg_files(nested)]
    assert found == ["0.jpg", "cat/1.jpg", "dog/1.jpg", "dog/2.JPEG"]


def test_images_of_one_name_stay_apart(nested: Path) -> None:
    kept, raw = PreloadedDataset(nested), RawFileDataset(nested)
    assert len(kept) == len(raw) == 4
    assert all((kept[index] == raw[index]).all() for index in range(4))


def test_a_folder_without_images_is_no_empty_epoch(nested: Path) -> None:
    for inner in ("cat", "dog"):
        shutil.rmtree(nested / inner)
    (nested / "0.jpg").unlink()
    for make in (PreloadedDataset, DecodedImages):
        with pytest.raises(StudyError, match="no JPEG file"):
            make(nested)


def test_a_folder_of_images_is_not_to_be_deleted_for_a_stored_set(nested: Path) -> None:
    with pytest.raises(StudyError, match="make one of a folder of images") as told:
        StoredPixels(nested)
    assert "delete" not in str(told.value)


def test_paths_as_a_person_gives_them(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(nested.parent))
    monkeypatch.chdir(nested / "cat")
    for given in ("~/photos", "..", Path("../../photos")):
        assert jpeg_files(given) == jpeg_files(nested)
    assert ReadOnlyMappedDataset("..", "~/p").data_file == nested.parent / "p"
    assert Path(RawFileDataset("~/photos").files[0]).parent == nested.parent / "photos.raw"


@pytest.mark.parametrize("given", [None, 5, b"photos", [], object()])
def test_what_is_no_path(given: Any) -> None:
    for take in (jpeg_files, PreloadedDataset, RawFileDataset):
        with pytest.raises(BadArgument, match="give text or a `Path`"):
            take(given)


def test_the_folder_above_a_link_is_that_above_its_target(
    nested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = nested.parent / "here"
    (here / "cat").mkdir(parents=True)
    (here / "link").symlink_to(nested / "dog")
    Image.new("RGB", (8, 6)).save(here / "cat" / "other.jpg")
    monkeypatch.chdir(here)
    assert jpeg_files("link/../cat") == [str(nested / "cat" / "1.jpg")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["-m", "datasets_impl.convert", "/", "/set"], ["-m", "datasets_impl.doctor", "/"],
     ["-c", "from datasets_impl import *"]],
)  # fmt: skip
def test_a_command_whose_current_folder_is_gone(command: list[str], tmp_path: Path) -> None:
    """PyTorch's own libraries end the process where they are loaded there."""
    (tmp_path / "gone").mkdir()
    gone = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, sys.argv[1:])"
    done = python(
        *("-c", gone, sys.executable, *command),
        at=tmp_path / "gone", PYTHONPATH=Path(files.__file__).parents[2],
    )  # fmt: skip
    sentence = "The current folder is gone; change to another one.\n"
    if command[0] == "-m":
        assert (done.returncode, done.stderr) == (2, f"error: {sentence}")
    else:
        assert done.returncode == 1 and done.stderr.endswith(sentence), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_script_whose_current_folder_is_gone(
    method: str, folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    """Paths in it are whole ones, so what can be done without a current folder is done."""
    script = (
        "import os\nfrom datasets_impl import *\nif __name__ == '__main__':\n"
        "    os.mkdir('gone')\n    os.chdir('gone')\n    os.rmdir(os.getcwd())\n"
        f"    with ThreadedLoader(DecodedImages({str(folder)!r}), 4, start_method={method!r}) as l:"
        f"\n        print(len(list(l)), len(ensure_stored({str(folder)!r}, 'jpeg', 'pack')))\n"
    )
    nursery.program(tmp_path, script).wait()
    fine = method == "fork" and (tmp_path / "out").read_text() == "3 12\n"
    said = (tmp_path / "err").read_text()
    assert fine or said.endswith("The current folder is gone; change to another one.\n")


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StudyError, match="current folder is gone"):
        jpeg_files("photos")


@pytest.mark.parametrize("blank", ["", " ", "\t", Path(" ")])
def test_a_blank_path_is_refused(blank: str | Path) -> None:
    """It comes of a variable that is not set, and a folder of that name is found by nobody."""
    with pytest.raises(StudyError, match="path is empty or blank"):
        user_path(blank)


def test_links_to_folders_are_followed_and_each_folder_taken_once(nested: Path) -> None:
    before = jpeg_files(nested)
    elsewhere = nested.parent / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (8, 6)).save(elsewhere / "4.jpg")
    for name, place in {
        "a": "cat",
        "up": "",
        "more": "../elsewhere",
        "more2": "../elsewhere",
    }.items():
        (nested / name).symlink_to(nested / place)
    (nested / "loop").symlink_to(nested / "loop")
    assert jpeg_files(nested) == sorted([*before, str(nested / "more" / "4.jpg")])


def test_pixels_are_not_written_where_they_would_be_taken_for_a_picture(nested: Path) -> None:
    with pytest.raises(BadArgument, match="a name that is not a picture's"):
        ReadOnlyMappedDataset(nested, nested / "x.JPG")
    os.mkfifo(nested.parent / "pipe")
    with pytest.raises(StudyError, match="holds something else"):  # and does not wait for it
        ReadOnlyMappedDataset(nested, nested.parent / "pipe")


def deep(bits: int) -> Image.Image:
    ramp = np.arange(48).reshape(6, 8)
    return Image.fromarray((ramp * 1300).astype(np.uint16) if bits == 16 else ramp.astype(np.int32))


@pytest.mark.filterwarnings("ignore:.*Pillow decodes it:RuntimeWarning")
def test_of_sixteen_bits_the_higher_eight_are_kept(tmp_path: Path) -> None:
    deep(16).save(tmp_path / "a.jpg", "PNG")
    wanted = (np.arange(48).reshape(6, 8) * 1300) >> 8
    for name in DECODERS:
        for pixels in next(iter(loading.decoded(tmp_path, decode_with=name))):
            np.testing.assert_array_equal(pixels[1], wanted)
    np.testing.assert_array_equal(PreloadedDataset(tmp_path)[0][..., 2], wanted)


def test_thirty_two_bits_are_refused(tmp_path: Path) -> None:
    deep(32).save(tmp_path / "a.jpg", "TIFF")
    for read in (lambda: PreloadedDataset(tmp_path), lambda: list(loading.decoded(tmp_path))):
        with pytest.raises(StudyError, match=r"a\.jpg could not be read .*32 bits"):
            read()


@pytest.mark.parametrize("kind", [loading.decoded, loading.crops])
def test_a_small_file_that_claims_billions_of_pixels(kind: Any, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.find(b"\xff\xc0") + 5  # height and width in the frame's header
    data[at : at + 4] = (65_500).to_bytes(2, "big") * 2
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(StudyError, match=r"a\.jpg could not be read .*Pillow decodes"):
        list(kind(tmp_path))


@pytest.mark.parametrize(
    "change", [{"seal": None}, {"side": [6.0, 8]}, {"side": [8, 6]}, {"side": [-6, -8]}]
)
def test_a_header_that_was_edited_is_none(change: dict[str, Any], tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    Image.new("RGB", (8, 6), (1, 2, 3)).save(root / "1.jpg")
    wanted = ReadOnlyMappedDataset(root)[0]
    RawFileDataset(root)

    def edited(header: dict[str, Any], **shape: Any) -> dict[str, Any]:
        return {**header, **({"seal": None} if "seal" in change else shape)}

    data, index = tmp_path / "photos.pixels", tmp_path / "photos.raw" / "index.json"
    content, side = data.read_bytes(), [*change.get("side", ()), 3]
    header = edited(json.loads(content[16:4096]), shape=[1, *side])
    data.write_bytes(content[:16] + json.dumps(header).encode().ljust(4080) + content[4096:])
    index.write_text(json.dumps(edited(json.loads(index.read_text()), shapes=[side])))
    assert ReadOnlyMappedDataset(root)[0].equal(wanted)
    assert RawFileDataset(root)[0].equal(wanted)


@pytest.mark.parametrize("name", ["0000000-sunset.raw", "0000007.raw", "0000000.raw/thesis.txt"])
def test_a_users_file_among_raw_pixels_is_left(name: str, nested: Path) -> None:
    place = Path(RawFileDataset(nested).files[0]).parent / name
    if place.parent.is_file():
        place.parent.unlink()
    place.parent.mkdir(exist_ok=True)
    place.write_text("of my camera")
    image = next(nested.rglob("*.jpg"))
    image.rename(image.with_name("renamed.jpg"))
    with pytest.raises(StudyError, match="holds something else than raw pixels"):
        RawFileDataset(nested)
    assert place.read_text() == "of my camera"


@pytest.mark.parametrize("given", ["absent", "0.jpg"])
def test_what_cannot_be_listed_is_one_sentence(given: str, nested: Path) -> None:
    with pytest.raises(StudyError, match=r"cannot be listed .*; name a folder of JPEG files"):
        jpeg_files(nested / given)


TAKE_A_PATH = {
    "crops": lambda path: RandomCrops(path, size=8),
    "mapped": lambda path: ReadOnlyMappedDataset(path),
    "stored": lambda path: ensure_stored(path, "jpeg", "pack"),
    "shards": lambda path: convert_to_shards([__file__], path),
    "pictures": lambda path: list_pictures(path),
    "cache": lambda path: ensure_corpus(CorpusSpec(1, 8), cache=path),
    "study": lambda path: check_place("--out", user_path(path)),
}  # fmt: skip


@pytest.mark.parametrize("take", TAKE_A_PATH.values(), ids=TAKE_A_PATH)
def test_a_path_that_cannot_be_looked_at_is_one_sentence(
    take: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is too long, or a folder above it is another user's."""
    named = r"cannot be looked at \({}\); name another place"
    with pytest.raises(StudyError, match=named.format("File name too long")):
        take(tmp_path / ("long" * 75))
    real = os.stat

    def forbidden(path: object, **how: Any) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/above/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", forbidden)
    with pytest.raises(StudyError, match=named.format("Permission denied")):
        take(tmp_path / "above" / "photos")
    assert not list(tmp_path.iterdir())


def test_a_named_pipe_is_not_waited_for(nested: Path) -> None:
    os.mkfifo(nested / "cat" / "9.jpg")
    with pytest.raises(StudyError, match=r"9\.jpg is no regular file"):
        jpeg_files(nested)
    (nested / "cat" / "9.jpg").unlink()
    (nested / "cat" / "9.jpg").symlink_to(nested / "nowhere")
    with pytest.raises(StudyError, match=r"9\.jpg could not be read \(No such file"):
        fingerprint(jpeg_files(nested), nested)


# --- whether they changed --------------------------------------------------------------------


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("size", [0, 20_000, 200_000])
def test_folders_that_changed_places(size: int, nested: Path) -> None:
    """Of the same names, sizes and times: what is stored of them is made anew."""
    for number, folder in enumerate(("cat", "dog")):
        path = nested / folder / "1.jpg"
        Image.new("RGB", (8, 6), (9, 9, 90 * number)).save(path, "jpeg")
        path.write_bytes(path.read_bytes().ljust(size, bytes([number])))
        os.utime(path, ns=(1, 1))
    (nested / "dog" / "2.JPEG").unlink()
    before = fingerprint(jpeg_files(nested), nested)
    old = bytes(ensure_stored(nested, "pixels", "pack").read(1))
    assert bytes(ReadOnlyMappedDataset(nested)[1].numpy()) == old
    assert bytes(RawFileDataset(nested)[1].numpy()) == old
    swap(nested / "cat", nested / "dog")
    assert fingerprint(jpeg_files(nested), nested) != before
    assert bytes(ensure_stored(nested, "pixels", "pack").read(1)) != old
    assert bytes(ReadOnlyMappedDataset(nested)[1].numpy()) != old
    assert bytes(RawFileDataset(nested)[1].numpy()) != old
    swap(nested / "cat", nested / "dog")
    assert fingerprint(jpeg_files(nested), nested) == before


def test_a_folder_that_was_moved_or_copied_is_the_same(nested: Path) -> None:
    before = fingerprint(jpeg_files(nested), nested)
    moved = nested.rename(nested.with_name("moved"))
    assert fingerprint(jpeg_files(moved), moved) == before
    copied = shutil.copytree(moved, nested)
    assert fingerprint(jpeg_files(copied), copied) == before


def test_of_many_files_some_are_opened(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def count(path: str, size: int) -> int:
        opened.append(path)
        return 0

    monkeypatch.setattr(files, "sample", count)
    monkeypatch.setattr(files, "SAMPLED_FILES", 2)
    fingerprint(jpeg_files(nested), nested)
    assert opened == jpeg_files(nested)[::2]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff" + b"n" * 240 + b".jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "photos" / name)
    assert len(RawFileDataset(tmp_path / "photos")) == len(PreloadedDataset(tmp_path / "photos"))
    assert len(ensure_stored(tmp_path / "photos", "jpeg", "pack")) == 1


# --- pictures that cannot be read ------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"no picture")


def truncated(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "jpeg")
    path.write_bytes(path.read_bytes()[:1500])


def bomb(path: Path) -> None:
    Image.new("RGB", (400, 300)).save(path, "jpeg")


def broken_png(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path, "png")
    whole = bytearray(path.read_bytes())
    whole[40:60] = bytes(20)
    path.write_bytes(whole)


READERS: dict[str, Callable[[Path], Any]] = {
    **{
        name: lambda root, row=row: row.build(root)[0]  # type: ignore[misc,index]
        for name, row in EVERY.items()
        if available(name)
        and name not in ("naive", "preloaded", "preloaded-chw", "preloaded-float", "mapped")
    },
    "batch": lambda root: InefficientBatchesDataset(root).__getitems__([0]),
    "decoded": lambda root: decoded(root / "a.jpg"),
}


# What Pillow takes for a bomb other decoders read.
WITHOUT_LIMIT = (
    "decode-image",
    "decode-torchcodec",
    "torchvision",
    "torchcodec",
    "opencv",
    "simplejpeg",
    "batched-decoding",
)


@pytest.mark.parametrize("harm", [garbage, truncated, bomb, broken_png])
@pytest.mark.parametrize("reader", READERS)
def test_a_picture_that_cannot_be_read_is_named(
    reader: str, harm: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 64 // 2)
    (tmp_path / "photos").mkdir()
    harm(tmp_path / "photos" / "a.jpg")
    try:
        READERS[reader](tmp_path / "photos")
    except StudyError as error:
        assert "a.jpg" in str(error) and "\n" not in str(error)
    else:
        assert harm is bomb and reader in WITHOUT_LIMIT, "it was read"


def test_the_documented_stay_as_they_are(tmp_path: Path) -> None:
    garbage(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="cannot identify"):
        InefficientDataset(tmp_path)[0]


@pytest.mark.parametrize(
    "make",
    [
        ReadOnlyMappedDataset,
        PreloadedArrayDataset,
        lambda root: ensure_stored(root, "pixels", "pack"),
        lambda root: InefficientBatchesDataset(root).__getitems__(
            sorted(range(2), key=InefficientBatchesDataset(root).image_paths.__getitem__)
        ),
    ],
)
def test_two_sizes_name_both_pictures(make: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "odd.jpg")
    Image.new("RGB", (9, 7)).save(tmp_path / "photos" / "usual.jpg")
    with pytest.raises(StudyError, match=r"usual\.jpg is 9x7 .*odd\.jpg, is 8x6"):
        make(tmp_path / "photos")


# --- indices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in READERS if name in EVERY])
def test_indices_of_every_dataset(name: str, nested: Path) -> None:
    shutil.rmtree(nested / ".cache")
    dataset: Any = EVERY[name].build(nested / "cat")
    assert (registry.pixels(EVERY[name], dataset[-1]) >= 0).all()
    with pytest.raises(NoSuchItem, match=r"no item 1 .* only 1 \(0 to 0\)"):
        dataset[1]
    with pytest.raises(IndexError):
        dataset[-2]
    with pytest.raises(BadArgument, match="index is slice"):
        dataset[:1]
    assert len(list(dataset)) == 1, "iterating by index ends"


def test_positions() -> None:
    assert [position(index, 3) for index in (0, -1, np.int64(2))] == [0, 2, 2]
    for index in (True, np.True_):  # of a mask
        with pytest.raises(BadArgument, match=r"index is .*True"):
            position(index, 3)
    with pytest.raises(NoSuchItem, match=r"no item 0 in the set; it has none\."):
        position(0, 0, "the set")


@pytest.mark.parametrize(
    "read",
    [
        jpeg_files,
        LabelledFolder,
        lambda path: RandomCrops([path]),
        lambda path: RandomCrops([path.removeprefix("/")]),
        lambda path: ensure_stored([path], "jpeg", "pack", target="/nowhere"),
        lambda path: ReadOnlyMappedDataset("/photos", path),
    ],
)
def test_a_name_that_no_file_can_have_is_one_sentence(read: Any) -> None:
    with pytest.raises(StudyError, match="holds what the system's file names cannot"):
        read("/photos/\ud800.jpg")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_picture_is_not_to_be_removed_for_what_the_machine_lacks(number: int) -> None:
    said = str(files.unreadable("a.jpg", OSError(number, os.strerror(number))))
    assert "may be whole" in said and "remove" not in said
    assert "mend or remove it" in str(files.unreadable("a.jpg", OSError(errno.EIO, "broken")))
