"""Files that a peer writes in its own format: made once, and whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import beside, fingerprint, jpeg_files
from datasets_impl.files.records import json_of
from datasets_impl.files.whole import whole_folder

NOTE = "made-of"  # what the files were made of, and their names


def made_once(root: Path, name: str, write: Callable[[Path], None]) -> Path:
    """The folder `<root>.<name>` beside the photographs, filled by `write` unless it is there.

    It is written under another name and renamed when whole; photographs that changed since make it
    anew.

    Raises:
        StudyError: something else stands there, or it cannot be written.
    """
    root = user_path(root)
    target, made_of = beside(root, name), fingerprint(jpeg_files(root), root)

    def needed() -> bool:
        return _note(target).get("fingerprint") != made_of

    if not needed():
        return target
    with whole_folder(target, _is_ours, needed=needed, sources=(root,), what=name) as new:
        if new is not None:
            write(new)
            note = {"fingerprint": made_of, "files": _inside(new)}
            (new / NOTE).write_text(json.dumps(note))
    return target


def _note(target: Path) -> dict[str, object]:
    try:
        note = json_of(target / NOTE)
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _is_ours(target: Path) -> bool:
    """Whether `made_once` filled it, and nobody else's file is in it."""
    files = _note(target).get("files")
    return isinstance(files, list) and set(_inside(target)) <= {NOTE, *files}


def _inside(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
