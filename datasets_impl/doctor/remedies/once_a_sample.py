"""What a sample asks for several times, done once for it."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.findings.repeated import of_twice
from datasets_impl.doctor.probes.standing import key_of_call
from datasets_impl.doctor.remedies.kept_results import WORK, InMemory, instead
from datasets_impl.doctor.remedies.remedy import Context, Remedy

MOST = 2  # results: a sample that comes again later must find none


class LastKept(InMemory):
    """Its last few results stay in the process that asked for them."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        made = super().__call__(*arguments, **options)
        key = key_of_call(arguments, options)
        while len(self.kept) > MOST:
            del self.kept[next(one for one in self.kept if one != key)]
        return made


def once_a_sample(at: Context) -> list[Remedy]:
    calls = list(of_twice(at.seen))
    if not calls or not (made := instead(at, calls, LastKept)):
        return []
    return [
        Remedy(
            "once-a-sample",
            "Do it once for each sample",
            f"made = {calls[0]['name']}(...)  # once; what needs it is given `made`",
            made,
            at.subject.workers,
            "C12",
            mends=("done-twice", *WORK),
        )
    ]
