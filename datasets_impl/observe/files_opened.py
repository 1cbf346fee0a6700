"""Count the image files a process opens, by an audit hook (PEP 578).

The hook sees `open` of this process only; the exact benchmarks therefore run without workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets_impl.files.pictures import JPEG_SUFFIXES


class OpenCounter:
    """Number of times a JPEG below `root` was opened since the counter started."""

    def __init__(self, root: Path) -> None:
        self.root = str(root) + os.sep
        self.count = 0
        self.active = True

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.active or event != "open" or not arguments:
            return
        name = arguments[0]
        if isinstance(name, str | os.PathLike):
            text = os.fspath(name)
            if (
                isinstance(text, str)
                and text.startswith(self.root)
                and text.lower().endswith(JPEG_SUFFIXES)
            ):
                self.count += 1


@contextmanager
def counting_opened_images(root: Path) -> Iterator[OpenCounter]:
    """Yield a counter of the JPEG files below `root` opened inside the block."""
    counter = OpenCounter(root)
    sys.addaudithook(counter)  # hooks cannot be removed: it is switched off instead
    try:
        yield counter
    finally:
        counter.active = False
