"""What a watched loop says at its end, and the file it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.seen import BUSY, FREE, GENERATOR, Loop, Spread, Watch, loop_of
from datasets_impl.doctor.report.reading import read_as
from datasets_impl.doctor.report.wording import amount
from datasets_impl.files.atomic import atomic_write, check_writable
from datasets_impl.files.records import text_of
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.streams import believable

WHAT = "what `watch` writes"
MOST_BYTES = 1 << 24
ENOUGH = 1.05  # times as fast: less than this is no practical difference, as in the study
LITTLE = 0.05  # of the time


def check_place(path: Path) -> None:
    """
    Raises:
        StudyError: it cannot be written, or something else stands there.
    """
    check_replaceable(path, is_ours, what=WHAT)
    check_writable(path)


def write(path: Path, records: Iterable[Record]) -> None:
    """The loops of this program. Written whole or not at all."""
    check_replaceable(path, is_ours, what=WHAT)
    loops = [loop_of(one) for one in records if one.steps.count]
    if loops:
        atomic_write(path, Watch(loops=loops).model_dump_json(indent=1) + "\n")


def read(path: Path) -> Watch:
    """
    Raises:
        StudyError: it cannot be read, or `watch` did not write it.
    """
    return read_as(Watch, path, MOST_BYTES, "the file that watch wrote")


def is_ours(path: Path) -> bool:
    """Whether `watch` wrote what stands there, and not somebody who speaks of it."""
    try:
        held = json.loads(text_of(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(held, dict) and held.get("generator") == GENERATOR


def tell(record: Record, out: Path | None) -> None:
    """Print what was seen, on the standard error stream."""
    # The program is the trainer's, so its environment stays as it is.
    console = Console(emoji=False, stderr=True, highlight=False, _environ=believable())
    if not record.steps.count:
        if record.first_batches.count:
            console.print(
                f"watch: no step of {record.name} came to its end; nothing is written.",
                markup=False,
            )
        return
    loop = loop_of(record)
    console.print(f"\n[bold]{verdict(loop)}[/bold]")
    for name, text in _rows(loop):
        console.print(f"  {name:<12} {text}", markup=False)
    if out is not None and loop.step is not None and is_ours(out):
        console.print(
            f"Next: python -m datasets_impl.doctor TARGET --beside {out}",
            markup=False,
            soft_wrap=True,
        )


def verdict(loop: Loop) -> str:
    """The answer in one or two sentences."""
    if loop.step is None:
        return "Nothing could be measured of the loop."
    waits = (
        ""
        if loop.waits is None
        else f"Training waits {_percent(loop.waits)} of its time for data. "
    )
    gain = loop.if_free
    if gain is None:
        if loop.waits is None:
            return "The loop was too short to say anything."
        return waits.strip() + (
            " Your loader is not the bottleneck." if loop.waits < LITTLE else ""
        )
    times = f"{gain.times:.2f} times as fast [{gain.low:.2f}-{gain.high:.2f}]"
    if gain.high < ENOUGH:
        return f"Your loader is not the bottleneck. {waits}With free loading it would be {times}."
    if gain.low > ENOUGH and (loop.waits or 0) < LITTLE:
        return (
            f"Your loader slows down the steps themselves. {waits}With free loading training would "
            f"be {times}: loader and trainer share the cores or the GIL."
        )
    if gain.low > ENOUGH:
        return f"{waits}With free loading it would be {times}."
    return f"{waits}Whether free loading would help is unclear: {times}."


def _rows(loop: Loop) -> list[tuple[str, str]]:
    rows = [("loader", loop.loader)]
    if loop.step is not None:
        rows.append(("step", _spread(loop.step)))
    if loop.wait is not None:
        rows.append(("wait", _spread(loop.wait)))
    if loop.first_batch is not None:
        epochs = loop.first_batch.count
        rows.append(
            ("first batch", f"{_ms(loop.first_batch.mean_ms)} on average over {epochs} epoch"
             f"{'s' if epochs > 1 else ''}")
        )  # fmt: skip
    if loop.gil is not None:
        rows.append(("GIL", _gil(loop.gil)))
    return rows + [("note", note) for note in loop.notes]


def _gil(share: float) -> str:
    held = f"held by the step {_percent(share)} of the time it is wanted"
    if share > BUSY:
        return f"{held}; threads of the trainer's process cannot load beside it"
    return f"{held}; threads can load beside it" if share < FREE else held


def _spread(spread: Spread) -> str:
    return f"{_ms(spread.median_ms)} (99 % under {_ms(spread.p99_ms)}), {spread.count:,} times"


def _ms(ms: float) -> str:
    return amount(1e3 * ms)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"
