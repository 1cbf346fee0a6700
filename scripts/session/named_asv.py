"""asv, imported after `scripts`: its locks are named after it, for the next run to sweep.

A session names its machine itself. asv keeps names in the home folder, which machines may share,
and every `asv run` writes that file anew: where two run at once, one reads a half-written file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.machine import Machine, MachineCollection
from asv.main import main

ASV = (sys.executable, "-m", "scripts.session.named_asv")  # takes asv's words
discover = Benchmarks.discover


def discovered(conf: Any, *given: Any, regex: Any = None, **more: Any) -> Any:
    """The suite; as the first round of a session found it, where its results stand.

    Each round would import all of it twice; a session whose code has changed starts anew.
    """
    if Path(Benchmarks.get_benchmark_file_path(conf.results_dir)).exists():
        return Benchmarks.load(conf, regex)
    return discover(conf, *given, regex=regex, **more)


def described(name: str, **_: Any) -> dict[str, Any]:
    """What asv tells of this machine, under the session's name for it."""
    return {**Machine.get_defaults(), "machine": name}


if __name__ == "__main__":
    Benchmarks.discover = discovered
    MachineCollection.load = described
    MachineCollection.save = lambda *given, **more: None
    main()
