"""What a folder holds, for tests of what is written and of what is left as it was."""

from __future__ import annotations

from pathlib import Path

from xxhash import xxh3_128


def snapshot(home: Path) -> dict[str, bytes]:
    """Every file below, by its path from there."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def prints(home: Path) -> dict[str, str]:
    """The same by a fingerprint of each, for large ones."""
    found = {}
    for path in sorted(home.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                made = xxh3_128()
                while piece := file.read(1 << 20):
                    made.update(piece)
            found[str(path.relative_to(home))] = made.hexdigest()
    return found
