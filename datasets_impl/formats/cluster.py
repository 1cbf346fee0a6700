"""Shards written by a Dask cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets_impl.errors import StudyError
from datasets_impl.formats.shards import Submit
from datasets_impl.system.scheduler import awaited, client_of, require_workers

RETRIES = 3  # of a shard whose worker died


@contextmanager
def connected(address: str, looks: int) -> Iterator[Submit]:
    """`looks` is how often a first worker is looked for.

    Raises:
        MissingPackage: Dask is not installed.
        NoScheduler: none answers there.
        NoWorkers: it has none.
    """
    with client_of(address) as client:
        require_workers(client, looks)
        yield lambda *call: _Awaited(
            client, client.submit(_opened(), pickle.dumps(call), pure=False, retries=RETRIES)
        )


def _opened() -> Any:
    """Calls what was pickled. It travels by value, and the task as bytes: the scheduler unpickles
    what is submitted, and would import PyTorch for it, and answer nobody meanwhile."""
    return lambda call: (lambda function, *given: function(*given))(*pickle.loads(call))


class _Awaited:
    """A future of Dask whose `result` waits for nobody who is gone."""

    def __init__(self, client: Any, future: Any) -> None:
        self.client, self.future = client, future

    def result(self) -> Any:
        """
        Raises:
            ConnectionError: the scheduler is gone.
            NoWorkers: the workers are, and none came back.
            StudyError: a worker cannot import what it is asked for.
        """
        try:
            return awaited(self.client, self.future)
        except ImportError as error:  # also of a package that is installed here
            raise StudyError(
                f"A worker of the cluster lacks a package ({str(error).rstrip('.')}); install this "
                "project where the workers run, `pip install '<this folder>[cluster]'`, and start "
                "them anew; what was written is kept: run it again."
            ) from error

    def cancel(self) -> None:
        if self.client.status == "running":
            self.future.cancel()
