"""An error on its way to another process: its type and arguments, and the traceback there."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from datasets_impl.system.termination import by_a_signal


class _ThereError(Exception):
    """Shows the traceback of the other process as the cause of the error here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def carry(error: BaseException) -> bytes:
    """The error as bytes, whether it pickles or not, and whatever its methods raise."""
    text = "".join(traceback.format_exception(error))
    notes = getattr(error, "__notes__", ())
    notes = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    try:
        said = str(error)
    except BaseException:  # of an error whose text cannot be made, and the trainer waits for it
        said = text.rstrip().rpartition("\n")[2]
    return pickle.dumps((_pickled(error), _pickled(type(error)), said, notes, text))


def arrive(data: bytes) -> BaseException:
    """The error again: the same type, or a RuntimeError where this cannot be made anew."""
    error, kind, message, notes, text = pickle.loads(data)
    found = _made(lambda: pickle.loads(error))
    if found is None:  # it did not pickle there, or cannot be made anew here
        found = _made(lambda: pickle.loads(kind)(message)) or RuntimeError(message)
        for note in notes:
            with contextlib.suppress(Exception):  # it may be frozen
                found.add_note(note)
    # tblib, which Dask brings, sends tracebacks along. Their frames hold those here, and with them
    # the loader, until the garbage collector comes; the text says as much.
    for name, value in (("traceback", None), ("context", None), ("cause", _ThereError(text))):
        BaseException.__setattr__(found, f"__{name}__", value)  # also of a frozen one
    return found


def _made(make: Callable[[], Any]) -> BaseException | None:
    """None where it is no error, or cannot be made."""
    try:
        found = make()
    except BaseException as failed:
        require_own(failed)
        return None
    return found if isinstance(found, BaseException) else None


def require_own(error: BaseException) -> None:
    """That what an object raised while it was made anew is its own, or else raise it on: Ctrl-C and
    a signal's handler may come in the middle of anything."""
    if isinstance(error, KeyboardInterrupt) or by_a_signal(error):
        raise error


def _pickled(value: Any) -> bytes:
    """Empty if it does not pickle, or not to what it was."""
    try:
        data = pickle.dumps(value)
        again = pickle.loads(data)
    except BaseException:  # also one that would end the process
        return b""
    return data if type(again) is type(value) else b""
