"""Which files of a folder are its images: one rule for every variant."""

from __future__ import annotations

from pathlib import Path

JPEG_SUFFIXES = (".jpg", ".jpeg")


def jpeg_files(root: str | Path) -> list[str]:
    """Sorted paths of the JPEG files directly in `root`, whatever the case of their suffix."""
    return sorted(
        str(path) for path in Path(root).iterdir() if path.suffix.lower() in JPEG_SUFFIXES
    )
