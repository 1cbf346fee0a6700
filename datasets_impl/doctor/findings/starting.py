"""Time that passes before the first batch, once or in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from datasets_impl.doctor.findings.finding import (
    LARGE_PICKLE,
    LEAST_SHARE,
    MECHANISM,
    Finding,
    Probes,
    share_of,
)
from datasets_impl.doctor.findings.user_lines import loader_places, shown
from datasets_impl.doctor.probes.thresholds import LEAST_OF_BATCH

LEAST = 0.3  # seconds: less is no start-up that anyone waits for
LEAST_OF_EACH = 0.05  # seconds of what comes back in every epoch
SHARE = 0.25  # of an epoch
LONG = 10.0  # seconds, however long epochs are
FIRST_TIMES = 50.0  # the first sample of a stream over a later one
LEAST_PART = 0.01  # seconds before the first batch, that are told
REPLACING = {  # samplers that go through all there is -> the same, with no more than is needed
    "WeightedRandomSampler": "WeightedRandomSampler(weights, count, replacement=True)",
    "RandomSampler": "RandomSampler(dataset, replacement=True, num_samples=count)",
}
SENT = ("spawn", "forkserver")  # how workers start that are sent a pickle


def _epoch(seen: Probes) -> float:
    """Seconds of all samples of an epoch, one after the other."""
    start, look = seen.get("starting", {}), seen.get("look", {})
    samples = start.get("batches", 0) * start.get("batch", 1) or look.get("length") or 0
    each, own = float(look.get("cost", 0.0)), seen.get("tried", {}).get("own")
    if own and not seen.get("settings", {}).get("num_workers"):  # by batches, where it reads these
        each = min(each, 1e-6 * median(own))
    return each * samples


def _at_once(seen: Probes) -> int:
    """Workers that wait do so at the same time; those that compute share the cores."""
    workers = int(seen.get("settings", {}).get("num_workers") or 1)
    cores = int(seen.get("ceiling", {}).get("cores") or workers)
    return workers if share_of(seen, "waiting") >= LEAST_SHARE else min(workers, cores)


def epoch_in_workers(seen: Probes) -> float:
    """Seconds of its samples."""
    return _epoch(seen) / _at_once(seen)


def before_first(seen: Probes) -> Iterator[tuple[str, float, bool]]:
    """What passes before the first batch, its seconds, and whether it comes back in each epoch."""
    start, batches, look = (seen.get(name, {}) for name in ("starting", "batches", "look"))
    settings, inside = seen.get("settings", {}), seen.get("inside", {})
    workers, anew = settings.get("num_workers") or 0, not settings.get("persistent_workers")
    found = [
        ("making the dataset", start.get("again", start.get("made", 0.0)), False),
        ("the sampler", start.get("sampler", 0.0), True),
    ]
    if workers and batches.get("start_workers") == workers:
        sent = 0.0
        if inside.get("start_method") in SENT:
            sent = workers * seen.get("pickled", {}).get("seconds", 0.0)
        found += [
            ("pickling it for workers", sent, anew),
            ("starting workers", batches["starting"] - batches["preparing"] - sent, anew),
            ("what workers prepare", batches["preparing"], anew),
            ("the samples of the batch", batches["first_batch"] - batches["starting"], True),
        ]
    if look.get("iterable"):
        found.append(("the first sample", look.get("first", 0.0) - look.get("cost", 0.0), True))
    yield from (one for one in found if one[1] >= LEAST_PART)


def slow_sampler(seen: Probes) -> Finding | None:
    start = seen.get("starting", {})
    seconds, epoch = start.get("sampler", 0.0), _epoch(seen)
    if (slow := _slow_batches(seen)) is not None:
        return slow
    if seconds < LEAST_OF_EACH or seconds < SHARE * epoch:
        return None
    replacing = start.get("replacing")
    measured = "" if replacing is None else f" With replacement it needs {replacing:.2f} s."
    more = "more than " if start.get("late") else ""
    return Finding(
        "sampler",
        "The sampler takes the time",
        f"{start['kind']} needs {more}{seconds:.2f} s before its first index, in every epoch; all "
        f"samples of an epoch take {epoch:.2f} s.{measured}",
        "Draw with replacement, draw fewer at a time, or keep what the sampler computes."
        if start["kind"] in REPLACING
        else "Draw fewer at a time, or keep what the sampler computes.",
        MECHANISM + 0.95,
        "",
        REPLACING.get(start["kind"], ""),
        shown(start.get("sampler_lines", [])),
    )


def _slow_batches(seen: Probes) -> Finding | None:
    """A sampler that takes its time for each batch, while the trainer waits."""
    start, look = seen.get("starting", {}), seen.get("look", {})
    each, size = start.get("sampler_each", 0.0), start.get("batch", 1)
    batches = start.get("batches") or (look.get("length") or 0) // size
    samples = float(look.get("cost", 0.0)) * size / _at_once(seen)
    epoch = each * batches
    if each < max(LEAST_OF_BATCH, SHARE * samples) or epoch < LEAST_OF_EACH:
        return None
    if start.get("sampler", 0.0) > epoch:  # most of it comes before the first
        return None
    return Finding(
        "sampler",
        "The sampler takes the time",
        f"{start['kind']} needs {1e3 * each:.1f} ms for each batch, in the trainer's own process, "
        f"{epoch:.1f} s in an epoch; the batch's samples take {1e3 * samples:.2f} ms.",
        "Compute once, in its constructor or at the start of an epoch, what it computes for each "
        "batch, or do it in the dataset, which workers read.",
        MECHANISM + 0.95,
        "",
        "self.batches = [...]  # in __init__ or set_epoch\nyield from self.batches  # in __iter__",
        shown(start.get("sampler_lines", [])),
    )


def reads_all_first(seen: Probes) -> Finding | None:
    """A constructor or sampler that reads every sample, in the trainer's own process."""
    start, length = seen.get("starting", {}), seen.get("look", {}).get("length") or 0
    reads, seconds = start.get("reads", 0), start.get("again", 0.0)
    if not length or reads < length / 2 or seconds < LEAST:
        return None
    return Finding(
        "reads-all-first",
        "Samples are read before training starts",
        f"Making the loader reads {reads:,} samples and takes {seconds:.2f} s, in one process.",
        "Store what it looks for (lengths, labels) with the data, or find it with workers.",
        MECHANISM + 0.97,
        "",
        "lengths = np.load('lengths.npy')  # written once, by a loader with workers",
        shown(start.get("read_lines", [])),
    )


