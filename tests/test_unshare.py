"""A forked process can be given its own copy of what it inherited."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import numpy as np
import pytest

from datasets_impl.errors import Unsupported
from datasets_impl.observe.memory import process_memory
from datasets_impl.observe.unshare import unshare_memory

MB = 1_000_000
SIZE = 64 * MB


def _child(held: np.ndarray, results: Connection) -> None:  # type: ignore[type-arg]
    import os

    before = process_memory(os.getpid())
    copied = unshare_memory()
    after = process_memory(os.getpid())
    same = bool((held == 7).all())
    results.send((before.private, after.private, copied, unshare_memory(), same))


def test_inherited_pages_become_private_and_keep_their_contents() -> None:
    try:
        unshare_memory()
    except Unsupported as reason:
        pytest.skip(str(reason))
    held = np.full(SIZE, 7, dtype=np.uint8)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(held, sender))
    child.start()
    before, after, copied, again, same = receiver.recv()
    child.join()
    assert same
    assert copied >= SIZE and after - before >= 0.95 * SIZE
    assert again < MB  # nothing much is left to copy
