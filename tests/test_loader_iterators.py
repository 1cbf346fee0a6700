"""Iterators of loaders: in a fork, two at once, given up in mid-epoch, pickled meanwhile."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNT

from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.ahead import Ahead
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.table import LOADERS
from datasets_impl.loaders.threaded_crops import ThreadedCropsLoader

HANGS = 60  # seconds after which a child is taken to hang


def crops(root: Path, **options: Any) -> ThreadedCropsLoader:
    return ThreadedCropsLoader(root, size=8, **options)


def overwriting(root: Path, **options: Any) -> GatheredPixelsLoader:
    pack: Any = ensure_stored(root, "pixels", "pack")
    return GatheredPixelsLoader(pack, overwrite=True, **options)


BUILD: dict[str, Callable[..., Any]] = {
    **{name: row.build for name, row in LOADERS.items()},
    "threaded-crops": crops,
    "gathered-overwriting": overwriting,
}
every_loader = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
every_way = pytest.mark.parametrize(
    ("build", "wrap"),
    [
        pytest.param(build, wrap, id=f"{name}-{way}")
        for name, build in BUILD.items()
        for way, wrap in (("plain", lambda loader: loader), ("look-ahead", Ahead))
        if (build, wrap) != (overwriting, Ahead)
    ],
)


def in_a_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the text of its `StudyError`, in a forked child that must end."""
    receiving, sending = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        try:
            sending.send(work())
        except StudyError as error:
            sending.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    try:
        assert receiving.poll(HANGS), "the child hangs"
        found = receiving.recv()
        process.join(HANGS)
        assert process.exitcode == 0, "the child does not end"
        return found
    finally:
        process.kill()
        process.join()


@every_way
def test_an_epoch_does_not_go_on_in_a_fork(build: Any, wrap: Any, folder: Path) -> None:
    arriving = iter(wrap(build(folder, batch_size=2)))
    next(arriving)
    assert "begun in another process" in in_a_fork(lambda: next(arriving))
    assert len(list(arriving)) == COUNT // 2 - 1, "here it does"


@every_way
def test_a_fork_in_mid_epoch_may_begin_its_own(build: Any, wrap: Any, folder: Path) -> None:
    loader = wrap(build(folder, batch_size=2, sampler=range(COUNT)))
    arriving = iter(loader)
    first = next(arriving).sum().item()

    def work() -> list[int]:
        arriving.close()  # type: ignore[attr-defined]  # as its collection in the child does
        return [batch.sum().item() for batch in loader]

    found = in_a_fork(work)
    assert len(found) == COUNT // 2
    if not isinstance(getattr(loader, "batches", loader), ThreadedCropsLoader):
        assert found[0] == first, "crops are of another epoch"


@every_way
def test_two_epochs_at_once_do_not_mix(build: Any, wrap: Any, folder: Path) -> None:
    def sums(loader: Any) -> list[list[int]]:
        return [[image.sum().item() for image in batch] for batch in loader]

    expected = build(folder, batch_size=2, seed=1)
    first, second = sums(expected), sums(expected)
    loader = wrap(build(folder, batch_size=2, seed=1))
    found: tuple[list[Any], list[Any]] = ([], [])
    early, late = iter(loader), iter(loader)
    for one, other in zip(early, late, strict=True):
        # Both are still there once the other has come: nothing of one was written to the other.
        for batch, place in ((one, 0), (other, 1)):
            found[place].append([image.sum().item() for image in batch])
    assert sorted(map(sorted, found)) == sorted(map(sorted, (first, second)))


@every_way
def test_after_an_error_of_the_trainer(build: Any, wrap: Any, folder: Path) -> None:
    loader = wrap(build(folder, batch_size=2))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            for _batch in loader:
                raise ZeroDivisionError
    assert sum(len(batch) for batch in loader) == COUNT


@every_loader
def test_pickled_in_mid_epoch(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=2, sampler=range(COUNT))
    arriving = iter(loader)
    next(arriving)
    copy = pickle.loads(pickle.dumps(loader))
    assert sum(len(batch) for batch in copy) == COUNT
    assert len(list(arriving)) == COUNT // 2 - 1


def test_looking_ahead_in_memory_that_is_overwritten_is_refused(folder: Path) -> None:
    with pytest.raises(BadArgument, match="leave out overwrite=True"):
        Ahead(overwriting(folder))


def test_an_iterator_given_up_leaves_its_memory_and_no_thread(folder: Path) -> None:
    loader = ThreadedCropsLoader(folder, 2, size=8, threads=2)
    for _ in range(20):
        next(iter(loader))
    gc.collect()
    assert len(loader.memory._idle) == 1
    assert not [one for one in threading.enumerate() if one.name == "look-ahead"]


def test_whatever_ends_the_look_ahead_reaches_the_trainer() -> None:
    for error in (KeyboardInterrupt(), SystemExit(3), MemoryError("much")):

        def batches(error: BaseException = error) -> Iterator[torch.Tensor]:
            yield torch.zeros(1)
            raise error

        arriving = iter(Ahead(batches()))
        next(arriving)
        with pytest.raises(type(error)):
            next(arriving)
