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

INIT = "The loader's worker_init_fn raised "  # how it is told
GUARD = (
    'put what is not needed for the dataset under `if __name__ == "__main__":`, or name a file '
    "that only has a function that makes the dataset"
)


class InitRaised(StudyError):
    """What a worker's first function of the user's raised, also where it ends the worker."""

    def __init__(self, text: str) -> None:
        """`text` is of the error, or what PyTorch says of one in a worker."""
        super().__init__(INIT + " ".join(text.rpartition(INIT)[2].split()))


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
    return "".join(f" ({file}:{line})" for file, line in places_of(error))


def places_of(error: BaseException) -> list[tuple[str, int]]:
    """File and number of that line."""
    frames = [(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0))
    frames += [(file, int(line)) for file, line in FRAME.findall(text_of(error))]
    own = [one for one in frames if is_own(one[0]) and not one[0].startswith(DOCTOR)]
    return own[-1:]


def text_of(error: BaseException) -> str:
    try:
        return str(getattr(error, "msg", "") or error)
    except RAISED:
        return "its text cannot be had"
