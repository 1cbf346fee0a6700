"""Samples and errors that do all they can against being sent, and processes that are ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT
from torch.utils.data import Dataset, IterableDataset

from datasets_impl.errors import LoaderFailed, StudyError
from datasets_impl.loaders import child
from datasets_impl.loaders.loader import ThreadedLoader
from tests.numbered import Numbered, Raising
from tests.samples import everywhere

OURS = os.getpid()
KNOWN: Any = vars(multiprocessing.process)["_children"]


class Sampled(Dataset[Any]):
    """Sample 3 is what `make` gives, and the others are numbers."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self.make() if index == 3 else index


class Streamed(IterableDataset[Any]):
    def __init__(self, make: Callable[[], Any]) -> None:
        self.data = Sampled(make)

    def __iter__(self) -> Iterator[Any]:
        return (self.data[index] for index in range(len(self.data)))


class Exiting:
    """A sample that would end the process that pickles it."""

    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Foreign:
    """A sample that can be made anew only where it was made."""

    def __reduce__(self) -> Any:
        return _foreign, (os.getpid(),)


def _foreign(process: int) -> Foreign:
    if os.getpid() != process:
        raise SystemExit(4)
    return Foreign()


def as_they_are(samples: list[Any]) -> list[Any]:
    return samples


UNSENT: dict[str, tuple[Callable[[], Any], str]] = {
    "generator": (lambda: (each for each in ()), "generator"),
    "lambda": (lambda: lambda: 0, "lambda"),
    "lock": (lambda: {"lock": threading.Lock()}, "lock"),
    "exits": (Exiting, "SystemExit: 3"),
    "foreign": (Foreign, "SystemExit: 4"),
}


@pytest.mark.parametrize(("make", "kind"), UNSENT.values(), ids=UNSENT)
@pytest.mark.parametrize(
    "given", [{"batch_size": 2, "collate_fn": as_they_are}, {"batch_size": None}]
)
def test_a_sample_that_cannot_be_sent_is_one_sentence(
    given: dict[str, Any], make: Any, kind: str
) -> None:
    loader = ThreadedLoader(Sampled(make), **given, start_method="fork", timeout=120)
    batches, found = iter(loader), []
    what = "A batch cannot be read as" if make is Foreign else ".* cannot send sample 3 of the data"
    for _ in range(3 if given["batch_size"] else 6):
        try:
            found.append(next(batches))
        except StudyError as error:
            assert str(error).startswith(("The process", "A batch")) and kind in str(error)
            with pytest.raises(StudyError, match=rf'^{what}.*where="trainer"\.'):
                raise
    assert found == ([[0, 1], [4, 5]] if given["batch_size"] else [0, 1, 2, 4, 5])
    here: Any = ThreadedLoader(Sampled(make), **given, where="trainer")
    assert len(list(here)) == len(found) + 1, "where nothing is sent it is a sample as others are"


def test_a_stream_that_cannot_be_sent_is_one_sentence() -> None:
    data = Streamed(threading.Lock)
    loader = ThreadedLoader(data, 2, collate_fn=as_they_are, start_method="fork", timeout=120)
    with pytest.raises(StudyError, match=r"cannot send what the stream gave \(.*lock"):
        list(loader)


