"""Threads in place of workers, for what waits or releases the GIL: this project's own loader."""

from __future__ import annotations

from datasets_impl.doctor.probes.parts import open_handles
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Remedy
from datasets_impl.system.cores import cores

WAITS = ("waiting", "far-away", "connecting", "connects")  # threads wait at the same time
BESIDE = ("decoding", "resizing", "decompressing", "reading")  # several threads at the same time
RELEASES = (*BESIDE, "decoded-larger", "reads-too-much")
HANDS_OVER = ("workers-cost", "hand-over", "many-tensors")
QUICK = 100e-6  # seconds: samples that take less are not worth a thread's turn
WAITERS = 8  # threads a core, of samples that wait
PLACES = {"process": "in one separate process", "trainer": "in the trainer's process"}


def threads(at: Context) -> list[Remedy]:
    """Where the time goes to waiting, or to work that other threads can run beside."""
    called = [name for name in at.found[:3] if name in (*WAITS, *RELEASES, *HANDS_OVER)]
    if not called or at.cost < QUICK:
        return []
    if handles := open_handles(at.subject):
        raise Inapplicable(
            f"Threads were not tried, since they would share what is open ({handles[0]})"
        )
    waits = any(name in WAITS for name in called)
    count = WAITERS * cores() if waits else cores()
    return [
        Remedy(
            f"threads-{where}",
            f"{count} threads {words}",
            "from datasets_impl import ThreadedLoader\n"
            f'ThreadedLoader(dataset, batch_size, threads={count}, where="{where}")',
            at.part,
            0,
            "X05" if where == "trainer" else "",
            caution="the dataset is read by several threads at once",
            mends=(*(WAITS if waits else ()), *BESIDE, *HANDS_OVER),
            threads=where,
            changes={"threads": count},
        )
        for where, words in PLACES.items()
    ]
