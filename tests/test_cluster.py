"""What a conversion says of a cluster that has no workers, loses them, or has others' ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import MissingPackage, StudyError
from datasets_impl.formats import cluster
from datasets_impl.system import scheduler
from tests.folders import snapshot

ON = "tcp://127.0.0.1:9"


class Client:
    """Stands in for Dask: `looks` says which workers are there at each look, the last for ever."""

    status = "running"

    def __init__(self, looks: list[int], does: Callable[[Any, bytes], Any]) -> None:
        self.looks, self.does, self.cancelled = looks, does, 0

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        count = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {"workers": {f"tcp://127.0.0.{number}:1": {} for number in range(count)}}

    def submit(self, opened: Any, call: bytes, **more: Any) -> Future:
        return Future(self, opened, call)


class Future:
    status = "pending"

    def __init__(self, client: Client, *call: Any) -> None:
        self.client, self.call = client, call

    def result(self, timeout: float) -> Any:
        return self.client.does(*self.call)

    def cancel(self) -> None:
        self.client.cancelled += 1


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Client], Client]:
    def served(client: Client) -> Client:
        @contextlib.contextmanager
        def client_of(address: str) -> Iterator[Client]:
            yield client

        monkeypatch.setattr(cluster, "client_of", client_of)
        monkeypatch.setattr(scheduler.time, "sleep", lambda seconds: None)
        return client

    return served


def waits(opened: Any, call: bytes) -> Any:
    raise TimeoutError


def runs(opened: Any, call: bytes) -> Any:
    return opened(call)


def test_a_scheduler_without_workers_is_refused_at_the_start(
    folder: Path, tmp_path: Path, serve: Callable[[Client], Client]
) -> None:
    serve(Client([0], runs))
    with pytest.raises(StudyError, match=rf"at {ON} has no workers \(none came in 10 s\).*start"):
        convert_to_shards(folder, tmp_path / "set", shard_images=6, on=ON)
    assert not (tmp_path / "set").exists()


def test_a_worker_that_comes_a_little_later_is_waited_for(
    folder: Path, tmp_path: Path, serve: Callable[[Client], Client]
) -> None:
    convert_to_shards(folder, tmp_path / "local", shard_images=6, workers=1)
    serve(Client([0, 1], runs))
    convert_to_shards(folder, tmp_path / "set", shard_images=6, on=ON)
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "local")


def test_workers_have_longer_to_come_back_to_a_scheduler_that_was_lost(
    folder: Path, tmp_path: Path, serve: Callable[[Client], Client]
) -> None:
    def lost(opened: Any, call: bytes) -> Any:
        client.does = runs
        raise ConnectionError("the scheduler is gone")

    client = serve(Client([1, *[0] * (scheduler.LOOKS - 1), 1], lost))
    written, shards, _ = convert_to_shards(folder, tmp_path / "set", shard_images=6, on=ON)
    assert written == shards


def test_workers_that_are_gone_for_good_end_it_and_what_was_written_is_kept(
    folder: Path, tmp_path: Path, serve: Callable[[Client], Client]
) -> None:
    """Not before a minute without one, and that from the last time that one was there."""
    done: list[bytes] = []
    looks = [1, *[0] * (scheduler.LOOKS - 1), 1, *[0] * (scheduler.LOOKS - 1), 0, -1]

    def first_alone(opened: Any, call: bytes) -> Any:
        if call not in done and done:
            raise TimeoutError
        done.append(call)
        return opened(call)

    client = serve(Client(looks, first_alone))
    with pytest.raises(
        StudyError, match=r"all are gone, none came back in 60 s\); what .* is kept"
    ):
        convert_to_shards(folder, tmp_path / "set", shard_images=3, on=ON)
    assert client.looks == [-1], "it gave up early, or late"
    assert client.cancelled
    serve(Client([1], runs))
    written, shards, _ = convert_to_shards(folder, tmp_path / "set", shard_images=3, on=ON)
    assert written == shards - 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'datasets_impl'"), "named 'datasets_impl'"),
        (MissingPackage.of("LMDB", "lmdb", "lmdb"), r"the package 'lmdb'.*\[lmdb\]'\);"),
    ],
)
def test_workers_whose_environment_lacks_something_are_told(
    error: Exception,
    words: str,
    folder: Path,
    tmp_path: Path,
    serve: Callable[[Client], Client],
) -> None:
    def lacking(opened: Any, call: bytes) -> Any:
        raise error

    serve(Client([1], lacking))
    with pytest.raises(StudyError, match=f"lacks a package .*{words}.*where the workers run"):
        convert_to_shards(folder, tmp_path / "set", shard_images=6, on=ON)
