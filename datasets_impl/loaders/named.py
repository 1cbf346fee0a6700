"""Adds to an error which samples it came from; where none is raised, no word of it is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from datasets_impl import optional

MOST = 500  # characters: of a long batch the first samples will do


def add_note(error: BaseException, said: Callable[[], str]) -> None:
    with contextlib.suppress(Exception):  # it takes none, or what it is of cannot be told
        error.add_note(said())


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


def _listed(indices: Sequence[Any]) -> str:
    text, end = "", ""
    for index in indices:
        if len(text) > MOST:
            end = f", … ({len(indices):,} in all)"
            break
        text += f"{', ' * bool(text)}{index!r}"
    return f"sample{'s' * (len(indices) > 1)} {text}{end}"
