"""Why a process that makes batches cannot be started, in one sentence."""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets_impl.errors import StudyError
from datasets_impl.files.paths import current_folder, socket_too_deep


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Why the process cannot be started, in one sentence.

    Raises:
        StudyError: in place of what `multiprocessing` and pickle raise.
    """
    try:
        yield
    except AssertionError as error:  # of a daemon, as are the workers of a `DataLoader`
        why, end = f"cannot be started here ({error})", ""
    except (BrokenPipeError, ConnectionResetError, EOFError):
        why = "ended at once, and what it printed before says why"
        end = ', or keep what your program runs below `if __name__ == "__main__":`'
    except OSError as error:  # no descriptor, process or memory is left
        why = f"cannot be started ({error.strerror or error})"
        end = f" or {socket_too_deep(error) or 'raise that limit'}"
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        why, end = f"cannot be sent the dataset ({error})", ' or start_method="fork"'
    else:
        return
    raise StudyError(f'The process that makes batches {why}; give where="trainer"{end}.')


def require_importable(start_method: str) -> None:
    """That a process that is not forked can run the program's file again, as it does first; or it
    ends, and the trainer waits for ever to hand it a large dataset. It begins in the same folder.
    """
    if start_method != "fork":
        current_folder()
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if start_method != "fork" and path is not None and not Path(path).exists():
        raise StudyError(
            f"A process that is started by {start_method} reads the program again, and there is no "
            f'file {path}; save the program as a file, or give start_method="fork" or '
            'where="trainer".'
        )
