"""Batches made in a separate process: memory that is used again, and how either process ends."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from conftest import ROOT
from torch.utils.data import DataLoader, Dataset

from datasets_impl.errors import BadArgument, LoaderFailed, StudyError
from datasets_impl.loaders import pinned, separate, slots
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.slots import Reserved, Slots
from tests.leftovers import SHARED, left, present, until

COUNT = 24
METHODS = ["fork", "forkserver", "spawn"]


class Numbered(Dataset[Any]):
    """A picture and an array that say which sample and epoch they are of, and a word."""

    def __init__(self, side: int = 160) -> None:
        self.side, self.epoch = side, 0

    def __len__(self) -> int:
        return COUNT

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> Any:
        value = index + 100 * self.epoch
        return torch.full((3, self.side, self.side), value), value, f"{value}"


class Ending(Numbered):
    """A dataset whose samples can end the process, or wait."""

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Waiting(Numbered):
    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            time.sleep(600)
        return super().__getitem__(index)


def child_of(loader: ThreadedLoader[Any]) -> psutil.Process:
    place: Any = loader._place
    return psutil.Process(place.process.pid)


def shared(paths: set[Path]) -> list[Path]:
    """Those in shared memory, where tests that run beside this one have theirs for a moment."""
    return [path for path in paths if path.parent == SHARED]


KEPT: dict[str, Callable[[torch.Tensor], Any]] = {
    "batch": lambda batch: batch,
    "view": lambda batch: batch[1:],
    "transposed": lambda batch: batch.permute(0, 2, 3, 1),
    "array": lambda batch: batch.numpy(),
    "row of an array": lambda batch: batch.numpy()[0][1:],
    "detached": lambda batch: batch.detach(),
    "rows": lambda batch: list(batch),
    "dlpack": lambda batch: torch.from_dlpack(batch),
}


@pytest.mark.parametrize("where", ["process", "trainer"])
def test_what_the_trainer_keeps_is_never_overwritten(where: str) -> None:
    draw = random.Random(3)
    made: Any = ThreadedLoader(Numbered(), 2, True, where=where)
    kept: list[tuple[Any, Any, list[int]]] = []
    for _ in range(4):
        for images, values, _words in made:
            if draw.random() < 0.5:
                part = KEPT[draw.choice(list(KEPT))](images)
                kept.append((part, [np.asarray(each).copy() for each in part], values.tolist()))
            if kept and draw.random() < 0.3:
                del kept[draw.randrange(len(kept))]
    assert kept
    for part, copy, _ in kept:
        for row, expected in zip(part, copy, strict=True):
            np.testing.assert_array_equal(np.asarray(row), expected)
    for values in (values for part, _, values in kept if isinstance(part, torch.Tensor)):
        assert len(values) == 2


@pytest.mark.parametrize("where", ["process", "trainer"])
@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_memory_is_used_again_when_the_last_part_of_a_batch_goes(keep: Any, where: str) -> None:
    made: Any = ThreadedLoader(Numbered(), 2, where=where)
    first = next(iter(made))[0]
    address, part = first.data_ptr(), keep(first)
    del first
    gc.collect()
    assert all(batch[0].data_ptr() != address for _ in range(2) for batch in made)
    del part
    gc.collect()
    assert any(batch[0].data_ptr() == address for _ in range(4) for batch in made)


@pytest.mark.parametrize("where", ["process", "trainer"])
def test_a_small_part_of_a_batch_does_not_keep_the_large_one(where: str) -> None:
    made: Any = ThreadedLoader(Numbered(), 2, where=where)
    labels, addresses = [], set()
    for _ in range(4):
        for images, values, _words in made:
            labels.append(values)
            addresses.add(images.data_ptr())
            assert images.untyped_storage().nbytes() == images.nbytes
    assert len(labels) == 4 * COUNT / 2 and len(addresses) <= 5


def test_one_descriptor_a_slot_and_as_few_slots_as_are_needed() -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    before = psutil.Process().num_fds()
    for _ in range(3):
        for _batch in made:
            pass
    here, there = psutil.Process().num_fds() - before, child_of(made).num_fds()
    for _ in range(3):
        for _batch in made:
            pass
    assert psutil.Process().num_fds() - before == here <= 4 + 4, "4 slots; the rest to speak by"
    assert child_of(made).num_fds() == there
    mapped = {each.path for each in child_of(made).memory_maps() if "memfd" in each.path}
    assert mapped and not any("/dev/shm" in path for path in mapped)


def test_slots_hold_at_most_a_fifth_more_than_threads_here_do() -> None:
    """Bytes of all memory for batches, over epochs in which the trainer keeps none."""
    given: dict[str, Any] = {"batch_size": 2, "prefetch_factor": 2}
    here: Any = ThreadedLoader(Numbered(), where="trainer", **given)
    there: Any = ThreadedLoader(Numbered(), **given)
    nbytes = next(iter(there))[0].nbytes
    addresses = {batch[0].data_ptr() for _ in range(4) for batch in here}
    for _ in range(4):
        for batch in there:
            assert batch[0].nbytes == nbytes
    slots_bytes = sum(len(slot) for slot in there._place.slots._mapped.values())
    most = (given["prefetch_factor"] + 2) * nbytes
    assert len(addresses) * nbytes <= most and slots_bytes <= 1.2 * most


class Growing(Dataset[torch.Tensor]):
    """Each batch is larger than the one before, and then smaller again."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((2**17 + 2**16 * (index if index < 6 else 0),), index)


