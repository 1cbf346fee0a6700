"""A folder of pictures as the doctor reads it: the files that every other reader takes."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from datasets_impl.doctor.probes.folder import SIDE, FolderImages
from datasets_impl.errors import StudyError


def huge() -> bytes:
    """A PNG whose header tells of more pixels than Pillow decodes."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_folders_behind_links_are_read_and_hidden_ones_are_not(
    folder: Path, tmp_path: Path
) -> None:
    top = tmp_path / "top"
    (top / ".hidden").mkdir(parents=True)
    (top / "cats").symlink_to(folder)
    shutil.copy(next(folder.iterdir()), top / ".hidden")
    found = FolderImages(str(top))
    assert len(found) == len(list(folder.iterdir()))


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(StudyError, match=r"a\.jpg is no regular file"):
        FolderImages(str(tmp_path))


def test_a_picture_that_cannot_be_read_does_not_keep_the_others(
    folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "0.png").write_bytes(huge())
    found = FolderImages(str(tmp_path))
    assert found[1].shape == (SIDE, SIDE, 3)
