"""A training step of a given length, emulated or on a CUDA device (X09).

A step is called with the moment (`time.perf_counter`) at which its batch had arrived, and returns
the seconds that it counts as training.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from datasets_impl.errors import Unsupported

SIDE = 1024  # of the multiplied matrices
CALIBRATION = 8  # multiplications timed to find how many fill a step

Step = Callable[[float], float]


class WaitingStep:
    """Sleep until the step is over, so that workers have the CPU, as when a GPU computes.

    The kernel wakes a sleeper late. `overshoot` adds up by how much (seconds); it counts neither
    as training nor as waiting for data.
    """

    def __init__(self, milliseconds: float) -> None:
        self.seconds = milliseconds / 1e3
        self.overshoot = 0.0

    def __call__(self, arrived: float) -> float:
        deadline = arrived + self.seconds
        while (left := deadline - time.perf_counter()) > 0:
            time.sleep(left)
        self.overshoot += time.perf_counter() - deadline
        return self.seconds


class MultiplyingStep:
    """Multiply matrices on `device` as often as fills the step, and wait until it is done.

    Calibrated when made, after a warm-up; the step counts as long as it really took.
    """

    def __init__(self, milliseconds: float, device: str) -> None:
        self.device = torch.device(device)
        self.matrix = torch.randn(SIDE, SIDE, device=self.device)
        self._multiply(CALIBRATION)
        start = time.perf_counter()
        self._multiply(CALIBRATION)
        each = (time.perf_counter() - start) / CALIBRATION
        self.times = max(1, round(milliseconds / 1e3 / each))

    def __call__(self, arrived: float) -> float:
        self._multiply(self.times)
        return time.perf_counter() - arrived

    def _multiply(self, times: int) -> None:
        for _ in range(times):
            torch.mm(self.matrix, self.matrix)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def cuda_step(milliseconds: float) -> MultiplyingStep:
    """A step of `milliseconds` on the first CUDA device.

    Raises:
        Unsupported: there is none.
    """
    if not torch.cuda.is_available():
        raise Unsupported("no CUDA device")
    return MultiplyingStep(milliseconds, "cuda")
