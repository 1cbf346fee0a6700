"""Workers that are not forked from the trainer: what all of them import, imported once."""

from __future__ import annotations

import multiprocessing
from typing import Any

from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.remedies.remedy import Context, Remedy

LINES = """import multiprocessing
multiprocessing.set_forkserver_preload({names!r})  # before the first loader
DataLoader(..., multiprocessing_context="forkserver")"""


def preloaded(at: Context) -> list[Remedy]:
    """Where workers start by spawn or forkserver, and each imports everything anew."""
    told = at.seen.get("inside", {}).get("start_method")
    method = told or at.subject.settings.get("start_method")
    if not at.subject.workers or method not in ("spawn", "forkserver"):
        return []
    names = ["torch", *(one.__name__ for one in users_modules(at.subject))]
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(names)
    return [
        Remedy(
            "preloaded",
            "Import once for all workers",
            LINES.format(names=names),
            at.part,
            at.subject.workers,
            changes={"multiprocessing_context": context},
            whole=True,
            mends=("workers-restart",),
        )
    ]
