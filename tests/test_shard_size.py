"""Images of a shard where nobody says: as in the set that stands there, else a default."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNT
from fsspec.implementations.memory import MemoryFileSystem

from datasets_impl.convert import convert_to_shards, main
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import ensure_stored, open_stored, shards
from datasets_impl.formats.shards import SHARD
from datasets_impl.formats.stored import HEADER, JOURNAL
from tests.folders import snapshot
from tests.stored_sets import SIZE, Here, here


@pytest.fixture(params=["folder", "address"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    yield tmp_path / "set" if request.param == "folder" else "memory://made/set"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def unsaid(folder: Any, target: Any, **more: Any) -> Here:
    executor = Here(more.pop("fail_at", None))
    convert_to_shards(folder, target, executor=executor, **more)
    return executor


def test_two_workers_share_twenty_thousand_images_evenly() -> None:
    """Shards are what is shared out: with few, one worker makes the last one alone."""
    images = 20_000
    count = -(-images // SHARD)
    slower = (count + 1) // 2 * SHARD  # images, of the worker that has more
    assert images / slower >= 1.9


def test_a_set_of_another_shard_size_is_current_unless_one_is_named(
    folder: Path, target: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    here(folder, target)
    assert convert_to_shards(folder, target, executor=Here()) == (0, 3, False)
    assert main([str(folder), str(target), "--workers", "1"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    executor = Here()
    convert_to_shards(folder, target, shard_images=COUNT, executor=executor)
    assert executor.wrote == [0]


def test_a_set_of_other_pictures_kind_or_targets_is_replaced_by_the_default(
    folder: Path, target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 8)
    here(folder, target)
    assert unsaid(folder, target, format="tar").wrote == [0, 1]
    here(folder, target, "tar")
    files = [(path, number % 3) for number, path in enumerate(jpeg_files(folder))]
    assert unsaid(files, target, format="tar").wrote == [0, 1]
    here(folder, target, "tar")
    shutil.copyfile(jpeg_files(folder)[0], folder / "zzz.jpg")
    assert unsaid(folder, target, format="tar").wrote == [0, 1]


def test_a_set_without_shards_becomes_one_of_the_default(folder: Path, tmp_path: Path) -> None:
    ensure_stored(folder, "jpeg", "pack", tmp_path / "set")
    assert unsaid(folder, tmp_path / "set").wrote == [0]
    assert open_stored(tmp_path / "set").header.shard == SHARD


def test_what_an_unfinished_set_has_of_another_shard_size_is_kept(
    folder: Path, target: Any, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="plug"):
        here(folder, target, fail_at=1)
    assert unsaid(folder, target).wrote == [1]
    here(folder, tmp_path / "good")
    if isinstance(target, Path):
        assert snapshot(target) == snapshot(tmp_path / "good")


@pytest.mark.parametrize("harm", ["another set", "no key", "no size", "zero", "cut short"])
def test_an_unfinished_set_that_does_not_say_its_size_gets_the_default(
    harm: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="plug"):
        here(folder, tmp_path / "set", fail_at=1)
    journal = tmp_path / ".set.partial" / JOURNAL
    key = json.loads(journal.read_text())
    if harm == "another set":
        shutil.copyfile(jpeg_files(folder)[0], folder / "zzz.jpg")
    elif harm in ("no size", "zero"):
        key[4] = [key[4][0], "x" if harm == "no size" else 0]
        journal.write_text(json.dumps(key) + "\n")
    elif harm == "cut short":
        journal.write_text(journal.read_text()[:-9])
        with pytest.raises(StudyError, match="holds something else"):
            unsaid(folder, tmp_path / "set")
        return
    else:
        key[4] = key[4][0]  # of a set without shards
        journal.write_text(json.dumps(key) + "\n")
    assert unsaid(folder, tmp_path / "set").wrote == [0]
    header = json.loads((tmp_path / "set" / HEADER).read_text())
    assert header["shard"] == SHARD != SIZE
