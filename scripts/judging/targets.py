"""Which target of `make` measures what: the one table that every command is taken from."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_impl.factors import OF_LOADERS, PEERS

TARGETS = ("study", "standard", "full", "loaders", "peers")


def target(profile: str) -> str:
    """What measures all of a profile, and adds rounds to a run of it."""
    return profile if profile in TARGETS else "study"


def measuring(benchmark: str, arms: Iterable[str] = (), profile: str = "standard") -> str:
    """What measures `arms` of a benchmark; `profile` is that of the run which did, if one did.

    `benchmark` is its name, with or without what it tracks.
    """
    topic, _, rest = benchmark.partition(".")
    ours = {topic, f"{topic}.{rest.partition('.')[0]}"}.isdisjoint(OF_LOADERS)
    found = target(profile if ours or profile != "standard" else "loaders")
    rivals = any(arm.partition("-")[0] in PEERS for arm in arms)
    return "peers" if rivals and found == "loaders" else found
