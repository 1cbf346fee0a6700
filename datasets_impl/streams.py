"""Standard streams and a width that a command can print with, whatever it was started with."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType

WIDTH = re.compile("[1-9][0-9]{1,2}")  # columns or lines that a terminal may have
OWN = ("__main__", "datasets_impl", "scripts", "benchmarks", "importlib", "runpy")
IMPORTING = ("<module>", "__getattr__")  # the latter of a package whose parts come when asked for
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # what a terminal obeys and does not show


def escaped(text: object) -> str:
    """A name, or a sentence with names in it, on one line: they may hold line ends and escapes."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def told_while_imported(command: str, target: str = "", *, extra: str = "") -> None:
    """Let a package that is missing or fails, or Ctrl-C, end this program in a sentence while it is
    imported.

    That takes seconds, in which no `main` is there yet to hear of it, and this module is all that
    can be relied on: it imports the standard library alone.

    Args:
        command: the module that is run.
        target: the `make` that installs what it needs, in the repository.
        extra: without a target: that of the package, where it needs one.
    """
    before = sys.excepthook
    remedy = "pip install '<this folder>" + (f"[{extra}]'" if extra else "'")
    if target:
        remedy = f"run `{target}`, which installs it into .venv for .venv/bin/python -m {command}"

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted; run the same command again", file=sys.stderr)
            return
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0]
        if missing and not sys.modules.get(missing) and not importlib.util.find_spec(missing):
            said = f"needs the package {missing!r}: {remedy}."
        elif package := _imported(trace):
            why = escaped(f"{kind.__name__}: {error}")
            said = f"cannot import {package!r} ({why}); mend {_at_fault()}, or {remedy}."
        else:
            before(kind, error, trace)
            return
        print(f"error: {command} {said}", file=sys.stderr)
        sys.exit(2)

    sys.excepthook = told


def _imported(trace: TracebackType | None) -> str:
    """The package that failed while it was imported, "" where something else did."""
    for frame, _ in traceback.walk_tb(trace):
        home = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if home not in OWN:
            return home if frame.f_code.co_name in IMPORTING else ""
    return ""


def _at_fault() -> str:
    date = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not re.fullmatch("[0-9]+", date):  # which packages read and do not name
        return f"SOURCE_DATE_EPOCH, which is {date!r} and no number of seconds"
    return "what that names in your environment or the limits of the system"


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
    for name in set(os.environ) - set(believable()):
        del os.environ[name]


def believable() -> dict[str, str]:
    """The environment without a width that no terminal has."""
    odd = [name for name in ("COLUMNS", "LINES") if not WIDTH.fullmatch(os.environ.get(name, "80"))]
    return {name: value for name, value in os.environ.items() if name not in odd}


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
