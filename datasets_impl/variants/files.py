"""Which files of a folder are its images, and whether they changed: one rule for every variant."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

JPEG_SUFFIXES = (".jpg", ".jpeg")


def jpeg_files(root: str | Path) -> list[str]:
    """Sorted paths of the JPEG files directly in `root`, whatever the case of their suffix."""
    return sorted(
        str(path) for path in Path(root).iterdir() if path.suffix.lower() in JPEG_SUFFIXES
    )


def fingerprint(paths: Sequence[str]) -> str:
    """Changes whenever a file is added, removed, or rewritten."""
    digest = hashlib.sha256()
    for path in paths:
        status = Path(path).stat()
        digest.update(f"{Path(path).name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
