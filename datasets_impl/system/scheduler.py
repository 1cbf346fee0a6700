"""The scheduler of a Dask cluster, which somebody else started."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets_impl.errors import StudyError, importing


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
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
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
