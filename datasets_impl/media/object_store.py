"""A real S3-protocol server on loopback with a stated latency, read through fsspec and s3fs.

`object_store` starts one in a process of its own and stops it; `open_store` connects to it from
whichever process reads. Nothing leaves the machine: the server listens on 127.0.0.1, credentials
are made up, and proxies and AWS settings of the environment are ignored. Bandwidth is that of
loopback, and the server takes a share of the CPU, about two milliseconds per object, or a tenth of
that behind a line of stated bandwidth.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datasets_impl.errors import StudyError, Unsupported, installed

NEEDED = ("fsspec", "s3fs", "moto", "flask", "flask_cors")
SERVER = Path(__file__).with_name("object_server.py")
BUCKET = "study"
START_SECONDS = 60.0  # a server that is not ready by then is given up
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class StoreAddress:
    """Where the objects are, as plain data: it pickles, and holds no connection.

    `keys` are the object names in sorted order; `url` is the fsspec URL of their folder, and
    `options` are the arguments of its file system.
    """

    url: str
    options: dict[str, Any]
    keys: tuple[str, ...]

    def path(self, key: str) -> str:
        """What the file system calls the object `key`."""
        return f"{self.url.partition('://')[2]}/{key}"


@dataclass(frozen=True)
class Served:
    """What the server gave out so far: GET requests of objects, their bytes, and other requests."""

    requests: int
    bytes: int
    other: int

    def since(self, before: Served) -> Served:
        """The difference of two counts."""
        return Served(
            self.requests - before.requests, self.bytes - before.bytes, self.other - before.other
        )


class ObjectStore:
    """A running server: its `address`, and its own count of what it served."""

    def __init__(self, address: StoreAddress, process: subprocess.Popen[str]) -> None:
        self.address = address
        self.process = process

    def served(self) -> Served:
        """Counts since the start, asked for over the server's pipe, not over the store.

        Raises:
            RuntimeError: the server is gone.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print("served", file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except (OSError, ValueError) as error:  # a broken pipe, or one closed with the block
            raise RuntimeError("the object store is gone") from error
        if not answer:
            raise RuntimeError("the object store is gone")
        return Served(**json.loads(answer))


@contextmanager
def object_store(
    folder: str | Path, latency_ms: float = 0.0, mb_per_second: float | None = None
) -> Iterator[ObjectStore]:
    """Serve the files directly in `folder` as objects, each GET `latency_ms` milliseconds late.

    With `mb_per_second` the store is behind a line of that bandwidth, which all connections share.
    Every answer is late then, connections stay open, and files in folders below are objects too.

    The server is a fresh interpreter. It ends with the block, and also when this process is
    killed, because its input ends then (workers that outlive the kill for a moment hold it open).

    Raises:
        ValueError: the latency is negative, or the bandwidth is not above 0.
        StudyError: the folder holds no file, or (without a line) anything else than files.
        Unsupported: the libraries are not installed, or no server can listen on this machine.
    """
    if not latency_ms >= 0:
        raise ValueError(f"a latency cannot be {latency_ms} ms")
    if mb_per_second is not None and not mb_per_second > 0:
        raise ValueError(f"a line cannot have {mb_per_second} MB/s")
    keys = _keys(Path(folder), below=mb_per_second is not None)
    if not keys:
        raise StudyError(f"{folder} must be a folder of files, one for each object.")
    require_libraries()
    owner = os.getpid()
    arguments = [str(Path(folder).absolute()), str(latency_ms)]
    arguments += [] if mb_per_second is None else [str(mb_per_second)]
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", str(SERVER), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env={name: os.environ[name] for name in os.environ if not _is_cloud_setting(name)},
            start_new_session=True,  # Ctrl-C is for the measurement, which then ends the server
        )
        try:
            port = _port(process, complaints)
            yield ObjectStore(_address(port, keys), process)
        finally:
            if os.getpid() == owner:  # a forked worker that unwinds leaves the server alone
                _stop(process)


