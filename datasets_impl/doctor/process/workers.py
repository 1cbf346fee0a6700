"""The workers of loaders in a process of probes: whether one hangs, where, and over what."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.reading import ASK, PROCESSES, files_of
from datasets_impl.doctor.process.deaths import Sample
from datasets_impl.doctor.process.stacks import MOST_FRAMES, Frame, reads, threads, users, written
from datasets_impl.system.running import runs

ANSWERING = 1.0  # seconds, to write stacks down
BUSY = 3.0  # times as long may one take that computes, before it is taken to hang
REST = 0.1  # seconds of a processor that one that waits may use meanwhile
WAKENED = ("wait", "join", "_wait_for_tstate_lock")  # what waits for another thread, by name


class Workers:
    """Those of the session of a process, which is one of them."""

    def __init__(self, folder: Path, session: int) -> None:
        self.folder, self.session = folder, session
        self.seen: dict[int, tuple[Sample, float]] = {}  # and processor time when it began

    def hang(self, seconds: float) -> bool:
        """Whether one has been waiting over a sample for so long, or computing for far longer."""
        for path in (self.folder / PROCESSES).glob("*.reading"):
            pid = int(path.stem)
            if pid == self.session:
                continue
            sample, used = self.seen.setdefault(pid, (Sample(path), _used(pid)))
            if sample.look():
                self.seen[pid] = sample, _used(pid)
            elif sample.index is not None and sample.age > seconds:
                waits = _used(pid) - used < REST
                if runs(pid) and (waits or sample.age > BUSY * seconds):
                    return True
        return False

    def hung(self, trainer: str, seconds: float) -> dict[str, Any]:
        """What the first of them hangs over; empty where none does: one that computes is only slow,
        unless it was over one sample for so long.

        `trainer` are the stacks of the process that has started them, as far as they are known.
        """
        found = [one for pid in sorted(self.seen) if (one := self._stands(pid, seconds))]
        if not found:
            return {}
        first = next((one for one in found if one["lock"]), found[0])
        trainer = trainer or self._asked(self.session)
        others = [users(each)[0] for each in threads(trainer) if users(each) and not reads(each)]
        return {
            **first, "workers": len(found), "others": [_told(one) for one in others[:MOST_FRAMES]]
        }  # fmt: skip

    def _stands(self, pid: int, seconds: float) -> dict[str, Any] | None:
        """Its frames, the user's first; None where it waits for work, or cannot be asked."""
        state, before, slept = _waits_in(pid), _used(pid), _sleeps(pid)
        there = threads(self._asked(pid))
        main = next((frames for frames in there if _works(frames)), [])
        if not main:
            return None
        own = users(main)
        sample, _ = self.seen[pid]
        waits = slept and _sleeps(pid) and _used(pid) - before < REST
        if not waits and (sample.index is None or sample.age < seconds):
            return None
        lock = "futex" in state or (not state and bool((own or main)[0].awaited))
        lock &= not (main[0].file.endswith("threading.py") and main[0].function in WAKENED)
        frames = own[:MOST_FRAMES] + [one for one in main[:1] if one not in own[:MOST_FRAMES]]
        return {
            "index": sample.index,
            "seconds": sample.age,
            "frames": [_told(one) for one in frames],
            "lock": lock and waits,
            "awaited": next((one.awaited for one in [*own[:1], main[0]] if one.awaited), ""),
            "own_threads": sum(bool(users(frames)) for frames in there if frames is not main),
        }

    def _asked(self, pid: int) -> str:
        """Stacks of a process of this session; "" where it does not answer."""
        reading, stacks = files_of(self.folder, pid)
        try:
            if not reading.exists() or os.getsid(pid) != self.session:
                return ""
            os.kill(pid, ASK)
        except OSError:
            return ""
        until, text = clock.monotonic() + ANSWERING, ""
        while clock.monotonic() < until and not (text and written(stacks) == text):
            text = written(stacks)
            clock.sleep(ANSWERING / 20)
        return text


def _works(frames: list[Frame]) -> bool:
    """Whether these are of a worker's main thread that does not wait for indices."""
    loop = next((at for at, one in enumerate(frames) if one.function == "_worker_loop"), 0)
    return loop > 0 and not frames[loop - 1].file.endswith("queues.py")


def _told(frame: Frame) -> dict[str, Any]:
    return {**asdict(frame), "code": frame.code, "shown": str(frame)}


def _used(pid: int) -> float:
    """Seconds of a processor."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _sleeps(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_SLEEPING)
    except psutil.Error:
        return False


def _waits_in(pid: int) -> str:
    """The function of the kernel that its main thread sleeps in, "" where that is not told."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text().strip("\0\n 0")
    except OSError:
        return ""
