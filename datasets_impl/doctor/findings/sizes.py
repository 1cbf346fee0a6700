"""Samples that are larger than what they say."""

from __future__ import annotations

from typing import Any

from rich.filesize import decimal

from datasets_impl.doctor.findings.again import read_whole
from datasets_impl.doctor.findings.finding import (
    LARGEST_SHARE,
    MECHANISM,
    Finding,
    Probes,
    cheap,
)
from datasets_impl.doctor.findings.mechanisms import decoded_larger
from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.findings.user_lines import leading_to, shown, user_lines
from datasets_impl.doctor.probes.causes import FETCHING

TIMES = 4.0  # smaller that a leaf could be, and the whole sample to come first
LEAST_SAMPLE = 1_000_000  # bytes of a sample that is large
LEAST_FIRST = 1 << 18  # bytes of float64, to come before what workers cost by that
LEAST_PART = 0.5  # of a sample's bytes that could be saved, where that does not come first
LEAST_COMPUTED = 0.3  # of a sample's time, that steps on more than it holds take
NO_STEPS = (*FETCHING, "decoding", "listing", "waiting", "collating")
MOSTLY = 0.6  # of what making a sample takes, by a line that is named for it
MAKING = ("transforming", "converting", "python")  # causes of the lines that make such a leaf
UNPADDED = """\
def collate(samples):  # the dataset pads nothing
    return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)  # of each field"""


def widest(seen: Probes) -> dict[str, Any] | None:
    """The leaf of which most could be saved."""
    found = [one for one in seen.get("look", {}).get("narrower", [])
             if one["bytes"] >= TIMES * one["small"]]  # fmt: skip
    return max(found, key=lambda one: int(one["bytes"] - one["small"]), default=None)


def wide_values(seen: Probes) -> Finding | None:
    """Most of a sample's bytes say nothing, and moving them takes time."""
    leaf, size = widest(seen), seen.get("look", {}).get("bytes", 0.0)
    whole = account(seen)
    hand_over = whole.hand_over or 0.0
    moving, total = whole.parts.get("collating", 0.0) + hand_over, whole.total + hand_over
    if leaf is None or not total or total < cheap(seen):
        return None
    saved = leaf["bytes"] - leaf["small"]
    others = max((one for cause, one in whole.parts.items() if cause != "collating"), default=0.0)
    first = moving > others and size >= LEAST_SAMPLE and size >= TIMES * (size - saved)
    if not first and (moving < LARGEST_SHARE * total or saved < LEAST_PART * size):
        return None
    one_hot = bool(leaf["classes"])
    return Finding(
        "wide-values",
        "Samples are far larger than what they say",
        f"{leaf['path']} is {leaf['kind']}, {decimal(leaf['bytes'])}, "
        + (f"one of {leaf['classes']:,} planes is 1 at each place, and its number in "
           if one_hot else "all of it whole numbers, which in ")
        + f"{leaf['to']} {'takes' if one_hot else 'take'} {decimal(leaf['small'])}. Collating and "
        f"handing over take {moving / total:.0%} of the time.",
        "Give the numbers of the classes, and make planes of them on the device, or take a loss "
        "that takes numbers." if one_hot
        else f"Give {leaf['to']}, and convert on the device.",
        MECHANISM + (0.86 if first else 0.5),
        "X03",
        narrow_lines(leaf),
        _making(seen),
    )  # fmt: skip


def _making(seen: Probes) -> list[str]:
    """The line that makes the sample, where one takes most of that; else any could be it."""
    spent = [sum(line.causes.get(one, 0.0) for one in MAKING) for line in user_lines(seen)]
    clear = max(spent, default=0.0) > MOSTLY * sum(spent)
    return leading_to(seen, *MAKING)[:1] if clear else []


def narrow_lines(leaf: dict[str, Any]) -> str:
    kind = leaf["kind"].split()[1]
    if not leaf["classes"]:
        return (
            f"tensor = tensor.to(torch.{leaf['to']})  # in the dataset\n"
            f"tensor = tensor.to(device).to(torch.{kind})  # in the trainer"
        )
    return (
        f"classes = classes.to(torch.{leaf['to']})  # in the dataset\n"
        f"planes = F.one_hot(classes.to(device).long(), {leaf['classes']})  # in the trainer\n"
        f"planes = planes.movedim(-1, {leaf['axis'] + 1}).to(torch.{kind})"
    )


def float64(seen: Probes) -> Finding | None:
    wide = [leaf for leaf in seen.get("look", {}).get("example", [])
            if " float64 " in leaf["kind"] and leaf["bytes"] >= 1 << 14]  # fmt: skip
    said, whole = wide_values(seen), account(seen)
    moving = whole.parts.get("collating", 0.0) + (whole.hand_over or 0.0)
    first = moving > LARGEST_SHARE * (whole.total + (whole.hand_over or 0.0))
    if not wide or (said and said.evidence.startswith(f"{wide[0]['path']} is ")):
        return None
    return Finding(
        "float64",
        "Samples are float64",
        f"{wide[0]['path']} is {wide[0]['kind']}, {wide[0]['bytes'] / 1e6:,.2f} MB: twice what "
        "float32 takes, eight times uint8, in every copy from worker to trainer.",
        "Give uint8, and convert on the device.",
        MECHANISM + (0.65 if first and wide[0]["bytes"] >= LEAST_FIRST else 0.5),
        "X03",
        "return torch.from_numpy(image)  # uint8\n"
        "batch.to(device).float().div_(255)  # in the trainer",
    )


