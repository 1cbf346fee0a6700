"""Samples that are wrong without an error: frozen, overwritten, of another epoch or file."""

from __future__ import annotations

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import MECHANISM, NOTE, WRONG, Finding, Probes
from datasets_impl.doctor.findings.machine import MEMORY
from datasets_impl.doctor.findings.user_lines import shown
from datasets_impl.doctor.probes.room import Bytes, lacking

REPLACED = 0.05  # of the samples that were read, from which on one that comes again is no chance
LEAST_REPLACED = 4


def _lines(seen: Probes, what: str) -> list[str]:
    return shown(seen["integrity"].get("lines", {}).get(what, []))


def kept_random(seen: Probes) -> Finding | None:
    """A cache of finished samples, whose crops and flips were drawn before they were kept."""
    name = seen.get("integrity", {}).get("frozen")
    if not name:
        return None
    own = f"self.{name.rpartition('.')[2]}" if name.startswith("dataset.") else name
    kept = (
        "@functools.lru_cache  # of what reads, and not of what draws\n"
        "def read(path): ...\n\n"
        "return self.augment(read(self.paths[index]))"
    )
    return Finding(
        "kept-random",
        "What is random is kept, and frozen",
        f"Samples come from {name.removeprefix('dataset.')} as they were the first time; without "
        "it the same index gives another sample.",
        "Keep what is read, and draw after it was taken out of the cache.",
        WRONG + 0.88,
        "C15",
        kept if name.endswith("()")
        else f"if index not in {own}:  # keep it before anything is drawn\n"
        f"    {own}[index] = self.read(index)\n"
        f"return self.augment({own}[index])",
        _lines(seen, "frozen"),
    )  # fmt: skip


def rewritten(seen: Probes) -> Finding | None:
    name = seen.get("integrity", {}).get("rewritten")
    if not name:
        return None
    return Finding(
        "rewritten",
        "Reading a sample changes the dataset",
        f"Each read of a sample changed its row of {name}, where it lies: epochs drift.",
        "Copy the sample before it is changed.",
        WRONG + 0.87,
        "X02",
        "record = copy.deepcopy(self.records[index])" if "[" in name.rpartition(".")[2]
        else "image = self.images[index].copy()  # .clone() of a tensor",
        _lines(seen, "rewritten"),
    )  # fmt: skip


def stale_epoch(seen: Probes) -> Finding | None:
    if not seen.get("integrity", {}).get("stale"):
        return None
    return Finding(
        "stale-epoch",
        "Workers do not hear of a new epoch",
        "set_epoch changes what the dataset gives in the trainer's process, and workers that stay "
        "gave the samples of their first epoch again.",
        "Keep the epoch in memory that workers share, or let workers end with the epoch.",
        WRONG + 0.86,
        "",
        "self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # in __init__\n"
        "self.epoch.fill_(epoch)  # in set_epoch; read int(self.epoch) for each sample",
        _lines(seen, "stale"),
    )


def same_order(seen: Probes) -> Finding | None:
    """A sampler that draws its order, and seeds what it draws from anew for each epoch."""
    alike = seen.get("starting", {}).get("alike")
    if not alike:
        return None
    return Finding(
        "same-order",
        "Every epoch has the same order",
        f"{alike['kind']} draws its order, and the first {alike['keys']:,} of two epochs were the "
        "same.",
        "Seed once, in its constructor, or from the epoch, which `set_epoch` tells it.",
        WRONG + 0.3,
        "",
        "self.generator = torch.Generator().manual_seed(seed)  # in __init__ alone",
        shown(alike["lines"]),
    )


def swallowed(seen: Probes) -> Finding | None:
    """An error that the user's code catches, and after which a sample is not its own."""
    found = seen.get("integrity", {}).get("swallowed")
    if not found:
        return None
    return Finding(
        "swallowed",
        "An error is answered with another sample",
        f"{found['times']} of {found['read']} reads went on after an error, and gave another "
        f"index's sample or nothing but one number; the first: {found['first']}.",
        "Leave out what cannot be read when the index is made, or let the error through; else "
        "count what was replaced, and let the trainer say how much it was.",
        WRONG + 0.73,
        places=shown(found["lines"]),
    )


def replaced(seen: Probes) -> Finding | None:
    """One sample in the place of others, as when bad ones are answered with it."""
    answer = seen.get("integrity", {})
    if answer.get("swallowed"):
        return None
    times, read = answer.get("replaced", 0), answer.get("read", 0)
    if times < max(LEAST_REPLACED, REPLACED * read) or times == read:
        return None
    return Finding(
        "replaced",
        "One sample comes in the place of others",
        f"Of {read} samples {times} were one and the same, and all others differed.",
        "Leave bad samples out when the index is made, or draw another at random, and count them.",
        WRONG + 0.72,
        places=_lines(seen, "replaced"),
    )


