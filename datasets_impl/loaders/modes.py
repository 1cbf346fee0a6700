"""What PyTorch and Python hold for each thread apart, set in those that make an epoch's batches.

A trainer's `torch.no_grad`, NumPy's `errstate` or decimal precision would else not reach them, as
they reach the dataset of a `DataLoader` in the trainer's own thread or in a fork of it.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Modes(NamedTuple):
    """Of PyTorch: `autocast` is that of the CPU, its dtype and whether it keeps what it cast."""

    grad: bool
    inference: bool
    autocast: tuple[torch.dtype, bool] | None

    @classmethod
    def now(cls) -> Modes:
        """Those of the calling thread."""
        autocast = None
        if torch.is_autocast_enabled("cpu"):
            autocast = torch.get_autocast_dtype("cpu"), torch.is_autocast_cache_enabled()
        return cls(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), autocast)

    def set(self) -> contextlib.ExitStack:
        """Set them in the calling thread until what this gives is left."""
        within, now = contextlib.ExitStack(), Modes.now()
        if self.inference != now.inference:
            within.enter_context(torch.inference_mode(self.inference))
        if self.grad != torch.is_grad_enabled():
            within.enter_context(torch.set_grad_enabled(self.grad))
        if self.autocast != now.autocast:
            dtype, kept = self.autocast or (None, None)
            on = self.autocast is not None
            within.enter_context(torch.autocast("cpu", dtype, on, cache_enabled=kept))
        return within


class Within:
    """`run` anything, in any thread, with the modes and context variables of the thread that makes
    this. Each thread has a copy of these of its own, for as long as this lasts."""

    def __init__(self) -> None:
        self._modes = Modes.now()
        self._plain = self._modes == PLAIN
        self._context = contextvars.copy_context()
        self._own: dict[int, contextvars.Context] = {}  # by thread

    def run(self, function: Callable[[], Any]) -> None:
        thread = threading.get_ident()
        own = self._own.get(thread)
        if own is None:  # no other thread asks for this one's
            own = self._own[thread] = self._context.copy()
        if self._plain:  # and whatever the dataset sets itself stays set
            own.run(function)
        else:
            own.run(self._with_modes, function)

    def _with_modes(self, function: Callable[[], Any]) -> None:
        with self._modes.set():
            function()


PLAIN = Modes(True, False, None)  # those that a thread begins with
