"""Samples and workers that hang: over what, where, and what they wait for."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.findings.finding import WRONG, Finding, Probes

AFTER_FORK = {  # library whose threads or locks do not live on in a fork -> what else helps
    "cv2": "`cv2.setNumThreads(0)` before the first worker starts keeps OpenCV from waiting for "
    "threads that were not copied.",
    "h5py": "Open HDF5 files in each worker, when its first sample is read.",
}
FORKSERVER = 'DataLoader(dataset, num_workers=2, multiprocessing_context="forkserver")'


def stuck(seen: Probes) -> Finding | None:
    """Samples that never come, or end the process."""
    answer = seen.get("look", {}).get("stuck", [])
    if not answer:
        return None
    index, why, *places = answer[0]
    return Finding(
        "stuck",
        f"Sample {index} never comes",
        f"While it was read, {why}."
        + (f" So it was with {len(answer) - 1} more." if len(answer) > 1 else ""),
        "Mend or leave it out; it was avoided here, and a loader would stop at it.",
        WRONG + 0.95,
        places=places[0] if places else [],
    )


def workers_hang(seen: Probes) -> Finding | None:
    """A worker that does not go on with a sample that the trainer's process can read."""
    hung = seen.get("hung", {})
    if not hung:
        return None
    sample = "" if hung["index"] is None else f" at sample {hung['index']:,}"
    stands = f"A worker hangs{sample}"
    if hung["awaited"] or hung["lock"]:
        stands += f", waiting for {hung['awaited'] or 'a lock'}"
    places = [one["shown"] for one in hung["frames"]]
    method = seen.get("inside", {}).get("start_method") or "fork"
    if method != "fork" or not hung["lock"] or hung["own_threads"]:
        return Finding(
            "workers-hang",
            "Workers hang",
            f"{stands}. The trainer's process could read such samples.",
            "Find what it waits for: what the trainer's process holds, or gives once only.",
            WRONG + 0.98,
            places=places,
        )
    return Finding(
        "deadlock-after-fork",
        "Workers hang: they were forked while a lock was held",
        f"{stands}, which no thread of its own can let go: a fork copies a lock as it is, and not "
        f"the thread that holds it.{_holder(hung)}{_otherwise(seen)}",
        f"Start workers by forkserver or spawn{_pickled(seen)}, or begin in each worker what has "
        f"threads and locks.{_library(hung)}",
        WRONG + 0.98,
        "",
        FORKSERVER,
        places,
    )


def _holder(hung: dict[str, Any]) -> str:
    if not hung["others"]:
        return ""
    return f" In the trainer's process another thread is at {hung['others'][0]['shown']}."


def _otherwise(seen: Probes) -> str:
    """What came of another start."""
    other = seen.get("restarted")
    if not other:
        return ""
    return f" By {other['method']} they gave their first batch after {other['seconds']:.1f} s."


def _pickled(seen: Probes) -> str:
    refused = seen.get("pickled", {}).get("refused", [])
    return " (what cannot be pickled is left out in `__getstate__`)" if refused else ""


def _library(hung: dict[str, Any]) -> str:
    for name, also in AFTER_FORK.items():
        if any(f"/{name}/" in one["file"] or f"{name}." in one["code"] for one in hung["frames"]):
            return f" {also}"
    return ""
