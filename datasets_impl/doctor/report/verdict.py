"""The verdict in one sentence, and a sentence for each thing that could not be done."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.findings.finding import WORTH
from datasets_impl.doctor.findings.mechanisms import FOREIGN_CORES
from datasets_impl.doctor.probes.reading import HANG
from datasets_impl.doctor.probes.room import priced
from datasets_impl.doctor.process.heard import LOOK, Heard
from datasets_impl.doctor.report.model import Found, Step, Tried
from datasets_impl.doctor.report.wording import amount, times_as

KEEPS = ("stored", "cached")  # remedies that keep finished samples, whatever takes their time
RESULTS = "stored-results"  # the one that keeps what a function of the user's gives
HELD = "wait-in-turn"  # a finding

WHAT = {  # probe -> what it does, as a person would say it
    "": "making the dataset once more",
    "look": "looking at samples",
    "inside": "looking into the dataset",
    "machine": "looking at the machine",
    "items": "timing single samples",
    "causes": "finding where their time goes",
    "pictures": "measuring decoded pictures",
    "repeats": "looking for work that is done again",
    "pickled": "pickling the dataset",
    "repeated": "reading a sample again and again",
    "integrity": "comparing samples with each other",
    "drawn": "making sure of the equal numbers that workers or epochs drew",
    "restarted": "trying workers that are not forked",
    "starting": "timing what comes before the first batch",
    "batches": "timing batches and workers",
    "growth": "watching the memory of workers",
    "ceiling": "measuring what this machine can do",
    "tried": "trying remedies side by side",
}


def verdict_of(found: list[Found], remedies: list[Tried], step: Step | None, heard: Heard) -> str:
    """One sentence."""
    if why := heard.failures.get(LOOK):
        return f"No sample could be looked at: {why}."
    if "causes" in heard.late and not any(one.kind in ("wrong", "mechanism") for one in found):
        slow = amount(1e6 * heard.answers[LOOK]["cost"])
        return (
            f"A sample takes {slow}, too long to find out why in this time: use a larger --budget."
        )
    for probe, why in heard.failures.items():
        if why.startswith("its process"):  # it would end a training too
            return f"{WHAT[probe].capitalize()} failed: {why}."
    ails = [one for one in found if one.kind != "note"]
    slow = next((one.name for one in ails if one.kind != "wrong"), "")
    # What keeps finished samples leaves the lock, and whatever else it guards, as it is.
    helps = [one for one in remedies
             if one.recommended and not (slow == HELD and one.name in KEEPS)]  # fmt: skip
    if step and step.fine and not any(one.kind == "wrong" for one in ails):
        return "Your loader is fine: the step is the bottleneck."
    best = _best(helps, remedies, ails)
    if ails:
        where = ails[0].places[0].partition("  ")[0] if ails[0].places else ""
        return f"{ails[0].title}{where and f' ({where})'}.{best}"
    look = heard.answers.get(LOOK, {})
    if look.get("failures") and not look.get("seen"):  # why other probes failed too
        return f"No sample could be read outside of workers: {look['failures'][0]}."
    for probe, why in heard.failures.items():
        return f"{WHAT[probe].capitalize()} failed: {why}.{best}"
    knowing = f" Worth knowing: {lower(found[0].title)}." if found else ""
    if helps:
        return f"Nothing is wrong; it can still be faster: {lower(helps[0].title)}.{knowing}"
    if "tried" not in heard.answers or heard.answers["tried"].get("iterable"):
        return f"Nothing wrong was found; no remedy was tried.{knowing}"
    if heard.answers["tried"].get("late"):
        return f"Nothing wrong was found, and what there was time to try would not help.{knowing}"
    if any(one.noisy for one in remedies):
        return (
            "Nothing wrong was found; what was tried would not help, or was too noisy to tell."
            f"{knowing}"
        )
    return f"Nothing wrong was found, and nothing that was tried would help.{knowing}"


def _best(helps: list[Tried], remedies: list[Tried], ails: list[Found]) -> str:
    """What mends the cause itself comes before what keeps all samples, also where it is not sure
    how much it gains."""
    first, said = ails[0].name if ails else "", ""
    if not helps or first not in helps[0].mends or helps[0].name in KEEPS:
        mending = [one for one in remedies if first in one.mends and unsure(one)]
        said = f" What may mend it: {gaining(mending[0])}." if mending else ""
    if helps and first in helps[0].mends and not said:
        return f" What mends it: {gaining(helps[0])}."
    if ails and ails[0].kind == "wrong":  # which no gain of time is a remedy of
        return said or (ails[0].remedy and f" {ails[0].remedy}")
    if not helps:
        return said
    return f"{said} Of what was tried, most is gained by: {gaining(helps[0])}."


def unsure(one: Tried) -> bool:
    """Whether a remedy gains, but not surely: by how much its rounds differ it may be too little,
    though no loss to speak of."""
    missed = one.low is None or 1 / WORTH < one.low <= WORTH
    return missed and one.gain > WORTH and not one.noisy and one.name not in (*KEEPS, RESULTS)


def gaining(one: Tried) -> str:
    """A remedy with what it gains, and what that costs of those that keep all samples."""
    cost = priced(one.needs, {}) if one.name in KEEPS else ""
    doubt = "not sure, as its rounds differ" if unsure(one) else ""
    told = "; ".join(filter(None, [f"{times_as(one.gain)}x", doubt, cost and f"takes {cost}"]))
    return f"{lower(one.title)} ({told})"


def lower(title: str) -> str:
    """As it stands within a sentence: names such as OpenCV keep their letters."""
    first = title.partition(" ")[0].rstrip(",;:")
    if first[1:] != first[1:].lower() or not first.isalpha():
        return title
    return title[:1].lower() + title[1:]


def not_done(heard: Heard, seen: dict[str, Any], left_out: list[str]) -> list[str]:
    said = [f"{WHAT[name].capitalize()} failed: {why}."
            for name, why in heard.failures.items() if name != LOOK and why != HANG]  # fmt: skip
    if hung := [WHAT[name] for name, why in heard.failures.items() if why == HANG]:
        said.append(f"Not done, as {HANG}: {'; '.join(hung)}.")
    look, tried = seen.get("look", {}), seen.get("tried", {})
    if waited := seen.get("inside", {}).get("no_key_in"):
        said.append(
            f"The loader's sampler gave nothing in {waited:.0f} s; samples were read by number."
        )
    raised = seen.get("inside", {}).get("sampler_raised") or {}
    if raised and not raised["gave"]:
        said.append(f"The loader's sampler raised {raised['why']}; samples were read by number.")
    late = [WHAT[probe] for probe in dict.fromkeys(heard.late)] + tried.get("late", [])
    if tried.get("iterable") or seen.get("batches", {}).get("iterable"):
        why = "no sample could be read"
        if look.get("iterable") or look.get("length") is None:
            why = "the dataset is iterated" if look.get("iterable") else "its length is not known"
        said.append(f"Workers and remedies were not tried: {why}.")
    for name, why in tried.get("failed", {}).items():
        said.append(f"The remedy {name} could not be tried: {why}.")
    said += [f"{reason}." for reason in (*tried.get("inapplicable", []), *left_out)]
    once = [WHAT[probe] for probe in heard.once]
    once += ["timing how it is made"] if seen.get("starting", {}).get("once") else []
    if once:
        said.append(
            f"The dataset was made only once, as making it {heard.writes}; so not done: "
            f"{'; '.join(once)}."
        )
    if late:
        said.append(f"For lack of time not done (a larger --budget helps): {'; '.join(late)}.")
    if (foreign := seen.get("machine", {}).get("foreign", 0.0)) > FOREIGN_CORES:
        said.append(f"Other programs used {foreign:.1f} cores meanwhile, so times are too long.")
    batch = seen.get("inside", {}).get("batch_size")
    if batch and tried.get("remedies") and tried["batch"] < batch:
        said.append(
            "For the time and room there was, remedies were tried with batches of "
            f"{tried['batch']} instead of {batch}."
        )
    if seen.get("growth", {}).get("unsupported"):
        said.append(f"Memory was not watched: {seen['growth']['unsupported']}.")
    if look.get("failures") and not look.get("seen") and seen.get("inside", {}).get("worker_init"):
        said.append(
            "Where the loader's worker_init_fn opens what samples need, name a dataset that opens "
            "it itself."
        )
    if look.get("nothing") and look["nothing"] < look["seen"]:
        said.append(f"{look['nothing']} of the samples that were looked at are {look['none']}.")
    return said
