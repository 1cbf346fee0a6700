"""The conditions of a diagnosis: the cores that may be used, and memory against what is free."""

from __future__ import annotations

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import Probes
from datasets_impl.doctor.findings.machine import forecast
from datasets_impl.doctor.report.model import Machine


def machine_of(seen: Probes) -> Machine | None:
    """None where the machine was not looked at."""
    there, memory = seen.get("machine", {}), forecast(seen)
    if not there.get("cores"):
        return None
    return Machine(
        cores=there["cores"], visible=there.get("visible", there["cores"]),
        quota=there.get("quota"),
        workers=memory.workers, worker_bytes=memory.each, ready_bytes=memory.ready,
        free_bytes=memory.free,
    )  # fmt: skip


def surroundings(one: Machine) -> str:
    """In a line."""
    quota = f", by a quota of {one.quota:g}" if one.quota is not None else ""
    cores = f"{one.cores} of {one.visible} cores may be used{quota}"
    if not one.workers or one.free_bytes is None:
        return f"{cores}."
    many = "1 worker" if one.workers == 1 else f"{one.workers} workers"
    of_free = f"of {decimal(one.free_bytes)} of memory that are free"
    if one.worker_bytes is None:
        return (
            f"{cores}; {many} have up to {decimal(one.ready_bytes)} of batches ready, {of_free}; "
            "what each has for itself was not measured."
        )
    need = one.workers * one.worker_bytes + one.ready_bytes
    return f"{cores}; {many} and their batches take about {decimal(need)}, {of_free}."