def _keys(folder: Path, below: bool) -> tuple[str, ...]:
    """Names of the objects that the files of `folder` become; none where it is not fit for it."""
    found = sorted(folder.rglob("*") if below else folder.iterdir()) if folder.is_dir() else []
    files = [path for path in found if path.is_file()]
    if not below and len(files) < len(found):
        return ()
    return tuple(path.relative_to(folder).as_posix() for path in files)


def require_libraries() -> None:
    """Raises `Unsupported` where a library of the object store is not installed."""
    missing = [name for name in NEEDED if not installed(name)]
    if missing:
        raise Unsupported(
            f"the object store needs {', '.join(missing)}; install the study's `study` extra"
        )


def open_store(address: StoreAddress) -> Any:
    """A connected fsspec file system for `address`, of this process alone; `cat_file` is one GET.

    The connection is made here and now, so that the environment's AWS settings can be set aside
    for the moment in which they would be read.

    Raises:
        Unsupported: a library of the object store is not installed.
    """
    require_libraries()
    import fsspec

    with _no_cloud_settings():
        protocol = address.url.partition("://")[0]
        # fsspec would hand out an earlier instance with equal options, its connections gone stale.
        store = fsspec.filesystem(protocol, skip_instance_cache=True, **address.options)
        store.connect()
    return store


def environment_of(address: StoreAddress) -> dict[str, str]:
    """The variables by which boto3, and what is built on it, finds the store."""
    endpoint = address.options["endpoint_url"]
    return {
        "AWS_ACCESS_KEY_ID": address.options["key"],
        "AWS_SECRET_ACCESS_KEY": address.options["secret"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "S3_ENDPOINT_URL": endpoint,  # of MosaicML Streaming
    }


@contextmanager
def in_environment(address: StoreAddress) -> Iterator[None]:
    """Within the block boto3 finds the store, in this process and in those that it starts."""
    told = environment_of(address)
    with _no_cloud_settings():
        os.environ.update(told)
        try:
            yield
        finally:
            for name in told:
                os.environ.pop(name, None)


def _address(port: int, keys: tuple[str, ...]) -> StoreAddress:
    return StoreAddress(
        url=f"s3://{BUCKET}",
        options={
            "key": "study",
            "secret": "study",
            "anon": False,
            "endpoint_url": f"http://127.0.0.1:{port}",
            "client_kwargs": {"region_name": "us-east-1"},
            # With more, s3fs asks for the size first: two requests where an item needs one.
            "max_concurrency": 1,
            "config_kwargs": {
                "proxies": {},
                "s3": {"addressing_style": "path"},
                "retries": {"total_max_attempts": 1},  # a hidden retry would pass for slowness
            },
        },
        keys=keys,
    )


def _port(process: subprocess.Popen[str], complaints: IO[str]) -> int:
    """The port of the server, once it is ready.

    Raises:
        Unsupported: it did not start; its last words are the reason.
    """
    assert process.stdout is not None
    patience = threading.Timer(START_SECONDS, process.kill)
    patience.start()
    try:
        line = process.stdout.readline()
    finally:
        patience.cancel()
    if line:
        return int(json.loads(line)["port"])
    process.wait()
    complaints.seek(0)
    words = complaints.read().strip().splitlines() or [f"exit code {process.returncode}"]
    raise Unsupported(f"the object store did not start: {words[-1]}")


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError):
        process.stdin.close()  # what it waits for; forked workers may still hold a copy
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _is_cloud_setting(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(("AWS_", "MOTO_", "FSSPEC_", "BOTO")) or upper.endswith("_PROXY")


@contextmanager
def _no_cloud_settings() -> Iterator[None]:
    """Without AWS settings and proxies, from variables or from files in the home folder."""
    removed = {name: os.environ.pop(name) for name in list(os.environ) if _is_cloud_setting(name)}
    nowhere = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ.update(nowhere)
    try:
        yield
    finally:
        for name in nowhere:
            os.environ.pop(name, None)
        os.environ.update(removed)
