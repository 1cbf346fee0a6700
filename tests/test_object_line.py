"""The object store behind a line: late answers, shared bandwidth, ranges, and what is counted."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.grids import Cell
from benchmarks.measures import epochs as measure
from benchmarks.measures import remote as measured
from datasets_impl.contest.registry import ARMS
from datasets_impl.errors import StudyError, VoidMeasurement
from datasets_impl.media.object_store import ObjectStore, Served, object_store, open_store

pytestmark = pytest.mark.usefixtures("object_libraries")

CONTENT = bytes(range(256)) * 1000
NAMES = ("first", "below/a b%ü#+.bin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("line") / "objects"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[ObjectStore]:
    with object_store(folder, mb_per_second=1000) as running:
        yield running


def test_objects_ranges_sizes_and_listings_are_those_of_s3(store: ObjectStore) -> None:
    assert store.address.keys == tuple(sorted(NAMES))
    files, before = open_store(store.address), store.served()
    for name in NAMES:
        path = store.address.path(name)
        assert files.cat_file(path) == CONTENT
        assert files.cat_file(path, start=5, end=70_000) == CONTENT[5:70_000]
        assert files.cat_file(path, start=-5) == CONTENT[-5:]
    sizes = 2 * (len(CONTENT) + 70_000 - 5 + 5)
    assert store.served().since(before) == Served(requests=6, bytes=sizes, other=0)
    before = store.served()
    assert sorted(files.find("study")) == sorted(f"study/{name}" for name in NAMES)
    files.invalidate_cache()
    assert files.size(store.address.path("first")) == len(CONTENT)
    with pytest.raises(FileNotFoundError):
        files.cat_file("study/absent", start=0, end=5)
    served = store.served().since(before)
    assert served.requests == 0 and served.other >= 3


def test_a_connection_stays_open(store: ObjectStore) -> None:
    connection = http.client.HTTPConnection(store.address.options["endpoint_url"][7:])
    for _ in range(3):
        connection.request("GET", "/study/first", headers={"Range": "bytes=2-3"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (206, CONTENT[2:4])
        assert answer.getheader("Content-Range") == f"bytes 2-3/{len(CONTENT)}"
    first = connection.sock
    connection.request("HEAD", "/study/first")
    answer = connection.getresponse()
    assert (int(answer.getheader("Content-Length") or 0), answer.read()) == (len(CONTENT), b"")
    connection.request("GET", "/study/first", headers={"Range": "bytes=999999999-"})
    assert connection.getresponse().status == 416
    assert connection.sock is first


def test_what_is_written_is_read_again(store: ObjectStore) -> None:
    files = open_store(store.address)
    for new in (b"new", CONTENT):
        files.pipe_file("study/first", new)
        assert files.cat_file("study/first", start=0, end=3) == new[:3]
        assert files.cat_file(store.address.path(NAMES[1])) == CONTENT


def test_every_answer_is_late_and_connections_share_the_line(folder: Path) -> None:
    """Arithmetic: nothing comes before the latency, nor more than the bandwidth lets through."""
    with object_store(folder, 40, mb_per_second=2) as store:
        files = open_store(store.address)
        assert measure.timed(lambda: files.cat_file("study/first", start=0, end=1)) >= 0.04
        assert measure.timed(lambda: files.size("study/first")) >= 0.04
        before = store.served()

        def fetch(_: int) -> int:
            return len(files.cat_file("study/first"))

        with ThreadPoolExecutor(4) as pool:
            seconds = measure.timed(lambda: list(pool.map(fetch, range(4))))
        size = 4 * len(CONTENT)
        assert store.served().since(before).bytes == size
        assert seconds >= size / 2e6 - measured.SLACK


def test_a_reader_that_goes_away_is_no_harm(store: ObjectStore) -> None:
    for _ in range(3):
        connection = http.client.HTTPConnection(store.address.options["endpoint_url"][7:])
        connection.request("GET", "/study/first")
        connection.close()
    assert open_store(store.address).cat_file("study/first") == CONTENT


@pytest.mark.parametrize("line", [0, -1, float("nan")])
def test_a_line_must_let_something_through(line: float, folder: Path) -> None:
    with pytest.raises(ValueError, match="line"), object_store(folder, 0, line):
        pass
    with pytest.raises(StudyError, match="folder of files"), object_store(folder, 0):
        pass


# --- how its numbers are made -----------------------------------------------------------------


def cell(impl: str) -> Cell:
    names = ["n", "px", "bandwidth", "latency_ms", "impl"]
    return Cell.at(names, (72, 40, 200, 2, impl))


@pytest.mark.slow
@pytest.mark.usefixtures("threads_as_before", "session_cache")
@pytest.mark.parametrize(
    "impl", ["dataloader-objects", "shards-ahead-again", "cached-objects", "crops-ahead"]
)
def test_a_first_epoch_is_counted_by_the_server(impl: str) -> None:
    value, state = measured.first_epoch(cell(impl))
    assert value > 0 and state["us_after_first"] > 0
    assert 0 < state["first_batch_seconds"] <= 72 * value / 1e6 + 1e-4
    assert 0 < state["share_of_line"] <= 1
    each = state["requests_per_image"]
    assert each >= 1 if impl.endswith("objects") else each < 1
    assert state["bytes_per_image"] > 100
    assert state["arm"] == ARMS["remote", impl.removesuffix("-again")].described()


@pytest.mark.slow
@pytest.mark.usefixtures("threads_as_before", "session_cache")
def test_costs_of_an_arm() -> None:
    value, state = measured.costs(cell("shards-ahead"))
    plain_value, plain = measured.costs(cell("threaded-objects"))
    assert value > plain_value > 0, "a pack has an index"
    assert (state["mean_difference"], state["psnr"]) == (0, None)
    assert state["conversion_seconds"] > 0 == plain["conversion_seconds"]
    _, crops = measured.costs(cell("crops-ahead"))
    assert crops["psnr"] is None or crops["psnr"] > 40, "of whole pictures, as the reference"


def test_more_than_the_line_lets_through_is_void() -> None:
    assert measured.share_of_line(50, 1.0, 1e-4) == 0.5
    assert measured.share_of_line(101, 1.0, 1e-4) == 1.0
    with pytest.raises(VoidMeasurement, match="came over a line"):
        measured.share_of_line(200, 1.0, 1e-4)
