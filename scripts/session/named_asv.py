"""asv with semaphores that are named after its process, so that the next run sweeps what a killed
one left. Where workers are not forked, as under Python 3.14, asv's own locks lie in shared memory
under a name.
"""

from __future__ import annotations

import sys

from datasets_impl.media.workspaces import name_semaphores

ASV = (sys.executable, "-m", "scripts.session.named_asv")  # takes asv's words

if __name__ == "__main__":
    name_semaphores()
    from asv.main import main  # makes its locks

    main()
