"""The doctor's answer as data: what the terminal, the page and the JSON file are made from."""

from __future__ import annotations

import statistics
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from datasets_impl.doctor.account import account
from datasets_impl.doctor.child import Heard
from datasets_impl.doctor.finding import Finding
from datasets_impl.doctor.findings import CAUSES, findings

CONFIDENCE = 0.95
WORTH = 1.1  # the whole interval of a gain must be above this
IDLE = 0.05  # share of the time that a trainer may wait and its loader still be fine

WHAT = {  # probe -> what it does, as a person would say it
    "look": "looking at samples",
    "inside": "looking into the dataset",
    "items": "timing single samples",
    "causes": "finding where their time goes",
    "pictures": "measuring decoded pictures",
    "pickled": "pickling the dataset",
    "repeated": "reading a sample again and again",
    "batches": "timing batches and workers",
    "growth": "watching the memory of workers",
    "ceiling": "measuring what this machine can do",
    "tried": "trying remedies side by side",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Model):
    """Of the time of a sample: a cause, microseconds, and its share."""

    cause: str
    us: float
    share: float


class Place(_Model):
    """A Python function, and the microseconds that it takes itself for each sample."""

    file: str
    line: int
    function: str
    us: float


class Found(_Model):
    """A hazard or a cause, the most telling first."""

    name: str
    title: str
    evidence: str
    remedy: str
    lines: str
    claim: str
    places: list[str]


class Tried(_Model):
    """A remedy that was run. `gain` is how many times as many samples per second, `low` to `high`
    its 95 % interval over rounds; `break_even_epochs` where something is paid once."""

    name: str
    title: str
    gain: float
    low: float | None
    high: float | None
    rounds: int
    recommended: bool
    lines: str
    claim: str
    cost: str
    caution: str
    once_seconds: float
    break_even_epochs: float | None


class Ceiling(_Model):
    """What the machine could do, microseconds per sample; the loader takes `times` that."""

    us: float
    of: str
    cores: int
    times: float | None


class Step(_Model):
    """Beside a training step of so many milliseconds: the share of time a trainer would wait."""

    step_ms: float
    batch_ms: float
    workers: int
    waits: float
    fine: bool


class Diagnosis(_Model):
    """Everything the doctor says of one target. Times are microseconds per sample."""

    schema_version: Literal[1] = 1
    target: str
    verdict: str
    dataset: str
    length: int | None
    kinds: list[list[str]]
    sample_bytes: float
    settings: dict[str, Any]
    total_us: float | None
    parts: list[Part]
    unattributed_us: float
    places: list[Place]
    own_us: float | None
    hand_over_us: float | None
    first_batch_s: float | None
    findings: list[Found]
    remedies: list[Tried]
    ceiling: Ceiling | None
    step: Step | None
    not_done: list[str]


def diagnose(target: str, heard: Heard, step_ms: float | None = None) -> Diagnosis:
    """From the answers of the probes."""
    seen = dict(heard.answers)
    inside, look, batches = (seen.get(name, {}) for name in ("inside", "look", "batches"))
    seen["settings"] = inside.get("settings", {})
    whole, tried = account(seen), seen.get("tried", {})
    own = statistics.median(tried["own"]) if tried.get("own") else None
    remedies = sorted(
        (_tried(one, tried, look.get("length"), own) for one in tried.get("remedies", [])),
        key=lambda one: -one.gain,
    )
    found = [_found(one, remedies, bool(tried.get("remedies"))) for one in findings(seen)]
    limit = seen.get("ceiling")
    step = _step(
        own or (1e6 * whole.total or None),
        batches.get("batch_size"),
        step_ms,
        int(seen["settings"].get("num_workers") or 0),
    )
    return Diagnosis(
        target=target,
        verdict=_verdict(found, remedies, step, heard.failures.get("look", "")),
        dataset=look.get("type", ""),
        length=look.get("length"),
        kinds=[kind for kind, _ in look.get("kinds", [])],
        sample_bytes=look.get("bytes", 0.0),
        settings=seen["settings"],
        total_us=1e6 * whole.total if whole.total else None,
        parts=[
            Part(cause=cause, us=1e6 * seconds, share=whole.share(cause))
            for cause, seconds in sorted(whole.parts.items(), key=lambda part: -part[1])
        ],
        unattributed_us=1e6 * whole.unattributed,
        places=[
            Place(file=file, line=line, function=name, us=1e6 * seconds)
            for file, line, name, seconds in seen.get("causes", {}).get("places", [])
        ],
        own_us=own,
        hand_over_us=None if whole.hand_over is None else 1e6 * whole.hand_over,
        first_batch_s=batches.get("first_batch"),
        findings=found,
        remedies=remedies,
        ceiling=Ceiling(us=limit["limit"], of=limit["of"], cores=limit["cores"],
                        times=own / limit["limit"] if own else None) if limit else None,
        step=step,
        not_done=_not_done(heard, seen),
    )  # fmt: skip


