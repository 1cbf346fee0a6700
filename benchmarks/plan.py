"""Say what the chosen profile holds, as JSON: rounds, cells of the first and of later rounds."""

from __future__ import annotations

import json
import math
import sys

from datasets_impl.errors import exit_on_study_error

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
    print(
        json.dumps(
            {
                "rounds": GRID.rounds,
                "cells": cells(repeated_only=False),
                "repeated_cells": cells(repeated_only=True),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
