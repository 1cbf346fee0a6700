"""What an arm of the four tasks is: any way to get batches of 64 to a trainer.

The tasks: *decode*, JPEG photographs of one size to RGB pixels; *raw*, pixels that are decoded
already; *train*, JPEG photographs to random crops of 224 px, flipped in half the cases; *remote*,
the photographs of *decode* in an object store behind a line (see `remote.py`). Every arm gives
uint8 tensors, shuffled anew each epoch, and may use all cores in whatever way suits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from datasets_impl.contest.code import main_class
from datasets_impl.errors import installed
from datasets_impl.factors import Task as Task

BATCH_SIZE = 64
CROP = 224
Origin = Literal["plain", "variant", "peer"]
Batches = AbstractContextManager[Iterable[torch.Tensor]]


@dataclass(frozen=True)
class Arm:
    """One way to do one task.

    `prepare(root)` makes what the arm reads beside the folder of JPEG files, unless it is there,
    and returns the files an epoch reads. `open(root, **setting)` gives an iterable, an epoch each
    time it is iterated; workers and threads are gone after the block. `settings` is what the search
    for the fastest one tries on the machine at hand. `layout` of a batch: images x height x width x
    channel, or channel first. `order` says how far from a true shuffle it is. `code` is what a user
    writes, as a whole program (see `code.py`). `serves(root)`, of *remote*, is the folder whose
    files become the objects that the arm reads; some of its arms give crops as *train* has them.
    """

    name: str
    task: Task
    origin: Origin
    open: Callable[..., Batches]
    prepare: Callable[[Path], list[Path]]
    settings: tuple[dict[str, Any], ...] = ({},)
    exact: bool = True
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    order: str = "true shuffle"
    package: str = "torch"
    code: str = ""
    about: str = ""
    serves: Callable[[Path], Path] | None = None
    crops: bool = False

    @property
    def cropped(self) -> bool:
        return self.crops or self.task == "train"

    def described(self) -> dict[str, Any]:
        """What a report says of the arm; logged with its measurement."""
        names = ("origin", "exact", "order", "about", "code")
        return {name: getattr(self, name) for name in names} | {"uses": main_class(self.code)}

    @property
    def available(self) -> bool:
        """Whether the package is installed; the adapters in `peers` import it late."""
        return installed(self.package)
