"""Threads that the user's code gives PyTorch while a sample is read: noted, and left to workers."""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch.utils.data import get_worker_info

from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.source_lines import line_at

NOTED: dict[str, Any] = {}  # the last call: how many threads, and the line
_kept: list[int] = []  # of a worker that is to have so many, whatever the code asks for


def hold() -> None:
    """From here on such calls are only noted in this process: its threads would keep workers that
    are forked from it waiting for ever. Workers carry them out."""
    original = torch.set_num_threads
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def called(count: int) -> None:
        caller = sys._getframe(1)
        users = is_users(caller.f_code.co_filename)
        if users and get_worker_info() is None:
            NOTED.update(count=int(count), lines=[line_at(caller.f_code.co_filename,
                                                          caller.f_lineno)])  # fmt: skip
        elif not (users and _kept):
            original(count)

    torch.set_num_threads = called  # type: ignore[assignment]


def keep(count: int) -> None:
    """So many from here on; in a worker whatever the user's code asks for."""
    torch.set_num_threads(count)
    if get_worker_info() is not None:
        hold()
        _kept.append(count)
