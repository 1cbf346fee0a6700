"""Shared by all tests: a cache and a temporary folder of their own, and small photographs.

No test touches the user's cache, pictures or profile, whatever the environment says. The session
fails when anything is left in the temporary folder or in shared memory at its end.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.util import Finalize, get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.errors import Unsupported
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE
from datasets_impl.media import cgroup
from datasets_impl.media.workspaces import own_folder, remove, scratch_parent
from datasets_impl.system.cores import cores
from tests.leftovers import Watch
from tests.nursery import Nursery

if TYPE_CHECKING:
    from tests.sessions import FakeAsv

ROOT = Path(__file__).parents[1]
COUNT, PX = 12, 48
FRESH = "DATASET_STUDY_TEST_IN_FRESH_PROCESS"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "slow: takes a second or more; `make test-fast` leaves it out"
    )
    config.addinivalue_line(
        "markers", "fresh_process: reads memory, so runs in its own interpreter"
    )
    # A shell that starts the tests in the background has them ignore Ctrl-C, and so every process
    # that a test starts and then interrupts.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # The benchmarks read the profile when they are imported, before any fixture runs.
    for name in ("DATASET_STUDY_PROFILE", "DATASET_STUDY_OBSERVATIONS", IMAGES_VARIABLE):
        os.environ.pop(name, None)
    # Other tests run beside this one; what load does to a measurement has tests of its own.
    os.environ["DATASET_STUDY_MAX_RETRIES"] = "0"
    if str(ROOT) not in sys.path:  # `benchmarks` is not installed; asv finds it by its folder
        sys.path.insert(0, str(ROOT))
    # pytest keeps its own folders where it always does; all else goes into a folder of the process
    # that runs tests. Its name is short, since it is part of sockets' names, and a later session
    # sweeps it.
    usual = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    if getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput"):
        return  # its workers run the tests
    tempfile.tempdir = os.environ["TMPDIR"] = str(own_folder(Path(usual)))
    # Workers that are ended by a signal cannot remove a folder of their own; they take this one's.
    get_temp_dir()
    # After multiprocessing has removed what it keeps there until the end.
    Finalize(None, remove, [Path(tempfile.tempdir)], exitpriority=-1000)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start interpreters are slow: each imports what this one has imported already."""
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        levels = {level for level in params if isinstance(level, str)}
        if item.get_closest_marker("fresh_process") or levels & {"spawn", "forkserver"}:
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: a worker for each core that a container may use."""
    return cores()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test marked `fresh_process` in an interpreter that no other test has used.

    What earlier tests freed would be used again, and not be seen to grow.
    """
    if not pyfuncitem.get_closest_marker("fresh_process") or FRESH in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, FRESH: "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return True


@pytest.fixture(scope="session")
def watch() -> Iterator[Watch]:
    """Looks at the end for what the session left; what came before it goes after it."""
    watch = Watch()
    yield watch
    gc.collect()
    remaining = watch.report()
    assert not remaining, "left by the tests:\n" + "\n".join(remaining)


@pytest.fixture(autouse=True)
def watched(watch: Watch, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    watch.after(request.node.nodeid)


@pytest.fixture(scope="session", autouse=True)
def session_cache(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The study's cache folder for this session, in pytest's temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("study-cache")
        patch.setenv(CACHE_VARIABLE, str(cache))
        # PyTorch makes its folder with all above it, also in a child that outlives the tests.
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield cache


@pytest.fixture(scope="session")
def corpus(session_cache: Path) -> Corpus:
    """`COUNT` distinct photographs of `PX` px; read only, since other tests share it."""
    return ensure_corpus(CorpusSpec(COUNT, PX), cache=session_cache)


@pytest.fixture
def folder(corpus: Corpus, tmp_path: Path) -> Path:
    """Copies of the photographs in a folder that a test may change, and that stands alone."""
    return Path(shutil.copytree(corpus.root, tmp_path / "home" / "images"))


@pytest.fixture
def on_disk(session_cache: Path) -> None:
    """Skip where the temporary folder is no disk, so that no page cache can be evicted."""
    try:
        scratch_parent("disk-cold")
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.end()


@pytest.fixture
def forked(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor's processes are forked, not started anew."""
    if sys.platform == "linux":
        monkeypatch.setattr("datasets_impl.doctor.process.examine.begun", nursery.begun)


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    """PyTorch's, which measurements set."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def limiting() -> None:
    """Skip where no memory limit can be set."""
    try:
        with cgroup.memory_limit(1 << 30):
            pass
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture
def asv(monkeypatch: pytest.MonkeyPatch) -> FakeAsv:
    from tests.sessions import played

    return played(monkeypatch)


@pytest.fixture
def object_libraries() -> None:
    """Skip where the object store's libraries are not installed."""
    from datasets_impl.media import object_store

    try:
        object_store.require_libraries()
    except Unsupported as reason:
        pytest.skip(str(reason))
