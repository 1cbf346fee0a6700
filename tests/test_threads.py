"""Threads that work alone: one intra-op thread in each, and the caller's number as it was."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch
from conftest import ROOT

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


IN_A_FORK = """
import os
import torch
from benchmarks.common import _Benchmark  # in the server, whose forks measure
from datasets_impl.loaders.threads import spare_lost_threads

def threads(cell=None):
    torch.set_num_threads(3)
    spare_lost_threads()
    return torch.get_num_threads(), {}

def forked(work):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    os.waitpid(child, 0)

def benchmark():
    print(_Benchmark().measured((), threads)["samples"][0], flush=True)
    forked(lambda: print(threads()[0], flush=True))

forked(benchmark)
"""


def test_a_benchmark_has_all_threads_in_a_fork_of_asvs_server() -> None:
    """As ceilings and other loaders beside it have; in a fork of its own they are lost."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FORK], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["3", "1"], done.stdout + done.stderr
