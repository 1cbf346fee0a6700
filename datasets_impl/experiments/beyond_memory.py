"""Read pixels that exceed a memory limit, in a child process that the limit holds for (C11).

`run` starts a fresh interpreter inside a control group, builds an implementation there over files
that already exist, reads them once in order, and then times a shuffled epoch, or as much of it as
fits into a given time. When the group runs out of memory, the kernel kills the child and nothing
else: it is the only process of its group.

Run as a module this file is that child; it joins the group before it imports PyTorch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PIXELS = 768 << 20  # bytes of pixels in the set, about, whatever the resolution
LIMITS = {"within the limit": 3 * PIXELS, "beyond the limit": PIXELS * 2 // 3}
PACKAGE_HOME = Path(__file__).parents[2]  # from where the child imports what this process did
TIMEOUT = 120  # seconds, of the whole child
KILLED = -9  # by the kernel, as subprocess reports it
REFUSED = 3  # the child's own exit code when an allocation was refused instead


def pixel_set(corpus: Path, px: int) -> Path:
    """A folder of JPEG files whose pixels take `PIXELS` bytes, kept in the cache folder.

    The files of `corpus` (square, `px` wide) are repeated under other names. Decoded pixels stand
    beside the folder, as one mapped file and as one file for each image: built once, reopened
    afterwards. Needs about 1.7 GB of disk.

    Raises:
        Unsupported: less than twice the room is left on the disk.
    """
    import shutil

    from datasets_impl import registry
    from datasets_impl.errors import Unsupported
    from datasets_impl.files.paths import cache_dir
    from datasets_impl.files.whole import locked, whole_folder

    count = PIXELS // (3 * px * px)
    home = cache_dir() / "beyond-memory" / f"{corpus.name}-{count}"
    home.mkdir(parents=True, exist_ok=True)
    folder, done = home / "images", home / "complete"
    with locked(home / "images-and-pixels"):
        if not done.exists():
            if shutil.disk_usage(home).free < 4 * PIXELS:
                raise Unsupported(f"less than {4 * PIXELS / 1e9:.1f} GB free in {home}")
            if not folder.exists() or len(list(folder.iterdir())) != count:
                # Nothing is replaced here: what has the name is whole, or somebody else's.
                with whole_folder(folder, lambda path: False, what="repeated photographs") as new:
                    assert new is not None
                    _copy(corpus, count, new)
            for name in ("mapped-fixed", "raw-files"):
                registry.build(name, folder)
            done.touch()
    return folder


def _copy(corpus: Path, count: int, new: Path) -> None:
    import shutil

    sources = sorted(corpus.iterdir())
    for position in range(count):
        source = sources[position % len(sources)]
        shutil.copyfile(source, new / f"{position:06}{source.suffix}")


def stored(impl: str, folder: Path) -> list[Path]:
    """The files below `pixel_set` that an epoch of `impl` may read."""
    if impl == "mapped-fixed":
        return [folder.with_name(folder.name + ".pixels")]
    return sorted(
        (folder.with_name(folder.name + ".raw") if impl == "raw-files" else folder).iterdir()
    )


def run(impl: str, folder: Path, where: str, seconds: float) -> dict[str, Any]:
    """What became of an epoch of `impl` over `folder` under the limit `where` of `LIMITS`.

    The epoch ends after `seconds`, for a mapping beyond its memory may read for minutes. Returns
    "ran_out" (1 when the child ran out of memory, else 0), the "limit", the group's "peak_bytes"
    and "out_of_memory_kills"; and unless it did also "us_per_image", "images" read,
    "images_of_epoch", "bytes_read" from the device, "bytes_of_files" and "read_ahead_kib".

    Raises:
        VoidMeasurement: the files were in memory before, or the epoch did not read as it should.
        Unsupported: no memory limit can be set here, or the machine has too little memory left.
        RuntimeError: the child failed for another reason than memory.
    """
    import psutil

    from datasets_impl.errors import Unsupported
    from datasets_impl.media.cgroup import memory_limit
    from datasets_impl.observe import page_cache

    limit, files = LIMITS[where], stored(impl, folder)
    if psutil.virtual_memory().available < limit + PIXELS:
        raise Unsupported(f"less than {(limit + PIXELS) / 1e9:.1f} GB of memory are available")
    # Pages count for the group that first read them; those already in memory would be free.
    page_cache.evict(files)
    resident = page_cache.require_cold(files)
    path = os.pathsep.join(filter(None, [str(PACKAGE_HOME), os.environ.get("PYTHONPATH")]))
    with memory_limit(limit) as group:
        child = subprocess.run(
            [
                sys.executable,
                "-m",
                __spec__.name,
                str(group.members),
                impl,
                str(folder),
                str(seconds),
            ],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        state: dict[str, Any] = {
            "limit": limit,
            "resident_before": resident,
            "peak_bytes": group.peak_bytes(),
            "out_of_memory_kills": group.out_of_memory_kills(),
        }
    ran_out = child.returncode == REFUSED or (
        child.returncode == KILLED and state["out_of_memory_kills"] > 0
    )
    if child.returncode and not ran_out:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the child ended with exit code {child.returncode}: {last}")
    if not ran_out:
        state |= json.loads(child.stdout)
        require_state(state)
    return {"ran_out": int(ran_out)} | state


def require_state(seen: dict[str, Any]) -> None:
    """Check that a finished epoch read from the device what its memory could not hold.

    `seen` is what `run` returns. Nothing but the rest of the set has to come from the device when
    the limit is below its size, and next to nothing when the limit is well above.

    Raises:
        VoidMeasurement: it read less, or more, or the group held more than its limit.
    """
    from datasets_impl.errors import VoidMeasurement

    if not seen["bytes_of_files"]:
        return  # its pixels are in memory of its own
    wanted = seen["bytes_of_files"] * seen["images"] / seen["images_of_epoch"]
    missing = max(0.0, 1 - seen["limit"] / seen["bytes_of_files"])
    if seen["bytes_read"] < 0.9 * missing * wanted:
        raise VoidMeasurement(
            f"only {seen['bytes_read']:,} bytes came from the device; {wanted:,.0f} were wanted "
            f"and {missing:.0%} of the files exceed the limit"
        )
    if not missing and seen["bytes_read"] > 0.05 * wanted:
        raise VoidMeasurement(f"{seen['bytes_read']:,} bytes came from the device, not from memory")
    if seen["peak_bytes"] > seen["limit"]:
        raise VoidMeasurement(f"{seen['peak_bytes']:,} bytes were held under {seen['limit']:,}")


def _read_epoch(impl: str, folder: Path, longest: float) -> dict[str, Any]:
    """The child's work. Everything big is imported here, inside the group."""
    from datasets_impl import registry
    from datasets_impl.loading import loader, run_epoch, touch
    from datasets_impl.observe import page_cache
    from datasets_impl.system.allocator import keep_freed_memory
    from datasets_impl.system.hierarchy import read_ahead_kib

    keep_freed_memory()
    dataset: Any = registry.build(impl, folder)
    files = registry.IMPLEMENTATIONS[impl].files(dataset)
    page_cache.warm(files)  # what fits stays
    with loader(dataset) as batches:
        run_epoch(batches, limit=2)
        before, start, images, seconds = page_cache.bytes_read(), time.perf_counter(), 0, 0.0
        for batch in batches:
            images += touch(batch)
            seconds = time.perf_counter() - start
            if seconds > longest:
                break
    return {
        "us_per_image": 1e6 * seconds / images,
        "images": images,
        "images_of_epoch": len(dataset),
        "bytes_read": page_cache.bytes_read() - before,
        "bytes_of_files": sum(path.stat().st_size for path in files),
        "read_ahead_kib": read_ahead_kib(folder),
    }


def main(members: str, impl: str, folder: str, seconds: str) -> int:
    """Join the group behind `members`, read the epoch, and print what was seen as JSON."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # before any other process, this one goes
    Path(members).write_text(str(os.getpid()))
    try:
        seen = _read_epoch(impl, Path(folder), float(seconds))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate" in str(error):
            return REFUSED
        raise
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
