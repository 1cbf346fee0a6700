"""Lists that are searched, with a table beside them that tells at once what they hold."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.findings.searching import lines_of, searches
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.room import MEMORY
from datasets_impl.doctor.probes.searching import homes_of, places_of
from datasets_impl.doctor.probes.thresholds import OF_EACH
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

ENTRY = 100  # bytes of an element in a set, about


class _Hashed:
    """Knows where each of its elements stands first; the table is made anew when it has grown."""

    def __init__(self, values: Any = ()) -> None:
        self.places: dict[Any, int] = {}
        self.known = -1

    def _table(self) -> dict[Any, int]:
        if self.known != len(self):  # type: ignore[arg-type]
            self.known, self.places = len(self), {}  # type: ignore[arg-type]
            for place, value in enumerate(self):  # type: ignore[arg-type, var-annotated]
                self.places.setdefault(value, place)
        return self.places

    def __contains__(self, value: Any) -> bool:
        return value in self._table()

    def index(self, value: Any, *within: Any) -> int:
        if within:
            return super().index(value, *within)  # type: ignore[misc, no-any-return]
        try:
            return self._table()[value]
        except KeyError:
            raise ValueError(f"{value!r} is not in it") from None


class HashedList(_Hashed, list[Any]):
    def __init__(self, values: Any = ()) -> None:
        list.__init__(self, values)
        _Hashed.__init__(self)


class HashedTuple(_Hashed, tuple[Any, ...]):
    """A tuple is filled when it is made."""


def hashed(at: Context) -> list[Remedy]:
    """Where the elements can be looked up by their hash, and samples stay as they are."""
    found = [one for one, _ in searches(at.seen) if not one["name"].endswith(OF_EACH)]
    if not found:
        return []
    pairs, size, homes = list[Any](), 0, homes_of(at.subject)
    for one in found:
        for holder, name, value in places_of(homes, one["module"], one["class"], one["name"]):
            made = HashedList(value) if isinstance(value, list) else HashedTuple(value)
            pairs.append((Callee(name, holder, name), made))
            size += ENTRY * len(value)
    title = "Look it up in a set"
    needs = at.ask_for(title, {MEMORY: size * max(1, at.subject.workers)})
    made_so = Instead(at.part, pairs)
    if not unharmed(at, made_so):
        return []
    return [
        Remedy(
            "hashed",
            title,
            lines_of(found[0]),
            made_so,
            at.subject.workers,
            "C12",
            needs=needs,
            mends=("searches-list", "python"),
        )
    ]
