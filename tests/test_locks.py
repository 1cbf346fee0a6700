"""What may stand where the file of a lock would be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from datasets_impl.convert import main
from datasets_impl.errors import StudyError
from datasets_impl.files.whole import locked
from tests.folders import snapshot


def stand(kind: str, place: Path) -> None:
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(place))  # whose name may be short
    else:
        mine = place.with_name("mine")
        if kind == "link to a file":
            mine.write_text("mine")
        place.symlink_to({"link to itself": place, "link into the void": "gone"}.get(kind, mine))


KINDS = ["folder", "pipe", "socket", "link to a file", "link to itself", "link into the void"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_under_a_locks_name_is_named_and_stays(kind: str, tmp_path: Path) -> None:
    stand(kind, tmp_path / ".set.lock")
    before = sorted(path.lstat() for path in tmp_path.iterdir())
    kept = snapshot(tmp_path)
    said = r"/\.set\.lock keeps two writers apart.* move away"
    with pytest.raises(StudyError, match=said), locked(tmp_path / "set"):
        pass
    assert sorted(path.lstat() for path in tmp_path.iterdir()) == before
    assert snapshot(tmp_path) == kept


def test_a_command_says_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lock := tmp_path / ".set.lock").mkdir()
    given = [str(folder), str(tmp_path / "set"), "--workers=1"]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {lock} ") and said.count("\n") == 1
    lock.rmdir()
    assert main(given) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if "set" in path.name) == ["set"]
