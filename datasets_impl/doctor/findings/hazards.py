"""Hazards: samples that are wrong, cannot be had, or depend on chance, by what the probes saw."""

from __future__ import annotations

from datasets_impl.doctor.findings.finding import MECHANISM, NOTE, WRONG, Finding, Probes
from datasets_impl.doctor.findings.user_lines import shown

LEAST_AGAIN = 30  # reads of samples that were read before, for a transform to be called frozen
SPLIT = """\
info = torch.utils.data.get_worker_info()  # in __iter__
first, step = (info.id, info.num_workers) if info else (0, 1)
for path in self.paths[first::step]:  # before any of them is read
    yield from self.read(path)"""

OPENERS = {  # what is open -> how
    "HDF5": "h5py.File(self.path)",
    "LMDB": "lmdb.open(self.path, readonly=True, lock=False)",
    "SQLite": "sqlite3.connect(self.path)",
    "gzip": "gzip.open(self.path)",
    "npz": "np.load(self.path)",
    "bz2": "bz2.open(self.path)",
    "LZMA": "lzma.open(self.path)",
    "shelf": 'shelve.open(self.path, "r")',
    "zip": "zipfile.ZipFile(self.path)",
    "tar": "tarfile.open(self.path)",
}
OWN_GENERATOR = """\
if self.rng is None:  # in __getitem__; None in __init__
    self.rng = np.random.default_rng(torch.initial_seed())"""


def frozen(seen: Probes) -> Finding | None:
    """A random transform whose result never changes."""
    answer = seen.get("repeated", {})
    transforms = seen.get("inside", {}).get("random_transforms", [])
    again = answer.get("reads", 0) - answer.get("samples", 0)
    if answer.get("distinct", 2) > 1 or not transforms or again < LEAST_AGAIN or seeded(seen):
        return None
    # One that is not called at all may be for another mode of the dataset.
    called = seen.get("look", {}).get("random_called")
    if not called and not seen.get("inside", {}).get("stored_by_random"):
        return None
    names = ", ".join(transforms)
    return Finding(
        "frozen",
        "A random transform is frozen",
        f"The dataset has {names}, and {answer['reads']:,} reads of {answer['samples']:,} samples "
        "gave each of them as it was the first time.",
        "Apply random transforms when a sample is read, not when it is stored.",
        WRONG + 0.9,
        "C15",
        "def __getitem__(self, index):\n    return self.transform(self.stored[index])",
        shown(seen.get("inside", {}).get("random_lines", [])),
    )


def seeded(seen: Probes) -> Finding | None:
    """A seed that is set in each read, always the same."""
    found = seen.get("repeated", {}).get("seeded")
    if not found:
        return None
    return Finding(
        "seeded",
        "Every read of a sample draws the same random numbers",
        f"Each read sets the same seed ({', '.join(found['names'])}) whatever sample it reads; "
        f"without it, {found['reads']} reads of one sample gave {found['versions']} versions.",
        "Seed once, before training; where a read is to be repeatable, draw from a generator that "
        "is seeded from the index and the epoch.",
        WRONG + 0.92,
        "C15",
        "torch.manual_seed(0)  # once, before the loader is made: workers are seeded from it\n"
        "rng = np.random.default_rng([index, epoch])  # or this, in __getitem__",
        shown(found["lines"]),
    )


def same_in_workers(seen: Probes) -> Finding | None:
    answer = seen.get("repeated", {})
    if answer.get("distinct", 1) < 2 or not answer.get("workers_equal"):
        return None
    found = answer.get("worker_seed", {})
    return Finding(
        "same-in-workers",
        "Every worker draws the same random numbers",
        "Two reads in one process differ, and the same read in two workers does not.",
        "Seed with what differs from worker to worker, or leave the seed out: PyTorch seeds "
        "itself, `random` and NumPy in each of them."
        if found.get("seeds")
        else "Draw from torch's generator, or seed your own generator from `torch.initial_seed()` "
        "in each worker.",
        WRONG + 0.8,
        "",
        found.get("code", OWN_GENERATOR),
        shown(found.get("lines", [])),
    )


def same_in_epochs(seen: Probes) -> Finding | None:
    """What workers draw differs from one to the other, and is the same whenever they start."""
    answer = seen.get("repeated", {})
    if not answer.get("epochs_equal") or answer.get("workers_equal"):
        return None
    found = answer.get("worker_seed", {})
    return Finding(
        "same-in-epochs",
        "Every epoch draws the same random numbers",
        "Reads of one sample differ, and those of two epochs, with workers that started anew, "
        "were the same in the same order.",
        "Seed from `torch.initial_seed()`, which differs from worker to worker and from epoch to "
        "epoch; or leave the seed out: PyTorch seeds itself, `random` and NumPy in each worker.",
        WRONG + 0.79,
        "",
        found.get("code", OWN_GENERATOR),
        shown(found.get("lines", [])),
    )


def alike(seen: Probes) -> Finding | None:
    """One sample for every index."""
    look = seen.get("look", {})
    if look.get("nothing") or not (look.get("all_one") or look.get("all_equal")):
        return None
    one = look.get("all_one")
    return Finding(
        "alike",
        "Every index gives the same object" if one else "All samples are equal",
        f"{look['seen']:,} were looked at, spread over the dataset.",
        "Check that the index is used where a sample is read.",
        WRONG + 0.75 if one else NOTE + 0.2,
    )


