"""A part of a file in place of the whole: readers that can map, and work that waits for a slice."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.again import of_whole
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

OPTIONS: dict[str, dict[str, Any]] = {  # functions that can map, and what they are told
    "numpy.load": {"mmap_mode": "r"},
    "scipy.io.wavfile.read": {"mmap": True},
    "torch.load": {"mmap": True},
    "joblib.load": {"mmap_mode": "r"},
}
LINES = """found = {name}(path, {options})
part = found[start:stop]  # take the part first, then compute with it"""


class Sliced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is computed with element by element, but only where it is taken from."""

    def __init__(self, array: Any, steps: tuple[Callable[[Any], Any], ...] = ()) -> None:
        self.array, self.steps = array, steps
        self.shape, self.ndim, self.size = array.shape, array.ndim, array.size

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, selection: Any) -> Any:
        return self._computed(self.array[selection])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        made = np.asarray(self._computed(self.array), dtype)
        return made.copy() if copy else made

    def __array_ufunc__(self, function: Any, method: str, *given: Any, **options: Any) -> Any:
        others = [one for one in given if one is not self]
        if method == "__call__" and not options and all(np.isscalar(one) for one in others):
            return self._then(
                lambda part: function(*(part if one is self else one for one in given))
            )
        whole = [np.asarray(one) if isinstance(one, Sliced) else one for one in given]
        return getattr(function, method)(*whole, **options)

    def __getattr__(self, name: str) -> Any:
        """Whatever else an array can do, the whole one does."""
        if name.startswith("__") or name in ("array", "steps"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def astype(self, dtype: Any, *more: Any, **options: Any) -> Sliced:
        return self._then(operator.methodcaller("astype", dtype, *more, **options))

    def _then(self, step: Callable[[Any], Any]) -> Sliced:
        return Sliced(self.array, (*self.steps, step))

    def _computed(self, part: Any) -> Any:
        for step in self.steps:
            part = step(part)
        return part


def mapped(at: Context) -> list[Remedy]:
    """Readers that can map a file are told to, where samples take a part of it."""
    calls = [call for call in of_whole(at.seen) if call["full_name"] in OPTIONS]
    known = [(at.callees[one["name"]], one) for one in calls if one["name"] in at.callees]
    if not known:
        return []
    pairs = [(callee, for_users(callee, partial(_mapping, callee.function,
              OPTIONS[call["full_name"]]))) for callee, call in known]  # fmt: skip
    made = Instead(at.part, pairs)
    if not unharmed(at, made):
        return []
    call = known[0][1]
    options = ", ".join(f"{name}={value!r}" for name, value in OPTIONS[call["full_name"]].items())
    return [
        Remedy(
            "mapped",
            "Map the file, and take the part before computing with it",
            LINES.format(name=call["name"], options=options),
            made,
            at.subject.workers,
            "C11",
            mends=("reads-too-much", "reading", "converting"),
        )
    ]


def _mapping(
    original: Callable[..., Any], told: dict[str, Any], *given: Any, **options: Any
) -> Any:
    try:
        made = original(*given, **options | told)
    except (TypeError, ValueError, RuntimeError):  # an archive, or a kind that cannot be mapped
        return original(*given, **options)
    if isinstance(made, tuple):
        return tuple(map(_sliced, made))
    return _sliced(made)


def _sliced(value: Any) -> Any:
    return Sliced(value) if isinstance(value, np.memmap) else value
