"""How the share of a stage in an item is made: part and whole are timed in the same pass."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from datasets_impl.experiments.stages import STAGES, clock_seconds, read_file, staged_item
from datasets_impl.factors import is_cold

from ..common import Measured
from ..grids import Cell
from . import epochs


class Passes:
    """Passes over the same items, made stage by stage; adds up what each stage and the whole took.

    Raises:
        ValueError: no such stage.
    """

    def __init__(
        self, stage: str, places: Sequence[Any], read: Callable[[Any], bytes] = read_file
    ) -> None:
        if stage not in STAGES:
            raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
        self.stage, self.places, self.read = stage, places, read
        self.spent = dict.fromkeys((*STAGES, "whole"), 0.0)
        self.items = 0

    def visit(self) -> None:
        """One pass."""
        for place in self.places:
            _, times = staged_item(place, self.read)
            for name in self.spent:
                self.spent[name] += getattr(times, name)
        self.items += len(self.places)

    def measured(self, state: dict[str, Any]) -> Measured:
        """Percent of the items that the stage took; the state tells of the others."""
        whole = self.spent["whole"]
        shares = {name: 100 * self.spent[name] / whole for name in STAGES}
        state |= {
            "items": self.items,
            "us_per_item": round(1e6 * whole / self.items, 4),
            "shares": {name: round(share, 4) for name, share in shares.items()},
            "clock_share": round(100 * self.items * clock_seconds() / whole, 4),
        }
        return shares[self.stage], state


def stage_share(cell: Cell) -> Measured:
    """Percent of the naive item that passes in one stage of it."""
    state: dict[str, Any] = {}
    with epochs.built(cell) as (dataset, files):
        order = random.Random(0).sample(range(len(files)), min(epochs.ITEMS, len(files)))
        chosen = [files[position] for position in order]
        epochs.warmed(chosen, state)
        passes = Passes(cell.stage, [str(path) for path in chosen])

        def once() -> float:
            if is_cold(cell.medium):
                return epochs.cold(passes.visit, chosen, dataset, state)
            return epochs.timed(passes.visit)

        if not is_cold(cell.medium):
            Passes(cell.stage, passes.places).visit()
        state["passes"] = len(epochs.repeated(once, epochs.ITEM_SECONDS))
    return passes.measured(state)
