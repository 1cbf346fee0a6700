"""Say what the chosen profile holds: `python -m benchmarks.plan rounds|cells|repeated-cells`."""

from __future__ import annotations

import math
import sys

from datasets_impl.errors import StudyError, exit_on_study_error

from .grids import GRID
from .prepare import benchmark_classes


def cells(repeated_only: bool) -> int:
    """Number of cells in one round; `repeated_only` leaves out those measured once."""
    return sum(
        math.prod(len(levels) for levels in benchmark.params)
        for benchmark in benchmark_classes()
        if benchmark.rounds > 1 or not repeated_only
    )


@exit_on_study_error
def main() -> int:
    answers = {
        "rounds": lambda: GRID.rounds,
        "cells": lambda: cells(repeated_only=False),
        "repeated-cells": lambda: cells(repeated_only=True),
    }
    question = sys.argv[1] if len(sys.argv) == 2 else ""
    if question not in answers:
        raise StudyError(f"Ask for one of {', '.join(answers)}, not {question!r}.")
    print(answers[question]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
