"""Does a training step hold the GIL? Asked by a thread that sleeps and wants it back.

Python code gives the GIL away after `sys.getswitchinterval()` at the latest, and code that has
released it, as PyTorch's operations do, at once. How late the thread wakes, less the time that it
stood in the kernel's queue for a core (/proc/self/task/*/schedstat), is how long the step held the
GIL. Without that file a busy machine would look the same, so nothing is said.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from datasets_impl.doctor.probes import clock

NAP = 1e-3  # seconds
LATE = 0.5  # of a switch interval


class GilProbe:
    """A thread that counts, from `start` to `stop`, how often it had to wait for the GIL."""

    def __init__(self) -> None:
        self.wakes = 0
        self.late = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gil-probe", daemon=True)

    @staticmethod
    def possible() -> bool:
        """Whether there is a GIL, and a kernel that says how long a thread waited for a core."""
        held = getattr(sys, "_is_gil_enabled", lambda: True)()
        return held and _schedstat(threading.get_native_id()).exists()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        schedstat = _schedstat(threading.get_native_id())
        late = LATE * sys.getswitchinterval()
        with schedstat.open("rb", buffering=0) as file:
            while not self._stop.is_set():
                queued, slept = _queued(file), clock.perf_counter()
                clock.sleep(NAP)
                over = clock.perf_counter() - slept - NAP
                self.wakes += 1
                self.late += over - (_queued(file) - queued) > late


def _schedstat(thread: int) -> Path:
    return Path(f"/proc/self/task/{thread}/schedstat")


def _queued(file: object) -> float:
    """Seconds that the thread has been ready to run without a core."""
    file.seek(0)  # type: ignore[attr-defined]
    return int(file.read().split()[1]) / 1e9  # type: ignore[attr-defined]
