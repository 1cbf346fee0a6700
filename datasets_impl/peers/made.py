"""Files that a peer writes in its own format: made once, and whole or absent."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from datasets_impl.variants.files import fingerprint, jpeg_files


def made_once(root: Path, name: str, write: Callable[[Path], None]) -> Path:
    """The folder `<root>.<name>` beside the photographs, filled by `write` unless it is there.

    It is written under another name and renamed when whole; photographs that changed since make it
    anew.
    """
    target = root.with_name(f"{root.name}.{name}")
    made_of, partial = fingerprint(jpeg_files(root)), target.with_name(f".{target.name}.partial")
    note = target / "made-of"
    with FileLock(target.with_name(f".{target.name}.lock")):
        if not (note.exists() and note.read_text() == made_of):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            write(partial)
            (partial / note.name).write_text(made_of)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    return target
