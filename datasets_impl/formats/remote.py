"""Pictures by address: objects one by one, or a pack, of which ranges or whole shards are fetched.

Whatever fsspec reads will do (`s3://…`). Each process connects on its first read, since no
connection survives a fork, and reads of many threads are under way at the same time. Memory holds
the names, or the index.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from pydantic import ValidationError

from datasets_impl import arguments
from datasets_impl.arguments import flag, positive_int, refused
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import digest
from datasets_impl.formats.addresses import file_system
from datasets_impl.formats.pack import DATA, PackFormat
from datasets_impl.formats.pictures_elsewhere import plan_address
from datasets_impl.formats.shard_cache import ShardCache
from datasets_impl.formats.stored import HEADER, INDEX, TARGET, Header, shard_name, target_column
from datasets_impl.indexing import position
from datasets_impl.system.threads import lock_anew_in_forks

AT_ONCE = 256  # connections of a process to S3; botocore's own ten would hold up many threads


class Remote:
    """Files under an address.

    Args:
        url: an address of fsspec.
        storage_options: arguments of its file system, as pandas and Dask call them.
    """

    def __init__(self, url: str, storage_options: dict[str, Any] | None = None) -> None:
        protocol, _, place = url.partition("://") if isinstance(url, str) else ("", "", "")
        if not protocol or not place.strip("/ "):
            raise refused("url", url, 'an address such as "s3://bucket/photos"')
        self.url = url.rstrip("/")
        self.storage_options = arguments.storage_options(storage_options)
        self._system: Any = None
        self._owner = 0  # the process that connected
        self._connecting = lock_anew_in_forks()

    def __str__(self) -> str:
        return self.url

    def __getstate__(self) -> dict[str, Any]:
        held = {**self.__dict__, "_system": None, "_owner": 0}
        del held["_connecting"]
        return held

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connecting = lock_anew_in_forks()

    @property
    def system(self) -> Any:
        """fsspec's file system, of this process alone.

        Raises:
            MissingPackage, StudyError: see `addresses.file_system`.
        """
        with self._connecting:
            if self._system is None or self._owner != os.getpid():
                # fsspec would hand out an earlier one, whose connections another process has.
                options = {**self._options(), "skip_instance_cache": True}
                self._system, self._owner = file_system(self.url, options), os.getpid()
            return self._system

    def _options(self) -> dict[str, Any]:
        options = self.storage_options
        if self.url.partition("://")[0] not in ("s3", "s3a"):
            return options
        own = arguments.storage_options(options.get("config_kwargs"), "config_kwargs")
        return {**options, "config_kwargs": {"max_pool_connections": AT_ONCE, **own}}

    def fetch(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes `start` to `stop` of a file under the address, by one request.

        Raises:
            StudyError: it cannot be read, or is shorter.
        """
        return self._fetched(f"{self.url}/{name}", start, stop)

    def _fetched(self, url: str, start: int | None = None, stop: int | None = None) -> bytes:
        try:
            found = bytes(self.system.cat_file(url, start=start, end=stop))
        except (MemoryError, StudyError):
            raise
        except Exception as error:  # each file system has errors of its own
            self._failed(url, str(error) or type(error).__name__, error)
        if start is not None and stop is not None and len(found) != stop - start:
            self._failed(url, f"{len(found):,} bytes came of {stop - start:,}")
        return found

    def _failed(self, url: str, why: str, error: Exception | None = None) -> NoReturn:
        raise StudyError(
            f"{url} cannot be read ({why.rstrip('.')}); mend its address, its rights or the "
            "connection, and run it again."
        ) from error


class RemoteFolder(Remote):
    """The JPEG files under an address in the order of their names, each read by one request.

    Args:
        url, storage_options: see `Remote`.
        labelled: the folders under the address are classes, whose numbers are the targets.

    Raises:
        MissingPackage: fsspec's package for the protocol is not installed.
        StudyError: there is no such file, or (also on access) the address cannot be read.
    """

    def __init__(
        self,
        url: str,
        storage_options: dict[str, Any] | None = None,
        *,
        labelled: bool = False,
    ) -> None:
        super().__init__(url, storage_options)
        flag("labelled", labelled)
        plan = plan_address(self.url, "jpeg", self._options(), labelled)
        self.paths, self.sizes = plan.paths, plan.lengths
        self.targets, self.classes = plan.targets, plan.classes
        root = str(file_system(self.url, self._options())._strip_protocol(self.url))
        self._below = len(root.rstrip("/"))  # of a path; the rest follows the address

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        index = position(index, len(self), self.url)
        url, size = self.name(index), int(self.sizes[index])
        found = self._fetched(url)
        if len(found) != size:
            raise StudyError(
                f"{url} has {len(found):,} bytes and had {size:,} when the folder was opened; open "
                "it again."
            )
        return found

    def name(self, index: int) -> str:
        return self.url + self.paths[index][self._below :]