@pytest.mark.parametrize("where", ["process", "trainer"])
def test_memory_grows_with_the_batches(where: str) -> None:
    for _ in range(2):
        for index, batch in enumerate(ThreadedLoader(Growing(), 1, where=where)):
            assert batch.shape == (1, *Growing()[index].shape) and bool((batch == index).all())


@dataclass
class Custom:
    picture: torch.Tensor
    array: np.ndarray[Any, Any]
    same: torch.Tensor
    words: list[str]


def custom(samples: list[Any]) -> Custom:
    """Of a kind that only pickle knows, with an array in Fortran's order and one tensor twice."""
    images = torch.stack([image for image, _, _ in samples])
    array = np.asfortranarray(np.arange(2**16, dtype=np.float32).reshape(256, 256))
    return Custom(images[:, :, ::2], array, images, [word for *_, word in samples])


def test_whatever_pickles_arrives() -> None:
    plain = DataLoader(Numbered(), 3, collate_fn=custom)
    made: Any = ThreadedLoader(Numbered(), 3, collate_fn=custom)
    for found, expected in zip(made, plain, strict=True):
        assert torch.equal(found.picture, expected.picture)
        assert torch.equal(found.same, expected.same) and found.words == expected.words
        np.testing.assert_array_equal(found.array, expected.array)
        assert found.array.flags.writeable and found.array.dtype == np.float32


def unpicklable(samples: list[Any]) -> Any:
    return lambda: samples


