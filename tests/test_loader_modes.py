"""The trainer's modes reach the threads that make batches, as they reach a DataLoader's dataset."""

from __future__ import annotations

import contextlib
import contextvars
import decimal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from datasets_impl import ThreadedLoader
from tests.samples import everywhere

COUNT = 6
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
MODES: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "none": contextlib.nullcontext,
}


class Computed(Dataset[Any]):
    """Samples are what a layer makes."""

    def __init__(self) -> None:
        self.layer = torch.nn.Linear(4, 4)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.layer(torch.full((4,), float(index)))  # type: ignore[no-any-return]


def kinds(batches: Any) -> list[Any]:
    return [(batch.dtype, batch.requires_grad, batch.tolist()) for batch in batches]


@everywhere
@pytest.mark.parametrize("threads", [1, 2])
def test_grad_mode_and_autocast_are_those_of_each_epochs_beginning(
    where: str, threads: int
) -> None:
    dataset = Computed()
    with ThreadedLoader[Any](dataset, 3, where=where, threads=threads) as loader:
        for name, mode in (*MODES.items(), *MODES.items()):
            with mode():
                assert kinds(loader) == kinds(DataLoader(dataset, 3)), name
        batches = iter(loader)
        first = next(batches)
        with torch.no_grad():  # which an epoch under way does not hear
            assert {batch.requires_grad for batch in (first, *batches)} == {True}


def test_a_process_that_is_forked_within_a_mode_does_not_keep_it() -> None:
    dataset = Computed()
    with ThreadedLoader[Any](dataset, 3, threads=1, start_method="fork") as loader:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            assert kinds(loader) == kinds(DataLoader(dataset, 3))
        assert kinds(loader) == kinds(DataLoader(dataset, 3))


class Contexts(Dataset[Any]):
    """Samples depend on what Python and NumPy hold for each thread."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        try:
            scaled = float(np.float64(1.0) / np.float64(index % 3))
        except FloatingPointError:
            scaled = -1.0
        return VARIABLE.get(), str(decimal.Decimal(1) / decimal.Decimal(index + 3)), scaled


@contextlib.contextmanager
def set_by_the_trainer() -> Iterator[None]:
    before = VARIABLE.set(100)
    with np.errstate(all="raise"), decimal.localcontext() as context:
        context.prec = 50
        yield
    VARIABLE.reset(before)


def of(batches: Any) -> list[Any]:
    return [(numbers.tolist(), texts, scaled.tolist()) for numbers, texts, scaled in batches]


@everywhere
@pytest.mark.parametrize("threads", [1, 3])
def test_context_variables_reach_the_threads(where: str, threads: int) -> None:
    dataset = Contexts()
    fork: dict[str, Any] = {"start_method": "fork"} if where == "process" else {}
    with (
        set_by_the_trainer(),
        ThreadedLoader[Any](dataset, 2, where=where, threads=threads, **fork) as loader,
    ):
        assert of(loader) == of(DataLoader(dataset, 2))
        assert of(loader)[0][0] == [100, 100]
    if where == "trainer":  # as of each epoch's beginning
        with np.errstate(all="ignore"):
            assert of(loader) == of(DataLoader(dataset, 2))
        loader.close()


class Sets(IterableDataset[Any]):
    """A stream that sets a variable when it begins."""

    def __iter__(self) -> Iterator[int]:
        VARIABLE.set(7)
        for _ in range(COUNT):
            yield VARIABLE.get()


@everywhere
def test_what_a_stream_sets_holds_for_its_epoch_and_not_for_the_trainer(where: str) -> None:
    with ThreadedLoader[Any](Sets(), 2, where=where) as loader:
        assert [batch.tolist() for batch in loader] == [[7, 7]] * 3
    assert VARIABLE.get() == 0


def sets(worker: int) -> None:
    VARIABLE.set(worker + 5)
    torch.set_grad_enabled(False)


def test_what_a_worker_init_fn_sets_holds_for_samples() -> None:
    with ThreadedLoader[Any](Contexts(), 2, threads=2, worker_init_fn=sets) as loader:
        assert of(loader)[0][0] == [5, 5]
    with ThreadedLoader[Any](Computed(), 2, threads=2, worker_init_fn=sets) as loader:
        assert {batch.requires_grad for batch in (*loader, *loader)} == {False}
