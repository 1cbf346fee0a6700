"""What a corpus promises.

The same arguments give the same bytes; a smaller corpus is a prefix of a larger one; no two bundled
images are equal; at the defaults a pixel takes as many bytes as in ImageNet-1k; a killed, failing
or simultaneous build never leaves a partial corpus; any folder of a user's JPEGs works, is never
written to, and every file in it that cannot be read is named.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from datasets_impl import user_images
from datasets_impl.corpus import DEFAULT_QUALITY, Content, Corpus, CorpusSpec, ensure_corpus, main
from datasets_impl.errors import StudyError
from datasets_impl.paths import CACHE_VARIABLE, IMAGES_VARIABLE, cache_dir, images_dir
from datasets_impl.photographs import Window, assign_sources, cut, source_of, window_of

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = CorpusSpec(count=24, resolution=64)


def contents(corpus: Corpus) -> list[bytes]:
    return [Path(path).read_bytes() for path in corpus.paths]


def leftovers(cache: Path) -> list[str]:
    """What is in the cache beside whole corpora and lock files."""
    return [path.name for path in (cache / "corpora").glob(".*") if path.suffix != ".lock"]


def picture(seed: int, width: int = 90, height: int = 70) -> Image.Image:
    """A smooth picture with some grain, different for every seed."""
    numbers = np.random.default_rng(seed)
    coarse = Image.fromarray(numbers.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = numbers.integers(-9, 10, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


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


# --- what is in a corpus ---------------------------------------------------------------------


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path / "a")
    second = ensure_corpus(SMALL, cache=tmp_path / "b")
    assert first.manifest == second.manifest
    assert contents(first) == contents(second)
    other_seed = ensure_corpus(CorpusSpec(24, 64, seed=1), cache=tmp_path / "a")
    assert other_seed.manifest.content_hash != first.manifest.content_hash


@pytest.mark.parametrize("content", ["photographs", "noise"])
def test_smaller_corpus_is_a_prefix(tmp_path: Path, content: Content) -> None:
    small = ensure_corpus(CorpusSpec(11, 64, content=content), cache=tmp_path)
    large = ensure_corpus(CorpusSpec(40, 64, content=content), cache=tmp_path)
    assert contents(large)[:11] == contents(small)


def test_every_file_is_a_distinct_baseline_jpeg(tmp_path: Path) -> None:
    for quality in (30, DEFAULT_QUALITY):
        corpus = ensure_corpus(CorpusSpec(600, 64, quality), cache=tmp_path)
        assert len(set(contents(corpus))) == 600
        assert corpus.manifest.repeated == 0
    assert sorted(path.name for path in corpus.root.iterdir()) == [
        f"{index:05d}.jpg" for index in range(600)
    ]
    assert corpus.paths == sorted(corpus.paths)
    with Image.open(corpus.paths[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
        assert "progressive" not in image.info


def test_default_takes_as_many_bytes_per_pixel_as_imagenet(tmp_path: Path) -> None:
    manifest = ensure_corpus(CorpusSpec(256, 256), cache=tmp_path).manifest
    assert 0.5 <= manifest.bytes_per_pixel <= 0.7
    assert manifest.label == "bundled photographs"
    assert (manifest.found, manifest.used, manifest.quality) == (8, 8, str(DEFAULT_QUALITY))


def test_manifest_agrees_with_the_files_and_names_no_path(tmp_path: Path) -> None:
    corpus = ensure_corpus(SMALL, cache=tmp_path)
    sizes = sorted(map(len, contents(corpus)))
    manifest = corpus.manifest
    assert manifest.total_bytes == sum(sizes)
    assert (manifest.file_bytes.smallest, manifest.file_bytes.largest) == (sizes[0], sizes[-1])
    assert str(tmp_path) not in (corpus.root.parent / "manifest.json").read_text()


def test_quality_changes_the_encoding_not_the_pixels(tmp_path: Path) -> None:
    fine = ensure_corpus(CorpusSpec(16, 64, 100), cache=tmp_path)
    coarse = ensure_corpus(CorpusSpec(16, 64, 50), cache=tmp_path)
    assert coarse.manifest.total_bytes < fine.manifest.total_bytes
    for left, right in zip(fine.paths, coarse.paths, strict=True):
        difference = np.asarray(Image.open(left), int) - np.asarray(Image.open(right), int)
        assert abs(difference).mean() < 12


def test_noise_is_labelled_as_a_bound(tmp_path: Path) -> None:
    corpus = ensure_corpus(CorpusSpec(8, 64, content="noise"), cache=tmp_path)
    assert corpus.manifest.label == "uniform noise (a bound, not a photograph)"
    assert len(set(contents(corpus))) == 8


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"count": 100_001}, {"resolution": 0}, {"quality": 101}, {"seed": -1}],
)
def test_impossible_arguments_are_one_sentence(wrong: dict[str, int]) -> None:
    with pytest.raises(StudyError, match=f"{next(iter(wrong))} must be between"):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


# --- geometry --------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 9),
    st.integers(0, 99),
)
def test_a_crop_is_a_turned_window_of_the_mirrored_picture(
    height: int, width: int, side: int, seed: int, index: int
) -> None:
    pixels = np.arange(height * width * 3).reshape(height, width, 3).astype(np.uint8)
    window = window_of(seed, index, 0, side, height, width)
    crop = cut(pixels, window, side)
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop.base is None  # a view would keep the whole picture in memory
    assert crop.flags.c_contiguous

    # NumPy's own mirror reflection as the oracle.
    spread = 2 * (side + max(height, width))
    plane = np.pad(pixels, ((0, spread), (0, spread), (0, 0)), mode="symmetric")
    plain = plane[window.top : window.top + side, window.left : window.left + side]
    turned = np.rot90(plain, window.orientation % 4)
    np.testing.assert_array_equal(crop, turned[:, ::-1] if window.orientation >= 4 else turned)
    if height >= 1.25 * side and width >= 1.25 * side:  # room enough: no mirroring
        assert window.top + side <= height
        assert window.left + side <= width


def test_eight_orientations_differ() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert len({cut(pixels, Window(2, 1, turn), 5).tobytes() for turn in range(8)}) == 8


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(1, 80), st.integers(1, 20))
def test_each_run_of_images_uses_every_picture_once(seed: int, count: int, sources: int) -> None:
    groups = assign_sources(seed, count, sources)
    assert sorted(index for group in groups for index in group) == list(range(count))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert all(source_of(seed, i, sources) == s for s, group in enumerate(groups) for i in group)


# --- the cache -------------------------------------------------------------------------------


def test_a_whole_corpus_is_not_built_again(tmp_path: Path) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    before = [Path(path).stat().st_ino for path in first.paths]
    again = ensure_corpus(SMALL, cache=tmp_path)
    assert [Path(path).stat().st_ino for path in again.paths] == before


@pytest.mark.parametrize("damage", ["missing", "truncated", "stray", "manifest"])
def test_a_damaged_corpus_is_rebuilt(tmp_path: Path, damage: str) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path)
    whole = contents(first)
    victim = Path(first.paths[3])
    if damage == "missing":
        victim.unlink()
    elif damage == "truncated":
        victim.write_bytes(whole[3][:100])
    elif damage == "stray":
        (first.root / "data.bin").write_bytes(b"left by a dataset")
    else:
        (first.root.parent / "manifest.json").write_text("{")
    assert contents(ensure_corpus(SMALL, cache=tmp_path)) == whole
    assert leftovers(tmp_path) == []


BUILDER = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"  # ignored in a job
    "from pathlib import Path; from datasets_impl.corpus import *; import sys;"
    "c = ensure_corpus(CorpusSpec(int(sys.argv[2]), 64), cache=Path(sys.argv[1]));"
    "print(c.manifest.content_hash)"
)


def start_builder(cache: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(cache), str(count)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt_mid_build(cache: Path, kind: signal.Signals) -> None:
    builder = start_builder(cache, 50_000)
    deadline = time.monotonic() + 60
    while not any(cache.glob("corpora/.*.building.*/new/images/00*.jpg")):
        assert builder.poll() is None, builder.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.send_signal(kind)
    builder.communicate(timeout=60)
    assert builder.returncode != 0


def test_a_killed_build_leaves_no_corpus_and_is_swept_by_the_next(tmp_path: Path) -> None:
    interrupt_mid_build(tmp_path, signal.SIGKILL)
    assert leftovers(tmp_path)
    assert not list(tmp_path.glob("corpora/bundled*"))
    assert len(contents(ensure_corpus(SMALL, cache=tmp_path))) == SMALL.count
    assert leftovers(tmp_path) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    interrupt_mid_build(tmp_path, signal.SIGINT)
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("corpora/bundled*"))


def test_two_builders_at_once_give_one_corpus(tmp_path: Path) -> None:
    builders = [start_builder(tmp_path, 400) for _ in range(2)]
    answers = [builder.communicate(timeout=60) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], answers
    assert len({hashed for hashed, _ in answers}) == 1
    assert len(list(tmp_path.glob("corpora/bundled*"))) == 1
    assert leftovers(tmp_path) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def fsync(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StudyError, match="disk is full") as caught:
        ensure_corpus(SMALL, cache=tmp_path)
    assert ".building." not in str(caught.value)
    monkeypatch.undo()
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("corpora/bundled*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere, so no folder is read-only")
def test_a_read_only_cache_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StudyError, match="may not be written"):
            ensure_corpus(SMALL, cache=tmp_path)
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
        with pytest.raises(StudyError, match=CACHE_VARIABLE):
            cache_dir()
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("call", ["mkdir", "mkdtemp"])
def test_a_read_only_file_system_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile if call == "mkdtemp" else Path, call, refuse)
    with pytest.raises(StudyError, match="may not be written"):
        ensure_corpus(SMALL, cache=tmp_path / "cache")


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "new" / "cache"))
    monkeypatch.delenv(IMAGES_VARIABLE, raising=False)
    assert cache_dir() == tmp_path / "new" / "cache"
    assert cache_dir().is_dir()
    assert images_dir() is None
    monkeypatch.setenv(IMAGES_VARIABLE, str(tmp_path))
    assert images_dir() == tmp_path
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(StudyError, match=CACHE_VARIABLE):
        cache_dir()


# --- a user's own pictures -------------------------------------------------------------------


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


def test_a_changed_folder_is_another_corpus(tmp_path: Path, album: Path) -> None:
    first = ensure_corpus(own(album), cache=tmp_path / "cache")
    picture(9).save(album / "new.jpg")
    second = ensure_corpus(own(album), cache=tmp_path / "cache")
    assert second.root != first.root
    assert second.manifest.found == 7


def test_a_large_folder_is_sampled_and_says_so(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_images, "MAX_SOURCES", 4)
    manifests = [
        ensure_corpus(own(album, seed=seed), cache=tmp_path / "cache").manifest for seed in (0, 3)
    ]
    assert {(manifest.found, manifest.used) for manifest in manifests} == {(6, 4)}
    assert manifests[0].sources != manifests[1].sources


@pytest.mark.timeout(60)
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


# --- the command line ------------------------------------------------------------------------


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
    assert re.fullmatch(r"corpus: 8 photographs of 64 px, \d\.\d\d bytes per pixel, .*\n", err)
    assert "own images, 6 used of 7 found" in out
    assert "bad.jpg was skipped: it is not a JPEG picture." in out
    manifest = json.loads(next((tmp_path / "cache").rglob("manifest.json")).read_text())
    assert manifest["content_hash"] in out
    assert main(["--images", str(tmp_path / "missing")]) == 2
    assert "does not exist" in capsys.readouterr().err
