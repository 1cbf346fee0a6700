"""Standard streams and a width that a command can print with, whatever it was started with."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

WIDTH = re.compile("[1-9][0-9]{1,2}")  # columns or lines that a terminal may have


def prepare() -> None:
    """Before a command prints.

    A stream that is closed leads nowhere, and not into the next file that is opened, which would
    get its number. Letters that an encoding lacks are written escaped. A width that no terminal
    has, such as 0, is not believed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _lead_nowhere(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - to the end
        elif isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _remembering(stream))
    for name in ("COLUMNS", "LINES"):
        if not WIDTH.fullmatch(os.environ.get(name, "80")):
            del os.environ[name]


def _remembering(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """One that can say of what it was given that it could not be written; see `lost`."""
    own = stream in (sys.__stdout__, sys.__stderr__)
    if own and isinstance(stream.buffer, io.RawIOBase):  # of PYTHONUNBUFFERED: it forgets
        buffered = io.BufferedWriter(stream.buffer)
        return io.TextIOWrapper(buffered, stream.encoding, "backslashreplace", line_buffering=True)
    stream.reconfigure(errors="backslashreplace")
    return stream


def lost() -> OSError | None:
    """Why something printed could not be written, such as a closed pipe or a full disk.

    It is tried no more at the end of the interpreter, and what follows leads nowhere.
    """
    why = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            why = why or error
            _lead_nowhere(stream.fileno())
    return why


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, number)  # for children as well
    if nowhere != number:
        os.close(nowhere)
    else:
        os.set_inheritable(number, True)
