"""Where the study keeps what it can rebuild, and where a user's own pictures are.

Both folders come from the environment, so that asv's processes, which take no options of ours, see
the same ones as the command lines.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from datasets_impl.arguments import refused
from datasets_impl.errors import StudyError, forbidden, importing
from datasets_impl.files.replacing import is_or_holds
from datasets_impl.streams import escaped

CACHE_VARIABLE = "DATASET_STUDY_CACHE"
IMAGES_VARIABLE = "DATASET_STUDY_IMAGES"
IMAGES_REMEDY = "give a folder that holds readable .jpg or .jpeg files"
APPLICATION = "pytorch-dataset-study"
ABSENT = (errno.ENOENT, errno.ENOTDIR)  # whoever needs it there says so


def user_path(given: str | Path) -> Path:
    """A path as a person gives it, absolute, with `~` expanded.

    Every path from a command line, the environment or an argument of a class comes through here.
    Links are resolved only before "..", the folder above the one that a link leads to.

    Raises:
        BadArgument: it is no path.
        StudyError: see `absolute_path`; or what stands there may not be looked at, or its name is
            longer than the system's may be.
    """
    path = absolute_path(given)
    try:
        os.stat(path)  # noqa: PTH116 - for its errors
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StudyError(
                f"{path} is or passes a symbolic link that leads to itself; name another place, or "
                "mend the link."
            ) from error
        if error.errno not in ABSENT:
            raise forbidden(path, error) from error
    return path


def absolute_path(given: str | Path) -> Path:
    """The same, not looked at: there may be a million, on a file system that takes its time.

    Raises:
        BadArgument: it is no path.
        StudyError: it is empty or blank, or names the home of a user that does not exist, or it is
            relative and the current folder is gone.
    """
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise refused("a path", given, "text or a `Path`")
    if not str(given).strip():
        raise StudyError("A path is empty or blank; name a file or folder.")
    if "\0" in str(given):
        raise StudyError(f"{str(given)!r} holds a zero byte, which no path may.")
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        raise StudyError(f"{str(given)!r} holds what the system's file names cannot.") from None
    try:
        expanded = Path(given).expanduser()
    except RuntimeError:
        raise StudyError(f"{given} names the home of an unknown user; give a full path.") from None
    try:
        return _without_dots(expanded.absolute())
    except OSError as error:
        raise StudyError(f"The current folder is gone; give {given} as a full path.") from error


def current_folder() -> int:
    """0, for a command to go on: PyTorch ends a process that is in a folder which is gone.

    Raises:
        StudyError: it is gone.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise StudyError("The current folder is gone; change to another one.") from error
    return 0


def home_folder() -> Path:
    """The user's.

    Raises:
        StudyError: there is none, as in a container that runs as a number alone.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise StudyError("This user has no home folder; set HOME to one that exists.") from None


def temporary_files() -> Path:
    """The system's place for temporary files.

    Raises:
        StudyError: none can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise StudyError(
            f"No temporary file can be written ({error.strerror or error}); free some space, or "
            "set TMPDIR to a folder that may be written."
        ) from error


def socket_too_deep(error: Exception) -> str:
    """What to do where a socket, which is made among the temporary files, would have too long a
    name; "" for any other error."""
    return "set TMPDIR to a folder with a shorter path" if "AF_UNIX" in str(error) else ""


def _without_dots(path: Path) -> Path:
    """Without "..", which `os.path.abspath` takes away without a look at links."""
    parts = path.parts
    if ".." not in parts:
        return path
    behind = len(parts) - parts[::-1].index("..")
    return Path(os.path.realpath(Path(*parts[:behind])), *parts[behind:])


def cache_dir(*, only_read: bool = False, pictures: Path | None = None) -> Path:
    """The absolute cache folder: `$DATASET_STUDY_CACHE`, or the user's cache folder; created.

    Args:
        only_read: what is there is looked for first, which a folder that may not be written, such
            as one that a group shares, may hold.
        pictures: the user's own; by default those of `images_dir`.

    Raises:
        MissingPackage: the variable is not set, and platformdirs is not installed.
        StudyError: it cannot be created or written, or is in the folder of pictures.
    """
    folder = user_path(os.environ.get(CACHE_VARIABLE) or _users_cache())
    if pictures := pictures or images_dir():
        check_cache(folder, pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"The cache folder {folder} cannot be created ({error.strerror}); set "
            f"{CACHE_VARIABLE} to a folder you may write."
        ) from error
    if not only_read and not os.access(folder, os.W_OK | os.X_OK):
        raise StudyError(
            f"The cache folder {folder} cannot be written; mend its rights or set "
            f"{CACHE_VARIABLE} to a folder you may write."
        )
    return folder


def check_cache(folder: Path, pictures: Path) -> None:
    """Before the cache folder is made.

    Raises:
        StudyError: it is in the folder of pictures, which is never written to.
    """
    if pictures.exists() and is_or_holds(pictures, folder):
        raise StudyError(
            f"The cache folder {folder} lies inside the folder of pictures {pictures}, "
            f"which is never written to; set {CACHE_VARIABLE} to a folder outside."
        )


def _users_cache() -> str:
    with importing("The cache", "platformdirs", "study", f", or set {CACHE_VARIABLE} to a folder"):
        import platformdirs  # only the study has a cache
    try:
        return platformdirs.user_cache_dir(APPLICATION)
    except RuntimeError:  # in a container that runs as a number alone
        raise StudyError(
            f"This user has no home folder; set {CACHE_VARIABLE} to a folder you may write."
        ) from None


def images_dir() -> Path | None:
    """The folder of the user's own pictures, `$DATASET_STUDY_IMAGES`; None when it is not set."""
    chosen = os.environ.get(IMAGES_VARIABLE)
    return user_path(chosen) if chosen else None


def check_images(folder: Path) -> None:
    """
    Raises:
        StudyError: the folder of pictures is missing, or is none.
    """
    if not folder.exists():
        raise StudyError(f"The folder of pictures {folder} does not exist; {IMAGES_REMEDY}.")
    if not folder.is_dir():
        raise StudyError(f"{folder} is a file, not a folder of pictures; {IMAGES_REMEDY}.")


def printable(name: str) -> str:
    """`name` as valid Unicode on one line: a file name may hold any bytes, a manifest may not."""
    return escaped(os.fsencode(name).decode("utf-8", "replace"))
