"""The scheduler of a Dask cluster, which somebody else started."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets_impl.errors import StudyError, importing

LOOK_SECONDS = 5.0  # between two looks at a cluster that says nothing
LOOKS = 12  # without a worker: one that was lost may come back, or another be started
FIRST_LOOKS = 2  # before anything was asked of it


class NoWorkers(Exception):
    """Nobody is left who could do what is asked for; the text says since when."""


class NoScheduler(StudyError):
    """Nobody answers at the address."""


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    """A client of the cluster at `address`, which is nobody's default.

    Raises:
        MissingPackage: Dask is not installed, or cannot be imported.
        NoScheduler: none answers there.
    """
    with importing("A Dask cluster", "distributed", "cluster"):
        from distributed import Client
        from distributed.comm.addressing import parse_address
        from distributed.comm.registry import get_backend
    try:
        get_backend(parse_address(address)[0])  # `Client` would try an unknown one for 20 s
        client = Client(address, timeout="10s", set_as_default=False)
    except Exception as error:  # each way of transport has errors of its own
        raise NoScheduler(
            f"No Dask scheduler answers at {address} ({error}); start one with dask scheduler."
        ) from error
    # It would show its own tracebacks where the scheduler is lost, which the caller tells.
    words = logging.getLogger("distributed.client")
    before = words.level
    words.setLevel(logging.CRITICAL)
    try:
        yield client
    finally:
        client.close(timeout=5)
        words.setLevel(before)


def workers_of(client: Any) -> dict[str, Any]:
    """What the scheduler knows of each worker, by address."""
    found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return found


def require_workers(client: Any, looks: int) -> None:
    """Raises `NoWorkers` unless there is one, or comes soon: else a task waits for ever."""
    for _ in range(looks):
        if workers_of(client):
            return
        time.sleep(LOOK_SECONDS)
    if not workers_of(client):
        raise NoWorkers(f"none came in {looks * LOOK_SECONDS:.0f} s")


def awaited(client: Any, future: Any, only: str | None = None) -> Any:
    """The result of a future, which Dask waits for though nobody is left to make it.

    `only` is the one worker that may.

    Raises:
        ConnectionError: the scheduler is gone.
        NoWorkers: no worker that may is there, nor came back.
    """
    looks = 0
    while True:
        try:
            return future.result(timeout=LOOK_SECONDS)
        except TimeoutError:
            if future.status == "error":  # the task's own
                raise
            if client.status != "running":
                raise ConnectionError("the scheduler is gone") from None
            known = workers_of(client)
            looks = 0 if (only in known if only else known) else looks + 1
            if looks >= LOOKS:
                gone = "its worker is gone, and did not come" if only else "all are gone, none came"
                raise NoWorkers(f"{gone} back in {LOOKS * LOOK_SECONDS:.0f} s") from None