class Reduced(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Remade(Exception):
    def __reduce__(self) -> Any:
        return sys.exit, (4,)


class Remote(Exception):
    """Made anew in the process that it was raised in; another one would end."""

    def __reduce__(self) -> Any:
        return _remote, (os.getpid(),)


def _remote(process: int) -> BaseException:
    return Remote() if os.getpid() == process else sys.exit(5)


class Unspoken(Exception):
    def __str__(self) -> str:
        raise SystemExit(6)


@dataclass(frozen=True)
class Frozen(Exception):
    text: str = "frozen"


@pytest.mark.parametrize("error", [Reduced, Remade, Remote, Unspoken, Frozen])
def test_an_error_that_would_end_processes_arrives(error: Any) -> None:
    batches = iter(ThreadedLoader(Raising(error), 2, start_method="fork", timeout=120))
    with pytest.raises(error) as found:
        next(batches)
    assert "in __getitem__" in str(found.value.__cause__)
    if error is not Frozen:
        assert found.value.__notes__ == ["Raised for sample 1 of the dataset."]
    assert next(batches).tolist() == [2, 3]


def test_a_signal_is_no_error_of_what_arrives() -> None:
    """That of the trainer's own comes while an error is made anew, and ends the epoch."""

    def handler(number: int, frame: Any) -> None:
        raise SystemExit(9)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        batches = iter(ThreadedLoader(Raising(Signalled), 2, start_method="fork", timeout=120))
        with pytest.raises(SystemExit, match="9"):
            next(batches)
    finally:
        signal.signal(signal.SIGUSR1, before)


class Signalled(Exception):
    def __reduce__(self) -> Any:
        return _signalled, ()


def _signalled() -> BaseException:
    if os.getpid() == OURS:
        signal.raise_signal(signal.SIGUSR1)
    return Signalled()


# --- worker_init_fn -----------------------------------------------------------------------------


def exits(worker: int) -> None:
    sys.exit(7)


def ends(worker: int) -> None:
    os._exit(7)


def goes(worker: int) -> None: ...


@pytest.mark.parametrize(
    ("init", "said"),
    [
        (exits, r"^worker_init_fn or set_epoch raised SystemExit\(7\), .*\."),
        (ends, r"^The process that makes batches \(\d+\) ended with exit code 7; .*\.$"),
    ],
)
@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(name, marks=pytest.mark.slow) for name in ("spawn",))]
)
def test_a_worker_init_fn_that_ends_the_process_is_one_sentence(
    method: str, init: Any, said: str
) -> None:
    given: Any = {"start_method": method, "timeout": 240}
    with pytest.raises(LoaderFailed, match=said):
        list(ThreadedLoader(range(4), 2, worker_init_fn=init, **given))  # type: ignore[arg-type]
    loader: Any = ThreadedLoader(range(4), 2, worker_init_fn=goes, **given)  # type: ignore[arg-type]
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]


class Printing(Numbered):
    def __getitem__(self, index: int) -> Any:
        print(f"sample {index}")
        return index


def test_what_a_dataset_prints_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what goes to a file or a pipe Python keeps some in memory."""
    said = tmp_path / "said"
    with said.open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with ThreadedLoader(Printing(), 8, threads=1, start_method="fork") as loader:
            list(loader)
        monkeypatch.undo()
    assert said.read_text().split("\n") == [*(f"sample {index}" for index in range(24)), ""]


# --- what cannot go on --------------------------------------------------------------------------


class Sleeping(Numbered):
    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            time.sleep(600)
        return index


def lacking(*given: Any) -> Any:
    raise MemoryError


def test_a_process_without_memory_ends_though_its_threads_are_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = child.Owner.wait_for
    count = iter(range(10**6))

    def waiting(self: Any, *connections: Any) -> bool:
        return bool((waits if next(count) < 4 else lacking)(self, *connections))

    monkeypatch.setattr(child.Owner, "wait_for", waiting)
    loader = ThreadedLoader(Sleeping(), 1, threads=1, start_method="fork", timeout=120)
    batches = iter(loader)
    with pytest.raises(LoaderFailed, match="ended with exit code 1; what it printed"):
        list(batches)


def test_an_error_that_there_is_no_memory_to_tell_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "carry", lacking)
    loader = ThreadedLoader(Raising(KeyError), 2, start_method="fork", timeout=120)
    with pytest.raises(LoaderFailed, match="ended with exit code 1; what it printed"):
        list(loader)
    monkeypatch.undo()
    with pytest.raises(KeyError):
        list(loader)


HUNGRY = """
import os, resource, sys, time
from torch.utils.data import Dataset
from datasets_impl import ThreadedLoader

HELD = []


