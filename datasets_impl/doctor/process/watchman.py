"""Clears up after a doctor that was killed; a process beside it, that runs none of the user's code.

    python -m datasets_impl.doctor.process.watchman

The doctor writes what it has begun to a pipe that only it holds open, so the pipe ends when the
doctor does, however it ends and whatever the user's code is doing then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PACKAGES = str(Path(__file__).parents[3])


class Watchman:
    """Is told of every folder, and of the session of processes that works in it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.pipe = pipe

    def tell(self, folder: Path, session: int = 0) -> None:
        with suppress(OSError):  # it was ended, and what a killed doctor leaves goes with the next
            self.pipe.write(f"{session} {folder}\n".encode(errors="surrogateescape"))
            self.pipe.flush()


@contextmanager
def watchman() -> Iterator[Watchman]:
    """Until the end of the block, at which it is not needed any more."""
    paths = os.pathsep.join([PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],  # no json.py of the user's, where it runs
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    with process:
        assert process.stdin is not None
        try:
            yield Watchman(process.stdin)
        finally:
            process.kill()


def main() -> int:
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    begun = dict[bytes, int]()
    for line in sys.stdin.buffer:
        session, _, folder = line.rstrip(b"\n").partition(b" ")
        begun[folder] = int(session)
    # Not before: it takes longer to import than a doctor may take to examine.
    from datasets_impl.doctor.process.clearing import clear
    from datasets_impl.media.workspaces import sweep, temporary_parent

    for folder, session in begun.items():  # also one that the next doctor has swept before
        clear(Path(os.fsdecode(folder)), session)
    sweep(temporary_parent())  # a folder that it made, and was killed before it told of it
    return 0


if __name__ == "__main__":
    sys.exit(main())
