"""An error on its way to another process: its type and arguments, and the traceback there."""

from __future__ import annotations

import pickle
import traceback
from typing import Any


class _ThereError(Exception):
    """Shows the traceback of the other process as the cause of the error here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def carry(error: BaseException) -> bytes:
    """The error as bytes, whether it pickles or not."""
    text = "".join(traceback.format_exception(error))
    notes = getattr(error, "__notes__", ())
    notes = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    try:
        said = str(error)
    except Exception:  # of an error whose text cannot be made, and the trainer waits for it
        said = text.rstrip().rpartition("\n")[2]
    return pickle.dumps((_pickled(error), _pickled(type(error)), said, notes, text))


def arrive(data: bytes) -> BaseException:
    """The error again: the same type, or a RuntimeError where this cannot be made anew."""
    error, kind, message, notes, text = pickle.loads(data)
    try:
        found: BaseException = pickle.loads(error)
    except Exception:  # it did not pickle there, or cannot be made anew here
        try:
            found = pickle.loads(kind)(message)
        except Exception:
            found = RuntimeError(message)
        for note in notes:
            found.add_note(note)
    # tblib, which Dask brings, sends tracebacks along. Their frames hold those here, and with them
    # the loader, until the garbage collector comes; the text says as much.
    found.__traceback__ = found.__context__ = None
    found.__cause__ = _ThereError(text)
    return found


def _pickled(value: Any) -> bytes:
    """Empty if it does not pickle, or not to what it was."""
    try:
        data = pickle.dumps(value)
        again = pickle.loads(data)
    except Exception:
        return b""
    return data if type(again) is type(value) else b""
