"""What the user's code raised, in a sentence."""

from __future__ import annotations

import re
import traceback

from datasets_impl.doctor.probes.own_code import DOCTOR, is_own
from datasets_impl.errors import StudyError

RAISED = (BaseException,)  # also SystemExit, and errors that are none to Python
MOST = 300  # characters of an error's text
IN_WORKER = "Original Traceback"  # what PyTorch writes above the text of one
FRAME = re.compile(r'^ *File "(.+)", line (\d+), in', re.MULTILINE)

GUARD = (
    'put what is not needed for the dataset under `if __name__ == "__main__":`, or name a file '
    "that only has a function that makes the dataset"
)


def said_by(error: BaseException) -> str:
    """Its type and text in a line; of an error in a worker what was raised there."""
    if isinstance(error, StudyError):
        return str(error).rstrip(".")
    said = text_of(error)
    if IN_WORKER in said:
        return said.strip().splitlines()[-1][:MOST].rstrip(".")
    return f"{type(error).__name__}: {' '.join(said.split())[:MOST]}".rstrip(": .")


def sentence(error: BaseException) -> str:
    """The same, and the innermost line of the user's."""
    return said_by(error) + ("" if isinstance(error, StudyError) else place_of(error))


def place_of(error: BaseException) -> str:
    """The innermost line of the user's, in brackets; "" where there is none."""
    frames = [(one.filename, one.lineno) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    frames += [(file, int(line)) for file, line in FRAME.findall(text_of(error))]
    own = [one for one in frames if is_own(one[0]) and not one[0].startswith(DOCTOR)]
    return f" ({own[-1][0]}:{own[-1][1]})" if own else ""


def text_of(error: BaseException) -> str:
    try:
        return str(getattr(error, "msg", "") or error)
    except RAISED:
        return "its text cannot be had"
