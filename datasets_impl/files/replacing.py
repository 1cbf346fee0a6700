"""What may be replaced: nothing, what is empty, and what this project wrote. One rule for all.

Every writer whose target a user can name asks here before it begins, and puts what it made in place
through here. Who the author of a thing is, is told by the thing itself: a header, never its name.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets_impl.errors import StudyError, forbidden
from datasets_impl.files.atomic import FULL, MARK, describe_write_error
from datasets_impl.files.records import text_of

Recognise = Callable[[Path], bool]
NOTE = "put-aside"
TEXT = "What stands here is being deleted; if nothing runs that does, it may be deleted.\n"


def check_replaceable(
    target: Path, ours: Recognise, *, sources: Iterable[Path] = (), what: str = "the result"
) -> None:
    """Whether `target` may be written over; nothing is changed.

    Args:
        ours: whether what stands there is this project's, by its own header; asked only of what is
            there and not empty.
        sources: files and folders that are read and must survive.
        what: what would be written, for the sentence.

    Raises:
        StudyError: it is a source, holds one, is a symbolic link, is in a folder of git's or one
            that may not be listed, or is somebody else's.
    """
    try:
        if target.parent.is_dir() and not os.access(target.parent, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))
        _check(target, ours, sources, what)
    except PermissionError as error:
        raise forbidden(error.filename or target, error) from error
    except (OSError, RuntimeError) as error:  # the latter of links that lead in a circle
        why = getattr(error, "strerror", None) or error
        raise StudyError(
            f"{target} cannot be looked at ({why}), and is left as it is; choose another place for "
            f"{what}."
        ) from error


def _check(target: Path, ours: Recognise, sources: Iterable[Path], what: str) -> None:
    for source in sources:
        if target.exists() and is_or_holds(target, source):
            raise StudyError(
                f"{target} is or holds {source}, which is only read; "
                f"choose another place for {what}."
            )
    if target.is_symlink():
        raise StudyError(
            f"{target} is a symbolic link; name the place itself, or another one, for {what}."
        )
    if inside_git(target):
        raise StudyError(
            f"{target} is where git keeps its own files; choose another place for {what}."
        )
    if target.is_mount():
        raise StudyError(
            f"{target} is where a file system is mounted, and cannot be replaced; name a place in "
            f"it for {what}."
        )
    if not target.exists() or _is_empty(target):
        return
    if not (target.is_file() or target.is_dir()) or not _says_so(ours, target):
        raise somebody_elses(target, what)


def _says_so(ours: Recognise, target: Path) -> bool:
    """Whether what stands there is ours by its own header; one that trips its reader is not."""
    try:
        return ours(target)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return False


def somebody_elses(target: object, what: str) -> StudyError:
    """What to raise where this project has not written what stands at `target`."""
    return StudyError(
        f"{target} holds something else than {what}, and is left as it is; "
        "move it away or choose another place."
    )


def put_in_place(
    new: Path,
    target: Path,
    ours: Recognise,
    *,
    sources: Iterable[Path] = (),
    what: str = "the result",
) -> None:
    """Rename `new` to `target`, on one file system; what was there goes once `new` stands.

    Raises:
        StudyError: see `check_replaceable`; or the folder cannot be written.
    """
    check_replaceable(target, ours, sources=sources, what=what)
    try:
        _sweep(target, ours)
        if not target.exists() or (new.is_file() and target.is_file()):
            new.replace(target)
            return
        with _aside(target) as old:
            if not _renamed(target, old):
                shutil.rmtree(target)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise describe_write_error(error, target) from error


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A place beside `target` whose content is deleted at the end.

    A note says so, since of what was half deleted by a process that was killed no header may be
    left.
    """
    begins = f".{target.name}.old."
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=begins, suffix=MARK))
    try:
        try:
            (aside / NOTE).write_text(TEXT)
        except OSError as error:
            if error.errno not in FULL:  # deleting is what a full disk needs
                raise
        yield aside / target.name
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _renamed(folder: Path, place: Path) -> bool:
    """Whether `folder` now stands at `place`: one that came with the image of a container, a lower
    layer of its file system, can be deleted and not renamed."""
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def remove_ours(
    target: Path, ours: Recognise, *, sources: Iterable[Path] = (), what: str = "the result"
) -> None:
    """Delete what stands at `target`, if anything does.

    Raises:
        StudyError: see `check_replaceable`; or it cannot be deleted.
    """
    check_replaceable(target, ours, sources=sources, what=what)
    try:
        _sweep(target, ours)
        if target.is_dir():
            with _aside(target) as old:
                if not _renamed(target, old):
                    shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    except OSError as error:
        raise describe_write_error(error, target) from error


def _sweep(target: Path, ours: Recognise) -> None:
    """Delete what was put aside by a process that was killed before it could."""
    begins = f".{target.name}.old."
    for aside in target.parent.glob(f"{glob.escape(begins)}*"):
        names = {path.name for path in aside.iterdir()} if aside.is_dir() else {""}
        # Without a note one may be a copy of the user's, such as 2024 or original, by its name.
        marked = aside.name.endswith(MARK) and (not names or _says_so(ours, aside / target.name))
        known = _noted(aside) or marked
        if not aside.is_symlink() and names <= {NOTE, target.name} and known:
            shutil.rmtree(aside)


def _noted(aside: Path) -> bool:
    try:
        return TEXT.startswith(text_of(aside / NOTE))  # killed while it wrote the note
    except (OSError, ValueError):
        return False


def inside_git(place: Path) -> bool:
    """Whether git keeps its own files there: in a clone's `.git`, or a bare repository."""
    place = place.resolve()
    return any(
        above.name == ".git" or ((above / "HEAD").is_file() and (above / "objects").is_dir())
        for above in (place, *place.parents)
    )


def is_or_holds(target: Path, source: Path) -> bool:
    """By what the names lead to, not by their spelling: links, `..`, another case of letters,
    a folder that is mounted at two places."""
    place = source.resolve()
    return any(above.exists() and above.samefile(target) for above in (place, *place.parents))


def check_outside(target: Path, folders: Iterable[str | Path], what: str) -> None:
    """Whether `target`, which need not be there, is below none of `folders`, by whatever name.

    Raises:
        StudyError: it is in one, where the next run would read what this one writes.
    """
    above = {(found.st_dev, found.st_ino) for found in _found(target.resolve().parents)}
    for folder in folders:
        if any((found.st_dev, found.st_ino) in above for found in _found([folder])):
            raise inside(target, folder, what)


def inside(target: object, folder: object, what: str) -> StudyError:
    """What to raise where the next run would find what this one writes."""
    return StudyError(
        f"{target} is in {folder}, which is read, and the next run would read there what this one "
        f"writes; choose a place outside for {what}."
    )


def _found(places: Iterable[str | Path]) -> Iterator[os.stat_result]:
    for place in places:
        with suppress(OSError):
            yield os.stat(place)  # noqa: PTH116 - many


def _is_empty(target: Path) -> bool:
    if target.is_dir():
        return not any(target.iterdir())
    return target.is_file() and target.stat().st_size == 0
