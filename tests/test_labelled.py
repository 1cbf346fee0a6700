"""Targets: those of torchvision's `ImageFolder`, in every form a set of pictures is given in."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, random_split
from torchvision.datasets import ImageFolder

from datasets_impl.corpus import Corpus
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.packed import PackedPaths
from datasets_impl.files.pictures import jpeg_files, seal
from datasets_impl.formats import FORMATS, ensure_stored, open_stored
from datasets_impl.formats.stored import HEADER
from datasets_impl.labelled import ImageFiles, LabelledFolder, as_files, as_targets
from tests.stored_sets import Stop, contents, every_case, stop_at


@pytest.fixture
def labelled(corpus: Corpus, tmp_path: Path) -> Path:
    """Photographs in folders whose names sort otherwise as names than as parts of a path."""
    root = tmp_path / "home" / "photos"
    places = ("b", "b-c", "b/deep", "b/deep-er", "A", "é")
    for number, path in enumerate(corpus.paths):
        folder = root / places[number % len(places)]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / f"{number}{('.jpg', '.JPEG')[number % 2]}")
    (root / "A" / "notes.txt").write_text("no picture")
    (root / "beside.jpg").write_bytes(b"in no class")
    return root


def test_what_is_found_is_what_torchvision_finds(labelled: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(labelled / "b" / "graph.PNG")
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "elsewhere" / "linked.webp")
    (labelled / "b" / "link").symlink_to(tmp_path / "elsewhere")
    ours, theirs = LabelledFolder(labelled), ImageFolder(labelled)
    assert ours.classes == theirs.classes == ["A", "b", "b-c", "é"]
    assert ours.class_to_idx == theirs.class_to_idx
    assert ours.samples == theirs.samples
    assert ours.targets == theirs.targets
    assert len(ours) == len(theirs) and ours.name(3) == theirs.samples[3][0]
    assert ours.read(3) == Path(theirs.samples[3][0]).read_bytes()


def test_a_link_back_is_not_followed_for_ever(labelled: Path) -> None:
    before = LabelledFolder(labelled).samples
    (labelled / "b" / "deep" / "round").symlink_to(labelled / "b")
    assert LabelledFolder(labelled).samples == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [("no classes", "has no folder in it"), ("an empty class", "empty has no picture"),
     ("nothing", "cannot be listed"), ("a pipe", "no regular file")],
)  # fmt: skip
def test_what_is_no_labelled_folder_is_refused(harm: str, message: str, labelled: Path) -> None:
    if harm == "no classes":
        labelled /= "A"
    elif harm == "an empty class":
        (labelled / "empty").mkdir()
    elif harm == "nothing":
        labelled /= "nowhere"
    else:
        os.mkfifo(labelled / "A" / "pipe.jpg")
    with pytest.raises(StudyError, match=message):
        LabelledFolder(labelled)


def test_files_are_given_in_many_forms(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = LabelledFolder(labelled).samples
    monkeypatch.chdir(labelled.parent)
    for form in (
        ImageFolder(labelled),
        samples,
        [(Path(path).relative_to(labelled.parent), torch.tensor(label)) for path, label in samples],
        tuple(samples),
    ):
        found: Any = as_files(form)
        assert list(found.paths) == [path for path, _ in samples]
        assert found.targets.tolist() == [target for _, target in samples]
        assert found.targets.dtype == np.int64
    plain: Any = as_files([path for path, _ in samples])
    assert list(plain.paths) == [path for path, _ in samples] and plain.targets is None
    assert as_files(3) is None


def test_a_split_of_a_folder_keeps_targets_and_classes(labelled: Path, tmp_path: Path) -> None:
    for whole in (LabelledFolder(labelled), ImageFolder(labelled)):
        parts: Any = random_split(whole, [8, 4], torch.Generator().manual_seed(0))  # type: ignore[arg-type]
        for part in parts:
            found: Any = as_files(part)
            pairs = list(zip(found.paths, found.targets.tolist(), strict=True))
            assert pairs == [whole.samples[index] for index in part.indices]
            assert found.classes == whole.classes
        with pytest.raises(BadArgument, match="a list of files has no folder"):
            ensure_stored(parts[0], "jpeg", "pack")  # or it would stand where the whole belongs
        assert len(ensure_stored(parts[0], "jpeg", "pack", target=tmp_path / "set")) == 8


@pytest.mark.parametrize("wrong", [[("a.jpg",)], [("a.jpg", 1), 3], [], [("a.jpg", "cat")]])
def test_a_list_of_something_else_is_refused(wrong: Any) -> None:
    with pytest.raises(BadArgument):
        as_files(wrong)


@pytest.mark.parametrize(
    ("targets", "dtype"),
    [([1, 2, 3], "int64"), (np.array([1, 2, 3], np.uint8), "int64"), ([0.5, 1, 2], "float64"),
     (torch.zeros(3, 4), "float32"), ([True, False, True], "bool")],
)  # fmt: skip
def test_targets_are_numbers_or_arrays_of_them(targets: Any, dtype: str) -> None:
    found = ImageFiles(["a", "b", "c"], targets).targets
    assert found.dtype == dtype and len(found) == 3


@pytest.mark.parametrize("targets", [[1, 2], ["a", "b", "c"], 3, [[1], [1, 2], [3]], [None] * 3])
def test_other_targets_are_refused(targets: Any) -> None:
    with pytest.raises(BadArgument, match="targets"):
        ImageFiles(["a", "b", "c"], targets)


@pytest.mark.parametrize(
    "paths", [[], ["/a/b"], ["", "x"], ["/a/é.jpg", "/a/b\udcff.jpg", "/a/b"], ["/a", "/a"]]
)
def test_packed_paths_are_the_paths(paths: list[str]) -> None:
    packed = pickle.loads(pickle.dumps(PackedPaths(paths)))
    assert list(packed) == paths and len(packed) == len(paths)
    assert packed[1:] == paths[1:] and packed[:-1:2] == paths[:-1:2]
    if paths:
        assert packed[-1] == paths[-1]
    with pytest.raises(IndexError):
        packed[len(paths)]


def test_many_files_pickle_to_little_more_than_their_names() -> None:
    names = [f"/data/photographs/class-{i % 1000:04}/{i:08}.jpg" for i in range(100_000)]
    files = ImageFiles(names, np.arange(100_000))
    own = len("0000/00000000.jpg") + 16  # and an end and a target of 8 bytes each
    assert len(pickle.dumps(files)) < 100_000 * own + 10_000


# --- stored sets -----------------------------------------------------------------------------


def parts(images: Any) -> tuple[list[bytes], Any, Any]:
    targets = None if images.targets is None else images.targets.tolist()
    return contents(images), targets, images.classes


@every_case
@pytest.mark.parametrize("form", [LabelledFolder, ImageFolder])
def test_a_stored_set_keeps_targets(name: str, kind: Any, form: Any, labelled: Path) -> None:
    source = form(labelled)
    images = ensure_stored(source, kind, name)
    assert images.folder == labelled.with_name(f"photos.{kind}.{name}")
    again = pickle.loads(pickle.dumps(open_stored(images.folder)))
    content, targets, classes = parts(again)
    assert targets == source.targets and classes == source.classes
    form_of = FORMATS[name].load("Format")()
    assert content == [
        form_of.encode(Path(path).read_bytes())
        if kind == "jpeg"
        else np.array(Image.open(path)).tobytes()
        for path, _ in source.samples
    ]


@every_case
def test_a_conversion_that_was_stopped_ends_with_the_same_index(
    name: str, kind: Any, labelled: Path, chunks_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LabelledFolder(labelled)
    whole = ensure_stored(source, kind, name, target=labelled.with_name("whole"))
    read = stop_at(monkeypatch, 7)
    with pytest.raises(Stop):
        ensure_stored(source, kind, name, threads=1)
    images = ensure_stored(source, kind, name, threads=1)
    assert len(read) == 7 + len(source) - 6, "what was written is not written again"
    assert parts(images) == parts(whole)
    # How large LMDB's own file is depends on the order in which chunks were written.
    for file in ("index.npy", HEADER)[: 1 if name == "lmdb" else 2]:
        assert (images.folder / file).read_bytes() == (whole.folder / file).read_bytes()


def test_targets_that_changed_are_stored_anew_and_nothing_else_is(labelled: Path) -> None:
    source = LabelledFolder(labelled)
    pairs = source.samples
    first = ensure_stored(source, "jpeg", "pack")
    made = (first.folder / HEADER).stat().st_mtime_ns

    def again(source: Any) -> Any:
        return ensure_stored(source, "jpeg", "pack", target=first.folder)

    again(source)
    again(ImageFiles(source.paths, root=labelled))  # without targets: the set that has them will do
    assert (first.folder / HEADER).stat().st_mtime_ns == made
    other = ImageFolder(labelled)
    other.samples = [(path, 7) for path, _ in pairs]
    assert again(other).targets.tolist() == [7] * len(pairs)
    assert open_stored(first.folder).targets.tolist() == [7] * len(pairs)


def test_any_array_of_targets_is_stored(labelled: Path) -> None:
    paths = [path for path, _ in LabelledFolder(labelled).samples]
    boxes = np.random.default_rng(0).random((len(paths), 4), np.float32)
    images = ensure_stored(ImageFiles(paths, boxes, root=labelled), "jpeg", "pack")
    again: Any = open_stored(images.folder)
    assert again.targets.dtype == np.float32 and np.array_equal(again.targets, boxes)
    assert again.classes is None


def test_a_list_needs_a_place_for_its_set(labelled: Path, tmp_path: Path) -> None:
    pairs = LabelledFolder(labelled).samples
    with pytest.raises(BadArgument, match="a list of files has no folder"):
        ensure_stored(pairs, "jpeg", "pack")
    with pytest.raises(StudyError, match="only read"):
        ensure_stored(pairs, "jpeg", "pack", target=labelled)
    images = ensure_stored(pairs, "jpeg", "pack", target=tmp_path / "set")
    assert images.targets is not None and images.targets.tolist() == [label for _, label in pairs]


def test_a_class_whose_name_is_no_text_is_stored(labelled: Path) -> None:
    """Its bytes stand escaped in the header, which is text."""
    (labelled / "A").rename(labelled / "caf\udce9")
    source = LabelledFolder(labelled)
    assert "caf\udce9" in source.classes
    images = ensure_stored(source, "jpeg", "pack")
    made = (images.folder / HEADER).stat().st_mtime_ns
    assert open_stored(images.folder).classes == ["b", "b-c", "caf\\xe9", "é"]
    ensure_stored(source, "jpeg", "pack")
    assert (images.folder / HEADER).stat().st_mtime_ns == made, "it is current"


def test_a_set_of_before_is_still_read_and_current(labelled: Path) -> None:
    """Its header has no field for classes, and its seal knows of none."""
    images = ensure_stored(labelled / "b", "jpeg", "pack")
    header = images.folder / HEADER
    fields = json.loads(header.read_text())
    assert sorted(fields) == sorted(
        ("format", "kind", "shape", "fingerprint", "chunk", "index_digest", "files", "seal")
    )
    assert fields.pop("seal") == seal(fields), "the seal is over the fields that are there"
    assert images.targets is None and images.classes is None
    before = header.stat().st_mtime_ns
    ensure_stored(labelled / "b", "jpeg", "pack")
    assert header.stat().st_mtime_ns == before
    assert len(images) == len(jpeg_files(labelled / "b"))


@pytest.mark.parametrize(
    "targets",
    [
        np.full(12, 2**63, np.uint64),
        np.ma.array(np.arange(12), mask=np.arange(12) > 5),
        np.arange(12, dtype=np.longdouble),
        torch.arange(12).bfloat16(),
        torch.eye(12).to_sparse(),
        torch.empty(12, device="meta"),
        torch.zeros(12, dtype=torch.complex64).conj(),
    ],
    ids=["beyond int64", "masked", "longdouble", "bfloat16", "sparse", "meta", "conjugated"],
)
def test_targets_that_would_become_others_are_refused(targets: Any) -> None:
    with pytest.raises(BadArgument, match=r"targets is .*; give a number"):
        as_targets(targets, 12)


@pytest.mark.parametrize("kind", [">i8", ">f4", "<f2", "u8", "?"])
def test_targets_of_any_byte_order_become_tensors(kind: str) -> None:
    values = np.arange(12).astype(kind)
    found = torch.from_numpy(as_targets(values, 12))
    assert found.tolist() == values.tolist()


@pytest.mark.parametrize(
    "indices", [[99], [True, False], np.arange(12) > 5, torch.arange(12) > 5, [1.0], ["a"], [[1]]]
)
def test_a_part_by_what_is_no_index_is_refused(labelled: Path, indices: Any) -> None:
    """A mask as indices would be pictures 0 and 1, over and over."""
    for whole in (LabelledFolder(labelled), as_files(labelled)):
        with pytest.raises(StudyError, match=r"no item 99|index is .*; give a whole number"):
            as_files(Subset(whole, indices))  # type: ignore[arg-type]


def test_a_link_to_itself_is_no_folder(labelled: Path) -> None:
    expected = ImageFolder(labelled).samples
    (labelled / "A" / "loop").symlink_to("loop")
    assert LabelledFolder(labelled).samples == ImageFolder(labelled).samples == expected
    (labelled / "loop").symlink_to("loop")  # which ImageFolder does not survive
    assert LabelledFolder(labelled).samples == expected
