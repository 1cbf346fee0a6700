"""A command in a process that a test kills; what else that process imports is little."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from pathlib import Path


def run(words: list[str], home: Path, variables: dict[str, str]) -> None:
    """What `python WORDS` does in the folder `home`."""
    os.setsid()
    os.chdir(home)
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None
    said = os.open(home.with_suffix(".said"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.path.insert(0, str(home))
    exec((home / "hanging" / "sitecustomize.py").read_text(), {})
    kind, what, *arguments = words
    sys.argv = [what, *arguments]
    if kind == "-c":
        exec(what, {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
