"""A user's own pictures: any folder of JPEGs works, is never written to, and every file in it that
cannot be read is named.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, JpegImagePlugin

from datasets_impl.corpus import CorpusSpec, ensure_corpus, user_images
from datasets_impl.corpus.__main__ import main
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir
from tests.corpora import contents, leftovers, picture


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A user's folder: nested, mixed sizes, all spellings of the suffix, grey, CMYK, EXIF."""
    folder = tmp_path / "album"
    (folder / "summer" / "beach").mkdir(parents=True)
    picture(1).save(folder / "one.jpg", quality=80)
    picture(2, 300, 200).save(folder / "summer" / "two.JPG", quality=60, subsampling="4:4:4")
    picture(3, 40, 30).save(folder / "summer" / "three.jpeg")
    picture(4).convert("L").save(folder / "summer" / "beach" / "grey.Jpeg")
    picture(5).convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    picture(6, 120, 80).save(folder / "turned.jpg", exif=exif)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def own(folder: Path, **changes: int) -> CorpusSpec:
    return replace(CorpusSpec(30, 48, images=folder), **changes)  # type: ignore[arg-type]


def encoding(path: str | Path) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Quantization tables of luma and chroma, and the sampling factors of every component."""
    with Image.open(path) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        luma, chroma = (list(image.quantization[part[3]]) for part in image.layer[:2])
        return luma, chroma, [part[1:3] for part in image.layer]


def test_own_pictures_of_every_kind(tmp_path: Path, album: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [album, *album.rglob("*")]}
    corpus = ensure_corpus(own(album), cache=tmp_path / "cache")
    manifest = corpus.manifest
    assert (manifest.label, manifest.folder) == ("own images", "album")
    assert (manifest.found, manifest.used, manifest.skipped) == (6, 6, [])
    assert manifest.sources == [
        "cmyk.jpg",
        "one.jpg",
        "summer/beach/grey.Jpeg",
        "summer/three.jpeg",
        "summer/two.JPG",
        "turned.jpg",
    ]
    assert manifest.quality == "own tables"
    assert str(tmp_path) not in manifest.model_dump_json()
    for path in corpus.paths:
        with Image.open(path) as image:
            image.load()
            assert (image.mode, image.size) == ("RGB", (48, 48))
    assert {path: path.stat().st_mtime_ns for path in [album, *album.rglob("*")]} == before
    smaller = ensure_corpus(own(album, count=13), cache=tmp_path / "cache")
    assert contents(corpus)[:13] == contents(smaller)


def test_own_tables_and_subsampling_are_kept_unless_a_quality_is_given(
    tmp_path: Path, album: Path
) -> None:
    alone = album / "summer"
    (alone / "three.jpeg").unlink()
    (alone / "beach" / "grey.Jpeg").unlink()
    luma, chroma, sampling = encoding(alone / "two.JPG")
    kept = ensure_corpus(own(alone), cache=tmp_path / "cache")
    assert encoding(kept.paths[0]) == (luma, chroma, sampling)
    given = ensure_corpus(own(alone, quality=50), cache=tmp_path / "cache")
    assert given.manifest.quality == "50"
    assert encoding(given.paths[0])[0] != luma


def test_the_several_in_one_files_of_cameras_and_misnamed_png_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    more = [picture(2)]
    picture(1).save(folder / "both.jpg", format="MPO", save_all=True, append_images=more)
    picture(3).save(folder / "really.jpg", format="PNG")
    manifest = ensure_corpus(own(folder), cache=tmp_path / "cache").manifest
    assert (manifest.used, manifest.skipped) == (2, [])


def test_exif_orientation_is_applied(album: Path) -> None:
    assert user_images.read_picture(album / "turned.jpg").shape == (120, 80, 3)
    assert user_images.read_picture(album / "one.jpg").shape == (70, 90, 3)


def test_unreadable_files_are_named_with_the_reason(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (album / "one.jpg").read_bytes()
    (album / "half.jpg").write_bytes(data[: len(data) // 2])
    (album / "empty.jpg").write_bytes(b"")
    (album / "summer" / "text.JPG").write_text("hello")
    (album / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(album / "pipe.jpg")
    monkeypatch.setattr(user_images, "MAX_PIXELS", 300 * 200 - 1)
    manifest = ensure_corpus(own(album), cache=tmp_path / "cache").manifest
    assert (manifest.found, manifest.used) == (11, 5)
    assert manifest.skipped == [
        "empty.jpg was skipped: it is not a JPEG picture.",
        "gone.jpg was skipped: it is not there.",
        "half.jpg was skipped: it is truncated.",
        "pipe.jpg was skipped: it is not a regular file.",
        "summer/text.JPG was skipped: it is not a JPEG picture.",
        "summer/two.JPG was skipped: it has 300 x 200 pixels, more than the 59,999 that "
        "are safe to decode.",
    ]


def test_a_forbidden_file_is_named(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Image.open

    def refuse(path: Path, **kwargs: object) -> Image.Image:
        if path.name == "one.jpg":
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", refuse)
    manifest = ensure_corpus(own(album), cache=tmp_path / "cache").manifest
    assert manifest.skipped == ["one.jpg was skipped: no permission to read it."]


def nothing(folder: Path) -> None:
    folder.rmdir()


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")


def only_text(folder: Path) -> None:
    for name in ("a.jpg", "b.JPG"):
        (folder / name).write_text("not a picture")


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (nothing, "does not exist"),
        (a_file, "is a file, not a folder"),
        (lambda folder: None, "No .jpg or .jpeg file was found"),
        (only_text, "None of the 2 .jpg and .jpeg files .* a.jpg was skipped: it is not a JPEG"),
    ],
)
def test_a_folder_without_pictures_is_one_sentence(
    tmp_path: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(StudyError, match=sentence) as caught:
        ensure_corpus(own(folder), cache=tmp_path / "cache")
    assert re.search(
        r"give a folder that holds readable \.jpg or \.jpeg files\.$", str(caught.value)
    )
    assert not (tmp_path / "cache").exists() or leftovers(tmp_path / "cache") == []


def test_the_cache_may_not_lie_in_the_users_folder(album: Path) -> None:
    with pytest.raises(StudyError, match="never written to"):
        ensure_corpus(own(album), cache=album / "cache")


@pytest.mark.parametrize("given", ["environment", "argument"])
@pytest.mark.parametrize("below", ["cache", "a/b/cache"])
def test_and_is_not_made_there_to_find_that_out(
    album: Path, monkeypatch: pytest.MonkeyPatch, given: str, below: str
) -> None:
    before = sorted(album.rglob("*"))
    monkeypatch.setenv(CACHE_VARIABLE, str(album / below))
    if given == "environment":
        monkeypatch.setenv(IMAGES_VARIABLE, str(album))
    with pytest.raises(StudyError, match=f"never written to; set {CACHE_VARIABLE}"):
        cache_dir() if given == "environment" else ensure_corpus(own(album))
    assert sorted(album.rglob("*")) == before


def test_a_cache_beside_the_users_folder_is_made(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = album.with_name("album-cache")  # a name that begins alike
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    monkeypatch.setenv(IMAGES_VARIABLE, str(album))
    assert cache_dir() == cache and cache.is_dir()


def test_nor_in_a_second_place_where_it_is_mounted(tmp_path: Path, album: Path) -> None:
    (tmp_path / "again").mkdir()
    command = ["mount", "--bind", str(album), str(tmp_path / "again")]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a folder")
    try:
        with pytest.raises(StudyError, match="never written to"):
            ensure_corpus(own(album), cache=tmp_path / "again" / "cache")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "again")], check=True)


def test_a_changed_folder_is_another_corpus(tmp_path: Path, album: Path) -> None:
    first = ensure_corpus(own(album), cache=tmp_path / "cache")
    picture(9).save(album / "new.jpg")
    second = ensure_corpus(own(album), cache=tmp_path / "cache")
    assert second.root != first.root
    assert second.manifest.found == 7


def test_pictures_that_changed_places_are_another_corpus(tmp_path: Path, album: Path) -> None:
    """With one size and one time, as copies made by a program often have."""
    for name, number in (("one.jpg", 1), ("two.jpg", 2)):
        content = io.BytesIO()
        picture(number).save(content, "jpeg")
        (album / name).write_bytes(content.getvalue().ljust(20_000, b"\0"))
        os.utime(album / name, ns=(1, 1))
    spec = CorpusSpec(8, 32, images=album)
    first = ensure_corpus(spec, cache=tmp_path / "cache")
    (album / "one.jpg").rename(album / "three")
    (album / "two.jpg").rename(album / "one.jpg")
    (album / "three").rename(album / "two.jpg")
    assert ensure_corpus(spec, cache=tmp_path / "cache").root != first.root


def test_a_large_folder_is_sampled_and_says_so(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_images, "MAX_SOURCES", 4)
    manifests = [
        ensure_corpus(own(album, seed=seed), cache=tmp_path / "cache").manifest for seed in (0, 3)
    ]
    assert {(manifest.found, manifest.used) for manifest in manifests} == {(6, 4)}
    assert manifests[0].sources != manifests[1].sources


def test_blank_copies_and_link_loops_come_to_an_end(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "loop").symlink_to(folder)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (20, 20), "red").save(folder / name)
    manifest = ensure_corpus(own(folder, count=10), cache=tmp_path / "cache").manifest
    assert (manifest.found, manifest.repeated) == (2, 9)


def test_copies_of_a_picture_give_distinct_crops(tmp_path: Path) -> None:
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        picture(1, 12, 12).save(folder / name)
    spec = own(folder, count=60, resolution=10)
    corpus = ensure_corpus(spec, cache=tmp_path / "cache")
    assert corpus.manifest.repeated == 0
    assert len(set(contents(corpus))) == 60
    prefix = ensure_corpus(own(folder, count=41, resolution=10), cache=tmp_path / "cache")
    assert contents(corpus)[:41] == contents(prefix)


def test_command_line_builds_and_reports(
    tmp_path: Path,
    album: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(IMAGES_VARIABLE, str(album))
    (album / "bad.jpg").write_text("no")
    assert main(["--count", "8", "--resolution", "64"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.match(r"corpus: 8 photographs of 64 px, \d\.\d\d bytes per pixel, .*\n", out)
    assert "own images, 6 used of 7 found" in out
    assert "bad.jpg was skipped: it is not a JPEG picture." in out
    manifest = json.loads(next((tmp_path / "cache").rglob("manifest.json")).read_text())
    assert manifest["content_hash"] in out
    assert main(["--images", str(tmp_path / "missing")]) == 2
    assert "does not exist" in capsys.readouterr().err
