"""What could not be had when an environment beside the usual one was made, and why."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

FILE = "left-out.txt"  # in the environment; scripts/install.py writes it
IMPORTED = {"opencv-python-headless": "cv2", "scikit-image": "skimage"}


def left_out() -> dict[str, str]:
    """Why each package is absent that was left out; what was installed since is not."""
    return {name: why for name, why in _told(Path(sys.prefix, FILE)).items() if _absent(name)}


def _told(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return {}
    parts = (line.partition(" is left out: ") for line in lines)
    return {name: why for name, there, why in parts if there}


def _absent(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


def because(reason: str) -> str:
    """`reason`, a sentence that says which package is needed, and why that package was left out;
    in place of the command that installs it, which was tried."""
    needs = re.split(r"[:;]", reason, maxsplit=1)[0]
    for name, why in left_out().items():
        names = "|".join({name.replace("_", "-"), IMPORTED.get(name, name)})
        if re.search(rf"(?<![\w.-])({names})(?![\w-])", needs.replace("_", "-")):
            return f"{needs}; it was left out of this environment: {why}"
    return reason
