"""What goes wrong in a separate process arrives with its place; whatever pickles arrives whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch.utils.data import DataLoader

from datasets_impl.errors import BadArgument, LoaderFailed, StudyError
from datasets_impl.loaders.loader import ThreadedLoader
from tests.numbered import Numbered, Raising
from tests.samples import everywhere


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


def stops(samples: list[Any]) -> Any:
    raise StopIteration


@everywhere
def test_a_dataset_cannot_end_an_epoch_unnoticed(where: str) -> None:
    """In a `DataLoader` the rest of the epoch would be left out without a word."""
    with pytest.raises(LoaderFailed, match="raised StopIteration") as found:
        list(ThreadedLoader(Raising(StopIteration), 2, where=where))
    assert "sample 1 of the dataset" in "".join(found.value.__notes__)
    with pytest.raises(LoaderFailed, match=r"collate_fn .*raised StopIteration"):
        list(ThreadedLoader(Numbered(), 2, where=where, collate_fn=stops))


def test_a_batch_that_does_not_pickle_is_an_error() -> None:
    batches = iter(ThreadedLoader(Numbered(), 2, collate_fn=unpicklable))
    with pytest.raises(StudyError, match=r"cannot send samples 0, 1 of the dataset .*unpicklable"):
        next(batches)


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
    batches = iter(ThreadedLoader(Raising(error), 2, timeout=600))
    with pytest.raises(type(error())):
        next(batches)
    assert next(batches).tolist() == [2, 3]


class Misnamed(Raising):
    def name(self, index: int) -> str:
        raise ZeroDivisionError


@everywhere
def test_a_name_that_cannot_be_told_hides_no_error(where: str) -> None:
    with pytest.raises(KeyError) as found:
        list(ThreadedLoader(Misnamed(KeyError), 2, where=where))
    assert found.value.__notes__ == ["Raised for sample 1 of the dataset."]


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


@pytest.mark.slow
def test_temporary_files_that_lie_too_deep_for_a_socket_are_told(tmp_path: Path) -> None:
    program = """
from datasets_impl import ThreadedLoader
if __name__ == "__main__":
    next(iter(ThreadedLoader([1, 2, 3], start_method="forkserver")))
"""
    (tmp_path / "train.py").write_text(program)
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    said_of = {deep: 'give where="trainer" or set TMPDIR to a folder with', Path("/tmp"): ""}
    for folder, said in said_of.items():
        done = subprocess.run(
            [sys.executable, "train.py"], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert bool(done.returncode) == bool(said) and said in done.stderr, done.stderr


@pytest.mark.slow
def test_a_program_from_standard_input_is_told_that_it_is_no_file() -> None:
    """`multiprocessing` would wait for ever to hand over a dataset of more than a pipe holds."""
    program = """
import numpy as np
from datasets_impl import ThreadedLoader
from datasets_impl.errors import StudyError
for method in ("spawn", "forkserver"):
    try:
        next(iter(ThreadedLoader(np.zeros(2**20), 4, start_method=method)))
    except StudyError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.stdout.count("A process that is started by") == 2, done.stderr


def test_what_belongs_to_a_process_needs_one() -> None:
    with pytest.raises(BadArgument, match='give where="process"'):
        ThreadedLoader(Numbered(), where="trainer", start_method="fork")
    with pytest.raises(BadArgument, match="start_method"):
        ThreadedLoader(Numbered(), start_method="thread")


def refuses(_: int) -> None:
    raise ValueError("x" * 2**20)


@pytest.mark.parametrize("given", [{"batch_size": 10**5}, {"prefetch_factor": 1000}])
def test_a_long_error_does_not_keep_the_process_from_listening(given: dict[str, int]) -> None:
    """The trainer sends more than the connection holds, before it reads what is sent to it."""
    made = ThreadedLoader(range(10**6), worker_init_fn=refuses, **given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="xxx"):
        next(iter(made))


def test_indices_that_do_not_pickle_are_one_sentence() -> None:
    with pytest.raises(StudyError, match=r'^What the sampler gives .* where="trainer"\.$'):
        list(ThreadedLoader(Numbered(), batch_sampler=[[print, lambda: 0]]))
