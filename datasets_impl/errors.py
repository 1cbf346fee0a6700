"""The one error a user can cause.

Everything a person can get wrong (a missing folder, an unknown profile, a full disk) is raised as
`StudyError` with one sentence that names the file, the field and the remedy. Command lines turn it
into that sentence on standard error and exit code 2; see `exit_on_study_error`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec

from datasets_impl import streams

P = ParamSpec("P")
BAD_INPUT = 2
INTERRUPTED = 130
UNREAD = 141  # as a shell shows the end of a program by SIGPIPE
OWNER = 0o700  # of a umask: what it may leave to whoever makes a file
RIGHTS = (errno.EACCES, errno.EPERM)


class StudyError(Exception):
    """A condition the user can mend; its text is one complete sentence, on one line."""

    def __str__(self) -> str:
        """With what a terminal would obey in a name, such as a line's end, written escaped."""
        return streams.escaped(super().__str__())


class BadArgument(StudyError, ValueError):
    """An argument that cannot be meant, refused where it is given; says what would be right."""


class BadImage(StudyError, ValueError):
    """A picture that cannot be read, or whose size does not fit; the text names it and says why."""


class LoaderFailed(StudyError, RuntimeError):
    """No batch came: in time, or at all since the process that makes them was ended."""


class MissingPackage(StudyError, ModuleNotFoundError):
    """A package of an extra is not installed, or cannot be imported; the text has the command that
    mends it."""

    @classmethod
    def of(cls, what: str, package: str, extra: str, otherwise: str = "") -> MissingPackage:
        """For `what` needs `package`; `otherwise` ends the sentence with what else can be done."""
        command = f"pip install '<this folder>[{extra}]'"
        return cls(f"{what} needs the package {package!r}: {command}{otherwise}.")

    @classmethod
    def broken(cls, what: str, package: str, extra: str, error: Exception) -> MissingPackage:
        """One that stands there and raises `error` where it is imported."""
        return cls(
            f"{what} needs the package {package!r}, which cannot be imported "
            f"({type(error).__name__}: {error}); mend it: pip install --force-reinstall "
            f"'<this folder>[{extra}]'."
        )


def installed(package: str) -> bool:
    """Whether it can be found; importing it may still raise anything."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # no parent, or a stand-in in its place
        return False


def importable(package: str) -> bool:
    try:
        importlib.import_module(package)
    except Exception:  # one made for another version of its own libraries raises any
        return False
    return True


@contextlib.contextmanager
def importing(what: str, package: str, extra: str, otherwise: str = "") -> Iterator[None]:
    """Around an import of what `what` needs, from `package` of an extra.

    Args:
        package: "" for any; then an error of this project's own is left as it is.

    Raises:
        MissingPackage: a package is not installed, or cannot be imported, whatever that raises.
    """
    try:
        yield
    except MissingPackage:
        raise
    except Exception as error:  # one made for another version of its own libraries raises any
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and not installed(missing.partition(".")[0]):
            raise MissingPackage.of(what, missing, extra, otherwise) from error
        package = package or _raised_in(error)
        if not package:
            raise
        raise MissingPackage.broken(what, package, extra, error) from error


def _raised_in(error: Exception) -> str:
    """The package outside of this project whose import raised it, "" where none did."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    homes = [str(one.f_globals.get("__name__", "")).partition(".")[0] for one in frames]
    own = ("", "importlib", *homes[:2])  # `importing` itself, and where it stands
    return next((one for one in homes if one not in own), "")


def forbidden(path: str | Path, error: OSError) -> StudyError:
    """What to raise where rights are in the way to `path`; names the folder, or itself, that lacks
    them."""
    return StudyError(
        f"{path} cannot be looked at ({error.strerror or error}); name another place, or mend the "
        f"rights of {closed(path)}."
    )


def closed(path: str | Path) -> Path:
    """The first folder on the way to `path` that may not be entered, or `path` itself."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - nothing is resolved
    above = reversed(path.parents)
    return next((one for one in above if one.is_dir() and not os.access(one, os.X_OK)), path)


def _require_umask() -> None:
    """That what a command makes can be used by itself.

    Raises:
        StudyError: not with this umask.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    if mask & OWNER:
        raise StudyError(
            f"The umask is {mask:04o}, which takes from you the rights to what you make; run it "
            "again after `umask 022`."
        )


class VoidMeasurement(RuntimeError):
    """The measurement was made in another cache state than it claims; its number is no result."""


class Unsupported(RuntimeError):
    """This machine cannot provide a cache state; the sentence says why."""


def require_pickled(state: dict[str, Any], *names: str) -> None:
    """That what is unpickled has the fields that this version of its class needs.

    Raises:
        StudyError: another version pickled it.
    """
    lacking = [name for name in names if name not in state]
    if lacking:
        raise StudyError(
            f"It was pickled by another version of datasets_impl, without {', '.join(lacking)}; "
            "make it anew and pickle that."
        )


def exit_on_study_error(main: Callable[P, int]) -> Callable[P, int]:
    """Wrap a command's `main`: a `StudyError` becomes one line and exit code 2, Ctrl-C 130.

    So does what rights forbid. Who stops reading what it prints, as `head` does, ends it without a
    word.
    """

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        streams.prepare()
        try:
            _require_umask()
            code = main(*args, **kwargs)
            why = streams.lost()
        except StudyError as error:
            return _told(f"error: {error}", BAD_INPUT, "red")
        except KeyboardInterrupt:
            return _told("interrupted; run the same command again to go on", INTERRUPTED)
        except OSError as error:
            if streams.lost() is None:
                if error.errno in RIGHTS and isinstance(error.filename, str):
                    return _told(f"error: {forbidden(error.filename, error)}", BAD_INPUT, "red")
                raise
            code, why = 0, error
        except SystemExit as ended:  # by rich with 1, which is a command's own code for other ends
            if not isinstance(ended.__context__, BrokenPipeError):
                raise
            streams.lost()
            return UNREAD
        if isinstance(why, BrokenPipeError):
            return code or UNREAD
        if why:
            what = f"error: What was printed could not be written ({why.strerror})."
            return _told(what, BAD_INPUT, "red")
        return code

    return wrapped


def _told(sentence: str, code: int, style: str = "") -> int:
    from rich.console import Console  # late: every dataset imports this module

    with contextlib.suppress(OSError):
        stderr = Console(emoji=False, stderr=True, soft_wrap=True, highlight=False)
        stderr.print(sentence, style=style, markup=False)
    streams.lost()
    return code