class Odd(Exception):
    """An error that cannot be made from its message alone, and so not pickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Raising(Numbered):
    def __init__(self, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self.error = error

    def __getitem__(self, index: int) -> Any:
        if index == 1:
            raise self.error()
        return index


def odd() -> BaseException:
    return Odd(1, 2)


def exits() -> BaseException:
    return SystemExit(3)


@pytest.mark.parametrize("error", [odd, exits, KeyError, MemoryError])
def test_every_error_arrives_with_the_traceback(error: Any) -> None:
    batches = iter(ThreadedLoader(Raising(error), 2, threads=1))
    kind = type(error())
    # As itself where tblib, which Dask brings, has taught `pickle` to send it.
    with pytest.raises((RuntimeError, Odd) if kind is Odd else kind) as found:
        next(batches)
    assert "sample 1 of the dataset" in "".join(found.value.__notes__)
    assert "in __getitem__" in str(found.value.__cause__) and "Raising" not in str(found.value)
    assert next(batches).tolist() == [2, 3]


@pytest.mark.parametrize("where", ["process", "trainer"])
def test_a_dataset_cannot_end_an_epoch_unnoticed(where: str) -> None:
    """In a `DataLoader` the rest of the epoch would be left out without a word."""
    with pytest.raises(LoaderFailed, match="raised StopIteration"):
        list(ThreadedLoader(Raising(StopIteration), 2, where=where))


def test_a_batch_that_does_not_pickle_is_an_error() -> None:
    batches = iter(ThreadedLoader(Numbered(), 2, collate_fn=unpicklable))
    with pytest.raises((AttributeError, pickle.PicklingError), match="unpicklable"):
        next(batches)


class Drawing(Dataset[Any]):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), torch.rand(2), np.random.random(2)


def begun(worker: int) -> None:
    assert worker == 0
    random.seed(1)


@pytest.mark.parametrize("init", [None, begun])
def test_one_thread_draws_what_a_worker_draws(init: Any) -> None:
    def batches(loader: Any) -> list[str]:
        torch.manual_seed(2)
        return [str(batch) for _ in range(2) for batch in loader]

    given = {"batch_size": 2, "shuffle": True, "worker_init_fn": init}
    made: Any = ThreadedLoader(Drawing(), **given, threads=1)
    assert batches(made) == batches(DataLoader(Drawing(), **given, num_workers=1))


def test_a_process_that_is_killed_is_one_sentence() -> None:
    made = ThreadedLoader(Ending(), 1, threads=1, prefetch_factor=0)
    batches = iter(made)
    next(batches), next(batches)
    child = child_of(made)
    with pytest.raises(LoaderFailed, match=r"^The process .*\(\d+\) was ended by SIGKILL; .*\.$"):
        next(batches)
    assert not child.is_running()
    with pytest.raises(LoaderFailed, match="SIGKILL"):
        next(batches)
    assert next(iter(made))[1].tolist() == [100], "the next epoch has a process of its own"


def test_a_loader_that_goes_takes_its_process_along() -> None:
    made = ThreadedLoader(Waiting(), 2)
    batch = next(iter(made))
    child = child_of(made)
    del made
    gc.collect()
    assert not child.is_running() and bool((batch[0][1] == 1).all())


TRAINER = """
import os, signal, sys, threading, time
from tests.test_separate_process import Waiting, child_of
from datasets_impl.loaders.loader import ThreadedLoader
if __name__ == "__main__":
    made = ThreadedLoader(Waiting(), 2, start_method=sys.argv[1])
    batches = iter(made)
    next(batches)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sibling = os.fork()  # keeps the trainer's end of the connection open
    if sibling == 0:
        time.sleep(600)
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(child_of(made).pid, sibling, flush=True)
    next(batches)
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Callable[[str], tuple[Any, list[psutil.Process]]]]:
    """Starts a trainer that waits for a batch; it, the process that makes them, and a fork.

    A fork server's own folder is left where its process is killed, and its name must be short.
    """
    started: list[psutil.Process] = []
    folder = tempfile.mkdtemp()

    def start(method: str) -> tuple[Any, list[psutil.Process]]:
        script = tmp_path / "trainer.py"
        script.write_text(TRAINER)
        process = subprocess.Popen(
            [sys.executable, str(script), method],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={
                **os.environ,
                "TMPDIR": folder,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            },
        )
        assert process.stdout is not None
        others = [psutil.Process(int(number)) for number in process.stdout.readline().split()]
        started.extend(others)
        return process, others

    yield start
    for process in started:
        if process.is_running():
            process.kill()
    shutil.rmtree(folder)