class Hungry(Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        if index == 2:
            resource.setrlimit(resource.RLIMIT_AS, (1, resource.RLIM_INFINITY))
            for size in (2**20, 2**12, 2**6):
                try:
                    while True:
                        HELD.append(bytearray(size))
                except MemoryError:
                    pass
            time.sleep(600)
        return index


if __name__ == "__main__":
    batches = iter(ThreadedLoader(Hungry(), 1, threads=1, start_method="fork"))
    next(batches), next(batches)
    print([child.pid for child in __import__("psutil").Process().children()][0], flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold to RLIMIT_AS")
def test_a_process_whose_memory_is_full_ends_with_a_trainer_that_was_killed(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(HUNGRY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment
    ) as trainer:
        assert trainer.stdout
        made = psutil.Process(int(trainer.stdout.readline()))
        time.sleep(1)  # it fills its memory meanwhile
        trainer.kill()
        try:
            made.wait(120)
        except psutil.TimeoutExpired:
            made.kill()
            raise


# --- a trainer that ignores the end of its children ---------------------------------------------


@pytest.fixture
def ignoring() -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("ignoring")
def test_a_trainer_that_ignores_its_children_hears_of_their_end() -> None:
    given: Any = {"start_method": "fork", "timeout": 120}
    with ThreadedLoader(range(4), 2, **given) as loader:  # type: ignore[arg-type]
        for _ in range(2):
            assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]
        place: Any = loader._places.now
        process, number = place.process, place.process.pid
    assert not psutil.pid_exists(number) and not place.runs()
    assert process not in KNOWN
    ended = ThreadedLoader(range(4), 2, worker_init_fn=ends, **given)  # type: ignore[arg-type]
    with pytest.raises(LoaderFailed, match=r"has ended, and nobody knows how, since SIGCHLD .*\.$"):
        list(ended)


@pytest.mark.usefixtures("ignoring")
def test_one_that_was_killed_between_epochs_is_started_again() -> None:
    given: Any = {"start_method": "fork", "timeout": 120}
    with ThreadedLoader(range(4), 2, **given) as loader:  # type: ignore[arg-type]
        list(loader)
        place: Any = loader._places.now
        os.kill(place.process.pid, signal.SIGKILL)
        while psutil.pid_exists(place.process.pid):
            time.sleep(0.01)
        batches: Any = loader
        assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3]]


# --- what one thread alone may do ---------------------------------------------------------------


class Table(Dataset[int]):
    def __init__(self) -> None:
        self.opened = sqlite3.connect(":memory:")
        self.opened.execute("create table numbers as select 5 as number")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        return int(self.opened.execute("select number from numbers").fetchone()[0])


class Alarmed(Table):
    def __getitem__(self, index: int) -> int:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        return 5


@everywhere
@pytest.mark.parametrize(
    ("data", "error", "remedy"),
    [
        (Table, sqlite3.ProgrammingError, "open it anew in each (threading.local)"),
        (Alarmed, ValueError, "call signal.signal in worker_init_fn"),
    ],
)
def test_what_another_thread_may_not_do_is_told_with_the_remedy(
    data: Any, error: Any, remedy: str, where: str
) -> None:
    given: Any = {"start_method": "fork"} if where == "process" else {}
    with pytest.raises(error) as found:
        list(ThreadedLoader(data(), 2, threads=1, where=where, **given))
    named, told = found.value.__notes__
    assert named == "Raised for sample 0 of the dataset."
    assert told.startswith(f"Threads make the batches: {remedy}") and told.endswith("own thread.")
    own: Any = ThreadedLoader(data(), 2, threads=1, where="trainer", prefetch_factor=0)
    before = signal.getsignal(signal.SIGUSR2)
    try:
        assert [batch.tolist() for batch in own] == [[5, 5]]
    finally:
        signal.signal(signal.SIGUSR2, before)


CLOSES = """
import os
from datasets_impl import ThreadedLoader
from datasets_impl.errors import LoaderFailed

class Closes(list):  # what it has not opened, as a daemon does
    def __getitem__(self, index):
        if index == 3:
            os.closerange(3, 1000)
        return super().__getitem__(index)

try:
    print(len(list(ThreadedLoader(Closes(range(8)), 2, start_method="fork"))))
except LoaderFailed as error:
    print(error)
loader = ThreadedLoader(list(range(8)), 2, start_method="fork")
kept = list(loader)
os.closerange(3, 1000)
mine = [open(f"{number}.txt", "wb") for number in range(30)]  # under numbers that were the loader's
del kept
print(sum(map(len, loader)))
loader.close()
for file in mine:
    file.write(b"mine")
    file.close()
print({open(f"{number}.txt").read() for number in range(30)})
again = iter(loader)
next(again)
os.closerange(3, 1000)
try:
    list(again)
except LoaderFailed as error:
    print(error)
print(sum(map(len, loader)))
"""


def test_descriptors_that_others_close_cost_an_epoch_and_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSES], capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert not done.stderr
    there, count, own, here, again = done.stdout.splitlines()
    assert there.startswith("The process that makes batches (")  # that it goes on, or has ended
    assert (count, own, again) == ("8", "{'mine'}", "8")
    assert here.startswith("The program has closed the connection")