def cannot_start(seen: Probes) -> Finding | None:
    """Workers that are not forked are sent a pickle, and this cannot be pickled."""
    refused = seen.get("pickled", {}).get("refused", [])
    method = seen.get("inside", {}).get("start_method")
    if not refused or not seen.get("settings", {}).get("num_workers"):
        return None
    if method not in ("spawn", "forkserver"):
        return None
    what, why = refused[0]
    return Finding(
        "cannot-start",
        "Workers cannot start",
        f"They start by {method}, and {what} cannot be pickled: {why}.",
        "Use functions and classes that a module defines, not lambdas or local ones, and open "
        "files in each worker.",
        WRONG + 0.97,
        "X01",
        places=shown(seen["pickled"].get("lines", [])),
    )


def all_from_each(seen: Probes) -> Finding | None:
    """Workers of an iterable dataset that each give all of its samples."""
    if not seen.get("repeated", {}).get("all_from_each"):
        return None
    return Finding(
        "all-from-each",
        "Every worker gives all samples",
        f"Two workers gave the same samples in {seen['repeated'].get('order', 'the same order')}: "
        "an epoch has each of them as many times as there are workers.",
        "Give each worker its part of what is cheap (shards, paths, indices), before it is read.",
        WRONG + 0.85,
        "",
        SPLIT,
    )


def broken(seen: Probes) -> Finding | None:
    look = seen.get("look", {})
    failures = look.get("failures", [])
    # A function of the loader's may open in each worker what the trainer's process has not.
    if not failures or (not look.get("seen") and seen.get("inside", {}).get("worker_init")):
        return None
    return Finding(
        "broken-sample",
        "Samples cannot be read",
        f"{len(failures)} of those tried failed; the first: {failures[0]}.",
        "Mend or leave out what cannot be read; a loader stops at the first of them.",
        WRONG + 0.7,
    )


def lengths(seen: Probes) -> Finding | None:
    found = seen.get("inside", {}).get("lengths", [])
    if not found:
        return None
    path, has, should = found[0]
    return Finding(
        "lengths",
        "Labels and samples are not equally many",
        f"{path} has {has:,} elements, the dataset says {should:,}.",
        "Check how they were paired: from the first missing one on, labels belong to other "
        "samples.",
        WRONG + 0.6,
        places=shown(seen["inside"].get("length_lines", [])),
    )


def not_collated(seen: Probes) -> Finding | None:
    why = seen.get("causes", {}).get("not_collated", "")
    if not why:
        return None
    return Finding(
        "not-collated",
        "Samples do not fit into one batch",
        f"The loader's collate function raised {why}.",
        "Give samples of one shape, or a `collate_fn` that knows what to do; timed as lists here.",
        WRONG + 0.5,
    )


def requires_grad(seen: Probes) -> Finding | None:
    """Samples with a graph, which no worker hands over; without workers all is well."""
    where = seen.get("look", {}).get("grad")
    why = next((why for why in seen.get("failures", {}).values() if "requires grad" in why
                or "requires_grad" in why), "")  # fmt: skip
    if not where or not why:
        return None
    workers = seen.get("settings", {}).get("num_workers")
    return Finding(
        "requires-grad",
        "Workers cannot hand over samples that require grad",
        f"{where} does, and a worker raises {why}.",
        "Give tensors without a graph: make them under `torch.no_grad()`, or detach them.",
        WRONG + 0.48 if workers else MECHANISM + 0.6,
        "",
        "return sample.detach()",
    )


def handles(seen: Probes) -> Finding | None:
    inside = seen.get("inside", {})
    if not inside.get("handles") or inside.get("start_method") not in (None, "fork"):
        return None
    if not seen.get("settings", {}).get("num_workers"):
        return None
    return Finding(
        "handles",
        "A file is open before workers are forked",
        f"{inside['handles'][0]}: all workers would share its position and its locks.",
        "Open it in each worker, when its first sample is read.",
        WRONG + 0.1,
        "",
        opened_late(inside["handles"][0]),
        shown(inside.get("handle_lines", [])),
    )


def opened_late(handle: str, code: str = "") -> str:
    """`dataset.file, an HDF5 file`, or what `code` opens, opened when the first sample is read."""
    path, _, kind = handle.partition(", ")
    name = path.removeprefix("dataset.")
    name = name if name.isidentifier() else "file"
    known = (how for one, how in OPENERS.items() if one in kind or how.partition("(")[0] in code)
    opened = next(known, "open(self.path, 'rb')")
    return (
        f"if self.{name} is None:  # in __getitem__; None in __init__\n    self.{name} = {opened}"
    )


def shared(seen: Probes) -> Finding | None:
    """A sample is the store's own memory, and can be written to."""
    answer = seen.get("repeated", {})
    if not answer.get("shared"):
        return None
    return Finding(
        "shared",
        "A training step can write into the dataset",
        f"Two reads of one sample give the same writable memory ({answer['shared'][0]}).",
        "Give copies, or make the store read-only; batches of more than one sample are "
        "copies already.",
        NOTE,
        "X02",
        "return self.data[index].clone()",
    )
