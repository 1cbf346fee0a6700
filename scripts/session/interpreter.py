"""Which Python this is, and whether its threads run beside each other."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig

from scripts.session.child import answer

ASK = "import sys, benchmarks.prepare; print(getattr(sys, '_is_gil_enabled', lambda: True)())"


def python() -> str:
    """Its version, which ends in "t" where it was built without the global lock."""
    return platform.python_version() + ("t" if free_threaded() else "")


def free_threaded() -> bool:
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def gil() -> bool:
    """Whether the global lock is on once the suite is imported: an extension that was not made for
    a build without it turns it on again.

    Raises:
        StudyError: the suite cannot be imported.
    """
    if not free_threaded():
        return True
    command = [sys.executable, "-c", ASK]  # what is imported here need not be where it is measured
    return answer(command, os.environ, what="Asking for the global lock").strip() == "True"
