"""Ending on SIGTERM or a closed terminal as on Ctrl-C, so that nothing is left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopping_on_termination() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal like Ctrl-C, so that children and folders are cleaned."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGTERM, signal.SIGHUP)
    previous = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
