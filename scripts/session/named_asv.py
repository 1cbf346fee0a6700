"""asv, imported after `scripts`: its locks are named after it, for the next run to sweep."""

from __future__ import annotations

import sys

from asv.main import main

ASV = (sys.executable, "-m", "scripts.session.named_asv")  # takes asv's words

if __name__ == "__main__":
    main()
