"""Threads that work alone: one intra-op thread in each, and the caller's number as it was."""

from __future__ import annotations

import threading

import pytest
import torch

from datasets_impl.loaders.threads import lone_threads, work_alone


@pytest.fixture(autouse=True)
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def seen_in_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_a_pool_works_alone_and_nobody_else() -> None:
    pool = lone_threads(3, "alone")
    with pool:
        tasks = [pool.submit(lambda: (threading.get_ident(), torch.get_num_threads()))
                 for _ in range(30)]  # fmt: skip
        assert {task.result()[1] for task in tasks} == {1}
        assert torch.get_num_threads() == 4
        assert seen_in_a_new_thread() == 4, "of threads that come later"


def test_the_main_thread_is_left_as_it_is() -> None:
    work_alone()
    assert torch.get_num_threads() == 4
