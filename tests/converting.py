"""A conversion in a process that can be stopped wherever it touches files.

The processes are forked from one that has imported everything already.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from datasets_impl.formats import FORMATS, ensure_stored, plan

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(  # of all tests: the server is one for all, and torch takes seconds
    ["torch", "datasets_impl.loaders.loader", "tests.converting", "tests.killed",
     "matplotlib.pyplot", "pandas", "scipy.stats"]
)  # fmt: skip
for row in FORMATS.values():
    if row.available:
        row.load("Format")


def convert(folder: Path, kind: Any, name: str, place: int, chunk: int, told: Connection) -> None:
    plan.CHUNK = chunk
    told.send("started")
    places = itertools.count(1)

    def touched(event: str, _: Any) -> None:
        if event.startswith(("open", "os.")) and next(places) == place:
            told.send("here")
            time.sleep(1e6)  # this thread stops; the other one goes on until the kill

    sys.addaudithook(touched)
    ensure_stored(folder, kind, name, threads=2)
    told.send(next(places) - 1)


def started(folder: Path, kind: str, name: str, place: int = 0) -> tuple[BaseProcess, Connection]:
    """A conversion that says "here" when it touches files for the `place`-th time, and waits.

    Its chunks are as large as here. One that is not stopped says at its end how often it touched
    files.
    """
    said, told = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=convert, args=(folder, kind, name, place, plan.CHUNK, told))
    process.start()
    told.close()
    assert said.recv() == "started"
    return process, said
