"""A stand-in for torchvision, for studies that measure nothing of it.

Importing torchvision takes a second of every process that imports the suite, and a study has many.
"""

from __future__ import annotations

import os
from pathlib import Path

TEXT = """
import sys
from types import ModuleType

class Nothing(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

for name in ("io", "transforms", "transforms.v2", "transforms.v2.functional"):
    sys.modules[f"torchvision.{name}"] = Nothing(name)
"""


def without_torchvision(home: Path, root: Path) -> dict[str, str]:
    """Variables for a study of the code in `root`; the stand-in goes into the folder `home`."""
    package = home / "stand-in" / "torchvision"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(TEXT)
    path = os.pathsep.join(map(str, (root, package.parent)))
    return {"PYTHONPATH": path, "ASV_PYTHONPATH": path}  # asv's processes go by the second
