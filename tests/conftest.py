"""Shared by all tests: a cache and a temporary folder of their own, and small photographs.

No test touches the user's cache, pictures or profile, whatever the environment says. The session
fails when anything is left in the temporary folder or in shared memory at its end.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.util import Finalize, get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.errors import Unsupported
from datasets_impl.files.paths import CACHE_VARIABLE, IMAGES_VARIABLE
from datasets_impl.media import cgroup
from datasets_impl.media.workspaces import (
    own_folder,
    remove,
    scratch_parent,
    sweep,
    temporary_parent,
)
from datasets_impl.observe.log import LOG_VARIABLE
from datasets_impl.system.cores import cores
from tests.leftovers import Watch
from tests.nursery import Nursery

if TYPE_CHECKING:
    from scripts.report.figures import Figures
    from scripts.report.model import Study
    from tests.sessions import FakeAsv

ROOT = Path(__file__).parents[1]
COUNT, PX = 12, 48
LONGEST = ("test_study_stopped", "test_study_on", "test_compare_revisions")
FRESH = "DATASET_STUDY_TEST_IN_FRESH_PROCESS"
SHORT = "tested-"  # how links to folders of tests begin
# The same examples in every run, and no verdict on how long one takes.
settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")


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
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    if getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput"):
        return  # its workers run the tests
    parent = temporary_parent()
    sweep(parent)
    for link in parent.glob(f"{SHORT}*"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
    folder = own_folder(parent)
    # By its own name it is too long for commands that are started here: they would go elsewhere,
    # where nothing tells what they leave from what others of this machine do.
    link = parent / f"{SHORT}{folder.name.rpartition('-')[2]}"
    link.symlink_to(folder)
    tempfile.tempdir = os.environ["TMPDIR"] = str(link)
    # Workers that are ended by a signal cannot remove a folder of their own; they take this one's.
    get_temp_dir()
    # After multiprocessing has removed what it keeps there until the end.
    Finalize(None, link.unlink, [True], exitpriority=-1001)
    Finalize(None, remove, [folder], exitpriority=-1000)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start interpreters are slow: each imports what this one has imported already.

    The longest come first, so that no core is idle while the last of them runs.
    """
    items.sort(key=lambda item: item.path.stem not in LONGEST)
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        levels = {level for level in params if isinstance(level, str)}
        if item.get_closest_marker("fresh_process") and FRESH not in os.environ:
            item.fixturenames.append("of_fresh_process")  # type: ignore[attr-defined]
        if item.get_closest_marker("fresh_process") or levels & {"spawn", "forkserver"}:
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """What all tests share is nobody's garbage, and is not walked over when one looks for some."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: half as many again as cores that a container may use, since a third of the time
    tests wait for processes."""
    return -(-3 * cores() // 2)


@pytest.fixture
def of_fresh_process(
    request: pytest.FixtureRequest, shared: Callable[..., Path]
) -> tuple[int, str]:
    """How the tests of a file ended that are marked `fresh_process`, in an interpreter of their
    own, and what it said."""
    file = request.node.nodeid.partition("::")[0]

    def run(folder: Path) -> None:
        command = [sys.executable, "-m", "pytest", "-rfE", "-p", "no:cacheprovider", file]
        command += ["-m", "fresh_process"]
        variables = {**os.environ, FRESH: "1"}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
        (folder / "code").write_text(str(done.returncode))
        (folder / "said").write_text(done.stdout + done.stderr)

    found = shared(f"fresh-{Path(file).stem}", run)
    return int((found / "code").read_text()), (found / "said").read_text()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run what is marked `fresh_process` in an interpreter that no other test has used.

    What earlier tests freed would be used again, and not be seen to grow.
    """
    if "of_fresh_process" not in pyfuncitem.funcargs:
        return None
    code, said = pyfuncitem.funcargs["of_fresh_process"]
    failed = {line.partition(" - ")[0].partition(" ")[2] for line in said.splitlines()}
    assert code in (0, 1) and pyfuncitem.nodeid not in failed, said
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
    get_temp_dir()  # a measurement removes it, and workers would make their own
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
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions in several chunks, of few images."""
    monkeypatch.setattr("datasets_impl.formats.plan.CHUNK", 2)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder for pictures that stands alone."""
    folder = tmp_path / "home" / "images"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def on_disk(session_cache: Path) -> None:
    """Skip where the temporary folder is no disk, so that no page cache can be evicted."""
    try:
        scratch_parent("disk-cold")
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the datasets that ail read; each may add files of its own."""
    from tests.doctor_gallery import prepare

    folder = tmp_path_factory.mktemp("ward")
    prepare(folder)
    return folder


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
def forked_workers(nursery: Nursery, forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of the user's are forked: under Python 3.14 they are not, so that what a fork brings
    about is not there to be found, and each start takes seconds."""
    monkeypatch.setattr(nursery, "workers", "fork")


@pytest.fixture
def own_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that a test watches are not told at the end of the session, and no test goes on with
    those of another, which is called from the same place."""
    monkeypatch.setattr("datasets_impl.doctor.loop.watching._told", [])
    monkeypatch.setattr("datasets_impl.doctor.loop.watching._left", {})
    monkeypatch.setattr("datasets_impl.doctor.loop.watching._given", {})


@pytest.fixture
def own_children() -> None:
    """No process is left that an earlier test holds in a ring of references."""
    gc.collect()


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


@pytest.fixture(scope="session")
def object_libraries() -> None:
    """Skip where the object store's libraries are not installed."""
    from datasets_impl.media import object_store

    try:
        object_store.require_libraries()
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """Gives a folder by its name, which the first process that asks for it fills for all."""
    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home

    def filled(name: str, fill: Callable[[Path], object]) -> Path:
        folder = home / f"shared-{name}"
        with FileLock(home / f"shared-{name}.lock"):
            if not folder.exists():
                new = Path(tempfile.mkdtemp(dir=home))
                fill(new)
                new.rename(folder)
        return folder

    return filled


@pytest.fixture(scope="session")
def study() -> Study:
    """The synthetic one, of one machine; read only, as what is made of it."""
    from tests.synthetic_study import build

    return build()


@pytest.fixture(scope="session")
def drawn(study: Study, shared: Callable[..., Path]) -> Figures:
    """All its figures, which take most of a report's time."""
    from scripts.report import figures

    def draw(folder: Path) -> None:
        (folder / "figures").write_bytes(pickle.dumps(figures.build(study)))

    found: Figures = pickle.loads((shared("figures", draw) / "figures").read_bytes())
    return found


@pytest.fixture(scope="session")
def report(study: Study, drawn: Figures, shared: Callable[..., Path]) -> Path:
    """The folder with its report."""
    from scripts.render_report import render

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scripts.report.figures.build", lambda _: drawn)
            render(study, folder / "report", "https://example.org/asv/")

    return shared("report", fill) / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from tests.browsing import launched

    with launched() as started:
        yield started


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is measured and of the scripts, as the work tree has them."""
    from tests.clones import cloned

    code = ("benchmarks", "datasets_impl", "scripts")
    files = ("asv.conf.json", "requirements.txt", "CITATION.cff", "results/report/claims.json")
    return cloned(tmp_path / "clone", *files, *code)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where measurements are written down, a line each."""
    path = tmp_path / "observations.jsonl"
    monkeypatch.setenv(LOG_VARIABLE, str(path))
    return path
