"""What stands where a stored set would go is left, unless a conversion wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.stored import HEADER
from tests.folders import snapshot
from tests.stored_sets import Stop, contents, every_case, expected, stop_at


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
@pytest.mark.parametrize("harm", ["beside the data", "a folder", "a link", "no header", "listed"])
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
    elif harm == "listed":
        (target / "thesis.txt").write_text("years of work")
        header = (target / HEADER).read_text()
        (target / HEADER).write_text(header.replace('"files": {', '"files": {"thesis.txt": 13, '))
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


@pytest.mark.parametrize("added", ["thesis.txt", "data.csv", "shard-000000.docx", "notes/data"])
@every_case
def test_what_is_added_to_an_unfinished_conversion_is_left(
    name: str,
    kind: Any,
    added: str,
    folder: Path,
    chunks_of_two: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_at(monkeypatch, 7)
    with pytest.raises(Stop):
        ensure_stored(folder, kind, name, threads=1)
    monkeypatch.undo()
    partial = folder.with_name(f".images.{kind}.{name}.partial")
    (partial / ".half-a-file.xyz.tmp").write_text("of a killed writer")
    place = (partial / "data.zarr" if name == "zarr" else partial) / added
    place.parent.mkdir(exist_ok=True)
    place.write_text("years of work")
    with pytest.raises(StudyError, match="holds something else"):
        ensure_stored(folder, kind, name)
    assert place.read_text() == "years of work"
    place.unlink()
    images = ensure_stored(folder, kind, name)
    assert contents(images) == expected(folder, kind, name)
    assert not list(images.folder.glob(".*"))
