"""That a study is alone on a host of a cluster: of a machine's several addresses one measures, no
other study holds it, and it is told if other work ran there meanwhile."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from datasets_impl.errors import StudyError
from datasets_impl.system.scheduler import workers_of

HOST_VARIABLE = "DATASET_STUDY_HOST"


def workers_by_host(client: Any) -> dict[str, str]:
    """One worker of each address, the first by name.

    Raises:
        StudyError: there is none, or one has other work.
    """
    known = workers_of(client)
    busy = {worker for worker, tasks in client.processing().items() if tasks}
    found: dict[str, str] = {}
    for worker in sorted(known):
        host = str(known[worker]["host"])
        if worker in busy:
            raise StudyError(
                f"The worker {worker} has other work, and a study is alone on its host; wait for "
                "it, or name another cluster."
            )
        found.setdefault(host, worker)
    if not found:
        raise StudyError("The cluster has no workers; start one on each host: dask worker ADDRESS.")
    return found


def machine() -> Callable[[], str]:
    """Tells one machine from another, whatever its addresses; it travels by value.

    Containers of one kernel are one machine: they share caches, disk and bandwidth of memory.
    """
    variable = HOST_VARIABLE

    def machine() -> str:
        import os
        import platform
        import uuid
        from pathlib import Path

        if said := os.environ.get(variable):
            return said
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:  # no Linux
            return f"{platform.node()} {uuid.getnode():x}"

    return machine


def other_address(first: str) -> str:
    """Why a host is left out whose machine measures at another address."""
    return (
        f"it is the same machine as {first}, and a study is alone on its machine (where that is "
        f"not so, set {HOST_VARIABLE} to a name of its own in its worker's environment)"
    )


@contextmanager
def held(client: Any, hosts: Mapping[str, str]) -> Iterator[None]:
    """Hold machines, each of which measures at one of the `hosts`.

    Raises:
        StudyError: another study holds one.
    """
    from distributed import Lock

    with ExitStack() as locks:
        for machine, host in hosts.items():
            lock = Lock(f"dataset-study-{machine}", client.scheduler, client.loop)
            if not lock.acquire(timeout=2):
                raise StudyError(f"Another study runs on {host}; wait for it.")
            locks.callback(lock.release)
        yield


class Watch:
    """What the scheduler has others do from now on, told from our own tasks by their keys."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._own = f"dataset-study-{uuid.uuid4().hex}"
        client.get_task_stream()  # from here on the scheduler notes what ended

    def asks(self, host: str) -> str:
        """Key of the task that looks at a host, before any study begins."""
        return f"{self._own}-asks-{host}"

    def studies(self, host: str) -> str:
        return f"{self._own}-studies-{host}"

    def others(self) -> Counter[str]:
        """How many tasks of others each address was given since our first was done."""
        ended = [(str(one["key"]), str(one["worker"])) for one in self.client.get_task_stream()]
        # Another program may have had the scheduler note them for longer; with very many, the
        # first of them, and so ours, are forgotten.
        first = next((n for n, (key, _) in enumerate(ended) if key.startswith(self.asks(""))), 0)
        running = [
            (str(key), worker) for worker, keys in self.client.processing().items() for key in keys
        ]
        return Counter(
            _host(worker)
            for key, worker in ended[first:] + running
            if not key.startswith(self._own)
        )


def _host(worker: str) -> str:
    return worker.partition("://")[2].rpartition(":")[0].strip("[]")
