"""The probes' process: run as `python -m datasets_impl.doctor.process.child REQUEST`.

The probes of a request run one after the other and each answer is written down at once, as a line
of JSON. What the user's code prints is thrown away. `examine` is the other side.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder, where a json.py of the user's may stand

import contextlib
import faulthandler
import json
import os
from collections.abc import Callable
from json import dumps  # as it is before the user's code
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import sentence
from datasets_impl.doctor.probes.reading import note_in
from datasets_impl.doctor.process.deaths import overran
from datasets_impl.doctor.process.examine import END, GRACE, LOADING, OVER
from datasets_impl.doctor.process.heard import LOOK, STARTING
from datasets_impl.doctor.process.sandbox import name_semaphores
from datasets_impl.errors import StudyError

Tell = Callable[[dict[str, Any]], None]
PATIENCE = 4.0  # times the seconds for looking at all samples, that one may take
SOON = 0.1  # seconds, for what is over its time
FROM_START = ("items", "causes", "pictures", "ceiling", "repeated")  # of a stream


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text())
    folder, own = Path(request["folder"]), os.getpid()
    name_semaphores(folder)
    note_in(folder)

    def tell(record: dict[str, Any]) -> None:
        if os.getpid() != own:  # the user's code has forked, and went on in both processes
            os._exit(0)
        with (folder / "answers").open("a", encoding="utf-8") as answers:
            answers.write(dumps(record) + "\n")

    with (folder / "stacks").open("w") as stacks:
        # Without the interpreter's lock, which a function written in C may hold for ever.
        faulthandler.dump_traceback_later(LOADING, file=stacks)  # it is told to end, then killed
        try:
            _answer_all(request, tell, stacks)
        except BaseException as error:
            known = isinstance(error, StudyError)
            if not overran(folder / "stacks"):  # or it ends as it was told to
                tell({"probe": "", "user_error" if known else "error": sentence(error)})
        faulthandler.cancel_dump_traceback_later()
    os._exit(0)  # without waiting for threads and workers of the user's


def _starts_late(subject: Any, probe: str, seconds: float) -> bool:
    """Whether a stream gives its first sample so late that a probe, which goes over it from its
    start, would see nothing else."""
    first = float(subject.answers.get(LOOK, {}).get("first", 0.0))
    return subject.iterable and probe in FROM_START and first > 2 * seconds


def _answer_all(request: dict[str, Any], tell: Tell, stacks: Any) -> None:
    begun = clock.monotonic()
    import torch

    from datasets_impl.doctor.probes.loaders import batch_size_of
    from datasets_impl.doctor.probes.set_threads import hold
    from datasets_impl.doctor.probes.target import load
    from datasets_impl.doctor.process.plan import FOREMOST, plan
    from datasets_impl.doctor.process.table import PROBES

    if not sys.flags.safe_path:
        with contextlib.suppress(OSError):  # it is gone
            sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as Python has it
    # As in a worker; and a second thread that a neighbour keeps from running makes the first wait.
    torch.set_num_threads(1)
    hold()
    # No compiled files beside the user's, neither by this process nor by workers that are spawned.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    subject = load(request["target"], request["kwargs"])
    if writes := subject.writes or subject.importing:
        tell({"probe": "", "writes": writes})
    importing = clock.monotonic() - begun  # on a busy machine too long to be passed over
    subject.avoid, subject.cost = set(request["avoid"]), request["cost"]
    subject.nbytes, subject.answers = request["bytes"], request["answers"]
    subject.workers_hang = request["workers_hang"]
    until = request["until"] or clock.monotonic() + request["allowed"]
    asked = request["asked"]
    planned: dict[str, float] = {}

    def begin(probe: str, limit: float, **more: Any) -> None:
        stacks.seek(0)
        stacks.truncate()
        tell({"probe": probe, "limit": limit, **more})
        faulthandler.dump_traceback_later(limit, file=stacks, exit=True)

    for position, (name, seconds, options) in enumerate(asked):
        if subject.cost and not subject.iterable and not planned:
            left = [(probe, each) for probe, each, _ in asked[position:]]
            planned = plan(left, subject.cost, batch_size_of(subject) or 1)
        seconds = planned.get(name, seconds)
        over = until - clock.monotonic()
        if _starts_late(subject, name, seconds):
            seconds = 0.0
        if not seconds or over < seconds / 2:
            tell({"probe": name, "late": True})
            continue
        seconds = min(seconds, over)
        most = seconds
        if name == FOREMOST[0]:  # the last: it may have what the others left
            most = max(seconds, (over - request["beyond"] - importing) / OVER)
            options = {"most": most}
        limit = (PATIENCE if name == LOOK else END) * most + GRACE
        limit = min(limit, until + request["slack"] - clock.monotonic())
        begin(name, limit)
        if name == LOOK:
            options = {"note": lambda seen, limit=limit: begin(LOOK, limit, partial=seen)}
        if name == STARTING:
            ends = clock.monotonic() + limit
            options = {"note": lambda seen, ends=ends: begin(
                STARTING, max(SOON, ends - clock.monotonic()), partial=seen)}  # fmt: skip
        try:
            tell({"probe": name, "answer": PROBES[name](subject, seconds, **options)})
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the user's as well
            tell({"probe": name, "error": sentence(error)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
