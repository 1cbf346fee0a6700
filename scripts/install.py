"""Install what the project needs into the environment it runs in, and say meanwhile what happens.

With --beside, an environment of another Python or an older torch: what has no wheel for it is left
out, and `left-out.txt` in the environment says why (`datasets_impl.system.left_out`). Runs before
anything is installed, so it imports the standard library alone.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "torchvision", "numpy", "pillow", "asv", "pandas", "pydantic")
OF_TORCH = ("torch", "torchvision", "torchcodec")  # each release fits one of torch
SPEAKS = 30  # seconds from one line to the next where there is no terminal
Pip = Callable[[Sequence[str]], str]  # installs; what went wrong, "" if nothing did


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--beside", action="store_true", help="leave out what cannot be had")
    parser.add_argument("--torch", default="", help="its release, in place of the pinned one")
    options = parser.parse_args()
    pinned = requirements(ROOT / "requirements-dev.txt")
    wanted = chosen(pinned, options.torch)
    own = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    try:
        failed = pip(["--upgrade", "pip"], "pip")
        if options.beside:
            failed = failed or _beside(wanted, options.torch)
        else:
            failed = failed or pip(wanted, f"torch and {len(wanted) - 1} other packages")
        failed = failed or pip(own, "this project")
    except KeyboardInterrupt:
        failed = "interrupted; the same command begins again"
    except OSError as error:
        failed = f"{error.filename or sys.prefix} cannot be used ({error.strerror}); mend that."
    if failed:
        print(f"error: {failed}", file=sys.stderr)
    return 2 if failed else 0


def _beside(wanted: Sequence[str], torch: str) -> str:
    """Install what can be had and note the rest; why no study can run with that, "" if it can."""
    left_out = install(wanted, wheels)
    if torch:
        left_out["torchcodec"] = f"its pinned release is not built for torch {torch}"
    told = [f"{name} is left out: {why}" for name, why in left_out.items()]
    Path(sys.prefix, "left-out.txt").write_text("".join(f"{line}\n" for line in told))
    print(*told, sep="\n", file=sys.stderr)
    missing = [name for name in NEEDED if name in left_out]
    return f"no study can run here without {', '.join(missing)}" if missing else ""


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


def wheels(wanted: Sequence[str]) -> str:
    """Nothing is compiled: what comes of that differs from one machine to the next."""
    more = f" and {len(wanted) - 1} more" if wanted[1:] else ""
    return pip(["--only-binary", ":all:", *wanted], f"{wanted[0]}{more}")


def pip(wanted: Sequence[str], what: str) -> str:
    return run(
        [sys.executable, "-m", "pip", "install", "--progress-bar", "off", *wanted],
        f"Installing {what}",
    )


def run(command: Sequence[str], what: str) -> str:
    """Run pip and say what it does and for how long; what went wrong, "" if nothing did.

    A terminal has one line that changes; elsewhere there is a line now and then, and one at the
    end.
    """
    lines: list[str] = []
    began = spoke = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                lines.append(line.strip())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        while process.poll() is None:
            reader.join(1)
            now = time.monotonic()
            if sys.stderr.isatty() or now - spoke >= SPEAKS:
                spoke = now
                say(f"{what}: {now - began:.0f} s{doing(lines)}", last=not sys.stderr.isatty())
            if not reader.is_alive():
                process.wait()
        reader.join()
    failed = process.returncode != 0
    say(f"{what}: {'failed' if failed else 'done'} after {time.monotonic() - began:.0f} s", True)
    told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (told[-1] if told else "pip failed") if failed else ""


def say(words: str, last: bool) -> None:
    """A line, over the one before where that was not the last of its step."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{over}{words}", end="\n" if last else "", file=sys.stderr, flush=True)


def doing(lines: Sequence[str]) -> str:
    """What pip is at: ", downloading torch-2.14.1-cp311... (900 MB)"; "" where it does not say."""
    for line in reversed(lines):
        word, _, rest = line.partition(" ")
        if line.startswith("Installing collected packages"):
            return f", unpacking {line.count(',') + 1} packages"
        if word in ("Collecting", "Downloading", "Building"):
            return f", {word.lower()} {rest.partition(' (from')[0]}"[:60]
    return ""


if __name__ == "__main__":
    sys.exit(main())
