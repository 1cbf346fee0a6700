"""From asv results to verdicts: evidence, inference, figures, page and tables."""

import sys
from contextlib import suppress

from datasets_impl.streams import told_while_imported

_before = sys.excepthook
told_while_imported("scripts", "make study")  # until the command itself does
with suppress(ImportError):  # each command tells of a package that is missing
    from datasets_impl.media.workspaces import name_semaphores, sweep_semaphores

    # Importing asv makes a lock. Where workers are not forked, as under Python 3.14, it lies in
    # shared memory under a name, and a killed command leaves it: the next one knows it by that.
    name_semaphores()
    sweep_semaphores()
sys.excepthook = _before
