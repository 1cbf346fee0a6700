"""More processes or threads than there are cores for them."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.findings.finding import (
    LEAST_SHARE,
    MECHANISM,
    NOTE,
    WORKERS_COST,
    Finding,
    Probes,
    gain_of,
    share_of,
)
from datasets_impl.doctor.findings.mechanisms import FOREIGN_CORES, workers_cost
from datasets_impl.doctor.findings.starting import LEAST, epoch_in_workers
from datasets_impl.doctor.findings.user_lines import loader_places, shown

MANY = 2  # workers a core, which may still take turns without harm
LEAST_GAIN = 1.2  # of one thread a worker, to be what is named first
THREADED = ("transforming", "converting", "resizing")  # what PyTorch does in several
LIBRARIES = {  # whose threads -> the line that leaves one
    "PyTorch": "torch.set_num_threads(1)",
    "OpenCV": "cv2.setNumThreads(0)",
}


def bound_to_cores(seen: Probes) -> Finding | None:
    """What is imported or made may bind the process, and all that it starts, to a part of the
    cores."""
    bound, workers = seen.get("machine", {}).get("bound"), _workers(seen)
    if not bound or bound["own"] >= min(bound["all"], workers):
        return None
    own, cores = bound["own"], bound["all"]
    return Finding(
        "bound-to-cores",
        "Workers may not use all cores",
        f"Importing or making the dataset bound the process to {own} of {cores} cores, which its "
        f"{workers} workers inherit.",
        "Leave that out, or undo it in each worker.",
        MECHANISM + 0.9,
        "",
        "def worker_init_fn(worker):\n    os.sched_setaffinity(0, range(os.cpu_count()))",
        shown(bound["lines"]),
    )


def threads_of(seen: Probes) -> tuple[str, int]:
    """The library that has most threads in each worker, and how many."""
    inside, counted = seen.get("inside", {}), seen.get("batches", {}).get("threads", {})
    set_by_reads = seen.get("look", {}).get("threads", {}).get("count", 1)
    found = {"PyTorch": max(counted.get("torch") or 1, set_by_reads),
             "OpenCV": counted.get("cv2") or inside.get("opencv_threads") or 1}  # fmt: skip
    name = max(found, key=lambda one: found[one])
    return name, int(found[name])


def asked_in(seen: Probes) -> list[Any]:
    """The lines that ask PyTorch for threads in a worker, which has one where nobody does."""
    by_reads = seen.get("look", {}).get("threads", {}).get("lines")
    return list(by_reads or seen.get("inside", {}).get("worker_init_lines", []))


def too_many_threads(seen: Probes) -> Finding | None:
    (library, threads), workers = threads_of(seen), _workers(seen)
    limit = seen.get("ceiling", {}).get("cores", 0)
    if not limit or workers < 2 or threads * workers <= 2 * limit:
        return None
    gain = gain_of(seen, "one-thread") or 1.0
    # Beside other programs more threads win a larger share of the cores, and show no loss.
    busy = seen.get("machine", {}).get("foreign", 0.0) > FOREIGN_CORES
    asked_for = library == "PyTorch" and asked_in(seen) and share_of(seen, *THREADED) >= LEAST_SHARE
    return Finding(
        "threads",
        "Workers start more threads than there are cores",
        f"{workers} workers with {threads} {library} threads each, on {limit} cores."
        + (f" With one thread each an epoch is {gain:.1f} times as fast." if gain > 1 else ""),
        "One thread a worker is enough.",
        MECHANISM + 0.7 if gain >= LEAST_GAIN or (busy and asked_for) else NOTE + 0.2,
        "C20",
        f"def worker_init_fn(worker):\n    {LIBRARIES[library]}",
        (library == "PyTorch" and shown(asked_in(seen))) or loader_places(seen),
    )


def more_workers_than_cores(seen: Probes) -> Finding | None:
    """PyTorch itself warns by the cores that are there, and not by those that may be used."""
    machine, workers, batches = seen.get("machine", {}), _workers(seen), seen.get("batches", {})
    cores, visible = machine.get("cores", 0), machine.get("visible", 0)
    if not cores or workers <= MANY * cores:
        return None
    why = "this machine has"
    if machine.get("quota") is not None and cores < visible:
        why = f"this container may use of {visible}"
    starting = batches.get("starting", 0.0) - batches.get("preparing", 0.0)
    epoch, gain = epoch_in_workers(seen), gain_of(seen, f"workers-{cores}") or 1.0
    anew = not seen.get("settings", {}).get("persistent_workers")
    waits = share_of(seen, "waiting", "connecting") >= LEAST_SHARE  # more of which is well
    starts = anew and batches.get("start_workers") == workers and starting >= max(LEAST, epoch)
    costs, said = not waits and (starts or gain >= WORKERS_COST), ""
    if costs and starts:
        said = f" Each epoch starts them for {starting:.1f} s, and its samples take {epoch:.1f} s."
    elif costs:
        said = f" With {cores} an epoch is {gain:.1f} times as fast."
    none = workers_cost(seen)  # where that mends more, it is told first
    rank = MECHANISM + 0.83 if none is None or none.rank < MECHANISM else MECHANISM + 0.5
    return Finding(
        "more-workers-than-cores",
        "There are more workers than cores",
        f"{workers} workers, and {cores} core{'s' if cores > 1 else ''} {why}.{said}",
        f"Try num_workers={cores}: more only take turns, unless samples wait for a disk or a "
        "network.",
        rank if costs else NOTE + 0.25,
        "C20",
        f"DataLoader(..., num_workers={cores})  # len(os.sched_getaffinity(0)) sees no quota",
        loader_places(seen),
    )


def _workers(seen: Probes) -> int:
    return int(seen.get("settings", {}).get("num_workers") or 0)


def idle_workers(seen: Probes) -> Finding | None:
    """They are started, take memory, and end at once."""
    answer = seen.get("repeated", {}).get("idle", {})
    if not answer.get("idle"):
        return None
    busy = answer["workers"] - answer["idle"]
    return Finding(
        "idle-workers",
        "Some workers have nothing to do",
        f"Of {answer['workers']} workers {busy} gave samples: there are fewer shards than workers.",
        "Split the data into at least as many shards as workers, or let workers share the samples "
        "of a shard.",
        MECHANISM + 0.95,
        "",
        f"DataLoader(..., num_workers={busy})  # or more shards",
        loader_places(seen),
    )
