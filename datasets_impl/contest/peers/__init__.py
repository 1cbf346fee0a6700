"""Specialised loaders beside this project's own: one small adapter a package, a row for each task.

Adding a peer takes a file `<name>_peer` here with a tuple `ARMS`, and its name in `factors.PEERS`;
`work` is what one that takes any function is given, and `made` keeps the files that it writes.
Packages are imported when an arm is prepared or opened, so what is not installed is reported as
such and nothing else fails. `make peers` installs them (see `requirements-peers.txt`).
"""

from __future__ import annotations

from importlib import import_module

from datasets_impl.contest.model import Arm
from datasets_impl.factors import PEERS


def arms() -> tuple[Arm, ...]:
    """Every arm of every peer."""
    return tuple(arm for name in PEERS for arm in import_module(f"{__name__}.{name}_peer").ARMS)
