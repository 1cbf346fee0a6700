"""What the machine beneath does not give: cores, memory, descriptors, a disk that is near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.filesize import decimal

from datasets_impl.doctor.findings.finding import (
    LEAST_SHARE,
    MECHANISM,
    NOTE,
    WRONG,
    Finding,
    Probes,
    share_of,
)
from datasets_impl.doctor.findings.user_lines import loader_places

MEMORY, SHARED = "memory", "shared memory"
REMOTE = {  # kinds of file system whose files are on another machine
    "9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3",
    "smbfs", "virtiofs", "wekafs",
}  # fmt: skip
LAYERED = {"overlay", "aufs"}  # a container's image
FROM_DISK = ("reading", "opening", "listing", "waiting")  # what a slow disk makes long
LEAST_SWAPPED = 4 << 20  # bytes a second, read back from swap
OPEN_ANYWAY = 64  # descriptors of a process that trains, beside those of batches


@dataclass(frozen=True)
class Forecast:
    """Bytes of memory that workers will take and that are free, within a container's limit."""

    workers: int
    each: int | None  # that a worker has for itself; None where that was not measured
    ready: int  # in batches
    pinned: bool
    free: int | None

    @property
    def need(self) -> int:
        return self.workers * int(self.each or 0) + self.ready


def _ahead(seen: Probes) -> tuple[dict[str, Any], int, int]:
    """The machine; the loader's workers; batches that they have ready, and the trainer's one."""
    machine = seen.get("machine", {})
    workers = int(seen.get("settings", {}).get("num_workers") or 0)
    return machine, workers, workers * machine.get("ahead", 0) + 1


def small_shared_memory(seen: Probes) -> Finding | None:
    """A worker that writes beyond the end of shared memory is ended by the kernel."""
    machine, workers, batches = _ahead(seen)
    need, free = batches * machine.get("batch_bytes", 0), machine.get("room", {}).get(SHARED)
    if not workers or free is None or need <= free:
        return None
    return Finding(
        "shared-memory",
        "Shared memory is too small for what workers have ready",
        f"{workers} workers with {machine['ahead']} batches each hold up to {decimal(need)} there, "
        f"and {decimal(free)} are free: a worker ends with a bus error.",
        "Start the container with a larger --shm-size, or take fewer workers, a smaller "
        "prefetch_factor or smaller batches.",
        WRONG + 0.4,
        "",
        f"docker run --shm-size={max(1, -(-2 * need // (1 << 30)))}g ...",
    )


def few_descriptors(seen: Probes) -> Finding | None:
    """Each tensor of a batch that came from a worker keeps a descriptor open."""
    machine, workers, batches = _ahead(seen)
    tensors, limit = machine.get("batch_tensors", 0), machine.get("descriptors", 0)
    need = batches * tensors + OPEN_ANYWAY
    if not workers or not machine.get("by_descriptor") or not 0 < limit < need:
        return None
    return Finding(
        "descriptors",
        "Batches of many tensors use up the descriptors",
        f"Each of a batch's {tensors:,} tensors keeps a file descriptor open: {need:,} with what "
        f"workers have ready, and a process may open {limit:,}.",
        "Collate each field into one tensor, or raise the limit.",
        WRONG + 0.3,
        "",
        "ulimit -n 65536  # or torch.multiprocessing.set_sharing_strategy('file_system')",
        loader_places(seen),
    )


def forecast(seen: Probes) -> Forecast:
    """Of page-locked memory PyTorch takes the next power of two."""
    machine, workers, batches = _ahead(seen)
    each, size = seen.get("growth", {}).get("few"), machine.get("batch_bytes", 0)
    pinned = bool(machine.get("pinned")) and size > 0
    ready = batches * (1 << (size - 1).bit_length() if pinned else size)
    return Forecast(workers, each, ready, pinned, machine.get("room", {}).get(MEMORY))


def little_memory(seen: Probes) -> Finding | None:
    """What workers have for themselves and what they have ready, against what is free."""
    one = forecast(seen)
    if not one.workers or one.free is None or one.need <= one.free:
        return None
    own = f"take {decimal(int(one.each))} each and " if one.each is not None else ""
    return Finding(
        "memory",
        "Workers and their batches do not fit into memory",
        f"{one.workers} workers {own}have {decimal(one.ready)} of batches ready"
        f"{', in page-locked memory' if one.pinned else ''}; {decimal(one.free)} are free.",
        "Take fewer workers, or let them share what each has now"
        f"{', or do without pin_memory' if one.pinned else ''}.",
        WRONG + 0.2,
        "C09",
        places=loader_places(seen),
    )


def swaps(seen: Probes) -> Finding | None:
    rate = seen.get("machine", {}).get("swapped_in", 0.0)
    if rate < LEAST_SWAPPED:
        return None
    return Finding(
        "swaps",
        "The machine swaps",
        f"{decimal(int(rate))} a second came back from swap while it was looked at.",
        "Take less memory: fewer workers, smaller prefetch, a mapped file in place of a list.",
        MECHANISM + 0.85,
    )


def slow_disk(seen: Probes) -> Finding | None:
    """Data on a disk that spins, on a machine that has another; a note, since virtual disks are
    often said to spin."""
    machine, look = seen.get("machine", {}), seen.get("look", {})
    slow = share_of(seen, *FROM_DISK)
    size = int(look.get("bytes", 0.0) * (look.get("length") or 0))
    others = [one for one in machine.get("quick_disks", []) if one[1] > size]
    if slow < LEAST_SHARE or not machine.get("spins") or not others:
        return None
    place, free = max(others, key=lambda one: one[1])
    return Finding(
        "slow-disk",
        "The data may lie on the slower of two disks",
        f"{machine['spins'][0]} is on a disk that spins, as the kernel has it, and {place} on one "
        f"that does not, with {decimal(free)} free; reading, opening and waiting take {slow:.0%} "
        "of a sample's time.",
        "Copy the data there before training.",
        NOTE + 0.3,
        "C03",
    )


def far_away(seen: Probes) -> Finding | None:
    """Data on another machine, or in the layers of a container's image."""
    slow = share_of(seen, *FROM_DISK)
    for path, point, kind in seen.get("machine", {}).get("data", []):
        remote = kind in REMOTE or (kind.startswith("fuse.") and kind != "fuse.portal")
        if slow < LEAST_SHARE or not (remote or kind in LAYERED):
            continue
        where = "a network file system" if remote else "a layer of the container's image"
        return Finding(
            "far-away",
            f"The data lie on {where}",
            f"{path} is on {kind}, mounted at {point}; reading, opening and waiting take "
            f"{slow:.0%} of a sample's time.",
            "Copy them to a disk of this machine, or pack many samples into few large files; "
            "where that cannot be, read with more threads or workers than cores.",
            MECHANISM + 0.45,
            "C03",
        )
    return None
