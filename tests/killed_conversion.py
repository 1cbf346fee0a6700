"""A conversion by two workers: one never ends its first shard, the other one waits after the rest.

    python -m tests.killed_conversion PICTURES TARGET

It says "done" of each shard that is made, and goes on until it is killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

from datasets_impl.convert import convert_to_shards
from datasets_impl.formats import where
from datasets_impl.formats.workers import submitting


def unless_first(function: Callable[[Any], int], task: Any) -> int:
    if task.number == 0:
        time.sleep(1e6)
    return function(task)


@contextmanager
def stuck(workers: int, begun: Any) -> Iterator[Any]:
    with submitting(workers, begun) as submit:

        def start(function: Callable[[Any], int], task: Any) -> Future[int]:
            future = submit(partial(unless_first, function), task)
            future.add_done_callback(lambda _: print("done", flush=True))
            return future

        yield start


if __name__ == "__main__":
    where.submitting = stuck
    convert_to_shards(*sys.argv[1:], shard_images=5, workers=2)