def paired(seen: Probes) -> Finding | None:
    """Two listings, each in the order of the file system."""
    pair = seen.get("integrity", {}).get("pairs")
    if not pair:
        return None
    one, other, at, key, its = pair
    return Finding(
        "paired",
        "Files are paired that do not belong together",
        f"{one}[{at}] is number {key} and {other}[{at}] number {its}, though both lists hold the "
        "same numbers.",
        "Sort both lists, or make one name from the other.",
        WRONG + 0.89,
        "",
        "self.masks = [masks / f'{picture.stem}.png' for picture in self.pictures]",
        _lines(seen, "pairs"),
    )


def moved_apart(seen: Probes) -> Finding | None:
    """A picture that is cropped or turned in another way than its mask."""
    found = seen.get("integrity", {}).get("apart")
    if not found:
        return None
    return Finding(
        "moved-apart",
        "A picture and its mask do not fit each other",
        f"{found['name']} drew anew for the second of two pictures of a sample, and moved it in "
        f"another way in {found['times']} of {found['read']} reads.",
        "Give both to one call of a transform of torchvision's v2, which draws once.",
        WRONG + 0.885,
        "",
        "from torchvision import tv_tensors\n"
        "picture, mask = self.transform(picture, tv_tensors.Mask(mask))  # of v2, ToImage() first",
        shown(found["lines"]),
    )


def unsorted(seen: Probes) -> Finding | None:
    line = seen.get("inside", {}).get("unsorted", "")
    if not line or seen.get("items", {}).get("listed", 0.0) >= 0.5:
        return None
    return Finding(
        "unsorted",
        "The order depends on the file system",
        f"The class lists a folder without sorting: {line}",
        "Sort, or index and label change from machine to machine.",
        NOTE + 0.1,
        "",
        "self.paths = sorted(os.listdir(root))",
        shown(seen["inside"].get("unsorted_lines", [])),
    )


def of_each_worker(seen: Probes, length: int | None = None) -> Bytes:
    """What it takes where each worker keeps a cache of all samples; nothing where none is kept."""
    look, workers = seen.get("look", {}), int(seen.get("settings", {}).get("num_workers") or 0)
    size = int(look.get("bytes", 0) * (length or look.get("length") or 0) * workers)
    return {MEMORY: size} if size and seen.get("integrity", {}).get("caches") else {}


def lost_cache(seen: Probes) -> Finding | None:
    """What workers keep ends with them."""
    caches, settings = seen.get("integrity", {}).get("caches"), seen.get("settings", {})
    if not caches or not settings.get("num_workers") or settings.get("persistent_workers"):
        return None
    path, _, most = caches[0]
    if most is not None and most < seen.get("look", {}).get("length", 0):
        return None  # whatever it keeps, a later epoch finds little of it
    there = seen.get("machine", {}).get("room", {})
    left_out = lacking("a cache in each worker", of_each_worker(seen), there)
    return Finding(
        "lost-cache",
        "A cache is filled in workers, and ends with them",
        f"Reading fills {path}; workers end with each epoch, so the next one begins with none.",
        "Fill it before workers start, in memory that they share" + (f": {left_out}." if left_out
        else "; or keep workers, each of which then keeps its own."),
        MECHANISM + 0.96,
        "",
        "" if left_out else "DataLoader(..., persistent_workers=True)",
        _lines(seen, "caches"),
    )  # fmt: skip


def endless_cache(seen: Probes) -> Finding | None:
    """A cache that would need more memory than there is, in every process that has it."""
    caches, look = seen.get("integrity", {}).get("caches"), seen.get("look", {})
    free = seen.get("machine", {}).get("room", {}).get(MEMORY)
    if not caches or not free or not look.get("length"):
        return None
    settings = seen.get("settings", {})
    times = int(settings.get("num_workers") or 0) if settings.get("persistent_workers") else 1
    path, _, most = caches[0]
    kept = min(look["length"], most or look["length"])
    need = int(look["bytes"] * kept * max(1, times))
    if need <= free:
        return None
    leaves = f"it keeps {kept:,}, which take" if most else "nothing leaves it: all samples take"
    return Finding(
        "endless-cache",
        "A cache grows until memory is full",
        f"Reading fills {path} and {leaves} {decimal(need)}, and {decimal(free)} are free.",
        "Keep what fits (functools.lru_cache has a maxsize), or keep samples in a mapped file.",
        MECHANISM + 0.97,
        "C09",
        places=_lines(seen, "caches"),
    )