class RemotePack(Remote):
    """The images of a pack at an address (`python -m datasets_impl.convert photos s3://…`).

    Args:
        url, storage_options: see `Remote`.
        cache: a folder of this machine. With it shards are fetched whole, and kept there for every
            process and every later epoch; without it each image is fetched by itself. Give
            `ShardsAhead` what reads from the pack, so that the order goes from shard to shard.
        cache_bytes: what the folder holds at most, however many processes use it.

    Raises:
        BadArgument: only one of the last two is given, or the cache is smaller than a shard.
        MissingPackage: fsspec's package for the protocol is not installed.
        StudyError: it is no pack; or (also on access) it cannot be read, an image is damaged, or
            the pack was converted anew since it was opened.
    """

    def __init__(
        self,
        url: str,
        storage_options: dict[str, Any] | None = None,
        *,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        super().__init__(url, storage_options)
        self.header = self._header()
        index = self._index()
        self.offsets, self.lengths = (
            np.ascontiguousarray(index[name]).astype(np.int64) for name in ("offset", "length")
        )
        self.digests = np.ascontiguousarray(index["digest"])
        self.targets = target_column(index) if TARGET in index.dtype.names else None
        self.classes = self.header.classes
        self.each = self.header.shard or max(1, len(index))
        counts = range(-(-len(index) // self.each))
        if self.header.shard is None:
            self.files = [DATA for _ in counts]
        else:
            self.files = [f"{shard_name(number)}/{DATA}" for number in counts]
        self.sizes = [self.header.files[name] for name in self.files]
        self.cache: ShardCache | None = None
        if (cache is None) != (cache_bytes is None):
            raise BadArgument("cache and cache_bytes go together; give both, or neither.")
        if cache is not None:
            most = positive_int("cache_bytes", cache_bytes)
            if self.sizes and most < max(self.sizes):
                largest = f"at least {max(self.sizes):,}, the bytes of its largest shard"
                raise refused("cache_bytes", most, largest)
            self.cache = ShardCache(cache, most)

    def _header(self) -> Header:
        header: Header | None
        try:
            header = Header.model_validate_json(self.fetch(HEADER))
        except ValidationError:
            header = None
        if header is None or not header.is_intact() or header.model_extra:
            raise StudyError(
                f"{self.url}/{HEADER} is damaged, or of a newer version of datasets_impl; convert "
                "the images again."
            )
        if header.format != PackFormat.name:
            raise StudyError(
                f"{self.url} is in the format {header.format!r}; only a pack is read from an "
                "address: convert the images with --format pack."
            )
        return header

    def _index(self) -> np.ndarray[Any, Any]:
        content = self.fetch(INDEX)
        if f"{digest(content):016x}" != self.header.index_digest:
            raise StudyError(f"{self.url}/{INDEX} is damaged; convert the images again.")
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))

    def __len__(self) -> int:
        return len(self.lengths)

    def name(self, index: int) -> str:
        return f"image {index} of {self.url}"

    def read(self, index: int) -> bytes:
        index = position(index, len(self), self.url)
        with self._as_opened():
            data, written = self._got(index), int(self.digests[index])
            if self.cache is not None and digest(data) != written:
                self.cache.drop(self._cached(index // self.each))  # spoilt by a crash, perhaps
                data = self._got(index)
            if digest(data) != written:
                raise StudyError(f"{self.name(index)} is damaged; convert the images again.")
        return data

    @contextmanager
    def _as_opened(self) -> Iterator[None]:
        """Of what cannot be read: whether another set stands there since this was opened."""
        try:
            yield
        except StudyError as error:
            try:
                changed = self._header().seal != self.header.seal
            except StudyError:  # of which the error tells already
                changed = False
            if changed:
                raise StudyError(
                    f"{self.url} was converted anew since it was opened; open it again, with a new "
                    "RemotePack."
                ) from error
            raise

    def _got(self, index: int) -> bytes:
        number = index // self.each
        start, length = int(self.offsets[index]), int(self.lengths[index])
        if self.cache is None:
            return self.fetch(self.files[number], start, start + length)
        size, fetch = self.sizes[number], partial(self._shard, number)
        return self.cache.read(self._cached(number), size, start, length, fetch)

    def bring(self, number: int, keep: Collection[int], *, wait: bool) -> None:
        """Fetch a shard into the cache; see `ShardCache.bring`.

        Raises:
            StudyError: it cannot be read, or the cache cannot be written.
        """
        assert self.cache is not None
        kept = {self._cached(each) for each in keep}
        fetch = partial(self._shard, number)
        with self._as_opened():
            self.cache.bring(self._cached(number), self.sizes[number], fetch, kept, wait=wait)

    def holds(self, number: int) -> bool:
        """Whether a shard is in the cache."""
        return self.cache is not None and self.cache.holds(self._cached(number))

    def _shard(self, number: int) -> bytes:
        return self.fetch(self.files[number], 0, self.sizes[number])

    def _cached(self, number: int) -> str:
        """The name of a shard in the cache, which several sets may share."""
        return f"{self.header.seal[:16]}-{number:06}"
