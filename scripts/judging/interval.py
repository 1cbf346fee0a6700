"""An estimate with its interval, as `inference` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scale = Literal["log", "logit", "linear"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `low` and `high` are None when one block is all there is.

    `mean` and `error` (standard error) stand on the `scale` on which Student's t was used.
    """

    estimate: float
    low: float | None
    high: float | None
    blocks: int
    paired: bool = True
    scale: Scale = "log"
    mean: float | None = None
    error: float | None = None
