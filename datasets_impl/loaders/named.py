"""Adds to an error which samples it came from; where none is raised, no word of it is made."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Sequence
from typing import Any

from datasets_impl import optional
from datasets_impl.errors import StudyError

MOST = 500  # characters: of a long batch the first samples will do
OWN = (
    'or give where="trainer", threads=1 and prefetch_factor=0, to read in the trainer\'s own thread'
)
OF_A_THREAD = {  # what is said of what one thread alone may do, and the remedy
    "SQLite objects created in a thread": f"open it anew in each (threading.local), {OWN}",
    "signal only works in main thread": "call signal.signal in worker_init_fn, which the separate "
    f"process calls in its main thread, {OWN}",
    "no current event loop in thread": f"run what is asynchronous by asyncio.run, {OWN}",
}


def add_note(error: BaseException, said: Callable[[], str]) -> None:
    with contextlib.suppress(Exception):  # it takes none, or what it is of cannot be told
        error.add_note(said())
        what = error.args[0] if error.args else ""
        for text, remedy in OF_A_THREAD.items():
            if isinstance(what, str) and text in what:
                error.add_note(f"Threads make the batches: {remedy}.")


class noting:
    """Adds to an error what `said` gives."""

    def __init__(self, said: Callable[[], str]) -> None:
        self.said = said

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, where: Any) -> None:
        if error is not None:
            add_note(error, self.said)


class naming(noting):
    """Of one sample, with the name that the dataset has for it."""

    def __init__(self, dataset: Any, index: Any) -> None:
        self.dataset, self.index = dataset, index

    def said(self) -> str:
        name, called = optional.method(self.dataset, "name"), ""
        with contextlib.suppress(Exception):  # there may be no such sample
            called = f", {name(self.index)}" if name is not None else ""
        return f"Raised for sample {self.index!r} of the dataset{called}."


def one_of(indices: Sequence[Any]) -> str:
    """Of samples that are read all at once."""
    return f"Raised for {'one of ' * (len(indices) > 1)}{_listed(indices)} of the dataset."


def when_collated(indices: Sequence[Any], of: str) -> str:
    if not len(indices):
        return "Raised when an empty batch was collated."
    return (
        f"Raised when {_listed(indices)} of {of} {'were' if len(indices) > 1 else 'was'} collated."
    )


def unsendable(value: Any, indices: Any, streams: bool, why: BaseException) -> StudyError:
    """For a batch that does not pickle, of a stream or of samples at `indices`."""
    indices = indices if isinstance(indices, list | tuple) else [indices]
    if isinstance(value, list | tuple) and len(value) == len(indices):  # as they were read
        bad = [index for index, each in zip(indices, value, strict=True) if not _pickles(each)]
        indices = bad[:1] or indices
    of = "what the stream gave" if streams else f"{_listed(indices)} of the dataset"
    return StudyError(
        f"The process that makes batches cannot send {of} ({why}); let the dataset or collate_fn "
        'give what pickle can write, such as tensors and numbers, or give where="trainer".'
    )


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except BaseException:
        return False
    return True


def _listed(indices: Sequence[Any]) -> str:
    text, end = "", ""
    for index in indices:
        if len(text) > MOST:
            end = f", … ({len(indices):,} in all)"
            break
        text += f"{', ' * bool(text)}{index!r}"
    return f"sample{'s' * (len(indices) > 1)} {text}{end}"
