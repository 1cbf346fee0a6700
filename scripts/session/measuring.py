"""What every command that measures does first and last, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.media.workspaces import sweep_all, temporary_folder
from datasets_impl.system.termination import stopping_on_termination
from scripts.session.orphans import end_orphans, end_processes_of

LOCK = ".dataset-study.lock"


@contextmanager
def measuring(out: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Hold `out` against a second study; yields a folder for the temporary files of children.

    `check` comes first. What former studies left that were killed is ended and removed before, and
    what this one leaves after.

    Raises:
        StudyError: `out` cannot be written, or another study holds it.
    """
    with stopping_on_termination(), _locked(out):
        try:
            check()
            end_orphans()
            sweep_all()
            with temporary_folder() as temporary:
                try:
                    yield temporary
                finally:
                    end_processes_of(temporary)
        except OSError as error:
            raise describe_write_error(error, Path(error.filename or out)) from error
        finally:
            sweep_all()


def _locked(out: Path) -> FileLock:
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyError(
            f"Another study is running in {out}; wait for it, or choose another folder with --out."
        ) from None
    except OSError as error:
        raise describe_write_error(error, out) from error
    return lock
