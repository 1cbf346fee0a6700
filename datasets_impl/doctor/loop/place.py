"""Where a program's loops are written: to the file that was named, or beside another program's."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.told import check_place, is_ours, write
from datasets_impl.doctor.probes import clock

TRIES, NAP = 100, 0.01  # to have the folder alone; seconds between them


class Place:
    """The file of one program, and the loops that go there.

    What stood there when the program named it is of an earlier run, and is replaced. Once another
    program has written it since, this one writes all of its loops beside it, under a number:
    neither replaces what the other saw.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            StudyError: it cannot be written, or something else stands there.
        """
        check_place(path)
        self.named = self.path = path
        self.records: list[Record] = []
        earlier = itertools.takewhile(os.path.lexists, self._names())
        self._known = {one: _identity(one) for one in earlier}

    def write(self) -> None:
        """
        Raises:
            StudyError: it cannot be written, or something else stands there now.
        """
        with _alone_in(self.path.parent):
            if is_ours(self.path) and not self._untouched(self.path):
                self.path = next(filter(self._is_free, self._names()))
                for record in self.records:
                    record.note(
                        f"Another program writes {self.named} too; the loops of this one are in "
                        f"{self.path}."
                    )
            write(self.path, self.records)
            self._known[self.path] = _identity(self.path)

    def _untouched(self, path: Path) -> bool:
        """Whether nobody has written it since this program began, or did itself."""
        return _identity(path) in (None, self._known.get(path))

    def _is_free(self, path: Path) -> bool:
        return self._untouched(path) and (is_ours(path) or not os.path.lexists(path))

    def _names(self) -> Iterator[Path]:
        yield self.named
        for number in itertools.count(2):
            yield self.named.with_stem(f"{self.named.stem}-{number}")


def _identity(path: Path) -> tuple[int, ...] | None:
    """Of what stands there, None where nothing does: each writing makes a new file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two programs may end an epoch together. Where the folder cannot be locked, or somebody keeps
    it, it is done all the same: training is not to wait, and whoever writes next sees the other.
    """
    descriptor = None
    try:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            for _ in range(TRIES):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    clock.sleep(NAP)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
