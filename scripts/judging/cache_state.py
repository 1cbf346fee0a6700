"""The verified state of cold and throttled cells: resident before, read after, and how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scripts.judging.claims import Test
from scripts.judging.model import Cell, ColdState
from scripts.judging.observed import Place, of_cell, place_of

States = dict[str, dict[Place, ColdState]]  # by machine


def cold_states(observations: Sequence[Mapping[str, Any]]) -> dict[Place, ColdState]:
    """The worst state of each cell over its rounds; only of those that were measured cold."""
    found: dict[Place, ColdState] = {}
    for entry in observations:
        if not was_cold(entry) or not entry["bytes_of_files"]:
            continue
        place, state = place_of(entry), _state(entry)
        found[place] = worst([found[place], state]) if place in found else state
    return found


def was_cold(entry: Mapping[str, Any]) -> bool:
    """Whether a record of the log is of a measurement over evicted files that was kept.

    A child with limited memory starts from evicted files too, and then keeps what fits: its state
    is another (`require_state` in `datasets_impl/experiments/beyond_memory.py`).
    """
    return "bytes_read" in entry and "peak_bytes" not in entry and not entry.get("voided")


def _state(entry: Mapping[str, Any]) -> ColdState:
    limit = entry.get("limit") if "bytes_per_second" in entry else None
    return ColdState(
        resident_before=float(entry["resident_before"]),
        read_share=entry["bytes_read"] / entry["bytes_of_files"],
        share_of_limit=entry["bytes_per_second"] / limit if limit else None,
    )


def worst(states: Sequence[ColdState]) -> ColdState:
    """Of several: the most that was resident, the least that was read, the fastest reading."""
    rates = [each.share_of_limit for each in states if each.share_of_limit is not None]
    return ColdState(
        resident_before=max(each.resident_before for each in states),
        read_share=min(each.read_share for each in states),
        share_of_limit=max(rates, default=None),
    )


def stated(cells: Sequence[Cell], test: Test, states: States) -> list[Cell]:
    """`cells` of `test`, each with the worst state of its arms where they were measured cold."""
    found = []
    for cell in cells:
        own = list(of_cell(cell, test, states.get(cell.machine, {})))
        found.append(replace(cell, cold=worst(own)) if own else cell)
    return found
