"""Which target of `make` measures what: the one table that every command is taken from."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_impl.factors import OF_LOADERS, PEERS

TARGETS = ("study", "standard", "full", "loaders", "peers")


def target(profile: str) -> str:
    """What measures all of a profile, and adds rounds to a run of it."""
    return profile if profile in TARGETS else "study"


def of_loaders(benchmark: str) -> bool:
    """Whether it is of the profile of the loaders, which a machine may have a run of its own of."""
    topic, _, rest = benchmark.partition(".")
    return not {topic, f"{topic}.{rest.partition('.')[0]}"}.isdisjoint(OF_LOADERS)


def measuring(benchmark: str, arms: Iterable[str] = (), profile: str = "standard") -> str:
    """What measures `arms` of a benchmark; `profile` is that of the run which did, if one did.

    `benchmark` is its name, with or without what it tracks.
    """
    apart = of_loaders(benchmark) and profile == "standard"
    found = target("loaders" if apart else profile)
    rivals = any(arm.partition("-")[0] in PEERS for arm in arms)
    return "peers" if rivals and found == "loaders" else found
