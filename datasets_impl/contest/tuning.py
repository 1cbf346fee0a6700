"""The search for an arm's fastest setting, the same little search for every arm.

Each setting that the arm names is tried for a warm-up epoch and then for `SECONDS`; the one that
takes the least time for an image is kept. The answer stays in the cache folder for as long as
machine, images and versions are the same, so a study searches once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.model import Arm
from datasets_impl.experiments.loops import cores
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.records import is_record, json_of
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.loading import run_epoch

SECONDS = 0.5


def us_per_image(batches: Iterable[torch.Tensor], seconds: float) -> float:
    """Microseconds per image over whole epochs that last `seconds` together, at least one."""
    images, start = 0, time.perf_counter()
    while True:
        images += run_epoch(batches)
        taken = time.perf_counter() - start
        if taken >= seconds:
            return 1e6 * taken / images


def search(arm: Arm, root: Path) -> dict[str, float]:
    """Microseconds per image of each setting, by its JSON."""
    found = {}
    for setting in arm.settings:
        with arm.open(root, **setting) as batches:
            run_epoch(batches)
            found[json.dumps(setting, sort_keys=True)] = us_per_image(batches, SECONDS)
    return found


def tuned(arm: Arm, root: Path, answers: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """The fastest setting, and what was tried; `answers` is a folder of earlier answers."""
    if len(arm.settings) == 1:
        return arm.settings[0], {}
    from importlib.metadata import PackageNotFoundError, version

    try:
        of_package = version(arm.package)
    except PackageNotFoundError:
        of_package = ""
    key = [of_package, *map(json.dumps, arm.settings), SECONDS]
    return kept(answers / f"{arm.task}-{arm.name}.json", key, lambda: search(arm, root))


def kept(
    path: Path, key: list[Any], search: Callable[[], dict[str, float]]
) -> tuple[dict[str, Any], dict[str, float]]:
    """The fastest setting and what was tried, from `path` where it answers the same question."""
    key = [torch.__version__, cores(), *key]
    try:
        known = json_of(path)
        same = known["key"] == key and bool(known["tried"])
    except (LookupError, OSError, TypeError, ValueError):
        same = False
    if not same:
        check_replaceable(path, _is_ours, what="the fastest setting of an arm")
        known = {"key": key, "tried": search()}
        atomic_write(path, json.dumps(known))
    tried: dict[str, float] = known["tried"]
    setting: dict[str, Any] = json.loads(min(tried, key=lambda name: tried[name]))
    return setting, tried


def _is_ours(path: Path) -> bool:
    return is_record(path, "key", "tried")
