"""From asv results to verdicts: evidence, inference, figures, page and tables.

A command each: `study` measures, judges and writes the page, `study_on` does so on the hosts of a
cluster, `compare_revisions` on two commits; `render_report` writes the page of what is there,
`update_readme` the README's parts of it, `publish` both with asv's pages. `compare` sets two
results side by side, `validate` says whether results may stand, `check_claims` whether claims name
what is measured, `check_attribution` how near the doctor is to another profiler. `install` is what
`make` begins with. Rooms: `session` runs asv, `judging` makes verdicts, `report` words; `root` is
where the project's own files stand.
"""

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
