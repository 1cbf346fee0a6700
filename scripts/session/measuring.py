"""What every command that measures does first and last, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.files.whole import holder_of, locked
from datasets_impl.media.workspaces import sweep_all, temporary_folder
from datasets_impl.system.termination import stopping_on_termination
from scripts.session.orphans import end_orphans, end_processes_of

HELD = "dataset-study"  # the lock is `.dataset-study.lock` in the folder


@contextmanager
def measuring(
    out: Path, check: Callable[[], None] = lambda: None, *, results: Path | None = None
) -> Iterator[Path]:
    """Hold `out` and `results` against a second study, whose results would replace these; yields a
    folder for the temporary files of children.

    `check` comes first. What former studies left that were killed is ended and removed before, and
    what this one leaves after.

    Raises:
        StudyError: one of them cannot be written, or another study holds it.
    """
    with stopping_on_termination(), ExitStack() as held:
        held.enter_context(_alone_in(out, "--out"))
        if results is not None and results != out:
            held.enter_context(_alone_in(results, "--results"))
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


@contextmanager
def _alone_in(folder: Path, option: str) -> Iterator[None]:
    """Make `folder` and hold it; it goes again if it was not there and nothing was written."""
    lock, there = folder / HELD, folder.exists()

    def refuse() -> None:
        raise StudyError(
            f"Another study (process {holder_of(lock)}) is running in {folder}; wait for it, or "
            f"choose another folder with {option}."
        )

    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not there:
                held.callback(_remove_if_empty, folder)
            held.enter_context(locked(lock, refuse))
        except OSError as error:
            raise describe_write_error(error, folder) from error
        yield


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
