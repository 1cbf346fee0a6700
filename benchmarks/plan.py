"""Say what the chosen profile holds, as JSON: rounds, and each benchmark's cells."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from datasets_impl.errors import exit_on_study_error

from .grids import GRID
from .prepare import planned


def plan() -> dict[str, Any]:
    """Rounds, and of each benchmark its cells and in which rounds it runs.

    `every` is 1 for every round, 3 for every third one, 0 for the first only.
    """
    return {
        "rounds": GRID.rounds,
        "benchmarks": {
            f"{benchmark.__module__.rpartition('.')[2]}.{benchmark.__name__}": {
                "cells": math.prod(len(levels) for levels in benchmark.params),
                "every": benchmark.every,
            }
            for benchmark in planned()
        },
    }


@exit_on_study_error
def main() -> int:
    print(json.dumps(plan()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