def gone(process: psutil.Process) -> bool:
    """A zombie has ended; nobody may be there to reap it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("method", METHODS)
def test_when_the_trainer_ends_so_does_the_process(method: str, how: str, trainer: Any) -> None:
    before, since = present(), time.time()
    process, (child, fork) = trainer(method)
    if how == "SIGINT":  # Ctrl-C goes to all of them
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(getattr(signal, how))
    assert until(lambda: gone(child))
    assert process.wait(120) != 0
    fork.kill()
    if how == "SIGINT":
        error = process.stderr.read()
        assert error.count("KeyboardInterrupt") == 1
    assert until(lambda: not shared(left(before, since)))


def test_a_fork_of_the_trainer_has_a_process_of_its_own() -> None:
    made: Any = ThreadedLoader(Numbered(), 8)
    batches = iter(made)
    kept = next(batches)[0]

    def in_fork(queue: Any) -> None:
        try:
            next(batches)
        except StudyError as error:
            queue.put(str(error))
        queue.put([batch[1].tolist() for batch in made])
        queue.put(int(kept[0, 0, 0, 0]) == 0)

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    fork = context.Process(target=in_fork, args=(queue,))
    fork.start()
    assert "begun in another process" in queue.get()
    assert len(queue.get()) == 3 and queue.get() is True
    fork.join()
    assert len(list(batches)) == 2, "the trainer's own epoch goes on"


def started_in_a_daemon(queue: Any) -> None:
    try:
        next(iter(ThreadedLoader(Numbered(), 8)))
    except StudyError as error:
        queue.put(str(error))


def test_a_daemon_is_told_to_make_batches_itself() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    daemon = context.Process(target=started_in_a_daemon, args=(queue,), daemon=True)
    daemon.start()
    assert 'where="trainer"' in queue.get()
    daemon.join()


def test_too_little_memory_is_said_before_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "memory_left", lambda: 2**20)
    batches = iter(ThreadedLoader(Numbered(), 8, prefetch_factor=1, start_method="fork"))
    size = 8 * 3 * 160 * 160 * 8
    with pytest.raises(StudyError, match=rf"{3 * size:,} bytes of shared memory \(1,048,576 are"):
        next(batches)


def test_iterators_in_two_threads() -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    found: dict[int, list[int]] = {}

    def iterate(number: int) -> None:
        found[number] = [int(batch[1][0]) % 100 for batch in made]

    threads = [threading.Thread(target=iterate, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(3)] == [list(range(0, COUNT, 2))] * 3


class Interrupted(Exception):
    pass


def test_an_interrupt_in_mid_message_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    batches = iter(made)
    next(batches)
    child = child_of(made)

    def interrupted(connection: Any) -> None:
        connection._recv(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(separate.Message, "received", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(batches)
    with pytest.raises(LoaderFailed, match="cut short"):
        list(batches)
    assert not child.is_running() and len(list(made)) == COUNT / 2


class Cheap(Dataset[Any]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        if index == 13:
            raise ValueError(index)
        return torch.zeros(2**16, dtype=torch.uint8), index


def test_two_hundred_epochs_leave_nothing() -> None:
    """Ended early, by an error, by a kill, and two at a time."""
    draw, me = random.Random(7), psutil.Process()
    made: Any = ThreadedLoader(Cheap(), 2)
    next(iter(made))
    gc.collect()
    since, files = time.time(), present()
    before, children = me.num_fds(), set(me.children(recursive=True))
    for epoch in range(200):
        batches = iter(made)
        stop = draw.randrange(9)
        try:
            if draw.random() < 0.1:
                next(iter(made))
            for _, _batch in zip(range(stop), batches, strict=False):
                if epoch % 20 == 19:
                    child_of(made).kill()
        except (ValueError, LoaderFailed):
            continue
    del batches, _batch, made
    gc.collect()
    assert me.num_fds() <= before and not set(me.children(recursive=True)) - children
    assert until(lambda: not shared(left(files, since)))


def test_batches_in_page_locked_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is not there: what would go to it is counted instead."""
    copied: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(pinned, "pinned", lambda batch: copied.append(batch) or batch)
    made: Any = ThreadedLoader(Numbered(), 2, pin_memory=True)
    values = [int(batch[1][0]) for batch in made]
    assert values == list(range(0, COUNT, 2))
    assert len([each for each in copied if each is not None]) == len(values)
    batches = iter(ThreadedLoader(Raising(KeyError), 2, pin_memory=True))
    with pytest.raises(KeyError):
        next(batches)


def test_without_a_device_that_is_said_and_nothing_pinned() -> None:
    with pytest.warns(UserWarning, match="no CUDA device"):
        assert len(list(ThreadedLoader(Numbered(), 8, pin_memory=True))) == 3


