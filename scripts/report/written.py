"""Files that a script writes into a folder that a person named, beside whatever lies there.

One of them lists the others with what was written, so that the next run knows its own. Nothing else
is replaced or deleted: not a file of the same name, nor one of ours that somebody changed since.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error, with_line_ends_of
from datasets_impl.files.records import json_of, spoilt
from datasets_impl.files.replacing import check_replaceable, remove_ours
from scripts.judging.kept import check_apart

LIST = "report-files.json"
GENERATOR = "pytorch-dataset-study"
Kind = Literal["report", "comparison", "submission"]
Digests = dict[str, list[str]]  # name below the folder -> what may stand there


def write_all(
    out: Path, contents: Mapping[str, str], kind: Kind, *, sources: Iterable[Path] = ()
) -> list[Path]:
    """Write `contents`, by name below `out`, each atomically; return the paths in their order.

    What an earlier run wrote there and this one does not is deleted. All is checked before anything
    is written. Lone surrogates, from names of files that are no UTF-8, are written escaped.

    Raises:
        StudyError: see `check`; or the folder cannot be written.
    """
    encoded = {name: text.encode("utf-8", "backslashreplace") for name, text in contents.items()}
    check(out, encoded, kind, sources=sources)
    _require_room(out, encoded)
    known = _known(out)
    new = {name: [digest(content)] for name, content in encoded.items()}
    # Old and new at first: a run that is killed half-way leaves some of each.
    both = {name: known.get(name, []) + new.get(name, []) for name in known | new}
    _list(out, kind, both)
    for name, content in encoded.items():
        atomic_write(out / name, with_line_ends_of(out / name, content))
    for name in known.keys() - new.keys():
        if _is_ours(out / name, known[name]):
            remove_ours(out / name, lambda path: True, what=f"the {kind}")
    _list(out, kind, new)
    return [out / name for name in encoded]


def check(out: Path, names: Iterable[str], kind: Kind, *, sources: Iterable[Path] = ()) -> None:
    """Whether `names` may be written below `out`.

    Raises:
        StudyError: `out` is a file, cannot be written or belongs to results of asv; or what stands
            under one of the names is somebody else's, a source, or a link.
    """
    try:
        if out.exists() and not out.is_dir():
            raise StudyError(f"{out} is a file; give a folder.")
        place = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        with tempfile.TemporaryFile(dir=place):  # what rights and file systems say of themselves
            pass
    except OSError as error:  # a name that cannot be, or where nothing can be written
        raise describe_write_error(error, out) from error
    check_apart(out, report=kind == "report")
    other = _kind(out)
    if other not in ("", kind):
        raise StudyError(f"{out} holds a {other}; choose another folder for the {kind}.")
    known, sources = _known(out), list(sources)
    for folder in {(out / name).parent for name in names} - {out}:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise StudyError(f"{folder} is no folder; move it away or choose another place.")
    for name in names:
        check_replaceable(
            out / name,
            lambda path, name=name: _is_ours(path, known.get(name, [])),  # type: ignore[misc]
            sources=sources,
            what=f"the {kind}",
        )


def _require_room(out: Path, contents: Mapping[str, bytes]) -> None:
    """That all can be written: a full disk would leave some files of this run beside earlier ones.

    Raises:
        StudyError: there is no room for it.
    """
    place = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    held = {name: path.stat().st_size for name in contents if (path := out / name).is_file()}
    more = sum(max(0, len(content) - held.get(name, 0)) for name, content in contents.items())
    needed = more + max(map(len, contents.values()), default=0)  # beside the one it replaces
    if shutil.disk_usage(place).free < needed:
        raise StudyError(
            f"The disk is full: {out} needs {needed:,} bytes; free some space and rerun, or name "
            "another folder."
        )


def digest(content: bytes) -> str:
    """Of text, whatever its line ends."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()[:16]


def _is_ours(path: Path, digests: list[str]) -> bool:
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return False  # what was moved elsewhere and linked is the user's
    try:
        return digest(path.read_bytes()) in digests
    except OSError:
        return False  # what cannot be read cannot be known


def _list(out: Path, kind: Kind, digests: Digests) -> None:
    record = {"generator": GENERATOR, "kind": kind, "files": digests}
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    atomic_write(out / LIST, with_line_ends_of(out / LIST, text.encode()))


def _kind(out: Path) -> str:
    return str(_record(out).get("kind", ""))


def _known(out: Path) -> Digests:
    return {str(name): list(each) for name, each in _record(out).get("files", {}).items()}


def _record(out: Path) -> dict[str, dict[str, list[str]]]:
    """The list of an earlier run, {} where there was none.

    Raises:
        StudyError: a file of that name is not one of ours.
    """
    path = out / LIST
    if not path.exists() and not path.is_symlink():
        return {}
    try:
        record = json_of(path)
        whole = record["generator"] == GENERATOR and all(
            isinstance(each, list) and _is_inside(name) for name, each in record["files"].items()
        )
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        whole = False
    if not whole or path.is_symlink():
        why = spoilt(path, "was not written by this study; move it away.")
        raise StudyError(f"{path} {why}")
    return dict(record)


def _is_inside(name: str) -> bool:
    """Whether a name stays below the folder: what an edited list names elsewhere is nobody's."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts
