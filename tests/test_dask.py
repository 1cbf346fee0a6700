"""Conversion on a real Dask cluster, some of which dies meanwhile.

Each worker has an address of Linux's loopback of its own. CLUSTER_IMAGES=20000 in the environment
has so many images converted, too, which takes minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging.handlers
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import StudyError
from datasets_impl.formats import where
from datasets_impl.formats.shards import SHARD
from datasets_impl.media.object_store import object_store
from datasets_impl.system.scheduler import client_of
from scripts.session import alone, hosts
from tests.dask_cluster import Cluster
from tests.folders import snapshot

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are addresses of its loopback"),
]
FEW, SIZE = 120, 6
MANY = int(os.environ.get("CLUSTER_IMAGES", "0"))
many = pytest.param(
    MANY,
    marks=pytest.mark.skipif(not MANY, reason="takes minutes: ask with CLUSTER_IMAGES=20000"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests that leave it its scheduler: each may kill a worker of it."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), 4)
    yield cluster
    cluster.end()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    with contextlib.ExitStack() as ending:

        def started(workers: int) -> Cluster:
            home = tmp_path / "cluster"
            home.mkdir(exist_ok=True)
            cluster = Cluster(home, workers)
            ending.callback(cluster.end)
            return cluster

        yield started


def photos(folder: Path, count: int) -> tuple[Path, int]:
    """So many small ones, no two alike; and how many of them are to be in a shard."""
    folder.mkdir()
    encoded = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(picture).save(encoded, "JPEG")
    start, rest = encoded.getvalue()[:2], encoded.getvalue()[2:]
    for number in range(count):
        comment = b"\xff\xfe\x00\x0a" + f"{number:08}".encode()
        (folder / f"{number:08}.jpg").write_bytes(start + comment + rest)
    return folder, SIZE if count == FEW else SHARD


def test_a_real_cluster_tells_machines_and_others_work(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first test of the cluster: a worker that was cut off may have work left."""
    told: list[str] = []
    wanted = {"commit": "0" * 40, "hash": "x", "claims": "y"}
    kernel = alone.machine()

    def asks() -> Any:
        return lambda: json.dumps({**wanted, "name": "lab", "host": kernel()})

    def asks_each() -> Any:
        def ask() -> str:
            host = distributed.get_worker().address.partition("://")[2].partition(":")[0]
            return json.dumps({**wanted, "name": "lab", "host": host})

        return ask

    def busy() -> Any:
        """As the study begins, somebody else has work done at the first address."""
        with distributed.Client(cluster.on, set_as_default=False) as other:
            first = min(other.scheduler_info(n_workers=-1)["workers"])
            other.submit(sum, [1, 2], workers=[first]).result(600)
        return studies()

    def studies() -> Any:
        return lambda folder, words: {words[-1]: b""}

    def study() -> list[str]:
        told.clear()
        with client_of(cluster.on) as client:
            workers = alone.workers_by_host(client)
            return list(hosts.study_each(client, workers, "folder", [], wanted, told.append))

    addresses = [f"127.0.0.{number}" for number in range(2, 6)]
    monkeypatch.setattr(hosts, "_ask", asks)
    monkeypatch.setattr(hosts, "_study", studies)
    assert study() == addresses[:1]
    assert [line.partition(" is ")[0] for line in told] == addresses[1:]
    monkeypatch.setattr(hosts, "_ask", asks_each)
    assert study() == addresses and told == [], "of before"
    monkeypatch.setattr(hosts, "_study", busy)
    assert study() == addresses
    assert [line[:38] for line in told] == ["127.0.0.2 was not alone: 1 other tasks"]


def test_a_scheduler_that_forgets_what_it_was_asked_for_is_asked_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    """As one does that stops for a while."""
    source, size = photos(tmp_path / "photos", FEW)
    convert_to_shards(source, tmp_path / "local", shard_images=size, workers=1)
    submitted, real = [0], where.connected

    @contextlib.contextmanager
    def forgetful(address: str, looks: int) -> Iterator[Any]:
        with real(address, looks) as submit:

            def submitting(*call: Any) -> Any:
                submitted[0] += 1
                if submitted[0] == 12:
                    raise ConnectionError("the scheduler is gone")
                return submit(*call)

            yield submitting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, "connected", forgetful)
        convert_to_shards(source, tmp_path / "set", shard_images=size, on=cluster.on)
    assert submitted[0] > 20
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "local")


@pytest.mark.parametrize("count", [FEW, many])
def test_workers_that_are_killed_and_cut_off(count: int, tmp_path: Path, cluster: Cluster) -> None:
    source, size = photos(tmp_path / "photos", count)
    convert_to_shards(source, tmp_path / "local", shard_images=size, workers=1)
    before, target = cluster.begun(), tmp_path / "set"
    with cluster.converting(4, convert_to_shards, source, target, shard_images=size) as running:
        cluster.kill_one()
        assert cluster.cut_off(10.0, running) > 0, "it wrote nothing meanwhile"
        written, shards, _ = running.result()
    assert written == shards == -(-count // size)
    assert snapshot(target) == snapshot(tmp_path / "local")
    assert shards <= cluster.begun() - before <= 1.5 * shards


@pytest.mark.usefixtures("object_libraries")
def test_workers_that_are_killed_and_cut_off_while_they_write_to_an_object_store(
    tmp_path: Path, cluster: Cluster
) -> None:
    source, size = photos(tmp_path / "photos", FEW)
    convert_to_shards(source, tmp_path / "local", shard_images=size, workers=1)
    before, target = cluster.begun(), "s3://made/set"
    with object_store(source) as store:
        options = store.address.options
        system = fsspec.filesystem("s3", **options)
        system.call_s3("create_bucket", Bucket="made")
        more = {"shard_images": size, "storage_options": options}
        with cluster.converting(4, convert_to_shards, source, target, **more) as running:
            cluster.kill_one()
            assert cluster.cut_off(10.0, running) > 0, "it wrote nothing meanwhile"
            written, shards, _ = running.result()
        found = {
            path.removeprefix("made/set/"): system.cat_file(path)
            for path in system.find("made/set")
        }
    assert (written, shards) == (20, 20)
    assert found == snapshot(tmp_path / "local")
    assert shards <= cluster.begun() - before <= 1.5 * shards


@pytest.mark.parametrize("count", [FEW, many])
def test_a_scheduler_that_dies(
    count: int,
    tmp_path: Path,
    start: Callable[[int], Cluster],
    request: pytest.FixtureRequest,
) -> None:
    source, size = photos(tmp_path / "photos", count)
    convert_to_shards(source, tmp_path / "local", shard_images=size, workers=1)
    cluster, told = start(2), logging.handlers.BufferingHandler(100)
    logging.getLogger("distributed.client").addHandler(told)
    request.addfinalizer(lambda: logging.getLogger("distributed.client").removeHandler(told))
    target, more = tmp_path / "set", {"shard_images": size}
    with cluster.converting(8, convert_to_shards, source, target, **more) as running:
        cluster.scheduler.kill()
        with pytest.raises(StudyError, match=r"lost or could not go on .* run it again"):
            running.result()
    assert told.buffer == [], "Dask's own tracebacks"
    assert not (tmp_path / "set").exists()
    cluster.end()
    cluster = start(1)
    written, shards, _ = convert_to_shards(source, target, on=cluster.on, **more)
    assert 0 < written < shards, "what was written was written again"
    assert snapshot(target) == snapshot(tmp_path / "local")
    assert cluster.begun() <= 1.5 * shards