def computes_too_much(seen: Probes) -> Finding | None:
    """Steps on a whole of which a later one takes a part."""
    steps, total = seen.get("repeats", {}).get("steps", {}), account(seen).total
    if not steps or total < cheap(seen) or decoded_larger(seen) or read_whole(seen):
        return None
    large = {(one["file"], one["line"]) for one in steps["large"] if one["line"]}
    lines = [
        (sum(one for cause, one in line.causes.items() if cause not in NO_STEPS), line)
        for line in user_lines(seen) if (line.file, line.line) in large
    ]  # fmt: skip
    by_name = {one["name"]: one["seconds"] / max(1e-9, steps["whole"])
               for one in steps["large"] if one["name"] and one["seconds"]}  # fmt: skip
    share = sum(seconds for seconds, _ in lines) / max(1e-9, total) + sum(by_name.values())
    if share < LEAST_COMPUTED:
        return None
    lines.sort(key=lambda each: -each[0])
    named = [name for name, part in by_name.items() if part >= LEAST_COMPUTED / 2]
    places = shown([[one.file, one.line, one.code] for seconds, one in lines if seconds][:2])
    places = places or leading_to(seen, *MAKING)[:1]
    part, taker = steps["part"], steps["part"]["name"]
    if part["line"]:
        places += shown([[part["file"], part["line"], part["code"]]])
    return Finding(
        "computes-too-much",
        "Far more is computed than a sample holds",
        f"{steps['gives']:,} values go through {' and '.join(named) or 'what is done first'}, and "
        f"{part['gives']:,} are taken of them{f' by {taker}' if taker else ''}, "
        f"{steps['gives'] / part['gives']:,.0f} times fewer; steps on the whole take "
        f"{min(share, 0.99):.0%} of a sample's time.",
        "Take the part first, and do the rest on that; what needs the whole, such as its mean, "
        "once for each file.",
        MECHANISM + 0.58,
        "C12",
        reordered_line(steps) if steps["list"]
        else "part = whole[y : y + size, x : x + size]  # first\npart = (part - mean) / std",
        places,
    )  # fmt: skip


def in_order(names: list[Any], steps: dict[str, Any]) -> list[Any]:
    """The steps of a list with the one that takes a part put before those on the whole."""
    rest = [*names[: steps["from"]], *names[steps["from"] + 1 :]]
    return [*rest[: steps["to"]], names[steps["from"]], *rest[steps["to"] :]]


def reordered_line(steps: dict[str, Any]) -> str:
    return f"{steps['list']} = [{', '.join(in_order(steps['names'], steps))}]  # in this order"


def mostly_padding(seen: Probes) -> list[dict[str, Any]]:
    """Leaves of which no sample uses more than a small part; none where all of a sample is little
    smaller without."""
    found = [one for one in seen.get("look", {}).get("padding", [])
             if one["length"] >= TIMES * one["used"]]  # fmt: skip
    saved = sum(one["bytes"] * (1 - one["used"] / one["length"]) for one in found)
    return found if saved >= (1 - 1 / TIMES) * seen.get("look", {}).get("bytes", 0.0) else []


def padded_batches(seen: Probes) -> list[dict[str, Any]]:
    """Leaves that the collate function makes far longer than the longest of a batch, and that are
    most of it; none where moving batches takes little time."""
    whole = account(seen)
    moving = whole.parts.get("collating", 0.0) + (whole.hand_over or 0.0)
    found = [one for one in seen.get("machine", {}).get("batch_padding", [])
             if one["length"] >= TIMES * one["used"]]  # fmt: skip
    saved = sum(one["bytes"] * (1 - one["used"] / one["length"]) for one in found)
    much = found and saved >= (1 - 1 / TIMES) * found[0]["of"]
    total = whole.total + (whole.hand_over or 0.0)
    slow = moving >= LARGEST_SHARE * total and total > cheap(seen)
    return found if much and slow else []


def padded(seen: Probes) -> Finding | None:
    """Zeros are collated, handed over and computed on, whoever does it."""
    found = mostly_padding(seen)
    if not found:
        return _padded_in_batches(seen)
    one = max(found, key=lambda each: int(each["bytes"]))
    saved = sum(each["bytes"] * (1 - each["used"] / each["length"]) for each in found)
    return Finding(
        "padding",
        "Samples are mostly padding",
        f"{one['path']} is {one['length']:,} long, and no sample that was looked at fills more "
        f"than {one['used']:,} of it; padding is {saved / seen['look']['bytes']:.0%} of a sample.",
        "Give samples as long as they are, and pad each batch to the longest in it.",
        MECHANISM + 0.87,
        "",
        UNPADDED,
        _making(seen),
    )


def _padded_in_batches(seen: Probes) -> Finding | None:
    found = padded_batches(seen)
    if not found:
        return None
    one = max(found, key=lambda each: int(each["bytes"]))
    return Finding(
        "padding",
        "Batches are mostly padding",
        f"The collate function makes a batch {one['length']:,} long, and the longest of "
        f"{one['samples']} samples takes {one['used']:,} of it.",
        "Pad each batch to the longest in it.",
        MECHANISM + 0.87,
        "",
        UNPADDED,
        leading_to(seen, "collating", "python"),
    )
