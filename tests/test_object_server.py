"""The object store's server: what it serves and counts, that it ends, what it refuses."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.measures import epochs as measure
from datasets_impl.errors import StudyError, Unsupported
from datasets_impl.media import object_store as module
from datasets_impl.media.object_store import Served, object_store, open_store
from datasets_impl.variants.object_store import JpegObjects
from tests.commands import python

pytestmark = pytest.mark.usefixtures("object_libraries")


ROOT = Path(__file__).parents[1]


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    """A folder of two small files, one with a name that URLs must escape."""
    folder = tmp_path / "objects"
    folder.mkdir()
    (folder / "a b%ü#+.bin").write_bytes(b"first")
    (folder / "second").write_bytes(b"2nd")
    return folder


def test_serves_files_under_their_names_late_and_counts_what_is_fetched_apart(
    two_files: Path,
) -> None:
    """Listing, asking for a size, and failing are not fetching. Only loopback is listened on."""
    with object_store(two_files, 40) as store:
        assert store.address.keys == ("a b%ü#+.bin", "second")
        assert store.address.url == "s3://study"
        dataset = JpegObjects(pickle.loads(pickle.dumps(store.address)))
        assert [dataset.fetch(0), dataset.fetch(1)] == [b"first", b"2nd"]
        assert store.served() == Served(requests=2, bytes=8, other=0)
        assert measure.timed(lambda: dataset.fetch(1)) >= 0.04
        files, before = open_store(store.address), store.served()
        assert sorted(files.ls("study", detail=False)) == ["study/a b%ü#+.bin", "study/second"]
        listed = store.served().since(before)
        assert (listed.requests, listed.bytes) == (0, 0) and listed.other >= 1
        before = store.served()
        with pytest.raises(FileNotFoundError):
            files.cat_file("study/absent")
        files.invalidate_cache()
        assert files.size("study/second") == 3
        assert store.served().since(before) == Served(requests=0, bytes=0, other=2)
        connections = psutil.Process(store.process.pid).net_connections()
        assert connections
        assert {c.laddr.ip for c in connections} == {"127.0.0.1"}
        assert {c.raddr.ip for c in connections if c.raddr} <= {"127.0.0.1"}


def test_latency_is_added_to_get_and_to_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from werkzeug.test import Client
    from werkzeug.wrappers import Response

    from datasets_impl.media import object_server

    slept: list[float] = []
    monkeypatch.setattr(object_server.time, "sleep", slept.append)
    app = object_server.DelayedAndCounted(Response(b"12345", status=200), 12.5)
    client = Client(app)
    assert client.get("/study/key").data == b"12345"
    client.head("/study/key")
    client.put("/study/key", data=b"x")
    assert slept == [0.0125]
    assert app.counts == {"requests": 1, "bytes": 5, "other": 2}


def test_cloud_settings_and_proxies_are_ignored(
    two_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://192.0.2.1\n")
    wrong = {
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL": "http://192.0.2.1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "nonsense",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with object_store(two_files) as store:
        assert JpegObjects(store.address).fetch(1) == b"2nd"
        environment = psutil.Process(store.process.pid).environ()
        assert not set(wrong) & set(environment)
    assert store.process.returncode is not None, "stopped after the block"
    assert dict(os.environ) == before


def test_stopped_after_an_exception(two_files: Path) -> None:
    with pytest.raises(ZeroDivisionError), object_store(two_files) as store:
        dataset = JpegObjects(store.address)
        dataset.fetch(0)  # its connection stays open, and must not keep the server
        assert store.process.poll() is None
        raise ZeroDivisionError
    assert store.process.returncode is not None
    assert not psutil.pid_exists(store.process.pid)
    with pytest.raises(RuntimeError, match="gone"):
        store.served()


def test_a_store_that_dies_is_an_error_not_a_wait(two_files: Path) -> None:
    with object_store(two_files) as store:
        dataset = JpegObjects(store.address)
        dataset.fetch(0)
        store.process.kill()
        store.process.wait()
        with pytest.raises(Exception, match="connect"):
            dataset.fetch(0)
        with pytest.raises(RuntimeError, match="gone"):
            store.served()


OWNER = """
import signal, sys, time
from datasets_impl.media.object_store import object_store
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is started without
with object_store(sys.argv[1]) as store:
    print(store.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ends_with_a_killed_owner(how: signal.Signals, two_files: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(two_files)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        server = psutil.Process(int(owner.stdout.readline()))
        owner.send_signal(how)
        owner.wait()
        assert psutil.wait_procs([server])[1] == []


def test_a_forked_child_that_unwinds_leaves_the_server(two_files: Path) -> None:
    parent = os.getpid()
    try:
        with object_store(two_files) as store:
            child = os.fork()
            if child == 0:
                raise SystemExit(7)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7
            assert store.process.poll() is None
            assert store.served().requests == 0
            assert JpegObjects(store.address).fetch(1) == b"2nd"
    except BaseException as stop:
        if os.getpid() != parent:
            os._exit(stop.code if isinstance(stop, SystemExit) else 1)  # type: ignore[arg-type]
        raise


@pytest.mark.parametrize("latency", [-1, float("nan")])
def test_a_latency_must_be_a_time(latency: float, two_files: Path) -> None:
    with pytest.raises(ValueError, match="latency"), object_store(two_files, latency):
        pass


@pytest.mark.parametrize("spoil", ["absent", "empty", "nested", "file"])
def test_a_folder_of_files_is_needed(spoil: str, two_files: Path) -> None:
    folder = {"absent": two_files / "no", "file": two_files / "second"}.get(spoil, two_files)
    if spoil == "nested":
        (two_files / "folder").mkdir()
    if spoil == "empty":
        for path in two_files.iterdir():
            path.unlink()
    with pytest.raises(StudyError, match="folder of files"), object_store(folder):
        pass


@pytest.mark.parametrize(
    ("script", "patience", "reason"),
    [
        ("raise SystemExit('no port is free')", 60, "no port is free"),
        ("raise SystemExit(3)", 60, "exit code 3"),
        ("import time; time.sleep(60)", 0.2, "exit code -9"),
    ],
)
def test_a_server_that_does_not_start_is_unsupported(
    script: str,
    patience: float,
    reason: str,
    two_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "server.py").write_text(script)
    monkeypatch.setattr(module, "SERVER", tmp_path / "server.py")
    monkeypatch.setattr(module, "START_SECONDS", patience)
    before = set(psutil.Process().children())
    with pytest.raises(Unsupported, match=f"did not start: {reason}"), object_store(two_files):
        pass
    assert set(psutil.Process().children()) <= before


WITHOUT = """
import sys
for name in ("s3fs", "fsspec", "moto", "flask", "flask_cors", "werkzeug", "botocore", "boto3"):
    sys.modules[name] = None
import datasets_impl.registry
import datasets_impl.variants.object_store
import benchmarks.storage
from datasets_impl.errors import Unsupported
from datasets_impl.media.object_store import object_store
try:
    with object_store(sys.argv[1]):
        pass
except Unsupported as reason:
    print(reason)
"""


@pytest.mark.slow
def test_everything_imports_without_the_libraries(two_files: Path) -> None:
    answer = python("-c", WITHOUT, two_files)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "needs fsspec, s3fs, moto, flask, flask_cors" in answer.stdout