def test_what_belongs_to_a_process_needs_one() -> None:
    with pytest.raises(BadArgument, match='give where="process"'):
        ThreadedLoader(Numbered(), where="trainer", start_method="fork")
    with pytest.raises(BadArgument, match="start_method"):
        ThreadedLoader(Numbered(), start_method="thread")


def test_slots_are_let_go_when_there_are_too_many_or_they_are_too_small() -> None:
    reader, writer = os.pipe()
    made: list[int] = []
    dropped: list[int] = []
    held = Slots(reader, lambda number, nbytes, file: made.append(number), dropped.append, 2)
    batches = [Reserved(held) for _ in range(4)]
    for batch in batches:
        batch.grow(4096)
    assert made == [0, 1, 2, 3] and not dropped
    del batches, batch
    gc.collect()
    held.take(1)
    assert len(dropped) == 2, "two are usual"
    larger = held.take(8192)
    assert larger.nbytes == 8192 and len(dropped) == 3
    os.close(reader)
    os.close(writer)


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Strange(Exception):
    def __reduce__(self) -> Any:
        return os.getcwd, ()


class Elsewhere(Exception):
    """Made anew only in the process it was raised in."""

    def __reduce__(self) -> Any:
        return _elsewhere, (os.getpid(),)


def _elsewhere(process: int) -> BaseException:
    if os.getpid() != process:
        raise ImportError("not here")
    return Elsewhere()


def noted(notes: Any) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes
    return error


@pytest.mark.parametrize(
    "error",
    [
        Wordless,
        Strange,
        Elsewhere,
        partial(noted, "no list"),
        partial(noted, 5),
        partial(noted, [print, lambda: 0]),
    ],
)
def test_whatever_an_error_is_like_the_trainer_does_not_wait_for_ever(error: Any) -> None:
    batches = iter(ThreadedLoader(Raising(error), 2, timeout=60))
    with pytest.raises(type(error())):
        next(batches)
    assert next(batches).tolist() == [2, 3]


class Misnamed(Raising):
    def name(self, index: int) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("where", ["process", "trainer"])
def test_a_name_that_cannot_be_told_hides_no_error(where: str) -> None:
    with pytest.raises(KeyError) as found:
        list(ThreadedLoader(Misnamed(KeyError), 2, where=where))
    assert found.value.__notes__ == ["Raised for sample 1 of the dataset."]


def test_a_fork_that_ends_leaves_the_process_alone() -> None:
    """What `multiprocessing` does at a process's end, it did to the children of its parent."""
    made: Any = ThreadedLoader(Numbered(), 2)
    batches = iter(made)
    next(batches)
    fork = os.fork()
    if not fork:
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]
        os._exit(0)
    assert os.waitpid(fork, 0)[1] == 0
    assert len(list(batches)) == COUNT / 2 - 1


class Lambda(Numbered):
    def __init__(self) -> None:
        super().__init__()
        self.key = lambda: 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_dataset_that_does_not_pickle_is_one_sentence(method: str) -> None:
    with pytest.raises(StudyError, match=r'^The .* cannot be sent .* where="trainer" or start'):
        next(iter(ThreadedLoader(Lambda(), 2, start_method=method)))


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_process_that_cannot_be_started_is_one_sentence(
    error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(StudyError, match=r'^The process .* cannot be started .*where="trainer"'):
        next(iter(ThreadedLoader(Numbered(), 2, start_method="fork")))


def test_a_signal_while_the_process_starts_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = psutil.Process().children()
    monkeypatch.setattr(separate.weakref, "finalize", exits_now)
    with pytest.raises(KeyboardInterrupt):
        next(iter(ThreadedLoader(Numbered(), 2, start_method="fork")))
    assert until(lambda: psutil.Process().children() == before)


def exits_now(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_program_from_standard_input_is_told_that_it_is_no_file(method: str) -> None:
    """`multiprocessing` would wait for ever to hand over a dataset of more than a pipe holds."""
    program = f"""
import numpy as np
from datasets_impl import ThreadedLoader
next(iter(ThreadedLoader(np.zeros(2**20), 4, start_method={method!r})))
"""
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert "StudyError: A process that is started by" in done.stderr.splitlines()[-1]
