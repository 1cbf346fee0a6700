"""Shards written by a Dask cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets_impl.formats.shards import Submit
from datasets_impl.system.scheduler import client_of

LOOK_SECONDS = 5  # between two looks at a scheduler that says nothing
RETRIES = 3  # of a shard whose worker died


@contextmanager
def connected(address: str) -> Iterator[Submit]:
    """
    Raises:
        MissingPackage: Dask is not installed.
        NoScheduler: none answers there.
    """
    with client_of(address) as client:
        yield lambda *call: _Awaited(
            client, client.submit(_opened(), pickle.dumps(call), pure=False, retries=RETRIES)
        )


def _opened() -> Any:
    """Calls what was pickled. It travels by value, and the task as bytes: the scheduler unpickles
    what is submitted, and would import PyTorch for it, and answer nobody meanwhile."""
    return lambda call: (lambda function, *given: function(*given))(*pickle.loads(call))


class _Awaited:
    """A future of Dask whose `result` does not wait for a scheduler that is gone."""

    def __init__(self, client: Any, future: Any) -> None:
        self.client, self.future = client, future

    def result(self) -> Any:
        """
        Raises:
            ConnectionError: the scheduler is gone.
        """
        while True:
            try:
                return self.future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if self.future.status == "error":  # the task's own
                    raise
                if self.client.status != "running":
                    raise ConnectionError("the scheduler is gone") from None

    def cancel(self) -> None:
        if self.client.status == "running":
            self.future.cancel()
