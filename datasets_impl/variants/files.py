"""Which files of a folder are its images, and whether they changed: one rule for every variant."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from datasets_impl.errors import StudyError

JPEG_SUFFIXES = (".jpg", ".jpeg")


def jpeg_files(root: str | Path) -> list[str]:
    """Sorted paths of the JPEG files in `root` and below, whatever the case of their suffix.

    Hidden folders are left out.

    Raises:
        StudyError: there is none.
        OSError: `root` cannot be listed.
    """
    found: list[str] = []
    for folder, inner, names in os.walk(root, onerror=_raise):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [
            os.path.join(folder, name)  # noqa: PTH118 - many files
            for name in names if name.lower().endswith(JPEG_SUFFIXES)
        ]  # fmt: skip
    if not found:
        raise StudyError(f"{root} has no JPEG file; name a folder that holds some.")
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def fingerprint(paths: Sequence[str]) -> str:
    """Changes whenever a file is added, removed, or rewritten."""
    digest = hashlib.sha256()
    for path in paths:
        status = Path(path).stat()
        digest.update(f"{Path(path).name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
