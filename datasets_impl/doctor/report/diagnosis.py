"""From what the probes answered to one diagnosis."""

from __future__ import annotations

import statistics
from typing import Any, Literal

from datasets_impl.doctor.findings.finding import MECHANISM, SHARE, WORTH, WRONG, Finding
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.starting import before_first
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.time_causes import CAUSES
from datasets_impl.doctor.findings.user_lines import (
    LEAST_OF_SAMPLE,
    UserLine,
    at_most,
    kind_of,
    looping,
    user_lines,
)
from datasets_impl.doctor.probes.room import MEMORY, Bytes, lacking, priced
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.model import (
    Ceiling,
    Diagnosis,
    Found,
    Part,
    Place,
    Start,
    Tried,
    as_set,
    noisy,
)
from datasets_impl.doctor.report.paired import paired_gain
from datasets_impl.doctor.report.step import step_of, unsaid
from datasets_impl.doctor.report.surroundings import machine_of
from datasets_impl.doctor.report.verdict import (
    HELD,
    KEEPS,
    RESULTS,
    gaining,
    lower,
    not_done,
    unsure,
    verdict_of,
)

STORED = KEEPS[0]
NAMED = 3  # remedies under a cause


def diagnose(
    target: str, heard: Heard, step_ms: float | None = None, gil: float | None = None
) -> Diagnosis:
    """From the answers of the probes.

    Args:
        step_ms: how long a training step takes.
        gil: the share of the time in which it keeps the GIL from other threads, where that is much.
    """
    seen = dict(heard.answers)
    inside, look, batches = (seen.get(name, {}) for name in ("inside", "look", "batches"))
    seen |= {"settings": inside.get("settings", {}), "hung": heard.hung, "step_ms": step_ms,
             "failures": heard.failures}  # fmt: skip
    whole, tried = account(seen), seen.get("tried", {})
    own = statistics.median(tried["own"]) if tried.get("own") else None
    there = tried.get("room", {})
    remedies, left_out = [], list[str]()
    for one in tried.get("remedies", []):
        needs = _needs(one, seen.get("growth", {}).get("few"))
        if why := lacking(one["title"], needs, there):
            left_out.append(why)
        else:
            remedies.append(_beside(_tried(one, tried, look.get("length"), needs, there), gil))
    made = findings(seen)
    remedies = _ordered(remedies, made)
    if _wrong(made):  # time is no remedy of that, and what is stored would be wrong as well
        mending = [one for one in remedies if made[0].name in one.mends]
        remedies = [one if one in mending else one.model_copy(update={"recommended": False})
                    for one in remedies]  # fmt: skip
    found = _all_found(made, remedies, tried.get("late", []))
    limit = seen.get("ceiling")
    workers = int(seen["settings"].get("num_workers") or 0)
    step = step_of(
        as_set(own, 1e6 * whole.total or None, workers),
        inside.get("batch_size"),
        step_ms,
        workers,
        remedies,
        seen.get("machine", {}).get("cores", limit["cores"] if limit else 0),
    )
    if step and step.fine:  # which waits for none of it
        found = [one.model_copy(update={"kind": "note"}) if one.kind == "time" else one
                 for one in found]  # fmt: skip
    return Diagnosis(
        target=target,
        verdict=verdict_of(found, remedies, step, heard),
        dataset=look.get("type", ""),
        note=inside.get("note", ""),
        length=look.get("length"),
        kinds=[kind for kind, _ in look.get("kinds", [])],
        sample_bytes=look.get("bytes", 0.0),
        settings=seen["settings"],
        total_us=1e6 * whole.total if whole.total else None,
        parts=[
            Part(cause=cause, us=1e6 * seconds, share=whole.share(cause))
            for cause, seconds in sorted(whole.parts.items(), key=lambda part: -part[1])
        ],
        looping_us=1e6 * min(looping(seen)[0], whole.parts.get("python", 0.0)),
        unattributed_us=1e6 * whole.unattributed,
        places=[
            _place(one, whole.total) for one in user_lines(seen)
            if one.seconds > LEAST_OF_SAMPLE * whole.total
        ],
        own_us=own,
        own_rounds=tried.get("own", []),
        hand_over_us=None if whole.hand_over is None else 1e6 * whole.hand_over,
        first_batch_s=batches.get("first_batch"),
        before_first=[
            Start(part=part, seconds=seconds, each_epoch=each)
            for part, seconds, each in before_first(seen)
        ],
        findings=found,
        remedies=remedies,
        ceiling=Ceiling(us=limit["limit"], of=limit["of"], cores=limit["cores"],
                        times=own / limit["limit"] if own else None) if limit else None,
        step=step,
        room=there,
        machine=machine_of(seen),
        not_done=not_done(heard, seen, left_out)
        + ([] if step or step_ms is None else [unsaid(workers)]),
    )  # fmt: skip


def _ordered(remedies: list[Tried], found: list[Finding]) -> list[Tried]:
    """What mends the cause that is named first, surely or perhaps, storing all samples after that;
    then by gain. Keeping all samples in memory mends no cause, and comes after what does.
    Storing what a function gives asks for as much as storing samples: it comes after that where it
    surely gains less."""
    first = found[0].name if found else ""
    slow = next((one.name for one in found if one.rank < WRONG), "")
    stored = max((one.low or 0.0 for one in remedies if one.name == STORED), default=0.0)

    def place(one: Tried) -> tuple[int, bool, float]:
        order = 0
        if slow == HELD and one.name in KEEPS:
            order = 5
        elif first not in one.mends or not (one.recommended or unsure(one)):
            order = 4
        elif not one.recommended:
            order = 1
        elif one.name in KEEPS:
            order = 2
        elif one.name == RESULTS and one.high is not None and one.high < stored:
            order = 3
        return order, one.noisy, -one.gain

    return sorted(remedies, key=place)


