"""The task *remote*: of each line its arms, fastest first, with what the server counted of each.

Speeds have intervals over blocks; what was counted is of the last measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets_impl.factors import is_second_name
from scripts.judging.evidence import Evidence
from scripts.judging.loaders import image_time, speed_of
from scripts.judging.model import RemoteLine, RemoteRow
from scripts.judging.observed import Place, place_of, place_of_row
from scripts.judging.pairing import Row, records

BENCHMARK, COSTS = "remote.OverALine", "remote.Costs"
ARM = ("origin", "exact", "order", "about", "code", "uses")
COUNTED = (
    "first_batch_seconds",
    "us_after_first",
    "requests_per_image",
    "bytes_per_image",
    "share_of_line",
)


def remote(evidence: Evidence, confidence: float) -> list[RemoteLine]:
    """Every line that was measured, by machine, bandwidth and latency."""
    cells = evidence.cells
    chosen = cells[(cells["benchmark"] == BENCHMARK) & (cells["status"] == "ok")]
    logs = {each.name: _log(each.observations) for each in evidence.machines}
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in records(chosen):
        if not is_second_name(row["impl"]):
            place = (row["machine"], row["n"], row["px"], row["bandwidth"], row["latency_ms"])
            lines.setdefault(place, []).append(row)
    found = []
    for (machine, images, px, bandwidth, latency), rows in sorted(lines.items()):
        made = [_row(row, logs[machine], confidence) for row in rows]
        told = [one for one in made if one is not None]
        if told:
            told.sort(key=lambda one: -one.images_per_second)
            found.append(RemoteLine(machine, images, px, bandwidth, latency, told))
    return found


def _log(observations: Sequence[dict[str, Any]]) -> dict[Place, dict[str, Any]]:
    """The state of the last measurement of each cell, and of each arm what it cost."""
    found = {}
    for entry in observations:
        if entry.get("benchmark") in (BENCHMARK, COSTS) and "value" in entry:
            found[place_of(entry)] = entry
    return found


def _row(row: Row, log: dict[Place, dict[str, Any]], confidence: float) -> RemoteRow | None:
    """None where the log does not tell what was measured."""
    state = log.get(place_of_row(row))
    if state is None or not {"arm", *COUNTED} <= state.keys():
        return None
    time = image_time(row, confidence)
    speed, low, high = speed_of(time)
    costs = [
        entry
        for (benchmark, factors), entry in log.items()
        if benchmark == COSTS and ("impl", row["impl"]) in factors
    ]
    off = costs[0].get("mean_difference") if costs else None
    told: dict[str, Any] = {name: state["arm"][name] for name in ARM}
    told |= {name: float(state[name]) for name in COUNTED}
    return RemoteRow(
        arm=row["impl"],
        **told,
        setting=state.get("setting", {}),
        images_per_second=speed,
        low=low,
        high=high,
        blocks=time.blocks,
        mean_difference=off,
    )