def _found(one: Finding, remedies: list[Tried], any_tried: bool) -> Found:
    """Of a cause that only takes time, the remedy is what was measured to help."""
    found = Found(**{name: getattr(one, name) for name in Found.model_fields})
    if one.name not in CAUSES:
        return found
    helps = [f"{each.title.lower()} ({each.gain:.1f}x)" for each in remedies if each.recommended]
    if helps:
        return found.model_copy(update={"remedy": f"Measured to help: {', '.join(helps[:3])}."})
    said = "Nothing that was tried helped." if any_tried else f"To try: {one.remedy}"
    return found.model_copy(update={"remedy": said})


def _tried(
    one: dict[str, Any], tried: dict[str, Any], length: int | None, own: float | None
) -> Tried:
    gain, low, high = paired_gain(one["beside"], one["blocks"])
    worth = low is not None and low > WORTH
    saved = (statistics.median(one["beside"]) - statistics.median(one["blocks"])) * 1e-6
    once = float(one["once_seconds"])
    even = once / (saved * (length or tried["samples"])) if once and saved > 0 else None
    return Tried(
        name=one["name"], title=one["title"], gain=gain, low=low, high=high,
        rounds=len(one["blocks"]), recommended=worth, lines=one["lines"], claim=one["claim"],
        cost=one["cost"], caution=one["caution"], once_seconds=once, break_even_epochs=even,
    )  # fmt: skip


def paired_gain(slow: list[float], fast: list[float]) -> tuple[float, float | None, float | None]:
    """How many times as fast, within rounds: the geometric mean and its Student's t interval."""
    before, after = np.log(slow), np.log(fast)
    gain = float(np.exp((before - after).mean()))
    if len(slow) < 2 or np.ptp(before - after) < 1e-12:
        return gain, None, None
    interval = stats.ttest_rel(before, after).confidence_interval(CONFIDENCE)
    return gain, float(np.exp(interval.low)), float(np.exp(interval.high))


def _step(
    us: float | None, batch_size: int | None, step_ms: float | None, workers: int
) -> Step | None:
    """Workers load while the trainer steps, and make it wait for what they lack; without them
    loading and stepping take turns."""
    if step_ms is None or us is None:
        return None
    batch_ms = us * (batch_size or 1) / 1e3
    if workers:
        waits = max(0.0, batch_ms - step_ms) / max(batch_ms, step_ms)
    else:
        waits = batch_ms / (batch_ms + step_ms)
    return Step(
        step_ms=step_ms, batch_ms=batch_ms, workers=workers, waits=waits, fine=waits <= IDLE
    )


def _verdict(found: list[Found], remedies: list[Tried], step: Step | None, unseen: str = "") -> str:
    """One sentence; `unseen` is why no sample could be looked at, "" where some were."""
    if unseen and not found:
        return f"No sample could be looked at: {unseen}."
    helps = [one for one in remedies if one.recommended]
    if step and step.fine and not any(one.name in WRONG_RESULTS for one in found):
        return "Your loader is fine: the step is the bottleneck."
    if found:
        best = f" Of what was tried, most is gained by: {helps[0].title.lower()}." if helps else ""
        return f"{found[0].title}.{best}"
    if helps:
        return f"Nothing is wrong; it can still be faster: {helps[0].title.lower()}."
    return "Nothing wrong was found, and nothing that was tried would help."


WRONG_RESULTS = ("frozen", "same-in-workers", "broken-sample", "lengths", "not-collated", "handles")


def _not_done(heard: Heard, seen: dict[str, Any]) -> list[str]:
    said = [f"{WHAT.get(name, 'making the dataset').capitalize()} failed: {why}."
            for name, why in heard.failures.items()]  # fmt: skip
    if seen.get("tried", {}).get("iterable") or seen.get("batches", {}).get("iterable"):
        said.append(
            "Workers and remedies were not tried: a dataset that is iterated, or is empty, "
            "cannot be read by index."
        )
    for name, why in seen.get("tried", {}).get("failed", {}).items():
        said.append(f"The remedy {name} could not be tried: {why}.")
    if late := seen.get("tried", {}).get("late"):
        said.append(f"For lack of time not tried (a larger --budget helps): {'; '.join(late)}.")
    if seen.get("growth", {}).get("unsupported"):
        said.append(f"Memory was not watched: {seen['growth']['unsupported']}.")
    none = seen.get("look", {}).get("none")
    if none:
        said.append(f"{none} of the samples that were looked at are None.")
    return said