def _place(line: UserLine, total: float) -> Place:
    share = line.seconds / total
    return Place(
        file=line.file, line=line.line, function=line.function, code=line.code,
        us=1e6 * line.seconds, share=share, kind=kind_of(line), at_most=at_most(share),
    )  # fmt: skip


def _all_found(found: list[Finding], remedies: list[Tried], late: list[str]) -> list[Found]:
    """With the remedies that were measured to help those causes that only take time."""
    made, said = [], ""
    for one in found:
        fields = {name: getattr(one, name) for name in Found.model_fields if name != "kind"}
        if _wrong(found) and SHARE <= one.rank < WRONG:  # that is mended first
            fields["lines"] = ""
            fields["remedy"] = "" if one.name in CAUSES else one.remedy
            made.append(Found(kind=_kind(one.rank), **fields))
            continue
        if one.name in CAUSES:
            remedy = _of_cause(one, remedies, late)
            fields["remedy"] = remedy if remedy != said else "The same helps here."
            said = remedy
        if one.name == "decoded-larger":
            smaller = [each for each in remedies if each.recommended and each.name != STORED
                       and one.name in each.mends]  # fmt: skip
            fields["lines"] = smaller[0].lines if smaller else ""
            if not smaller:  # not measured to help, or other pixels
                fields["remedy"] = "Store smaller pictures, or decode only the region that is used."
        made.append(Found(kind=_kind(one.rank), **fields))
    return made


def _of_cause(one: Finding, remedies: list[Tried], late: list[str]) -> str:
    helps = [
        each
        for each in remedies
        if each.recommended and each.name != "persistent"  # that spares the start of workers
    ]
    mends = [each for each in helps if one.name in each.mends][:NAMED]
    others = [each for each in helps if each not in mends][: NAMED - len(mends)]
    perhaps = [gaining(each) for each in remedies if one.name in each.mends and unsure(each)]
    if mends:
        mending = f"{one.remedy} " if one.places else ""  # of a line that can be changed
        more = f" Perhaps too: {perhaps[0]}." if perhaps else ""
        also = f" Also: {_gains(others)}." if others else ""
        return f"{mending}Measured to help: {_gains(mends)}.{more}{also}"
    also = f" Also measured to help: {_gains(others)}." if others else ""
    if perhaps:
        return f"Perhaps helps: {perhaps[0]}. To try: {one.remedy}{also}"
    if also:
        return f"To try: {one.remedy}{also}"
    if not remedies:
        return f"To try: {one.remedy}"
    if any(each.noisy for each in remedies):
        return f"What was tried did not help, or was too noisy to tell. To try: {one.remedy}"
    if late:
        return f"What there was time to try did not help. To try: {one.remedy}"
    return f"Nothing that was tried helped. What was not tried: {lower(one.remedy)}"


def _gains(remedies: list[Tried]) -> str:
    return ", ".join(map(gaining, remedies))


def _wrong(found: list[Finding]) -> bool:
    return bool(found) and found[0].rank >= WRONG


def _kind(rank: float) -> Literal["wrong", "mechanism", "time", "note"]:
    if rank >= WRONG:
        return "wrong"
    if rank >= MECHANISM:
        return "mechanism"
    return "time" if rank >= SHARE else "note"


def _needs(one: dict[str, Any], worker_bytes: int | None) -> Bytes:
    """With what workers have each for themselves."""
    needs = dict(one.get("needs", {}))
    if one["name"].startswith("workers-") and one["workers"] and worker_bytes:
        needs[MEMORY] = needs.get(MEMORY, 0) + one["workers"] * worker_bytes
    return needs


def _tried(
    one: dict[str, Any],
    tried: dict[str, Any],
    length: int | None,
    needs: Bytes,
    there: Bytes,
) -> Tried:
    gain, low, high = paired_gain(one["beside"], one["blocks"])
    worth = low is not None and low > WORTH and not noisy(low, high)
    saved = (statistics.median(one["beside"]) - statistics.median(one["blocks"])) * 1e-6
    once = float(one["once_seconds"])
    even = once / (saved * (length or tried["samples"])) if once and saved > 0 else None
    cost = ", ".join(filter(None, [one["cost"], priced(needs, there)]))
    return Tried(
        name=one["name"], title=one["title"], gain=gain, low=low, high=high,
        rounds=len(one["blocks"]), workers=one["workers"], recommended=worth,
        lines=one["lines"], claim=one["claim"], cost=cost, needs=needs, caution=one["caution"],
        once_seconds=once, break_even_epochs=even, mends=one.get("mends", []),
    )  # fmt: skip


def _beside(one: Tried, gil: float | None) -> Tried:
    """Threads of the trainer were tried without its step, which would keep them waiting."""
    if gil is None or one.name != "threads-trainer":
        return one
    caution = f"your step keeps the GIL {gil:.0%} of the time, so they would wait for it"
    return one.model_copy(update={"recommended": False, "caution": caution})
