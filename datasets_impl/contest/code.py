"""What a user writes for an arm: a whole program, run beside a folder of pictures `photos`."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Any

HOMES = {  # name -> where a user imports it from
    "BatchedDecodingDataset": "datasets_impl.variants.decoding",
    "BatchedStoredDataset": "datasets_impl.variants.stored_pixels",
    "CachedDataset": "datasets_impl",
    "DataLoader": "torch.utils.data",
    "DecodedImages": "datasets_impl",
    "DecodingDataset": "datasets_impl.variants.decoding",
    "DraftCropsDataset": "datasets_impl.variants.draft_crops",
    "RandomCrops": "datasets_impl",
    "RemoteFolder": "datasets_impl",
    "RemotePack": "datasets_impl",
    "ShardsAhead": "datasets_impl",
    "StoredPixels": "datasets_impl",
    "StoredPixelsDataset": "datasets_impl.variants.stored_pixels",
    "ThreadedLoader": "datasets_impl",
    "ensure_stored": "datasets_impl.formats",
}
EPOCHS = "for epoch in range(3):\n    for batch in batches:\n        ...  # your training step"
WORKERS = "num_workers=0"
TRAINER = ', where="trainer"'  # without it the threads live in a process of their own
MANY = 64  # threads, which wait for most of their time


def main_class(code: str) -> str:
    """The dataset of this project that `code` calls first, "" if it calls none; within its loader,
    where it has one of its own."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    for call in calls:
        if _called(call) == "ThreadedLoader" and call.args and isinstance(call.args[0], ast.Call):
            return f"ThreadedLoader({_called(call.args[0])})"
    names = [name for name in map(_called, calls) if name.endswith(("Loader", "Dataset"))]
    return next((name for name in names if name != "DataLoader"), "")


def _called(call: ast.Call) -> str:
    """The last word of what is called, "" where that has no name."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def program(*lines: str) -> str:
    """Imports of every name that `lines` call, the lines, and epochs over their `batches`."""
    called = {name for line in lines for name in re.findall(r"(\w+)\(", line)}
    imports = [f"from {HOMES[name]} import {name}" for name in sorted(called & HOMES.keys())]
    return "\n".join([*imports, "", *lines, EPOCHS])


def loader_program(dataset: str, batched: bool = False) -> str:
    """A DataLoader over `dataset`, without workers until `with_setting` says otherwise."""
    collate = ", collate_fn=data.collate_fn" if batched else ""
    return program(
        f"data = {dataset}", f"batches = DataLoader(data, 64, shuffle=True, {WORKERS}{collate})"
    )


def with_many(code: str) -> str:
    """`code` with more threads than there are cores: reads from afar wait."""
    return code.replace(", 64, shuffle=True", f", 64, shuffle=True, threads={MANY}")


def of_the_trainer(code: str) -> str:
    """The arguments that `code` leaves out where the threads live in a process of their own; "" if
    it has none."""
    found = re.search(f"{TRAINER}(, prefetch_factor=0)?(, overwrite=True)?", code)
    return found[0] if found else ""


def with_setting(code: str, setting: Mapping[str, Any]) -> str:
    """`code` with the number of workers of `setting`; behind a guard where it starts processes, or
    does without what `of_the_trainer` finds in it."""
    workers = setting.get("num_workers", 0) if WORKERS in code else 0
    if workers:
        code = code.replace(WORKERS, f"num_workers={workers}")
    return guarded(code) if workers or "ThreadedLoader(" in code else code


def guarded(code: str) -> str:
    """`code` behind a guard: processes that are not forked, as under Python 3.14, run the file
    again."""
    imports, _, body = code.partition("\n\n")
    return f'{imports}\n\nif __name__ == "__main__":\n{textwrap.indent(body, "    ")}'


OBJECTS = 'RemoteFolder("s3://bucket/photos")'
_S3 = "# pip install s3fs"
_ONCE = f"{_S3}; once: python -m datasets_impl.convert photos s3://bucket/packed --format pack"
_AHEAD = 'pack = RemotePack("s3://bucket/packed", cache="shards", cache_bytes=10**9)'
FROM_STORE = {  # what reads from an object store, by arm
    "threaded-objects": program(
        _S3,
        f"source = {OBJECTS}",
        with_many(f"batches = ThreadedLoader(DecodedImages(source), 64, shuffle=True{TRAINER})"),
    ),
    "threaded-ranges": program(
        _ONCE,
        'source = RemotePack("s3://bucket/packed")',
        with_many(f"batches = ThreadedLoader(DecodedImages(source), 64, shuffle=True{TRAINER})"),
    ),
    "shards-ahead": program(
        _ONCE, _AHEAD, f"batches = ThreadedLoader(ShardsAhead(DecodedImages(pack)), 64{TRAINER})"
    ),
    "crops-ahead": program(
        _ONCE, _AHEAD, f"batches = ThreadedLoader(ShardsAhead(RandomCrops(pack)), 64{TRAINER})"
    ),
    "cached-objects": program(
        _S3,
        f"source = CachedDataset(DecodedImages({OBJECTS}))",
        with_many(f"batches = ThreadedLoader(source, 64, shuffle=True{TRAINER})"),
    ),
}
