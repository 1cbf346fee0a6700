"""A study is alone on a cluster's hosts: one address of each machine, and no one else's work."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts.session import alone, hosts

WANTED = {"commit": "0" * 40, "hash": "x", "claims": "y"}


class Cluster:
    """Stands in for Dask: workers by their hosts, each of a machine; `meanwhile` is what others
    had done while a study ran, and `before` what before it, as (key, worker)."""

    status = "running"

    def __init__(self, machines: dict[str, Any], busy: tuple[str, ...] = ()) -> None:
        self.machines, self.busy = machines, busy
        self.before: list[tuple[str, str]] = []
        self.meanwhile: list[tuple[str, str]] = []
        self.now: dict[str, list[str]] = {}
        self.ended: list[dict[str, str]] = []
        self.forgets = 0

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        hosts = {name: name.removeprefix("tcp://").split(":")[0] for name in self.machines}
        return {"workers": {name: {"host": host} for name, host in hosts.items()}}

    def processing(self) -> dict[str, list[str]]:
        given = {name: ["task"] if name in self.busy else [] for name in self.machines}
        return given | self.now

    def get_task_stream(self) -> list[dict[str, str]]:
        self.ended = self.ended or [{"key": key, "worker": at} for key, at in self.before]
        return self.ended[self.forgets :]

    def submit(self, function: Any, *given: Any, workers: list[str], key: str, **more: Any) -> Any:
        answer = function(self.machines[workers[0]], *given)
        self.ended.append({"key": key, "worker": workers[0]})
        if given:  # a study
            self.ended += [{"key": each, "worker": at} for each, at in self.meanwhile]
            self.meanwhile = []
        return SimpleNamespace(status="finished", result=lambda timeout: answer)


@pytest.fixture
def studied(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a study on such a cluster: the hosts that measured, and what was told."""
    monkeypatch.setattr(alone, "held", lambda client, hosts: nullcontext())
    monkeypatch.setattr(
        hosts, "_ask", lambda: lambda facts: json.dumps({**WANTED, "name": "lab", **facts})
    )
    monkeypatch.setattr(hosts, "_study", lambda: lambda facts, folder, words: {words[-1]: b""})

    def study(cluster: Cluster) -> tuple[dict[str, list[str]], list[str]]:
        told: list[str] = []
        workers = alone.workers_by_host(cluster)
        found = hosts.study_each(cluster, workers, "folder", [], WANTED, told.append)
        return {host: list(files) for host, files in found.items()}, told

    return study


def test_one_worker_of_each_host_measures() -> None:
    assert alone.workers_by_host(Cluster(dict.fromkeys(("a:1", "a:2", "b:1")))) == {
        "a": "a:1", "b": "b:1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "words"),
    [(Cluster({}), "no workers"), (Cluster({"a:1": 0, "a:2": 0}, ("a:2",)), "a:2 has other work")],
)
def test_a_cluster_that_cannot_measure_is_refused(cluster: Cluster, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        alone.workers_by_host(cluster)


def test_of_two_addresses_of_one_machine_one_measures(studied: Any) -> None:
    machines = {"tcp://a:1": "m", "tcp://b:1": "n", "tcp://c:1": "m"}
    found, told = studied(Cluster({name: {"host": one} for name, one in machines.items()}))
    assert found == {"a": ["lab"], "b": ["lab-2"]}
    assert [line[:45] for line in told] == ["c is left out: it is the same machine as a, a"]
    assert alone.HOST_VARIABLE in told[0]


def test_the_second_address_measures_where_the_first_is_refused(studied: Any) -> None:
    first = {"host": "m", "commit": "f" * 40}
    found, told = studied(Cluster({"tcp://a:1": first, "tcp://b:1": {"host": "m"}}))
    assert list(found) == ["b"] and "its clone is at ffffffff" in told[0] and len(told) == 1


@pytest.mark.parametrize("where", ["tcp://a:1", "tcp://a:2", "tcp://c:1"])
def test_work_of_others_on_a_machine_that_measured_is_told(where: str, studied: Any) -> None:
    """Also where it ended long ago, at another worker or another address of it, or goes on."""
    machines = {"tcp://a:1": "m", "tcp://b:1": "n", "tcp://c:1": "m"}
    said = "a was not alone: 2 other tasks ran on it meanwhile"
    for goes_on in (False, True):
        cluster = Cluster({name: {"host": one} for name, one in machines.items()})
        cluster.meanwhile = [("sum-1", where)] * (1 if goes_on else 2)
        if goes_on:
            cluster.machines = dict(cluster.machines)
            cluster.submit = _then(cluster, {where: ["sum-2"]})  # type: ignore[method-assign]
        found, told = studied(cluster)
        assert list(found) == ["a", "b"] and len(told) == 2
        assert told[1].startswith(said), told


def _then(cluster: Cluster, now: dict[str, list[str]]) -> Any:
    real = cluster.submit

    def submit(*given: Any, **more: Any) -> Any:
        done = real(*given, **more)
        cluster.now = now if len(given) > 1 else {}
        return done

    return submit


def test_work_before_the_study_or_on_a_machine_that_measures_nothing_is_left_in_peace(
    studied: Any,
) -> None:
    other = {"host": "n", "commit": "f" * 40}
    cluster = Cluster({"tcp://a:1": {"host": "m"}, "tcp://b:1": other})
    cluster.before = [("sum-1", "tcp://a:1")] * 3
    cluster.meanwhile = [("sum-2", "tcp://b:1")]
    found, told = studied(cluster)
    assert list(found) == ["a"] and len(told) == 1 and "its clone is at" in told[0]


def test_so_much_work_that_the_scheduler_forgot_when_the_study_began_is_told(studied: Any) -> None:
    cluster = Cluster({"tcp://a:1": {"host": "m"}})
    cluster.meanwhile, cluster.forgets = [("sum-1", "tcp://a:1")] * 5, 2
    found, told = studied(cluster)
    assert list(found) == ["a"] and told[0].startswith("a was not alone: 5 other")


def test_a_machine_is_known_by_its_kernel_or_by_what_its_worker_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pickled as Dask does it, and called where none of these modules is known."""
    cloudpickle = pytest.importorskip("cloudpickle")
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())(), end='')"

    def told() -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], input=cloudpickle.dumps(alone.machine()),
            cwd="/", capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode()

    boot = Path("/proc/sys/kernel/random/boot_id")
    monkeypatch.delenv(alone.HOST_VARIABLE, raising=False)
    assert told() == told() != ""
    if boot.exists():
        assert told() == boot.read_text().strip()
    monkeypatch.setenv(alone.HOST_VARIABLE, "left")
    assert told() == "left"
    monkeypatch.delenv(alone.HOST_VARIABLE)
    monkeypatch.setattr(Path, "read_text", _absent)
    assert alone.machine()().strip(), "elsewhere than on Linux"


def _absent(*given: Any, **more: Any) -> str:
    raise FileNotFoundError
