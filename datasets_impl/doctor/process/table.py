"""Every probe by its name; for the process that runs them, since their modules import PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasets_impl.doctor.probes.batches import batches, restarted
from datasets_impl.doctor.probes.ceiling import ceiling
from datasets_impl.doctor.probes.growth import growth
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.items import items
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.machine import machine
from datasets_impl.doctor.probes.pickling import pickled
from datasets_impl.doctor.probes.pictures import pictures
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.repeats import repeats
from datasets_impl.doctor.probes.rereading import drawn, repeated
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.remedies.trials import tried


def _kept(name: str, probe: Callable[..., Any]) -> Callable[..., Any]:
    """A probe whose answer those that come later may ask for."""

    def asked(subject: Subject, *given: Any, **options: Any) -> Any:
        subject.answers[name] = probe(subject, *given, **options)
        return subject.answers[name]

    return asked


_PROBES: dict[str, Callable[..., Any]] = {
    "look": look,
    "inside": look_inside,
    "items": items,
    "causes": causes,
    "pictures": pictures,
    "repeats": repeats,
    "machine": machine,
    "pickled": pickled,
    "repeated": repeated,
    "drawn": drawn,
    "restarted": restarted,
    "integrity": integrity,
    "starting": starting,
    "batches": batches,
    "growth": growth,
    "ceiling": ceiling,
    "tried": tried,
}
PROBES = {name: _kept(name, probe) for name, probe in _PROBES.items()}
