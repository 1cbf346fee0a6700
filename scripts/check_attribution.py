"""Compare the doctor's shares of time with those of another profiler, py-spy, on one dataset.

    python -m scripts.check_attribution TARGET [--kwargs JSON] [--seconds S]

py-spy looks at the process from outside, a hundred times a second, and slows nothing down; the
doctor's profiler sees every call. Python frames are sorted into causes by the same rules, from the
innermost one outwards. Functions written in C are no frames of Python's: an array that is converted
by the user's own line counts as that line, so both methods' Python and converting are added up.
Full collections of garbage are kept off on both sides (`emptied_quickly`): how long one takes
depends on all that the process holds, and it falls upon whichever function makes objects. Prints
both shares of an item's time for every cause, and exits with 1 when they are more than 10 points
apart.
"""

from __future__ import annotations

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.check_attribution", "make report")

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from datasets_impl.arguments import json_object, refused
from datasets_impl.doctor.probes.attribution import attribute, emptied_quickly
from datasets_impl.doctor.probes.causes import cause_of
from datasets_impl.doctor.probes.own_code import LIBRARIES, is_own
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.target import load
from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.media.workspaces import sweep_all, temporary_folder

APART = 0.10  # shares that may lie between both methods
TOGETHER = "own lines"
RATE = 100  # samples a second
MOST_SECONDS = 3600
FRAME = re.compile(r"(.*) \((.*?)(?::(\d+))?\)$")


@exit_on_study_error
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target")
    parser.add_argument("--kwargs", default="{}")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 0 < options.seconds <= MOST_SECONDS:  # neither is "nan"
        limit = f"a number above 0, up to {MOST_SECONDS:,}"
        raise refused("--seconds", options.seconds, limit)
    kwargs = json_object("--kwargs", options.kwargs, '{"root": "photos"}')
    if options.loop:
        return _loop(options.target, kwargs, options.seconds)
    left = own_shares(options.target, kwargs)
    right = sampled_shares(options.target, options.kwargs, options.seconds)
    print(f"{'':14}{'doctor':>8}{'py-spy':>8}")
    for cause in sorted(left.keys() | right.keys()):
        print(f"{cause:14}{left.get(cause, 0.0):8.0%}{right.get(cause, 0.0):8.0%}")
    return int(furthest(left, right) > APART)


def furthest(left: dict[str, float], right: dict[str, float]) -> float:
    """The largest difference of two shares of one cause."""
    return max(abs(left.get(one, 0.0) - right.get(one, 0.0)) for one in left.keys() | right.keys())


def _loop(target: str, kwargs: dict[str, object], seconds: float) -> int:
    """What py-spy looks at: items, one after the other."""
    import torch

    torch.set_num_threads(1)
    subject = load(target, kwargs)
    chosen, until = indices(subject), time.perf_counter() + seconds
    with emptied_quickly():
        while time.perf_counter() < until:
            for index in chosen:
                subject.read(index)
    return 0


def own_shares(target: str, kwargs: dict[str, object]) -> dict[str, float]:
    """By the doctor's profile."""
    import torch

    torch.set_num_threads(1)
    subject = load(target, kwargs)
    found = attribute(subject.read, indices(subject, 100), rounds=4)
    return _added({cause: seconds / found.total for cause, seconds in found.causes.items()})


def _added(shares: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for cause, share in shares.items():
        found[TOGETHER if cause in ("python", "converting") else cause] += share
    return dict(found)


def sampled_shares(target: str, kwargs: str, seconds: float) -> dict[str, float]:
    """By py-spy.

    Raises:
        StudyError: py-spy is missing, or may not look at the process.
    """
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise StudyError("py-spy is not installed; pip install py-spy.")
    sweep_all()  # what one that was killed left
    with temporary_folder() as folder:
        stacks = folder / "stacks"
        done = subprocess.run(
            [spy, "record", "--format", "raw", "--full-filenames", "--idle",
             "--rate", str(RATE), "--output", str(stacks), "--",
             sys.executable, "-m", "scripts.check_attribution", target,
             "--kwargs", kwargs, "--seconds", str(seconds), "--loop"],
            capture_output=True, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        if not stacks.exists():
            raise StudyError(f"py-spy saw nothing: {done.stderr.strip()[-200:]}.")
        lines = stacks.read_text().splitlines()
    seen: Counter[str] = Counter()
    for line in lines:
        frames, _, count = line.rpartition(" ")
        if inside := _inside(frames.split(";")):
            seen[_cause(inside)] += int(count)
    return _added({cause: count / seen.total() for cause, count in seen.items()})


def _inside(frames: list[str]) -> list[str]:
    """The frames below the loop's reading of an item; none when the stack is of something else."""
    for place, frame in enumerate(frames):
        if frame.startswith("Subject.read (") and "doctor/probes/target.py" in frame:
            return frames[place + 1 :]
    return []


def _cause(frames: list[str]) -> str:
    for frame in reversed(frames):
        match = FRAME.match(frame)
        if not match:
            continue
        function, file = match[1].rpartition(".")[2], match[2]
        if is_own(file):
            return "python"
        short = file
        for library in LIBRARIES:
            short = short.removeprefix(library)
        if cause := cause_of(f"{short.lstrip('/')}:{function}"):
            return cause
    return "python"


if __name__ == "__main__":
    sys.exit(main())