def slow_to_make(seen: Probes) -> Finding | None:
    start = seen.get("starting", {})
    seconds, epoch = start.get("again", 0.0), _epoch(seen)
    if seconds < LONG or seconds < SHARE * epoch or reads_all_first(seen):
        return None
    return Finding(
        "slow-to-make",
        "Making the dataset takes long",
        f"It takes {seconds:.1f} s before the first batch, and an epoch's samples {epoch:.1f} s.",
        "Do it once and store what it gives; a listing or an index is read in a moment.",
        MECHANISM + 0.35,
        "C06",
        places=shown(start.get("making_lines", [])),
    )


def workers_restart(seen: Probes) -> Finding | None:
    """What each worker does before its first sample comes back in every epoch."""
    batches, settings = seen.get("batches", {}), seen.get("settings", {})
    seconds, workers = batches.get("preparing", 0.0), settings.get("num_workers") or 0
    if not workers or settings.get("persistent_workers"):
        return None
    epoch = epoch_in_workers(seen)
    # Samples that take long by themselves take longer yet where workers share cores.
    if seconds < max(LEAST, epoch, batches.get("first_samples", 0.0)):
        return _imports_again(seen, epoch)
    prepared = batches.get("prepared", {"init": seconds})
    most, inside = max(prepared, key=lambda one: prepared[one]), seen.get("inside", {})
    if most == "sent" and seen.get("pickled", {}).get("bytes", 0) < LARGE_PICKLE:
        return _imports_again(seen, epoch)
    sets = " and ".join(f"self.{name}" for name in batches.get("first_sets", [])[:2])
    what = {
        "sent": "unpickling the dataset",
        "init": "worker_init_fn",
        "first": f"the first sample, which sets {sets}",
    }
    lines = {"init": inside.get("worker_init_lines", []), "first": batches.get("first_lines", [])}
    return Finding(
        "workers-restart",
        "Workers start anew in each epoch, and prepare for longer than it lasts",
        f"Each takes {seconds:.2f} s before its first sample, beside what PyTorch itself takes, "
        f"most of it for {what[most]}; an epoch's samples take {epoch:.2f} s in {workers} workers.",
        "Keep workers from epoch to epoch, or prepare once, before they start.",
        MECHANISM + 0.84,
        "C02",
        "DataLoader(..., persistent_workers=True)",
        shown(lines.get(most, [])) or loader_places(seen),
    )


def _imports_again(seen: Probes, epoch: float) -> Finding | None:
    """Workers that are not forked import PyTorch and the user's modules, each time they start."""
    method = seen.get("inside", {}).get("start_method")
    seconds = seen.get("batches", {}).get("starting", 0.0)
    if method not in ("spawn", "forkserver") or seconds < max(LEAST, epoch):
        return None
    return Finding(
        "workers-restart",
        "Workers start anew in each epoch, and import everything again",
        f"By {method} they take {seconds:.2f} s before the first batch; an epoch's samples take "
        f"{epoch:.2f} s in {seen['settings']['num_workers']} workers.",
        "Keep workers from epoch to epoch, or import once in a server that they are forked from.",
        MECHANISM + 0.74,
        "C02",
        "DataLoader(..., persistent_workers=True)",
        loader_places(seen),
    )


def stream_start(seen: Probes) -> Finding | None:
    """A shuffle buffer, most often."""
    look = seen.get("look", {})
    first, usual = look.get("first", 0.0), look.get("cost", 0.0)
    if not look.get("iterable") or first < LEAST or first < FIRST_TIMES * usual:
        return None
    buffer, measured, lines = seen.get("starting", {}).get("buffer"), "", ""
    if buffer and buffer["seconds"] < first / 2:
        name = f"{buffer['name']}={buffer['smaller']:,}"
        measured = (
            f" With {name} in place of {buffer['size']:,} it takes {buffer['seconds']:.2f} s."
        )
        lines = f"{look['type']}(..., {buffer['name']}={buffer['smaller']})"
    return Finding(
        "stream-start",
        "The first sample of a stream comes late",
        f"It takes {first:.2f} s and later ones {1e3 * usual:.2f} ms: as when a shuffle buffer is "
        f"filled first, in every worker and every epoch.{measured}",
        "Take a smaller buffer, or give samples while it fills; store the data shuffled.",
        MECHANISM + 0.97,
        lines=lines,
        places=shown(seen.get("starting", {}).get("first_lines", [])),
    )
