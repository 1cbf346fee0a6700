"""What a folder holds, for tests of what is written and of what is left as it was."""

from __future__ import annotations

from pathlib import Path


def snapshot(home: Path) -> dict[str, bytes]:
    """Every file below, by its path from there."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }
