"""Install the pinned requirements into an environment of another Python or an older torch.

What cannot be had there is left out, and `left-out.txt` in the environment says why. Runs before
anything is installed, so it imports the standard library alone.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "torchvision", "numpy", "pillow", "asv", "pandas", "pydantic")
OF_TORCH = ("torch", "torchvision", "torchcodec")  # each release fits one of torch
Pip = Callable[[Sequence[str]], str]  # installs; what went wrong, "" if nothing did


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--torch", default="", help="its release, in place of the pinned one")
    torch = parser.parse_args().torch
    pinned = requirements(ROOT / "requirements-dev.txt")
    left_out = install(chosen(pinned, torch), pip)
    if torch:
        left_out["torchcodec"] = f"its pinned release is not built for torch {torch}"
    told = [f"{name} is left out: {why}" for name, why in left_out.items()]
    Path(sys.prefix, "left-out.txt").write_text("".join(f"{line}\n" for line in told))
    print(*told, sep="\n", file=sys.stderr)
    missing = [name for name in NEEDED if name in left_out]
    if missing:
        print(f"error: no study can run here without {', '.join(missing)}", file=sys.stderr)
    return 2 if missing else 0


def requirements(path: Path) -> list[str]:
    """The lines of a file of requirements, with those of the files that it names."""
    found = []
    for line in path.read_text().splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["-r"]:
            found += requirements(path.with_name(words[1]))
        elif words:
            found.append("".join(words))
    return found


def chosen(pinned: Sequence[str], torch: str) -> list[str]:
    """`pinned` for another release of torch: pip finds the torchvision that fits."""
    if not torch:
        return list(pinned)
    return [
        f"torch=={torch}", "torchvision", *(one for one in pinned if name(one) not in OF_TORCH)
    ]  # fmt: skip


def install(wanted: Sequence[str], pip: Pip) -> dict[str, str]:
    """Install all at once, or else one by one; what could not be had, and why."""
    if not pip(wanted):
        return {}
    together = [one for one in wanted if name(one) in ("torch", "torchvision")]
    left_out: dict[str, str] = {}
    for group in ([together] if together else []) + [[o] for o in wanted if o not in together]:
        if why := pip(group):
            left_out |= dict.fromkeys(map(name, group), why)
    return left_out


def name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def pip(wanted: Sequence[str]) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    failed = lines[-1].removeprefix("ERROR: ") if lines else "pip failed"
    return failed if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
