"""Say what the chosen profile holds, as JSON: rounds, and each benchmark's cells or levels."""

from __future__ import annotations

import argparse
import json
import sys

from datasets_impl.errors import exit_on_study_error

from .prepare import levels, plan


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan")
    parser.add_argument("--bench", help="only the cells whose name in asv matches this expression")
    parser.add_argument("--levels", action="store_true", help="each factor's levels instead")
    options = parser.parse_args(argv)
    print(json.dumps(levels() if options.levels else plan(options.bench)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
