"""Shards that were fetched from afar, in a folder that never holds more than its bytes.

Any number of processes and threads may use it at once, and none has to know of the others: the
kernel's file locks are all that they share, and it lets go of them when a process dies. The file
that they lock says that the folder is such a cache: what somebody else put there is not evicted.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.files.paths import user_path
from datasets_impl.files.records import content_of
from datasets_impl.files.replacing import somebody_elses

LOCK, PART = ".shard-cache.lock", ".part"
OURS = re.compile(rf"[0-9a-f]{{16}}-\d{{6,}}({re.escape(PART)})?")  # nothing else is touched
MARK = b"A cache of shards of pytorch-dataset-study; they go from here when it is full.\n"
Fetch = Callable[[], bytes]


class ShardCache:
    """
    A shard is fetched once, by whoever asks for it first; others wait for it. Its bytes count from
    the moment on at which the fetch begins. Where room is needed, the shard goes that was read
    least recently.

    Args:
        folder: made unless it is there; to be empty, or such a cache.
        most: bytes that all shards in it take together.

    Raises:
        StudyError: the folder cannot be made, or holds something else.
    """

    def __init__(self, folder: str | Path, most: int) -> None:
        self.folder, self.most = user_path(folder), most
        self._failed: dict[str, tuple[float, Exception]] = {}  # when, and why, the last fetch did
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._said() == MARK:
                return
            if not self._may_be_marked():
                raise somebody_elses(self.folder, "a cache of shards")
            with suppress(OSError), self._alone() as lock:  # what may only be read is not evicted
                os.pwrite(lock, MARK, 0)

    def _said(self) -> bytes | None:
        """What stands in the file of the lock; None where there is none."""
        try:
            return content_of(self.folder / LOCK, len(MARK))
        except FileNotFoundError:
            return None
        except ValueError:  # longer than the mark, or no file
            return b"something else"

    def _may_be_marked(self) -> bool:
        """Whether the folder is empty, or a cache that was made before there was a mark, or that
        another process is about to mark."""
        names = {path.name for path in self.folder.iterdir()} - {LOCK}
        said = self._said()  # after the names: whoever makes a file there has made the lock before
        if said is None:
            return not names
        return MARK.startswith(said) and all(map(OURS.fullmatch, names))

    def read(self, name: str, size: int, start: int, length: int, fetch: Fetch) -> bytes:
        """`length` bytes from `start` on of a shard of `size` bytes, which is fetched unless it is
        here.

        Raises:
            StudyError: what `fetch` raises, or the folder cannot be written.
        """
        while True:
            try:
                descriptor = os.open(f"{self.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self.bring(name, size, fetch, wait=True)
                continue
            try:
                with suppress(OSError):  # another user's
                    os.utime(descriptor)
                return os.pread(descriptor, length, start)
            finally:
                os.close(descriptor)

    def bring(
        self,
        name: str,
        size: int,
        fetch: Fetch,
        keep: Collection[str] = (),
        *,
        wait: bool = False,
    ) -> None:
        """Fetch a shard unless it is here, or being fetched, or there is no room beside `keep`.

        Args:
            wait: until it is here, whoever fetches it; what is to be kept goes last.

        Raises:
            StudyError: see `read`.
        """
        begun = time.monotonic()
        while not self.holds(name):
            failed = self._failed.get(name)
            if wait and failed and failed[0] > begun:  # while this thread waited for it
                raise StudyError(str(failed[1])) from failed[1]
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleared it away
            with self._writing(), self._alone():
                part = self._begun(name, size, keep, spare_all=wait)
            if part is not None:
                self._fill(part, name, size, fetch)
            elif wait:
                self._await(name)
            else:
                return

    def holds(self, name: str) -> bool:
        return os.path.exists(f"{self.folder}/{name}")  # noqa: PTH110 - asked for each image

    def drop(self, name: str) -> None:
        with self._writing(), self._alone():
            (self.folder / name).unlink(missing_ok=True)

    def held(self) -> int:
        """Bytes of all shards, those included that are being fetched."""
        with self._alone():
            return sum(found.st_size for found in self._found().values())

    def _begun(self, name: str, size: int, keep: Collection[str], spare_all: bool) -> int | None:
        """The file to fetch a shard into, locked and as large as the shard will be; None where
        somebody else fetches it, it is here by now, or room lacks."""
        self._clear_left()
        found = self._found()
        if name in found or name + PART in found:
            return None
        room = self.most - size - sum(each.st_size for each in found.values())
        whole = [one for one in found if not one.endswith(PART)]
        spare = [one for one in whole if spare_all or one not in keep]
        spare.sort(key=lambda one: (one not in keep, -found[one].st_mtime_ns))
        if room + sum(found[one].st_size for one in spare) < 0:
            return None
        while room < 0:
            oldest = spare.pop()
            (self.folder / oldest).unlink()
            room += found[oldest].st_size
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        part = os.open(self.folder / (name + PART), flags, 0o644)
        fcntl.flock(part, fcntl.LOCK_EX)
        os.ftruncate(part, size)
        return part

    def _fill(self, part: int, name: str, size: int, fetch: Fetch) -> None:
        path, whole = self.folder / (name + PART), False
        try:
            content, at = memoryview(fetch()), 0
            if len(content) != size:
                raise StudyError(
                    f"A shard came with {len(content):,} bytes and should have {size:,}; open the "
                    "set again, or convert the images again."
                )
            with self._writing():
                while at < size:
                    at += os.pwrite(part, content[at:], at)
            whole = True
        except Exception as error:
            self._failed[name] = time.monotonic(), error
            raise
        finally:
            try:
                # Cleared away by somebody meanwhile: it is not held then, and is brought again.
                with self._writing(), suppress(FileNotFoundError), self._alone():
                    if whole:
                        path.rename(self.folder / name)
                    else:
                        path.unlink(missing_ok=True)
            finally:
                _let_go(part)  # whoever waits for it goes on

    def _await(self, name: str) -> None:
        """Until somebody's fetch ends: of this shard, or, where there is no room, of another."""
        parts = [path for path in self.folder.glob(f"*{PART}") if OURS.fullmatch(path.name)]
        for path in sorted(parts, key=lambda path: path.name != name + PART)[:1]:
            with suppress(FileNotFoundError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)

    def _clear_left(self) -> None:
        """Remove what a process that was killed had begun to fetch."""
        for path in self.folder.glob(f"*{PART}"):
            if OURS.fullmatch(path.name):
                with suppress(OSError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()

    def _found(self) -> dict[str, os.stat_result]:
        with os.scandir(self.folder) as entries:
            return {one.name: one.stat() for one in entries if OURS.fullmatch(one.name)}

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """No other thread or process changes the folder meanwhile; gives the locked file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / LOCK, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            _let_go(descriptor)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise describe_write_error(error, self.folder) from error


def _let_go(descriptor: int) -> None:
    """Close a locked file. A process that was forked meanwhile has a copy, which would keep the
    lock."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
