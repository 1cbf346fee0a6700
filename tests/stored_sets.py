"""Every format with each kind that it stores, what it is to hold, and conversions that stop."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, conversion
from datasets_impl.formats.images import StoredImages

CASES = [(name, kind) for name, row in FORMATS.items() for kind in row.kinds]
every_case = pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(
            name,
            kind,
            marks=pytest.mark.skipif(
                not FORMATS[name].available, reason=f"{FORMATS[name].package} is not installed"
            ),
        )
        for name, kind in CASES
    ],
)


def expected(folder: Path, kind: str, name: str) -> list[bytes]:
    """What the format stores of each image: its bytes, or its pixels, or a form of its own."""
    paths, form = jpeg_files(folder), FORMATS[name].load("Format")()
    if kind == "jpeg":
        return [form.encode(Path(path).read_bytes()) for path in paths]
    return [np.array(Image.open(path).convert("RGB")).tobytes() for path in paths]


def contents(images: StoredImages) -> list[bytes]:
    return [bytes(images.read(index)) for index in range(len(images))]


def opened(name: str, folder: Path) -> StoredImages:
    images: StoredImages = FORMATS[name].load("Images")(folder)
    return images


class Stop(Exception):
    """Raised in place of a kill."""


def stop_at(monkeypatch: pytest.MonkeyPatch, image: int) -> list[int]:
    """A conversion that is stopped at its `image`-th; what it read is in the list."""
    real, read = conversion.Plan.content, []

    def stopping(plan: Any, index: int) -> bytes:
        read.append(index)
        if len(read) == image:
            raise Stop
        return real(plan, index)

    monkeypatch.setattr(conversion.Plan, "content", stopping)
    return read


SIZE = 5  # images of a shard: three shards of COUNT images, the last one smaller


class Here(Executor):
    """At once and in this process; remembers which shards it wrote."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.wrote: list[int] = []
        self.fail_at = fail_at

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[0].number == self.fail_at:
            future.set_exception(StudyError("The plug was pulled."))
        else:
            self.wrote.append(args[0].number)
            future.set_result(function(*args, **kwargs))
        return future


def here(folder: Any, target: Any, name: str = "pack", kind: Any = None, **more: Any) -> Here:
    executor = Here(more.pop("fail_at", None))
    convert_to_shards(folder, target, name, kind, shard_images=SIZE, executor=executor, **more)
    return executor
