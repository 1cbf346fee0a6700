"""The probes' process: run as `python -m datasets_impl.doctor.child REQUEST ANSWERS`.

The probes of a request run one after the other and each answer is written down at once, as a line
of JSON. What the user's code prints is thrown away. `examine` is the other side.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets_impl.doctor.examine import GRACE, LOADING, LOOK

Tell = Callable[[dict[str, Any]], None]
PATIENCE = 4.0  # times the seconds for looking at all samples, that one may take


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text())
    threading.Thread(target=_end_with_parent, args=(request["folder"],), daemon=True).start()
    with (
        Path(arguments[1]).open("a", encoding="utf-8", buffering=1) as answers,
        Path(request["stacks"]).open("w") as stacks,
    ):

        def tell(record: dict[str, Any]) -> None:
            answers.write(json.dumps(record) + "\n")

        faulthandler.dump_traceback_later(LOADING - 1, file=stacks)
        try:
            _answer_all(request, tell, stacks)
        except BaseException as error:
            from datasets_impl.errors import StudyError

            known = isinstance(error, StudyError)
            tell({"probe": "", "user_error" if known else "error": _sentence(error)})
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads and workers of the user's


def _end_with_parent(folder: str) -> None:
    """Where the doctor itself was killed, nothing of it stays behind."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _answer_all(request: dict[str, Any], tell: Tell, stacks: Any) -> None:
    import torch

    from datasets_impl.doctor.loaders import batch_size_of
    from datasets_impl.doctor.plan import plan
    from datasets_impl.doctor.probes import PROBES
    from datasets_impl.doctor.target import load

    # As in a worker; and a second thread that a neighbour keeps from running makes the first wait.
    torch.set_num_threads(1)
    subject = load(request["target"], request["kwargs"])
    subject.avoid, subject.cost = set(request["avoid"]), request["cost"]
    begun, asked = time.monotonic(), request["asked"]
    planned: dict[str, float] = {}

    def begin(probe: str, limit: float, **more: Any) -> None:
        stacks.seek(0)
        stacks.truncate()
        tell({"probe": probe, "limit": limit, **more})
        faulthandler.dump_traceback_later(limit - GRACE / 2, file=stacks)

    for position, (name, seconds, options) in enumerate(asked):
        if subject.cost and not subject.iterable and not planned:
            left = [(probe, each) for probe, each, _ in asked[position:]]
            planned = plan(left, subject.cost, batch_size_of(subject) or 1)
        seconds = planned.get(name, seconds)
        over = begun + request["left"] - time.monotonic()
        if not seconds or over < seconds / 2:
            tell({"probe": name, "late": True})
            continue
        seconds = min(seconds, over)
        limit = (PATIENCE if name == LOOK else 1.0) * seconds + GRACE
        begin(name, limit)
        if name == LOOK:
            options = {"note": lambda seen, limit=limit: begin(LOOK, limit, partial=seen)}
        try:
            tell({"probe": name, "answer": PROBES[name](subject, seconds, **options)})
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the user's as well
            tell({"probe": name, "error": _sentence(error)})


def _sentence(error: BaseException) -> str:
    """What was raised, and the innermost line of the user's."""
    from datasets_impl.doctor.attribution import DOCTOR, is_own
    from datasets_impl.errors import StudyError

    if isinstance(error, StudyError):
        return str(error)
    own = [
        (frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)
        if is_own(frame.filename) and not frame.filename.startswith(DOCTOR)
    ]  # fmt: skip
    if isinstance(error, SyntaxError) and error.filename:
        own.append((error.filename, error.lineno))
    place = f" ({own[-1][0]}:{own[-1][1]})" if own else ""
    said = str(getattr(error, "msg", "") or error)
    if "Original Traceback" in said:  # of a worker: its last line says what was raised
        said = said.strip().splitlines()[-1]
    said = " ".join(said.split())
    return f"{type(error).__name__}: {said[:300]}{place}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
